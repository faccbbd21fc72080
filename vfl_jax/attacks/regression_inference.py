"""Label inference by a regression on known rows: what one party can learn from all that it has."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp

from vfl_jax.attacks.evidence import Kind, unit
from vfl_jax.attacks.reader import Heard, Reader, Reading, most_likely, read_known, standardized
from vfl_jax.core.record import static
from vfl_jax.core.types import Key
from vfl_jax.protocol.transforms import Attack


class RegressionInference(Reader, Attack):
    """Learns from known rows which messages and embeddings belong to which label; changes nothing.

    It supposes nothing about how a defense encodes labels in gradients: the known rows show it. A row's columns are the
    direction of its mean gradient message, the length of that, and its own embedding after the epoch, each column
    standardized over all rows. A ridge regression with an intercept, on the known rows, leads to the labels (one-hot);
    every class has the same weight. A row gets the class with the largest value.

    The attacker knows ``poison.num_known`` rows of every class. With ``of`` "gradients" a row without a message is not
    read. "embeddings" uses no message but those that trained the model, and so is the floor of the others.

    No source; it is the adaptation to defenses of labels and gradients that each other reader has only by chance.

    Args:
      enabled: 1 or 0; the attack only listens, so both give the honest run.
      of: "both", "gradients" or "embeddings".
      evidence: the gradients whose mean is used: "last", "sum", "fading" or "directions".
      way: the ending of the metrics' names, so that several readers can listen in one chain.
      at_epochs: the numbers of finished epochs after which it reads, −1 after the last; None is after every one.

    Raises:
      ValueError: where ``of`` or ``evidence`` is none of these.

    Example:
      >>> import vfl_jax as vfl
      >>> scenario = vfl.Scenario(
      ...     attacks=[vfl.PartyTransform(), vfl.attacks.RegressionInference()], poison=vfl.PoisonPlan(num_known=10)
      ... )
      >>> scenario.attackers
      (1,)
    """

    of: Literal["both", "gradients", "embeddings"] = static(default="both")
    evidence: Kind = static(default="directions")
    way: str = static(default="")
    at_epochs: tuple[int, ...] | None = static(default=None)

    def infer(self, key: Key, heard: Heard) -> Reading:
        columns = []
        if self.of != "embeddings":
            size = jnp.log(jnp.abs(heard.messages).sum(axis=1, keepdims=True) + jnp.finfo(jnp.float32).tiny)
            columns.append(standardized(jnp.concatenate([unit(heard.messages), size], axis=1), heard.is_heard))
        is_there = heard.is_heard
        if self.of != "gradients":
            rows, is_there = heard.rows("embeddings")
            columns.append(standardized(rows, is_there))
        return most_likely(read_known(jnp.concatenate(columns, axis=1), is_there, heard), is_there)

"""Label inference by the length of gradients (Li, Sun, Yang, Gao, Zhang, Zhou, Wang, ICLR 2022)."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from vfl_jax.attacks.evidence import Kind
from vfl_jax.attacks.reader import Heard, Reader, Reading, above, between_two_means, check_two_classes
from vfl_jax.core.record import static
from vfl_jax.core.types import Array, Key
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import Attack

Threshold = Literal["half", "two_means"]


class NormInference(Reader, Attack):
    """Takes the rows with the longest gradients for class 1, which must be the rarer of two; changes nothing.

    A gradient is about as long as |p − y|, and a model expects the frequent class of every row: the rows of the rare
    one surprise it. So the score is ‖g‖₂ of the row's mean message g. It fails where classes are balanced, and once
    the model has learnt the rare rows. The attack needs to know no label, and works under any head.

    Source: Li et al., *Label leakage and protection in two-party split learning*, ICLR 2022 (arXiv:2102.08504), read in
    a published reimplementation (VFLAIR, ``NormbasedScoring.py``). That attacks one batch alone, and the paper means
    the area under the curve over batches; here all training rows are compared, each by messages of other steps.

    Args:
      enabled: 1 or 0; the attack only listens, so both give the honest run.
      evidence: the messages whose mean is measured: "last", "sum" (all), "fading" (all, the k-th with weight 1/√k). In
        a mean the noise of a defense shrinks. "directions" would leave no length to measure.
      threshold: what is long: "half", halfway between the shortest and the longest row, as published, which one outlier
        moves; or "two_means", halfway between the means of two clusters.
      smooth: whether the evidence is first regressed on the party's own embeddings, as in :class:`SignInference`.
      way: the ending of the metrics' names, so that several readers can listen in one chain.
      at_epochs: the numbers of finished epochs after which it reads, −1 after the last; None is after every one.

    Raises:
      ValueError: where ``evidence`` or ``threshold`` is none of these; with data of more than two classes.

    Example:
      >>> import vfl_jax as vfl
      >>> vfl.attacks.NormInference(threshold="two_means").evidence
      'last'
    """

    needs = Needs(poison_rate=0.0)

    evidence: Kind = static(default="last")
    threshold: Threshold = static(default="half")
    smooth: bool = static(default=False)
    way: str = static(default="")
    at_epochs: tuple[int, ...] | None = static(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.evidence == "directions":
            raise ValueError(
                "NormInference.evidence is 'directions', messages at length 1, which have no length to measure; give "
                "'last', 'sum' or 'fading'."
            )

    def check(self, shapes: Shapes, party: int, by_role: bool) -> None:
        check_two_classes("NormInference", shapes)

    def infer(self, key: Key, heard: Heard) -> Reading:
        scores = length(heard.messages)
        if self.threshold == "two_means":
            return above(scores, between_two_means(scores, heard.is_heard), heard.is_heard)
        low = jnp.where(heard.is_heard, scores, jnp.inf).min()
        high = jnp.where(heard.is_heard, scores, -jnp.inf).max()
        return above(scores, (low + high) / 2.0, heard.is_heard)


def length(rows: Array) -> jax.Array:
    """Returns the Euclidean length of every row, float32[N], also where squares of its entries are too small."""
    scale = jnp.abs(rows).max()
    return scale * jnp.linalg.norm(rows / jnp.where(scale > 0, scale, 1.0), axis=-1)

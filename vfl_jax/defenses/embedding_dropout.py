"""Embeddings with gaps: the baseline "embedding dropout" of Zhao et al. 2026, after Srivastava et al. 2014."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Key, Params
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import EmbedView, Messages


class EmbeddingDropout(ActiveTransform):
    """Sets parts of the embeddings that arrive to zero in training, drawn anew at every step.

    With an independent m that is 1 with probability 1 − rate, else 0::

        h := m · h / (1 − rate)        scaled;  m · h where not

    At inference embeddings pass. The gradient goes through, so that a party gets none for what was dropped. The head
    must then do without any one part, such as a trigger. Source: "Emb. Drop." of Zhao, Lu, Shan, Zhang, Yang, Chow
    2026, *Understanding backdoor vulnerabilities in vertical federated learning*; its rate, and whether it drops
    entries or rows, could not be verified. The scaling is that of Srivastava, Hinton, Krizhevsky, Sutskever,
    Salakhutdinov 2014, *Dropout*, in its usual form.

    An attacker who knows it writes into all coordinates (``BASL``): some of them always stay.

    This buys no privacy of labels.

    Args:
      what: what is dropped: "entry" (each entry for itself), or "row" (a party's whole embedding of a sample).
      scaled: whether what stays is divided by 1 − rate, so that its mean is that of the embedding.
      rate: the share that is dropped, in [0, 1]; 0 changes nothing.

    Raises:
      ValueError: where ``what`` is neither, or ``rate`` lies outside [0, 1].

    Example:
      >>> import vfl_jax as vfl
      >>> scenario = vfl.presets.digits_demo().replace(defense=vfl.defenses.EmbeddingDropout(rate=0.5))
      >>> scenario.defense.what
      'entry'
    """

    neutral = {"rate": 0.0}
    what: Literal["entry", "row"] = static(default="entry")
    scaled: bool = static(default=True)
    rate: float = 0.0

    def __post_init__(self) -> None:
        check_range("EmbeddingDropout", 0.0, 1.0, rate=self.rate)

    def on_embed(self, params: Params, key: Key, view: EmbedView, embeddings: Messages) -> tuple[Messages, jax.Array]:
        if not view.is_training:
            return embeddings, jnp.float32(0.0)
        stays = 1.0 - jnp.asarray(self.rate)
        factor = jnp.where(stays > 0, 1.0 / jnp.where(stays > 0, stays, 1.0), 0.0) if self.scaled else 1.0
        passed = []
        for i, embedding in enumerate(embeddings):
            shape = embedding.shape if self.what == "entry" else (len(embedding), 1)
            is_kept = jax.random.uniform(jax.random.fold_in(key, i), shape) >= self.rate
            passed.append(jnp.where(is_kept, factor * embedding, 0.0))
        return tuple(passed), jnp.float32(0.0)

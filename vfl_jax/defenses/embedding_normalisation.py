"""Embeddings of one length: the baseline "embedding normalisation" of Zhao et al. 2026."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.types import Key, Params
from vfl_jax.defenses.directions import direction
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import EmbedView, Messages


class EmbeddingNormalisation(ActiveTransform):
    """Brings every embedding row that arrives to one L2 length, in training and at inference::

        h := length · h / ‖h‖₂

    The gradient goes through: a party gets (length / ‖h‖) · (I − h hᵀ / ‖h‖²) of the gradient at the result, which has
    no part along h. A row of zeros stays zero, and gets no gradient. So a trigger in the embedding cannot win by size;
    by direction it can. Source: "Emb. Norm." of Zhao, Lu, Shan, Zhang, Yang, Chow 2026, *Understanding backdoor
    vulnerabilities in vertical federated learning*, which does not state the length; 1 is the usual one.

    This buys no privacy of labels. An attacker who knows it learns which direction says the target class
    (``LearnedMessage``).

    Args:
      length: the length of every row. 0 switches the defense off: embeddings pass bit for bit.

    Raises:
      ValueError: where ``length`` is negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import vfl_jax as vfl
      >>> defense = vfl.defenses.EmbeddingNormalisation(length=1.0)
      >>> embeddings, penalty = defense.on_embed({}, None, None, (jnp.array([[3.0, -4.0]]),))
      >>> embeddings[0].round(3).tolist()
      [[0.6000000238418579, -0.800000011920929]]
    """

    neutral = {"length": 0.0}
    length: float = 0.0

    def __post_init__(self) -> None:
        check_range("EmbeddingNormalisation", 0.0, length=self.length)

    def on_embed(self, params: Params, key: Key, view: EmbedView, embeddings: Messages) -> tuple[Messages, jax.Array]:
        is_on = jnp.asarray(self.length) > 0
        return tuple(jnp.where(is_on, self.length * direction(h), h) for h in embeddings), jnp.float32(0.0)

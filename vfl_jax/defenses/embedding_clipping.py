"""Embeddings of bounded size: Gu and Bai 2023, and a usual step against triggers that win by their size."""

from __future__ import annotations

import math
from typing import Literal

import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Key, Params
from vfl_jax.defenses.directions import direction, length
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import EmbedView, Messages


class EmbeddingClipping(ActiveTransform):
    """Bounds every embedding row that arrives, inside the loss::

        h := h · min(1, bound / ‖h‖₂)       "row_l2"
        h := clip(h, −bound, bound)         "value": every entry, so that ‖h‖∞ ≤ bound

    The gradient goes through. A party gets (bound / ‖h‖) · (I − h hᵀ / ‖h‖²) of the gradient at a shortened row, which
    has no part along h, and 0 at a clipped entry; what is within the bound passes bit for bit. So a trigger in the
    embedding cannot win by size; by direction it can. The bound holds to rounding; a ``bound`` below 0 acts as 0.

    Sources: "norm clip" of Gu and Bai 2023, *LR-BA: backdoor attack against vertical federated learning using local
    latent representations* (Computers & Security), which shortens rows at inference alone, to bounds of 0 to 1; no
    source was found that clips embeddings entry by entry.

    This buys no privacy of labels. An attacker who knows it learns which direction says the target class
    (``LearnedMessage``). Where rows are shortened at inference alone, long messages in training still teach the head.

    Args:
      by: the bounded quantity: "row_l2" (the L2 norm of every row) or "value" (every entry).
      only_at_inference: whether training is left alone, as in LR-BA's evaluation.
      bound: the bound, in the units of the embedding; infinity changes nothing.

    Raises:
      ValueError: where ``by`` is neither, or ``bound`` is negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import vfl_jax as vfl
      >>> view = vfl.protocol.views.EmbedView()
      >>> defense = vfl.defenses.EmbeddingClipping(by="value", bound=1.0)
      >>> embeddings, penalty = defense.on_embed({}, None, view, (jnp.array([[3.0, -0.5]]),))
      >>> embeddings[0].tolist()
      [[1.0, -0.5]]
    """

    neutral = {"bound": math.inf}
    by: Literal["row_l2", "value"] = static(default="row_l2")
    only_at_inference: bool = static(default=False)
    bound: float = math.inf

    def __post_init__(self) -> None:
        check_range("EmbeddingClipping", 0.0, bound=self.bound)

    def on_embed(self, params: Params, key: Key, view: EmbedView, embeddings: Messages) -> tuple[Messages, jax.Array]:
        if view.is_training and self.only_at_inference:
            return embeddings, jnp.float32(0.0)
        return tuple(self._clip(h) for h in embeddings), jnp.float32(0.0)

    def _clip(self, embedding: jax.Array) -> jax.Array:
        """Bounds one embedding, float32[B, E]."""
        bound = jnp.maximum(jnp.asarray(self.bound), 0.0)
        if self.by == "value":
            # Chosen, not jnp.clip, whose slope at the bound itself is a half.
            return jnp.where(jnp.abs(embedding) > bound, bound * jnp.sign(embedding), embedding)
        is_over = length(embedding) > bound
        # The inner where keeps infinity times 0 out of the unused branch and out of its gradient.
        return jnp.where(is_over, jnp.where(is_over, bound, 1.0) * direction(embedding), embedding)

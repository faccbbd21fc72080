"""Clipping of the gradient messages: section 6.3 of Liu, Yi, Chen 2020 (arXiv:2007.03608)."""

from __future__ import annotations

import math
from typing import Literal

import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Key, State
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import ActiveView, Messages

By = Literal["value", "row_l2", "message_l2", "largest_row_l2"]


class Clipping(ActiveTransform):
    """Bounds every gradient message, float32[B, E], before the active party sends it.

    The bound holds to rounding, whatever the size of a finite message. A zero message stays zero. A swept ``bound``
    below 0 acts as 0. Source: section 6.3 of Liu, Yi, Chen 2020 (arXiv:2007.03608).

    Args:
      by: the bounded quantity: "value" (every entry lies in [−bound, bound]), "row_l2" (the L2 norm of every row),
        "message_l2" (the L2 norm of the whole message), or "largest_row_l2" (the largest L2 norm of a row, by one
        factor on the whole message, as in Zou et al. 2022).
      bound: the bound, in the units of the gradient message; infinity changes nothing.

    Raises:
      ValueError: where ``by`` is none of these, or ``bound`` is negative.

    Example:
      >>> import jax.numpy as jnp
      >>> import vfl_jax as vfl
      >>> defense = vfl.defenses.Clipping(by="value", bound=1.0)
      >>> messages, state = defense.on_send(None, (), None, (jnp.array([[3.0, -0.5]]),))
      >>> messages[0].tolist()
      [[1.0, -0.5]]
    """

    neutral = {"bound": math.inf}
    by: By = static(default="row_l2")
    bound: float = math.inf

    def __post_init__(self) -> None:
        check_range("Clipping", 0.0, bound=self.bound)

    def on_send(self, key: Key, state: State, view: ActiveView, gradients: Messages) -> tuple[Messages, State]:
        return tuple(self._clip(g) for g in gradients), state

    def _clip(self, gradient: jax.Array) -> jax.Array:
        """Bounds one message, float32[B, E]."""
        bound = jnp.maximum(self.bound, 0.0)
        if self.by == "value":
            return jnp.clip(gradient, -bound, bound)
        norm = self._norm(gradient)
        scale = _scale(norm)
        scaled = gradient * scale
        norm = jnp.where(scale == 1, norm, self._norm(scaled))
        # A bound of 0 leaves nothing, not even numbers so small that their norm underflows to 0.
        is_over = (norm > bound * scale) | (bound == 0)
        # The inner where keeps inf/inf and 0/0 out of the unused branch.
        norm = jnp.where(is_over & (norm > 0), norm, 1)
        share = bound / norm
        # Where the share underflows in float32, norm and bound act one after the other.
        is_none = share < jnp.finfo(share.dtype).tiny
        return jnp.where(is_over, jnp.where(is_none, scaled / norm * bound, scaled * share), gradient)

    def _norm(self, gradient: jax.Array) -> jax.Array:
        """Returns the norm that is bounded: of every row, float32[B, 1], or of the message, float32[]."""
        row_norms = jnp.linalg.norm(gradient, axis=-1, keepdims=True)
        return {
            "row_l2": lambda: row_norms,
            "message_l2": lambda: jnp.linalg.norm(row_norms),
            "largest_row_l2": lambda: jnp.max(row_norms),
        }[self.by]()


def _scale(norm: jax.Array) -> jax.Array:
    """Returns a factor for numbers before they are squared: 1, or a power of two where squares leave the range."""
    most = jnp.finfo(norm.dtype).maxexp
    is_small, is_large = norm < 2.0 ** -(most // 3), norm > 2.0 ** (most // 2 - 4)
    scale = jnp.where(is_small, 2.0 ** (3 * most // 4), jnp.where(is_large, 2.0 ** -(7 * most // 8), 1.0))
    return scale.astype(norm.dtype)

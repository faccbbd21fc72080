"""Noise along every gradient row, max-norm: Li et al. 2022 (ICLR, arXiv:2102.08504)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.types import Key, State
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import ActiveView, Messages


class MaxNormNoise(ActiveTransform):
    """Makes every gradient row as long, on average, as the longest row of the message, by noise along the row.

    With the rows g_i of one message, M = max_j ‖g_j‖₂ and one z_i ~ N(0, 1) per row::

        g_i := g_i · (1 + scale · z_i · √(M² / ‖g_i‖² − 1))

    At a scale of 1, E‖g_i‖² = M² for every row, so that the mean square of a row's norm tells nothing; its direction
    stays, but for its sign. So of three and more classes the axis of a message still tells the label
    (``DirectionInference(rule="axis", evidence="axes")``). The longest row stays as it is, and so does a row of zeros,
    which has no direction: both can be told. Source: Li, Sun, Yang, Gao, Zhang, Zhou, Wang 2022, *Label leakage and
    protection in two-party split learning* (arXiv:2102.08504), and its published code. SecretFlow's ``max_norm`` is
    another method: it adds isotropic noise of unit scale, from the norm of the whole message. A scale other than 1 is
    this package's own.

    This buys no differential privacy: M comes from the data itself, and the direction is sent.

    Args:
      scale: the scale of the noise; 0 changes nothing, 1 is the published method.

    Raises:
      ValueError: where ``scale`` is negative.

    Example:
      >>> import jax
      >>> import jax.numpy as jnp
      >>> import vfl_jax as vfl
      >>> defense = vfl.defenses.MaxNormNoise(scale=1.0)
      >>> messages, state = defense.on_send(jax.random.key(0), (), None, (jnp.array([[3.0, 4.0], [0.0, 0.0]]),))
      >>> messages[0].tolist()
      [[3.0, 4.0], [0.0, 0.0]]
    """

    neutral = {"scale": 0.0}
    scale: float = 0.0

    def __post_init__(self) -> None:
        check_range("MaxNormNoise", 0.0, scale=self.scale)

    def on_send(self, key: Key, state: State, view: ActiveView, gradients: Messages) -> tuple[Messages, State]:
        keys = jax.random.split(key, len(gradients))
        draws = [self.scale * jax.random.normal(k, (len(g), 1)) for k, g in zip(keys, gradients, strict=True)]
        return tuple(stretched(g, z) for g, z in zip(gradients, draws, strict=True)), state


def stretched(message: jax.Array, draws: jax.Array) -> jax.Array:
    """Adds noise along every row of a message, float32[B, E].

    Args:
      message: float32[B, E].
      draws: z, one per row, float32[B, 1].
    """
    # In units of the row's largest entry no square underflows.
    largest = jnp.max(jnp.abs(message), axis=-1, keepdims=True)
    row = message / jnp.where(largest > 0, largest, 1.0)
    length = jnp.linalg.norm(row, axis=-1, keepdims=True)
    direction = row / jnp.where(length > 0, length, 1.0)
    norm = largest * length
    first = jnp.argmax(norm)
    longest = norm[first, 0]
    share = norm / jnp.where(longest > 0, longest, 1.0)
    # The longest row is told by its place: a share of 1 − 1e-7, which rounding makes, has a root of 4e-4.
    is_longest = jnp.arange(len(message))[:, None] == first
    missing = jnp.where(is_longest, 0.0, jnp.sqrt(jnp.maximum(1.0 - share**2, 0.0)))
    return message + draws * longest * missing * direction

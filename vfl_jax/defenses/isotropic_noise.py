"""Noise in all directions, measured by the longest gradient row: Li et al. 2022 (ICLR, arXiv:2102.08504)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.types import Key, State
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import ActiveView, Messages


class IsotropicNoise(ActiveTransform):
    """Adds independent normal noise to every entry, in proportion to the longest row of the message.

    With M = max_j ‖g_j‖₂ over the rows of one message, float32[B, E], and z ~ N(0, 1) per entry::

        g := g + ratio · M / √E · z

    So the noise of a row has the root mean square norm ``ratio`` · M, whatever the width; it shrinks with the gradients
    while a model learns, unlike that of ``GaussianNoise``. Source: the baseline "iso" of Li, Sun, Yang, Gao, Zhang,
    Zhou, Wang 2022, *Label leakage and protection in two-party split learning* (arXiv:2102.08504), and its published
    code. Ratios of 0.001 to 1 are in the code of TECB.

    This buys no differential privacy: M comes from the data itself, and each visit draws anew, so that who sums up a
    row's messages averages the noise away.

    Args:
      ratio: the norm of a row's noise, in units of the longest row; 0 changes nothing.

    Raises:
      ValueError: where ``ratio`` is negative.

    Example:
      >>> import vfl_jax as vfl
      >>> vfl.defenses.IsotropicNoise(ratio=0.5).ratio
      0.5
    """

    neutral = {"ratio": 0.0}
    ratio: float = 0.0

    def __post_init__(self) -> None:
        check_range("IsotropicNoise", 0.0, ratio=self.ratio)

    def on_send(self, key: Key, state: State, view: ActiveView, gradients: Messages) -> tuple[Messages, State]:
        keys = jax.random.split(key, len(gradients))
        return tuple(
            g + self.ratio * entry_size(g) * jax.random.normal(k, g.shape) for g, k in zip(gradients, keys, strict=True)
        ), state


def entry_size(message: jax.Array) -> jax.Array:
    """Returns M / √E: the root mean square of an entry of the longest row of a message, float32[].

    Args:
      message: float32[B, E].
    """
    largest = jnp.max(jnp.abs(message))
    unit = jnp.where(largest > 0, largest, 1.0)
    return unit * jnp.sqrt(jnp.max(jnp.mean((message / unit) ** 2, axis=-1)))

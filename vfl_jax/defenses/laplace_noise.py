"""Laplacian noise on the gradient messages: section 6.3 of Liu, Yi, Chen 2020 (arXiv:2007.03608)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.types import Key, State
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import ActiveView, Messages


class LaplaceNoise(ActiveTransform):
    """Adds independent Laplacian noise to every entry of every gradient message.

    A user gives the level as ``scale`` or as ``variance``; of both together the scales add. 0 changes nothing. The unit
    is that of the gradient message, which holds the factor 1/B under a mean loss. Source: section 6.3 of
    Liu, Yi, Chen 2020 (arXiv:2007.03608).

    Args:
      scale: b; the standard deviation is √2·b.
      variance: the variance, 2b².

    Raises:
      ValueError: where a level is negative.
    """

    neutral = {"scale": 0.0, "variance": 0.0}
    scale: float = 0.0
    variance: float = 0.0

    def __post_init__(self) -> None:
        check_range("LaplaceNoise", 0.0, scale=self.scale, variance=self.variance)

    def on_send(self, key: Key, state: State, view: ActiveView, gradients: Messages) -> tuple[Messages, State]:
        scale = self.scale + jnp.sqrt(self.variance / 2)
        keys = jax.random.split(key, len(gradients))
        return tuple(g + scale * jax.random.laplace(k, g.shape) for g, k in zip(gradients, keys, strict=True)), state

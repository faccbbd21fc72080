"""Gaussian noise on the gradient messages: section 6.3 of Liu, Yi, Chen 2020 (arXiv:2007.03608)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.types import Key, State
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import ActiveView, Messages


class GaussianNoise(ActiveTransform):
    """Adds independent normal noise to every entry of every gradient message.

    A user gives the level as ``stddev`` or as ``variance``; of both together the standard deviations add. 0 changes
    nothing. The unit is that of the gradient message, which holds the factor 1/B under a mean loss. Source: section 6.3
    of Liu, Yi, Chen 2020 (arXiv:2007.03608).

    Args:
      stddev: the standard deviation.
      variance: the variance.

    Raises:
      ValueError: where a level is negative.
    """

    neutral = {"stddev": 0.0, "variance": 0.0}
    stddev: float = 0.0
    variance: float = 0.0

    def __post_init__(self) -> None:
        check_range("GaussianNoise", 0.0, stddev=self.stddev, variance=self.variance)

    def on_send(self, key: Key, state: State, view: ActiveView, gradients: Messages) -> tuple[Messages, State]:
        stddev = self.stddev + jnp.sqrt(self.variance)
        keys = jax.random.split(key, len(gradients))
        return tuple(g + stddev * jax.random.normal(k, g.shape) for g, k in zip(gradients, keys, strict=True)), state

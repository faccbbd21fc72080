"""The noise that makes two normal distributions hardest to tell for its power; the problem of Marvell.

The class of smaller variance gets the noise that goes in all directions, the other class only noise along the
difference of the means. That leaves one number to search for: λ2 of the first class. Given it, the best λ1 of both
follow in closed form. With A and H, the variances along the difference after the noise, of the class of smaller
variance and of the other, and what is left of the power,

    q·A + (1 − q)·H = S,    the divergence along the difference is ½·(A/H + H/A + 1/A + 1/H) − 1,

in units in which the difference has the length 1; it is convex on that line, and its slope is 0 where
A/H = √((W + 1) / (W + q/(1 − q))) with W = S/(1 − q). Beyond a bound, the bound is best. The search halves an interval
by the sign of the slope there: of 20,000 random problems, each on a grid of 400 points, none had a second valley. By
the values themselves, as golden section does, float32 finds the bottom of a valley to three digits only, others on a
grid than alone.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

NUM_HALVINGS = 30
"""They leave less of the interval than float32 resolves."""


class Covariances(NamedTuple):
    """The variances of the noise, in units of the squared difference of the means.

    Args:
      along_0: of class 0, along the difference, float32[].
      across_0: of class 0, in every other direction, float32[].
      along_1: of class 1, along the difference, float32[].
      across_1: of class 1, in every other direction, float32[].
      divergence: the sum of both Kullback-Leibler divergences between the classes with their noise, float32[].
    """

    along_0: jax.Array
    across_0: jax.Array
    along_1: jax.Array
    across_1: jax.Array
    divergence: jax.Array


def solve(
    variance_0: jax.Array, variance_1: jax.Array, width: int, share_1: jax.Array, power: jax.Array
) -> Covariances:
    """Finds the noise of least divergence.

    Args:
      variance_0: u, the variance of class 0 in every direction, float32[], in units of the squared difference.
      variance_1: v, that of class 1, float32[].
      width: E, the number of directions.
      share_1: p, the share of class 1 among all rows, float32[], above 0 and below 1.
      power: P, the mean over all rows of the squared norm of a row's noise, float32[]; 0 finds no noise.
    """
    is_0_narrow = variance_0 <= variance_1
    narrow, wide = jnp.minimum(variance_0, variance_1), jnp.maximum(variance_0, variance_1)
    share = jnp.where(is_0_narrow, 1.0 - share_1, share_1)

    def along(across: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns the best noise along the difference, of the narrow class and of the wide one."""
        left = power - share * (width - 1) * across
        total = left + share * narrow + (1.0 - share) * wide
        weight = total / (1.0 - share)
        ratio = jnp.sqrt((weight + 1.0) / (weight + share / (1.0 - share)))
        of_wide = total / (share * ratio + 1.0 - share)
        first = jnp.clip(ratio * of_wide - narrow, across, jnp.maximum(left / share, across))
        return first, jnp.maximum((left - share * first) / (1.0 - share), 0.0)

    def divergence(across: jax.Array) -> jax.Array:
        first, second = along(across)
        one, other = narrow + first, wide + second
        # Written as squares: the sums of quotients, minus E, would lose all digits of a small divergence.
        in_other_directions = (width - 1) * _unlikeness(narrow + across, wide)
        return 0.5 * (in_other_directions + _unlikeness(one, other) + 1.0 / one + 1.0 / other)

    def halve(_: int, interval: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = interval
        middle = (low + high) / 2.0
        is_rising = jax.grad(divergence)(middle) > 0
        return jnp.where(is_rising, low, middle), jnp.where(is_rising, middle, high)

    most = jnp.minimum(wide - narrow, power / (share * width))
    low, high = jax.lax.fori_loop(0, NUM_HALVINGS, halve, (jnp.zeros_like(most), most))
    across = (low + high) / 2.0
    first, second = along(across)
    none = jnp.zeros_like(across)
    return Covariances(
        along_0=jnp.where(is_0_narrow, first, second),
        across_0=jnp.where(is_0_narrow, across, none),
        along_1=jnp.where(is_0_narrow, second, first),
        across_1=jnp.where(is_0_narrow, none, across),
        divergence=divergence(across),
    )


def _unlikeness(one: jax.Array, other: jax.Array) -> jax.Array:
    """Returns one/other + other/one − 2; 0 where both are equal, even if both are 0."""
    is_equal = one == other
    return jnp.where(is_equal, 0.0, (one - other) ** 2 / jnp.where(is_equal, 1.0, one * other))

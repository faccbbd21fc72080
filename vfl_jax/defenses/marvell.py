"""Noise that hides two classes best for its power, Marvell: Li et al. 2022 (ICLR, arXiv:2102.08504)."""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Key, State
from vfl_jax.defenses.marvell_solver import Covariances, solve
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import ActiveView, Messages

GROWTH, NUM_GROWTHS = 1.5, 24
"""Under the rule "threshold" the power grows by this factor, as in the published code, at most so often."""


class Classes(NamedTuple):
    """What a message tells of its two classes.

    Args:
      variance_0: u, float32[]: the mean over entries of the variance (1/n) of class 0.
      variance_1: v, float32[]: that of class 1.
      difference: Δ, float32[E]: the mean row of class 1 minus that of class 0.
      share_1: p, float32[]: the share of class 1 among the rows.
    """

    variance_0: jax.Array
    variance_1: jax.Array
    difference: jax.Array
    share_1: jax.Array


class Marvell(ActiveTransform):
    """Adds to the gradient rows of each of two classes the normal noise that makes the classes hardest to tell.

    With the rows of one message, float32[B, E], of class 1 (a share p of the batch) and of class 0; Δ, the difference
    of their mean rows; v and u, the mean over entries of their variances (1/n)::

        class 1 gets   √(λ1 − λ2) · z · Δ/‖Δ‖ + √λ2 · N(0, I)          z ~ N(0, 1) per row
        class 0 gets   the same with λ1' and λ2' in place of λ1 and λ2
        minimise       J = ½ · [(E − 1) · ((λ2' + u)/(λ2 + v) + (λ2 + v)/(λ2' + u))
                                + (λ1' + u + ‖Δ‖²)/(λ1 + v) + (λ1 + v + ‖Δ‖²)/(λ1' + u)] − E
        subject to     p · (λ1 + (E − 1) λ2) + (1 − p) · (λ1' + (E − 1) λ2') = P,   λ1 ≥ λ2 ≥ 0,   λ1' ≥ λ2' ≥ 0

    J is the sum of both Kullback-Leibler divergences between the classes, taken as normal distributions. The power is
    P = ``power`` · ‖Δ‖²; under "threshold" it grows by 1.5 until J is at most ``threshold``, at most 24 times. Source:
    Li, Sun, Yang, Gao, Zhang, Zhou, Wang 2022, *Label leakage and protection in two-party split learning*
    (arXiv:2102.08504), and its published code. That code searches by turns from a random start, and ends only where
    numbers are tiny; here one number is searched by halving, and the rest is a closed form (``marvell_solver.py``).

    What it buys: who knows both normal distributions still errs about a row's class with a probability of at least
    ½ − √J/4, from one message, where both classes are equally likely. It is no differential privacy: it takes the rows
    of a class as normal with one variance in all directions, and every further visit and every further party's message
    tells more.

    A batch of one class passes as it is, and so does a message in which both mean rows are equal.

    Args:
      rule: "power" (P = ``power`` · ‖Δ‖²) or "threshold" (P grows until J is small enough).
      power: the power of the noise in units of ‖Δ‖²; 1 to 4 in published code. 0 changes nothing, under both rules.
      threshold: the J that is small enough under "threshold"; (2 − 4e)² for a probability e of an error.

    Raises:
      ValueError: where ``rule`` is neither, or a number is negative; with data that have not two classes.

    Example:
      >>> import vfl_jax as vfl
      >>> vfl.defenses.Marvell(rule="threshold", power=1.0).threshold
      0.16
    """

    neutral = {"power": 0.0}
    rule: Literal["power", "threshold"] = static(default="power")
    power: float = 0.0
    threshold: float = 0.16

    def __post_init__(self) -> None:
        check_range("Marvell", 0.0, power=self.power, threshold=self.threshold)

    def check(self, shapes: Shapes, by_role: bool) -> None:
        if shapes.num_classes != 2:
            raise ValueError(
                f"Marvell hides which of two classes a row has, and here are {shapes.num_classes}. Take data of two "
                "classes, or a defense for any number, such as GradPerturb or IsotropicNoise."
            )

    def on_send(self, key: Key, state: State, view: ActiveView, gradients: Messages) -> tuple[Messages, State]:
        is_one = view.labels == 1
        keys = jax.random.split(key, len(gradients))
        return tuple(self._hide(k, g, is_one) for k, g in zip(keys, gradients, strict=True)), state

    def _hide(self, key: Key, message: jax.Array, is_one: jax.Array) -> jax.Array:
        """Adds the noise to one message, float32[B, E]."""
        key_along, key_across = jax.random.split(key)
        along = jax.random.normal(key_along, (len(message), 1))
        across = jax.random.normal(key_across, message.shape)
        # In units of the largest entry no square underflows; the noise is then found in units of Δ.
        largest = jnp.max(jnp.abs(message))
        unit = jnp.where(largest > 0, largest, 1.0)
        classes = two_classes(message / unit, is_one)
        square = jnp.sum(classes.difference**2)
        is_there = (classes.share_1 > 0) & (classes.share_1 < 1) & (square > 0)
        square = jnp.where(is_there, square, 1.0)
        share_1 = jnp.where(is_there, classes.share_1, 0.5)
        found = self._solve(classes.variance_0 / square, classes.variance_1 / square, message.shape[-1], share_1)
        noise = noise_of(found, classes.difference, is_one, along, across)
        return jnp.where(is_there, message + unit * noise, message)

    def _solve(self, variance_0: jax.Array, variance_1: jax.Array, width: int, share_1: jax.Array) -> Covariances:
        """Finds the noise in units of the squared difference of the means."""
        power = jnp.asarray(self.power, jnp.float32)
        if self.rule == "power":
            return solve(variance_0, variance_1, width, share_1, power)
        powers = power * GROWTH ** jnp.arange(NUM_GROWTHS + 1, dtype=jnp.float32)
        found = jax.vmap(lambda power: solve(variance_0, variance_1, width, share_1, power))(powers)
        is_enough = found.divergence <= self.threshold
        first = jnp.where(is_enough.any(), jnp.argmax(is_enough), NUM_GROWTHS)
        return Covariances(*(value[first] for value in found))


def two_classes(message: jax.Array, is_one: jax.Array) -> Classes:
    """Returns what a message, float32[B, E], tells of its two classes.

    Args:
      message: float32[B, E].
      is_one: bool[B], the rows of class 1.
    """

    def moments(rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        counted = rows[:, None].astype(message.dtype)
        weight = counted / jnp.maximum(counted.sum(), 1.0)
        mean = jnp.sum(weight * message, axis=0)
        return mean, jnp.mean(jnp.sum(weight * (message - mean[None]) ** 2, axis=0))

    (mean_0, variance_0), (mean_1, variance_1) = moments(~is_one), moments(is_one)
    return Classes(variance_0, variance_1, mean_1 - mean_0, jnp.mean(is_one, dtype=message.dtype))


def noise_of(
    found: Covariances, difference: jax.Array, is_one: jax.Array, along: jax.Array, across: jax.Array
) -> jax.Array:
    """Returns the noise on a message, float32[B, E].

    Args:
      found: the variances of the noise, in units of ‖Δ‖².
      difference: Δ, float32[E].
      is_one: bool[B], the rows of class 1.
      along: normal draws along Δ, float32[B, 1].
      across: normal draws in all directions, float32[B, E].
    """
    of_row = is_one[:, None]
    in_all = jnp.where(of_row, found.across_1, found.across_0)
    beyond = jnp.where(of_row, found.along_1 - found.across_1, found.along_0 - found.across_0)
    length = jnp.linalg.norm(difference)
    return jnp.sqrt(jnp.maximum(beyond, 0.0)) * along * difference[None] + length * jnp.sqrt(in_all) * across

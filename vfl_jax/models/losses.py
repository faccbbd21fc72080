"""Losses of the active party: what one row costs, and how rows add up to the batch."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import optax

from vfl_jax.core.checks import check_choice, check_range
from vfl_jax.core.record import Record, static
from vfl_jax.core.types import Array, Params

Reduction = Literal["mean", "sum"]
Penalty = Literal["none", "l1", "l2"]


class Loss(Record):
    """Base of the losses. ``reduction`` "mean" puts the factor 1/B into every gradient message.

    A noise level or a clip bound therefore means B times more under "mean" than under "sum".
    """

    reduction: Reduction = static(default="mean")

    def __post_init__(self) -> None:
        check_choice("loss", Reduction, reduction=self.reduction)

    def rows(self, logits: Array, targets: Array) -> Array:
        """The loss of each row, float32[B], from logits and class distributions, float32[B, C]."""
        raise NotImplementedError

    def __call__(self, logits: Array, targets: Array) -> Array:
        """The batch loss ℓ of equation 2, float32[]."""
        return self.rows(logits, targets).sum() * self.row_weight(logits.shape[0])

    def row_weight(self, num_rows: int) -> float:
        """What one row's loss counts in the batch loss. A loss that has a ``__call__`` of its own must say it anew."""
        return 1.0 / num_rows if self.reduction == "mean" else 1.0


class SoftmaxCrossEntropy(Loss):
    """Cross-entropy of the softmax.

    With ``probability_clip`` ε the probabilities are clipped to [ε, 1 − ε] before the logarithm, and
    rows beyond have no gradient, as in the published run of the paper's experiments. It matters
    in runs that blow up. None and 0 clip nothing.
    """

    probability_clip: float | None = static(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("loss", 0.0, 0.5, probability_clip=self.probability_clip)

    def rows(self, logits, targets):
        if not self.probability_clip:
            return optax.softmax_cross_entropy(logits, targets)
        probabilities = jax.nn.softmax(logits)
        low, high = self.probability_clip, 1.0 - self.probability_clip
        inside = (probabilities >= low) & (probabilities <= high)
        # The inner where keeps the derivative of the unused branch finite.
        log = jnp.log(jnp.where(inside, probabilities, 1.0))
        beyond = jnp.log(jnp.clip(jax.lax.stop_gradient(probabilities), low, high))
        return -jnp.sum(targets * jnp.where(inside, log, beyond), axis=-1)


class MulticlassHinge(Loss):
    """max(0, margin + max_{j≠y} s_j − s_y), the multi-class support vector machine of Crammer and
    Singer (2001); ``targets`` must be one-hot."""

    margin: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("loss", 0.0, margin=self.margin)

    def rows(self, logits, targets):
        true = jnp.sum(logits * targets, axis=-1)
        best_other = jnp.max(jnp.where(targets > 0, -jnp.inf, logits), axis=-1)
        return jnp.maximum(0.0, self.margin + best_other - true)


class SquaredError(Loss):
    """½ Σ_j (s_j − t_j)² on class distributions; with linear bottoms and a sum head, linear regression."""

    def rows(self, logits, targets):
        return 0.5 * jnp.sum(jnp.square(logits - targets), axis=-1)


class Regularizer(Record):
    """λ Σ_k γ(θ_k) of equation 2, computed by every party on its own parameters (the head included).

    γ is "none", "l1" (Σ|θ|) or "l2" (½ Σ θ²); ``strength`` is λ. A regulariser of your own overrides ``__call__``.
    """

    penalty: Penalty = static(default="none")
    strength: float = 0.0

    def __post_init__(self) -> None:
        check_choice("regularizer", Penalty, penalty=self.penalty)
        check_range("regularizer", 0.0, strength=self.strength)

    def __call__(self, params: Params) -> Array:
        """λ γ(θ) of one party, float32[]."""
        leaves = jax.tree.leaves(params)
        if self.penalty == "l1":
            return self.strength * sum((jnp.abs(leaf).sum() for leaf in leaves), jnp.float32(0))
        if self.penalty == "l2":
            return self.strength * sum((0.5 * jnp.square(leaf).sum() for leaf in leaves), jnp.float32(0))
        return jnp.float32(0)

    def add_gradient(self, params: Params, gradient: Params) -> Params:
        """Adds the gradient of λ γ(θ) to one party's gradient; |θ| has slope 0 at 0 (JAX's own is 1 there)."""
        if type(self).__call__ is not Regularizer.__call__:
            return jax.tree.map(jnp.add, gradient, jax.grad(self)(params))
        if self.penalty == "none":
            return gradient
        slope = {"l1": jnp.sign, "l2": jnp.asarray}[self.penalty]
        return jax.tree.map(lambda g, leaf: g + self.strength * slope(leaf), gradient, params)

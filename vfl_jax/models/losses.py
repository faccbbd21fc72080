"""Losses of the active party, which also say how rows add up to a batch, and the penalty on parameters.

Equation 2 is that of Liu, Yi, Chen 2020 (arXiv:2007.03608).
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import optax

from vfl_jax.core.checks import check_range
from vfl_jax.core.record import Record, static
from vfl_jax.core.types import Array, Params

Reduction = Literal["mean", "sum"]
Penalty = Literal["none", "l1", "l2"]


class Loss(Record):
    """Base of the losses.

    "mean" puts the factor 1/B into every gradient message. A noise level or a clip bound therefore counts B times more
    under "mean" than under "sum". A loss of your own overrides ``rows``.

    Args:
      reduction: "mean" or "sum" of the rows' losses.

    Raises:
      ValueError: where ``reduction`` is neither.
    """

    reduction: Reduction = static(default="mean")

    def rows(self, logits: Array, targets: Array) -> Array:
        """Computes the loss of each row; a subclass overrides this method.

        Args:
          logits: float32[B, C].
          targets: class distributions, float32[B, C]; a label is a one-hot row.

        Returns:
          float32[B].
        """
        raise NotImplementedError

    def __call__(self, logits: Array, targets: Array) -> Array:
        """Computes the batch loss ℓ of equation 2, float32[], from the arguments of ``rows``."""
        return self.rows(logits, targets).sum() * self.row_weight(logits.shape[0])

    def row_weight(self, num_rows: int) -> float:
        """Returns the weight of one row's loss in the batch loss.

        A loss that overrides ``__call__`` must override this method, too: attacks read labels by this weight.

        Args:
          num_rows: B.
        """
        return 1.0 / num_rows if self.reduction == "mean" else 1.0


class SoftmaxCrossEntropy(Loss):
    """Cross-entropy of the softmax.

    Args:
      reduction: "mean" or "sum" of the rows' losses.
      probability_clip: ε. Probabilities are clipped to [ε, 1 − ε] before the logarithm, and a clipped probability
        passes no gradient. The published run of the paper's experiments clips so, which matters where a run blows up.
        None and 0 clip nothing.

    Raises:
      ValueError: where ``probability_clip`` lies outside [0, 0.5].

    Example:
      >>> import jax.numpy as jnp
      >>> logits, targets = jnp.zeros((1, 2)), jnp.array([[0.0, 1.0]])
      >>> round(float(SoftmaxCrossEntropy()(logits, targets)), 3)
      0.693
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
    """max(0, margin + max_{j≠y} s_j − s_y): the multi-class support vector machine.

    The targets must be one-hot. Source: Crammer and Singer 2001, *On the algorithmic implementation of multiclass
    kernel-based vector machines*.

    Args:
      reduction: "mean" or "sum" of the rows' losses.
      margin: the least lead of the true class that costs nothing.

    Raises:
      ValueError: where ``margin`` is negative.
    """

    margin: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("loss", 0.0, margin=self.margin)

    def rows(self, logits, targets):
        true = jnp.sum(logits * targets, axis=-1)
        best_other = jnp.max(jnp.where(targets > 0, -jnp.inf, logits), axis=-1)
        return jnp.maximum(0.0, self.margin + best_other - true)


class SquaredError(Loss):
    """½ Σ_j (s_j − t_j)² on class distributions; with linear bottoms and a sum head it is linear regression.

    Args:
      reduction: "mean" or "sum" of the rows' losses.
    """

    def rows(self, logits, targets):
        return 0.5 * jnp.sum(jnp.square(logits - targets), axis=-1)


class Regularizer(Record):
    """The penalty λ Σ_k γ(θ_k) of equation 2; every party computes its own term, and the active party the head's.

    A regularizer of your own overrides ``__call__``.

    Args:
      penalty: γ: "none", "l1" (Σ|θ|) or "l2" (½ Σ θ²).
      strength: λ.

    Raises:
      ValueError: where ``penalty`` is none of these, or ``strength`` is negative.
    """

    penalty: Penalty = static(default="none")
    strength: float = 0.0

    def __post_init__(self) -> None:
        check_range("regularizer", 0.0, strength=self.strength)

    def __call__(self, params: Params) -> Array:
        """Computes λ γ(θ) of one party's parameters, float32[]."""
        leaves = jax.tree.leaves(params)
        if self.penalty == "l1":
            return self.strength * sum((jnp.abs(leaf).sum() for leaf in leaves), jnp.float32(0))
        if self.penalty == "l2":
            return self.strength * sum((0.5 * jnp.square(leaf).sum() for leaf in leaves), jnp.float32(0))
        return jnp.float32(0)

    def add_gradient(self, params: Params, gradient: Params) -> Params:
        """Adds the gradient of λ γ(θ) to one party's gradient.

        |θ| has the slope 0 at 0 here, where JAX would take 1.

        Args:
          params: the party's parameters θ.
          gradient: the gradient of the loss, a pytree like ``params``.

        Returns:
          a pytree like ``params``.
        """
        if type(self).__call__ is not Regularizer.__call__:
            return jax.tree.map(jnp.add, gradient, jax.grad(self)(params))
        if self.penalty == "none":
            return gradient
        slope = {"l1": jnp.sign, "l2": jnp.asarray}[self.penalty]
        return jax.tree.map(lambda g, leaf: g + self.strength * slope(leaf), gradient, params)

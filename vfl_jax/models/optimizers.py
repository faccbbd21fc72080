"""Every party's optimizer, as a record of numbers; optax builds it inside the trace, so a grid sweeps any of them."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vfl_jax.core.by_platform import on_cpu_or_accelerator
from vfl_jax.core.checks import check_range
from vfl_jax.core.record import Record, static
from vfl_jax.core.types import Array, Params

Kind = Literal["sgd", "momentum", "adam"]


class Optimizer(Record):
    """The optimizer of one party.

    An optimizer of your own overrides ``build``; it may return any transformation of optax, with a schedule by step.

    Args:
      kind: "sgd", "momentum" or "adam".
      learning_rate: the learning rate of the first epoch.
      weight_decay: w; w·θ is added to the gradient before the update (the decay is not decoupled).
      epoch_decay: the learning rate of epoch e, counted from 0, is ``learning_rate · epoch_decay**e``.
      momentum: the share of the last update that is kept; only the kind "momentum" uses it.

    Raises:
      ValueError: where ``kind`` is none of these; where ``learning_rate`` or ``weight_decay`` is negative; where
        ``epoch_decay`` or ``momentum`` lies outside [0, 1].

    Example:
      >>> import jax.numpy as jnp
      >>> optimizer = Optimizer(learning_rate=0.5, epoch_decay=0.5)
      >>> float(optimizer.rate(jnp.int32(2)))
      0.125
    """

    kind: Kind = static(default="sgd")
    learning_rate: float = 0.01
    weight_decay: float = 0.0
    epoch_decay: float = 1.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        check_range("optimizer", 0.0, learning_rate=self.learning_rate, weight_decay=self.weight_decay)
        check_range("optimizer", 0.0, 1.0, epoch_decay=self.epoch_decay, momentum=self.momentum)

    def rate(self, epoch: Array) -> Array:
        """Returns the learning rate of one epoch, float32[]; ``epoch`` is int32[], counted from 0."""
        if isinstance(self.epoch_decay, float) and self.epoch_decay == 1.0:
            return jnp.asarray(self.learning_rate, jnp.float32)
        return self.learning_rate * self.epoch_decay ** epoch.astype("float32")

    def at(self, epoch: Array, decays: bool = True) -> Optimizer:
        """Returns the optimizer of one epoch, all of which is settled that can be; one of your own returns as it is.

        A loop over steps then computes no learning rate, and on an accelerator adds no decay that is 0: there both
        would be kernels of their own in every step.

        Args:
          epoch: int32[], counted from 0; ``build`` and ``rate`` give the same for it as before.
          decays: whether ``weight_decay``, which may be traced, is anything but 0; static.
        """
        if type(self) is not Optimizer:
            return self
        settled = self.replace(learning_rate=self.rate(epoch), epoch_decay=1.0)
        return settled if decays else Undecayed(**vars(settled))

    def build(self, epoch: Array) -> optax.GradientTransformation:
        """Builds the optax transformation of one epoch.

        Its state has the same shape in every epoch, so that one state serves the whole training.

        Args:
          epoch: int32[], counted from 0.
        """
        has_none = isinstance(self.weight_decay, float) and self.weight_decay == 0.0
        decay = optax.identity() if has_none else optax.add_decayed_weights(self.weight_decay)
        return optax.chain(decay, self._update(epoch))

    def _update(self, epoch: Array) -> optax.GradientTransformation:
        """What follows the decay."""
        rate = self.rate(epoch)
        return {
            "sgd": lambda: optax.sgd(rate),
            "momentum": lambda: optax.sgd(rate, momentum=self.momentum),
            "adam": lambda: optax.adam(rate),
        }[self.kind]()


class Undecayed(Optimizer):
    """An optimizer in a loop over steps whose weight decay, though a number of the program, is known to be 0.

    Programs make it, and nobody else needs to. A CPU adds the decay all the same. Without it XLA multiplies a gradient
    by the learning rate before it lays it out like the weights, and no longer vectorises their sum: a step of MNIST's
    size takes 9 to 13 % longer.

    Raises:
      ValueError: where ``weight_decay`` is a number other than 0, and as for :class:`Optimizer`.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.weight_decay, jax.core.Tracer) and np.any(self.weight_decay):
            raise ValueError("Undecayed.weight_decay must be 0; an Optimizer may have another.")

    def build(self, epoch: Array) -> optax.GradientTransformation:
        """Builds the optax transformation, as :meth:`Optimizer.build` does."""

        def add(gradient: Params, params: Params | None) -> Params:
            decayed = optax.add_decayed_weights(self.weight_decay)
            whole, _ = decayed.update(gradient, decayed.init(params), params)
            # A number is chosen, not a pytree, so that no branch of the program takes a gradient.
            adds = on_cpu_or_accelerator(lambda: jnp.bool_(True), lambda: jnp.bool_(False))
            return jax.tree.map(lambda with_it, g: jax.lax.select(adds, with_it.astype(g.dtype), g), whole, gradient)

        return optax.chain(optax.stateless(add), self._update(epoch))

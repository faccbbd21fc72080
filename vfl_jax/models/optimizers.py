"""Local optimizers, as numbers; optax builds them inside the trace, so every number can be swept."""

from __future__ import annotations

from typing import Literal

import optax

from vfl_jax.core.checks import check_choice, check_range
from vfl_jax.core.record import Record, static
from vfl_jax.core.types import Array

Kind = Literal["sgd", "momentum", "adam"]


class Optimizer(Record):
    """One party's optimizer. ``kind`` is "sgd", "momentum" or "adam".

    ``weight_decay`` w adds w·θ to the gradient before the update (not decoupled). The learning
    rate of epoch e, counted from 0, is ``learning_rate · epoch_decay**e``. ``momentum`` counts only for the
    kind of that name.
    """

    kind: Kind = static(default="sgd")
    learning_rate: float = 0.01
    weight_decay: float = 0.0
    epoch_decay: float = 1.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        check_choice("optimizer", Kind, kind=self.kind)
        check_range("optimizer", 0.0, learning_rate=self.learning_rate, weight_decay=self.weight_decay)
        check_range("optimizer", 0.0, 1.0, epoch_decay=self.epoch_decay, momentum=self.momentum)

    def rate(self, epoch: Array) -> Array:
        """The learning rate of one epoch, float32[]."""
        return self.learning_rate * self.epoch_decay ** epoch.astype("float32")

    def build(self, epoch: Array) -> optax.GradientTransformation:
        """The optax transformation of one epoch (int32[]); its state has the same shape in each."""
        rate = self.rate(epoch)
        update = {
            "sgd": lambda: optax.sgd(rate),
            "momentum": lambda: optax.sgd(rate, momentum=self.momentum),
            "adam": lambda: optax.adam(rate),
        }[self.kind]()
        return optax.chain(optax.add_decayed_weights(self.weight_decay), update)

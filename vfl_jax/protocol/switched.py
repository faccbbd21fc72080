"""What a method has beside its hooks: when it acts, which test rows it sees together, the switch of an attack."""

from __future__ import annotations

from typing import Literal

from vfl_jax.core.checks import is_number
from vfl_jax.core.record import Record

InferenceOrder = Literal["file", "shuffled"]


class Timing:
    """When a method acts between epochs, and which test rows it sees together.

    A method sets these as class attributes, or declares them as static fields. This class is no record, so none of
    them is a field before.
    """

    at_epochs: tuple[int, ...] | None = None
    """The numbers of finished epochs at which ``on_epoch`` is called: 0 is before the first epoch; numbers below 0
    count from the end, so −1 is after the last. None calls it at all of them."""

    inference_batch: int | None = 1
    """The number of rows that a hook sees together, with one key; ``view.is_valid`` is false for rows that only fill up
    the last batch. None gives a hook all rows of a block, with a key per row, Key[B]; chains share the rows out."""
    inference_order: InferenceOrder = "file"
    """The order in which rows become batches: "file", or "shuffled" anew by each seed at each evaluation."""


class Switched(Record):
    """The switch that makes a method an attack; the package applies it.

    With ``enabled`` 0 the hooks still run, and state and reports advance, so that a listener listens. But the package
    replaces the result of every hook by the value that the hook got. That is the honest run, on the same stamped data.

    Args:
      enabled: 1 for the attack, 0 for the honest run.

    Raises:
      ValueError: where ``enabled`` is another number.
    """

    enabled: float = 1.0

    def __post_init__(self) -> None:
        self.check_switch()

    def check_switch(self) -> None:
        """Checks the switch; swept and traced values pass.

        Raises:
          ValueError: where the switch is a number other than 0 and 1.
        """
        if is_number(self.enabled) and self.enabled not in (0, 1):
            raise ValueError(
                f"{type(self).__name__}.enabled is {self.enabled}; it must be 0 (the honest run) or 1. What should "
                "act by degrees is a number of another name."
            )

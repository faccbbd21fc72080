"""What an attack needs a scenario to grant it, so that everyone who sets one up grants the same."""

from __future__ import annotations

import dataclasses
from typing import Literal

from vfl_jax.core.checks import check_choice, check_count, check_range

Where = Literal["features", "message"]


@dataclasses.dataclass(frozen=True)
class Needs:
    """What a scenario must grant an attack.

    An attack says it by the class attribute ``needs``; ``PoisonPlan.granting`` grants it, and the arena shows it.

    Args:
      trigger: where the trigger lies: stamped on features, or in the attacker's message (``EmbeddingTrigger``).
      poison_rate: the share of training rows that carry the trigger, in [0, 1].
      num_targets: the number of training rows that are known to be of class τ.
      num_known: the number of training rows of every class whose labels are known.
      is_paired: whether a poison row and a target row are appended to every batch.

    Raises:
      ValueError: naming the field, where a number or word is out of range.

    Example:
      >>> import vfl_jax as vfl
      >>> class Whisper(vfl.Attack):
      ...     "Says little."
      ...
      ...     needs = vfl.protocol.Needs(trigger="message", poison_rate=0.0, num_targets=20)
      >>> vfl.PoisonPlan().granting(Whisper().needs).num_targets
      20
    """

    trigger: Where = "features"
    poison_rate: float = 0.01
    num_targets: int = 1
    num_known: int = 0
    is_paired: bool = False

    def __post_init__(self) -> None:
        check_choice("Needs", Where, trigger=self.trigger)
        check_range("Needs", 0.0, 1.0, poison_rate=self.poison_rate)
        check_count(num_targets=self.num_targets)
        check_range("Needs", 0, num_known=self.num_known)

    def joined(self, other: Needs) -> Needs:
        """Returns what serves both of two attacks in one place.

        Args:
          other: what the other one needs.
        """
        return Needs(
            trigger="message" if "message" in (self.trigger, other.trigger) else "features",
            poison_rate=max(self.poison_rate, other.poison_rate),
            num_targets=max(self.num_targets, other.num_targets),
            num_known=max(self.num_known, other.num_known),
            is_paired=self.is_paired or other.is_paired,
        )


class Needing:
    """What an attack has beside its hooks: what it needs. This class is no record, so ``needs`` is no field."""

    needs: Needs | None = Needs()
    """What a scenario must grant. None is for a method that only changes what another one does, in a chain with it."""

"""What the demo's numbers say, in three sentences: the backdoor, and each of two defenses."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vfl_jax.statistics.judging import ABOVE_FLOOR, BACKDOOR_ABOVE

SIGNIFICANT = 0.005
"""A change of main accuracy below this is told as none: half a percentage point."""


class Side(NamedTuple):
    """What one setting shows at the last epoch, a number per seed.

    Args:
      success: float[S], the share of attacked test rows of other classes that are taken for the target class.
      floor: float[S], the same share of the honest runs of the same seeds.
      main: float[S], the main accuracy of the honest runs, in [0, 1].
      attacked: float[S], the main accuracy of the attacked runs, on the same clean rows.
    """

    success: np.ndarray
    floor: np.ndarray
    main: np.ndarray
    attacked: np.ndarray

    def backdoors(self) -> int:
        """Counts the seeds with a backdoor: most attacked rows, many more than honest runs have by mistake."""
        return int(np.sum((self.success > BACKDOOR_ABOVE) & (self.success - self.floor >= ABOVE_FLOOR)))


def tell(target: str, undefended: Side, defended: dict[str, Side]) -> list[str]:
    """Returns the sentences: one of the undefended model, then one per defense.

    Args:
      target: the target class, in words.
      undefended: what the model without a defense shows.
      defended: what it shows behind each defense, by the name of the defense.

    Example:
      >>> import numpy as np
      >>> main = np.array([0.9, 0.9])
      >>> open_door = Side(np.array([0.9, 1.0]), np.array([0.0, 0.0]), main, main - 0.03)
      >>> tell("the digit 3", open_door, {})[0][73:]
      'the digit 3 (honest runs: 0 %), in 2 of 2 seeds, at a cost of 3.0 percentage points of main accuracy.'
    """
    return [_without(target, undefended)] + [_behind(name, side, undefended) for name, side in defended.items()]


def _without(target: str, side: Side) -> str:
    """The sentence of the model without a defense."""
    count, of = side.backdoors(), len(side.success)
    word = "works" if count == of else "fails" if count == 0 else "works on some seeds"
    return (
        f"Without a defense the backdoor {word}: {_percent(side.success)} of other digits are taken for {target} "
        f"(honest runs: {_percent(side.floor)}), in {count} of {of} seeds, {_price(side.attacked, side.main)}."
    )


def _behind(name: str, side: Side, undefended: Side) -> str:
    """The sentence of a defense: whether it stopped the backdoor, and what it costs honest runs."""
    count, before = side.backdoors(), undefended.backdoors()
    if before == 0:
        word = "had no backdoor to stop" if count == 0 else "let a backdoor in"
    elif count == 0:
        word = "stopped it"
    else:
        word = "stopped it on some seeds" if count < before else "did not stop it"
    return (
        f"{name} {word}: {_percent(side.success)} (honest runs: {_percent(side.floor)}), in {count} of "
        f"{len(side.success)} seeds, {_price(side.main, undefended.main)}."
    )


def _price(left: np.ndarray, whole: np.ndarray) -> str:
    """What a defense or an attack takes of the main accuracy, the median of the differences of each seed."""
    lost = float(np.median(whole - left))
    if abs(lost) < SIGNIFICANT:
        return "at no cost of main accuracy"
    points = f"{abs(100 * lost):z.1f} percentage points of main accuracy"
    return f"at a cost of {points}" if lost > 0 else f"with a gain of {points}"


def _percent(values: np.ndarray) -> str:
    """A median over seeds, in percent."""
    return f"{100 * float(np.median(values)):z.0f} %"

"""The time of an audit: how long programs take, how much is left, and how much of the work fits into it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

SPARE = 0.9
"""The share of the time that is planned; the rest is for the report, and for a machine that others use, too."""
FEWEST_LEVELS = 3
"""So many levels of defenses come before the last attacks; what is left of the time is for more of them."""


class Work(NamedTuple):
    """A kind of program of an audit.

    Args:
      name: the words for it.
      compiling: seconds before its first step and after its last, measured on two cores.
      step: seconds of one replica's step, likewise.
    """

    name: str
    compiling: float
    step: float

    def seconds(self, num_steps: float) -> float:
        """Returns about how long it takes on such a machine.

        Args:
          num_steps: the number of steps of all replicas.
        """
        return self.compiling + self.step * num_steps


CALIBRATING = Work("honest runs that choose the learning rate and the trigger", 8.0, 4e-5)
READING = Work("label inference", 20.0, 1.1e-4)
PLANTING = Work("backdoors", 22.0, 6e-5)
REPLACING = Work("backdoors by replaced gradients", 22.0, 6e-5)


class Planned(NamedTuple):
    """A program that shall run.

    Args:
      work: its kind.
      num_points: the number of grid points beside the levels of defenses.
    """

    work: Work
    num_points: int


@dataclasses.dataclass
class Clock:
    """The time of one audit.

    Args:
      minutes: the time that it may take.
      now: tells the time in seconds.
    """

    minutes: float
    now: Callable[[], float] = time.monotonic
    guessed: float = 0.0
    took: float = 0.0

    def __post_init__(self) -> None:
        self.started = self.now()

    @property
    def seconds(self) -> float:
        """The seconds since the audit began."""
        return self.now() - self.started

    @property
    def left(self) -> float:
        """The seconds that may still be planned."""
        return 60.0 * self.minutes * SPARE - self.seconds

    def estimate(self, work: Work, num_steps: float) -> float:
        """Returns about how many seconds a program takes here: as those before, beside what was guessed of them.

        Args:
          work: its kind.
          num_steps: the number of steps of all its replicas.
        """
        return work.seconds(num_steps) * (self.took / self.guessed if self.guessed else 1.0)

    def note(self, work: Work, num_steps: float, seconds: float) -> None:
        """Learns from a program that has run.

        Args:
          work, num_steps: as in :meth:`estimate`.
          seconds: how long it took.
        """
        self.guessed, self.took = self.guessed + work.seconds(num_steps), self.took + seconds

    def fitting(self, programs: Sequence[Planned], num_levels: int, steps: float) -> tuple[int, int]:
        """Returns (how many of the programs fit, in order; how many levels of defenses each of them has).

        Fewer defenses come first, fewer attacks after that. The first program always runs, with one level at least.

        Args:
          programs: what would run, the most important first.
          num_levels: the number of levels of defenses.
          steps: the number of steps of one grid point, over all seeds.
        """
        for count in range(len(programs), 0, -1):
            least = FEWEST_LEVELS if count > 1 else 1
            for levels in range(num_levels, min(least, num_levels) - 1, -1):
                if self.total(programs[:count], levels, steps) <= self.left:
                    return count, levels
        return 1, 1

    def total(self, programs: Sequence[Planned], num_levels: int, steps: float) -> float:
        """Returns about how many seconds programs take.

        Args:
          programs, num_levels, steps: as in :meth:`fitting`.
        """
        return sum(self.estimate(work, points * num_levels * steps) for work, points in programs)

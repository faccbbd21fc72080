"""The time of an audit: how long programs take here, how much is left, and how many defenses fit into it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

SPARE = 0.9
"""The share of the time that is planned; the rest is for the report, and for a machine that others use, too."""
FIRST = 1.5
"""A program that has not run here yet begins where so many times its estimate are left: it may well take longer."""


class Work(NamedTuple):
    """A kind of program of an audit.

    Args:
      name: the words for it.
      compiling: about how many seconds one core takes to compile it.
      step: about how many seconds it takes for one replica's step.
    """

    name: str
    compiling: float
    step: float

    def seconds(self, num_steps: float) -> float:
        """Returns about how long its first run takes on such a machine.

        Args:
          num_steps: the number of steps of all replicas.
        """
        return self.compiling + self.step * num_steps


CALIBRATING = Work("honest runs that choose the learning rate and the trigger", 16.0, 1e-4)
READING = Work("label inference", 40.0, 1.1e-4)
PLANTING = Work("backdoors by other messages", 40.0, 1.5e-4)
REPLACING = Work("backdoors by replaced gradients", 35.0, 1.5e-4)
LEARNING = Work("a backdoor by a learnt trigger", 30.0, 1.5e-4)


class Planned(NamedTuple):
    """A program that shall run in every round.

    Args:
      work: its kind.
      num_steps: the number of steps of all replicas of a round.
    """

    work: Work
    num_steps: float


@dataclasses.dataclass
class Clock:
    """The time of one audit.

    Args:
      minutes: the time that it aims at.
      now: tells the time in seconds.
    """

    minutes: float
    now: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.started = self.now()
        self._guessed = self._took = 0.0
        self._last: dict[Work, float] = {}

    @property
    def seconds(self) -> float:
        """The seconds since the audit began."""
        return self.now() - self.started

    @property
    def left(self) -> float:
        """The seconds that are left for more programs; below 0 where the time is over."""
        return 60.0 * self.minutes * SPARE - self.seconds

    def estimate(self, programs: Sequence[Planned]) -> float:
        """Returns about how many seconds programs take here: as long as their last run.

        One that has not run yet takes as many times its guess as all that have run took of theirs.

        Args:
          programs: the programs.
        """
        slowness = self._took / self._guessed if self._guessed else 1.0
        return sum(self._last.get(work, slowness * work.seconds(steps)) for work, steps in programs)

    def has_time_for(self, programs: Sequence[Planned]) -> bool:
        """Returns whether programs would end in time, with a reserve for those that have not run yet.

        Args:
          programs: the programs.
        """
        reserve = (FIRST - 1.0) * self.estimate([program for program in programs if program.work not in self._last])
        return self.estimate(programs) + reserve <= self.left

    def note(self, work: Work, num_steps: float, seconds: float) -> None:
        """Learns from a program that has run.

        Args:
          work, num_steps: its kind, and its number of steps.
          seconds: how long it took.
        """
        if work not in self._last:
            self._guessed, self._took = self._guessed + work.seconds(num_steps), self._took + seconds
        self._last[work] = seconds

    def plan(self, first: float, programs: Sequence[Planned], num_rounds: int) -> tuple[int, int, float]:
        """Returns (how many of the programs fit, in order; how many rounds; about how many seconds), before any ran.

        Fewer rounds come first, fewer programs after that. One round of the first program is the least.

        Args:
          first: the seconds of what runs before them.
          programs: what would run in every round, the most important first.
          num_rounds: the number of rounds.
        """
        most = 60.0 * self.minutes * SPARE
        for count in range(len(programs), 0, -1):
            once = [work.seconds(steps) for work, steps in programs[:count]]
            again = sum(work.step * steps for work, steps in programs[:count])
            with_reserve = first + sum(once) + (FIRST - 1.0) * once[-1]
            for rounds in range(num_rounds, 0, -1):
                seconds = first + sum(once) + (rounds - 1) * again
                if max(seconds, with_reserve) <= most:
                    return count, rounds, seconds
        return 1, 1, first + programs[0].work.seconds(programs[0].num_steps)

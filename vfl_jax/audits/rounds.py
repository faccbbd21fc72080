"""The runs of an audit: rounds of a few defenses each, in which the partner reads and plants by all that it has."""

from __future__ import annotations

import dataclasses
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from vfl_jax.audits import battery, partner
from vfl_jax.audits.baselines import alone, baselines
from vfl_jax.audits.clock import CALIBRATING, LEARNING, PLANTING, READING, REPLACING, Clock, Planned, Work
from vfl_jax.audits.measured import Measured
from vfl_jax.audits.result import Audit
from vfl_jax.audits.setting import PERCENTILES, RATES, SEEDS, Setting, calibrate
from vfl_jax.audits.telling import facts_of
from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.core.words import duration
from vfl_jax.presets.common import HeadName
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.needs import Needs
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps.sweep import sweep

if TYPE_CHECKING:
    import xarray as xr

ROUND = 3
"""A round has so many defenses. All rounds share their compiled programs, because they differ in numbers alone."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs that share a compiled program.

    Args:
      work: the kind of program.
      scenario: what they share.
      over: the axis of attacks, an honest point last; empty for readers, who all listen to the same honest runs.
      names: the names of the attacks.
    """

    work: Work
    scenario: Scenario
    over: dict[Any, list[Any]] = dataclasses.field(default_factory=dict)
    names: tuple[str, ...] = ()

    @property
    def num_points(self) -> int:
        """The number of grid points behind one defense."""
        return len(self.names) + 1


class Running:
    """One audit while it runs.

    Args:
      whole: the data set.
      used: the rows of it that are used.
      who: the number of the malicious party.
      head: "trainable" or "sum".
      seeds: the number of seeds.
      epochs: the number of epochs.
      rows: the largest number of training rows that are used, as it was asked for.
      clock: the time.
      progress: whether to say on the error stream what is to run, and what has run.
    """

    def __init__(
        self,
        whole: VerticalData,
        used: VerticalData,
        who: int,
        head: HeadName,
        seeds: int,
        epochs: int,
        rows: int,
        clock: Clock,
        progress: bool,
    ) -> None:
        self.whole, self.used, self.who, self.head = whole, used, who, head
        self.seeds, self.epochs, self.rows, self.clock, self.progress = seeds, epochs, rows, clock, progress
        batch = min(64, max(1, used.train.num_samples // 10))
        self.steps_each = epochs * (used.train.num_samples // batch)
        self.readers = partner.readers(used.num_classes, head)
        self.has_numbers = not isinstance(used.train.features[who], BagOfIds)

    def audited(self, command: str) -> Audit:
        """Runs what fits into the time, and returns what was found.

        Args:
          command: the command that repeats the audit.
        """
        self._announce()
        setting = self._timed(CALIBRATING, self._calibrating_steps, self._calibrated)
        levels, measured = battery.levels(setting.sizes), Measured(list(self.readers))
        self._rounds(setting, levels, measured)
        tried = f"{len(measured.levels) - 1} of {len(levels) - 1} defenses tried"  # the first level is none
        self._say(f"{tried} in {duration(self.clock.seconds)}")
        known = partner.known(setting.board)
        by_itself = alone(self.used, self.who, known, self.seeds)
        facts = facts_of(self.whole, setting, levels, measured, self.epochs, self.clock)
        facts |= {"baselines": baselines(self.used), "command": command or self._command()}
        return Audit(measured.to_dataset(by_itself, facts))

    def _rounds(self, setting: Setting, levels: Sequence[battery.Level], measured: Measured) -> None:
        """Runs the first round, and as many more as end in time."""
        first, *others = (levels[i : i + ROUND] for i in range(0, len(levels), ROUND))
        groups = self._first_round(self._groups(setting), first, measured)
        for chosen in others:
            if not self.clock.has_time_for([self._planned(group) for group in groups]):
                return
            measured.begin(chosen)
            for group in groups:
                self._run(group, chosen, measured)

    def _groups(self, setting: Setting) -> list[Group]:
        """What is to run behind every defense, the most important first."""
        needs = Needs(trigger="message", poison_rate=0.0, num_known=partner.NUM_KNOWN)
        scenario = setting.board.meeting(PartyChain(parts=tuple(self.readers.values())), battery.CHAIN, needs)
        reading = Group(READING, scenario.replace(poison=scenario.poison.replace(test_rate=0.0)))
        plants = [(PLANTING, partner.plants(self.epochs, setting.has_stamp))]
        plants += [(REPLACING, partner.replacements())] if setting.has_stamp else []
        plants += [(LEARNING, partner.learnt(self.epochs))] if self.has_numbers else []
        meeting = setting.board.meeting
        return [
            reading,
            *(
                Group(work, meeting(of.chain, battery.CHAIN, of.needs), of.over(self.who), tuple(of.points))
                for work, of in plants
            ),
        ]

    def _first_round(self, groups: Sequence[Group], levels: Sequence[battery.Level], measured: Measured) -> list[Group]:
        """Runs the first round, and returns the groups for whose programs there was time, up to the
        first that did not fit. The first of all always runs."""
        measured.begin(levels)
        kept: list[Group] = []
        for group in groups:
            if kept and not self.clock.has_time_for([self._planned(group)]):
                left_out = ", ".join(other.work.name for other in groups[len(kept) :])
                self._say(f"no time is left; left out: {left_out}")
                break
            self._run(group, levels, measured)
            kept.append(group)
        return kept

    def _run(self, group: Group, levels: Sequence[battery.Level], measured: Measured) -> None:
        """Runs a group behind some defenses."""
        over = group.over | battery.over(levels)
        work, num_steps = self._planned(group)
        last = self._timed(work, num_steps, lambda: self._swept(group.scenario, over))
        if group.names:
            measured.add_attacks(last, group.names)
        else:
            measured.add_readings(last)

    def _swept(self, scenario: Scenario, over: dict[Any, Any]) -> xr.Dataset:
        results = sweep(scenario, self.used, over, self.seeds, self.epochs, evaluate_every=self.epochs, progress=False)
        return results.isel(epoch=-1)

    def _planned(self, group: Group) -> Planned:
        return Planned(group.work, group.num_points * self.steps_each * self.seeds * ROUND)

    def _announce(self) -> None:
        """Says what is to run, and about how long it takes."""
        used, whole = self.used, self.whole
        rows = f"{used.train.num_samples:,} training and {used.test.num_samples:,} test rows"
        if used.train.num_samples < whole.train.num_samples:
            rows += f" (of {whole.train.num_samples:,} and {whole.test.num_samples:,})"
        expected = [(READING, 1), (PLANTING, len(partner.plants(self.epochs, has_stamp=True).points) + 1)]
        expected += [(REPLACING, 3)] + ([(LEARNING, 2)] if self.has_numbers else [])
        steps = self.steps_each * self.seeds * ROUND
        num_levels = len(battery.levels(battery.Sizes(1.0, 1.0, 1.0)))
        first = CALIBRATING.seconds(self._calibrating_steps)
        programs = [Planned(work, points * steps) for work, points in expected]
        count, rounds, seconds = self.clock.plan(first, programs, num_levels // ROUND)
        self._say(f"{whole.name}: {rows}; {whole.parties[self.who]!r} is malicious")
        self._say("to run: " + ", ".join(work.name for work, _ in programs[:count]))
        behind = f"each without a defense and behind {rounds * ROUND - 1} of {num_levels - 1}"  # the first is none
        self._say(
            f"{behind}, with {self.seeds} seeds, in about {duration(seconds)} (a guess for idle cores); the audit aims "
            f"at {self.clock.minutes:g} min, and what has begun ends first"
        )
        if seconds > 60 * self.clock.minutes:
            self._say("even the least takes longer than that; give more minutes")

    @property
    def _calibrating_steps(self) -> int:
        return self.steps_each * len(RATES) * len(PERCENTILES) * len(SEEDS)

    def _calibrated(self) -> Setting:
        return calibrate(self.used, self.who, self.head, self.epochs)

    def _timed(self, work: Work, num_steps: float, run: Callable[[], Any]) -> Any:
        """Runs something, and lets the clock learn how long it took."""
        start = time.monotonic()
        found = run()
        seconds = time.monotonic() - start
        self.clock.note(work, num_steps, seconds)
        left = self.clock.left
        more = f"{duration(left)} left for more" if left >= 1 else "no time is left for more"
        self._say(f"{work.name} took {duration(seconds)}; {more}")
        return found

    def _say(self, line: str) -> None:
        if self.progress:
            lines = textwrap.fill(line, 79, initial_indent="audit: ", subsequent_indent="  ", break_on_hyphens=False)
            print(lines, file=sys.stderr, flush=True)

    def _command(self) -> str:
        """The call that repeats the audit in Python, for the data at hand."""
        return (
            f"vfl.audit(data, attacker={self.whole.parties[self.who]!r}, minutes={self.clock.minutes:g}, "
            f"seeds={self.seeds}, head={self.head!r}, epochs={self.epochs}, rows={self.rows})"
        )

"""An audit: it derives the setting, lets a partner read and plant, and tries defenses, within a given time."""

from __future__ import annotations

import functools
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.arenas.boards import Source, data_of
from vfl_jax.audits import battery, partner
from vfl_jax.audits.baselines import baselines
from vfl_jax.audits.clock import CALIBRATING, PLANTING, READING, REPLACING, Clock, Planned, Work
from vfl_jax.audits.result import Audit
from vfl_jax.audits.setting import PERCENTILES, RATES, SEEDS, Setting, calibrate, largest_party, subsample
from vfl_jax.audits.telling import facts_of
from vfl_jax.core.checks import check_choice, check_count, check_kind, check_range, place_of
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.presets.common import HeadName
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.needs import Needs
from vfl_jax.sweeps.cautions import EvidenceWarning
from vfl_jax.sweeps.sweep import sweep

if TYPE_CHECKING:
    import xarray as xr

FEWEST_SEEDS = 10
"""An audit has at least so many seeds: of fewer the intervals are too narrow."""
EPOCHS = 20
ROWS_PER_MINUTE = 800
"""So many training rows are used for every minute, at least the first number below, and half as many test rows."""
FEWEST_ROWS = 2000


def audit(
    data: Source,
    *,
    attacker: str | int | None = None,
    minutes: float = 10.0,
    seeds: int = 10,
    head: HeadName = "trainable",
    epochs: int = EPOCHS,
    progress: bool = True,
    command: str = "",
) -> Audit:
    """Finds out what a malicious partner could do with your data, and which defenses would stop it.

    Everything is derived from the data. Every party has one layer of width 32 under a trainable head (or the bottoms
    of the sum head). Honest runs, whose seeds are not reported, choose the learning rate and the trigger, and measure
    how large messages are: levels of noise and bounds are multiples of that. Then, most important first:

    1. Readers of labels listen to honest trainings behind every defense; these runs also say what defenses cost.
    2. Attacks that send other embeddings or stamp rows plant a backdoor, behind every defense.
    3. Attacks that replace gradients do so.

    What is to run, and about how long it takes, is said before it starts. Where the time is short, fewer defenses are
    tried, then fewer attacks, and the report says which were not. No program begins that would not end in time, but for
    the first; one that has begun is not stopped. Large data are cut to 800 training rows a minute (at least 2,000),
    drawn alike in all classes.

    Args:
      data: the data set, the result of ``load_tables``, or a function without arguments that returns either.
      attacker: the malicious party, by name or number. By default it is the one with the most features among those
        that lack the labels.
      minutes: the time that the audit may take, above 0.
      seeds: how many seeds every number has, at least 10.
      head: "trainable" or "sum".
      epochs: the number of epochs of every training.
      progress: whether to say on the error stream what is to run, and what has run.
      command: the command that repeats the audit, for the report.

    Returns:
      the audit: its sentences, its numbers and its report.

    Raises:
      ValueError: naming the argument, where one is out of range, there is no such party, or the attacker holds the
        labels.

    Example, which takes minutes::

      found = vfl.audit(vfl.load_bank_marketing(), minutes=5)
      print(found)
      found.to_html("report.html")
    """
    check_kind(bool, "True or False", progress=progress)
    check_count(seeds=seeds, epochs=epochs)
    check_range("audit", 0.0, minutes=minutes)
    check_choice("audit", HeadName, head=head)
    if not minutes or seeds < FEWEST_SEEDS or epochs < 2:
        raise ValueError(
            f"audit has minutes={minutes:g}, seeds={seeds} and epochs={epochs}; give more than 0 minutes, at least "
            f"{FEWEST_SEEDS} seeds (of fewer the intervals say too little) and 2 epochs."
        )
    clock = Clock(minutes)
    whole = data_of(data)
    who = _partner(whole, attacker)
    most = max(FEWEST_ROWS, round(ROWS_PER_MINUTE * minutes))
    used = subsample(whole, most, most // 2)
    running = _Running(whole, used, who, seeds, epochs, clock, progress)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", EvidenceWarning)  # the report says how many rows measure
        return running.audited(head, command)


def _partner(data: VerticalData, attacker: str | int | None) -> int:
    """The number of the malicious party, checked."""
    if attacker is None:
        return largest_party(data)
    who = place_of("attacker", attacker, data.parties, f"the parties of data {data.name!r} are", from_end=True)
    if who == data.active_party:
        raise ValueError(f"attacker is {data.parties[who]!r}, which holds the labels; name one that lacks them.")
    return who


class _Running:
    """One audit while it runs."""

    def __init__(
        self,
        whole: VerticalData,
        used: VerticalData,
        who: int,
        seeds: int,
        epochs: int,
        clock: Clock,
        progress: bool,
    ) -> None:
        self.whole, self.used, self.who = whole, used, who
        self.seeds, self.epochs, self.clock, self.progress = seeds, epochs, clock, progress
        batch = min(64, max(1, used.train.num_samples // 10))
        self.steps_each = epochs * (used.train.num_samples // batch)

    def audited(self, head: HeadName, command: str) -> Audit:
        """Runs what fits into the time, and returns what was found."""
        listening = partner.readers(self.used.num_classes, head)
        expected = partner.plants(self.epochs, has_stamp=True)
        every = battery.levels(battery.Sizes(1.0, 1.0, 1.0))
        self._announce(len(listening), len(expected.points), len(every))
        setting = self._calibrated(head)
        levels, planting = battery.levels(setting.sizes), partner.plants(self.epochs, setting.has_stamp)
        groups = [(PLANTING, planting)] + ([(REPLACING, partner.replacements())] if setting.has_stamp else [])
        planned = [Planned(READING, 1), *(Planned(work, len(group.points) + 1) for work, group in groups)]
        _, count = self.clock.fitting(planned, len(levels), self.steps_each * self.seeds)
        table = _Table(levels[:count], list(listening), [name for _, group in groups for name in group.points])
        self._read(setting, listening, table)
        for place, (work, group) in enumerate(groups):
            rest = planned[place + 1 :]
            _, count = self.clock.fitting(rest, len(table.levels), self.steps_each * self.seeds)
            if self.clock.total(rest[:1], min(2, count), self.steps_each * self.seeds) > self.clock.left:
                self._say(f"no time is left for {work.name}")
                continue
            self._plant(setting, work, group, table, count)
        self._say("writing the report")
        facts = facts_of(self.whole, setting, levels, table, self.epochs, self.clock)
        facts |= {"baselines": baselines(self.used), "command": command or self._command(head)}
        return Audit(table.to_dataset(self.seeds, facts))

    def _announce(self, num_readers: int, num_attacks: int, num_levels: int) -> None:
        """Says what is to run, and about how long it takes."""
        rows = f"{self.used.train.num_samples:,} training and {self.used.test.num_samples:,} test rows"
        if self.used.train.num_samples < self.whole.train.num_samples:
            rows += f" (of {self.whole.train.num_samples:,} and {self.whole.test.num_samples:,}, for time)"
        steps = self.steps_each * self.seeds
        programs = [Planned(READING, 1), Planned(PLANTING, num_attacks + 1), Planned(REPLACING, 3)]
        first = self.clock.estimate(CALIBRATING, self._calibrating_steps)
        fits, count = self.clock.fitting(programs, num_levels, steps)
        seconds = first + self.clock.total(programs[:fits], count, steps)
        names = ", ".join(program.work.name for program in programs[:fits])
        self._say(f"{self.whole.name}: {rows}; {self.whole.parties[self.who]!r} is malicious")
        self._say(
            f"to run: {names}, each behind {count} of {num_levels} defenses, {self.seeds} seeds; about "
            f"{_duration(seconds)} on two cores, at most {self.clock.minutes:g} min"
        )
        if seconds > 60 * self.clock.minutes:
            self._say("even the least takes longer than that")

    @property
    def _calibrating_steps(self) -> int:
        return self.steps_each * len(RATES) * len(PERCENTILES) * len(SEEDS)

    def _calibrated(self, head: HeadName) -> Setting:
        """The setting, by honest runs."""
        start = time.monotonic()
        setting, _ = calibrate(self.used, self.who, head, self.epochs)
        self._note(CALIBRATING, self._calibrating_steps, start)
        return setting

    def _read(self, setting: Setting, listening: dict[str, Any], table: _Table) -> None:
        """Lets all readers listen to the same honest trainings."""
        needs = Needs(trigger="message", poison_rate=0.0, num_known=partner.NUM_KNOWN)
        chain = PartyChain(parts=tuple(listening.values()))
        scenario = setting.board.meeting(chain, battery.CHAIN, needs)
        scenario = scenario.replace(poison=scenario.poison.replace(test_rate=0.0))
        start = time.monotonic()
        results = self._sweep(scenario, battery.over(table.levels) if len(table.levels) > 1 else {})
        table.add_readings(results)
        self._note(READING, self.steps_each * self.seeds * len(table.levels), start)

    def _plant(self, setting: Setting, work: Work, group: partner.Plants, table: _Table, count: int) -> None:
        """Lets attacks that share a chain plant a backdoor, beside honest runs."""
        scenario = setting.board.meeting(group.chain, battery.CHAIN, group.needs)
        tried, start = table.levels[:count], time.monotonic()
        over = group.over(self.who) | (battery.over(tried) if len(tried) > 1 else {})
        table.add_attacks(self._sweep(scenario, over), list(group.points), count)
        self._note(work, self.steps_each * self.seeds * count * (len(group.points) + 1), start)

    def _sweep(self, scenario: Any, over: dict[Any, Any]) -> xr.Dataset:
        results = sweep(scenario, self.used, over, self.seeds, self.epochs, evaluate_every=self.epochs, progress=False)
        return results.isel(epoch=-1)

    def _note(self, work: Work, num_steps: int, start: float) -> None:
        seconds = time.monotonic() - start
        self.clock.note(work, num_steps, seconds)
        self._say(f"{work.name} in {_duration(seconds)}; {_duration(max(0.0, self.clock.left))} may still be planned")

    def _say(self, line: str) -> None:
        if self.progress:
            print(f"audit: {line}", file=sys.stderr, flush=True)

    def _command(self, head: HeadName) -> str:
        """The call that repeats the audit in Python, for the data at hand."""
        return (
            f"vfl.audit(data, attacker={self.whole.parties[self.who]!r}, minutes={self.clock.minutes:g}, "
            f"seeds={self.seeds}, head={head!r}, epochs={self.epochs})"
        )


class _Table:
    """What was measured so far, by defense, reader, attack and seed."""

    def __init__(self, levels: tuple[battery.Level, ...], readers: list[str], attacks: list[str]) -> None:
        self.levels, self.readers, self.attacks = levels, readers, attacks
        self.variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
        self.tried: dict[str, int] = dict.fromkeys(attacks, 0)

    def add_readings(self, last: xr.Dataset) -> None:
        """Adds what readers read, and what honest models know."""
        of_levels = functools.partial(_by_level, last, len(self.levels))
        self.variables["main_accuracy"] = (("defense", "seed"), of_levels("main_task_accuracy"))
        if "test_auc" in last:
            self.variables["test_auc"] = (("defense", "seed"), of_levels("test_auc"))
        accuracy, rate = (
            np.stack([of_levels(f"label_inference_{what}_{name}") for name in self.readers], axis=1)
            for what in ("accuracy", "rate")
        )
        self.variables["read"] = (("defense", "reader", "seed"), np.nan_to_num(accuracy) * rate)
        if f"label_inference_auc_{self.readers[0]}" in last:
            areas = [of_levels(f"label_inference_auc_{name}") for name in self.readers]
            self.variables["read_auc"] = (("defense", "reader", "seed"), np.stack(areas, axis=1))

    def add_attacks(self, last: xr.Dataset, names: list[str], num_levels: int) -> None:
        """Adds what attacks of one chain did; the last point of their axis is honest."""
        sources = {"attack_success": "full_attack_success", "accuracy_attacked": "full_clean_accuracy"}
        for name, source in sources.items():
            values = last[source].values.reshape(len(names) + 1, num_levels, -1)
            self._put(name, names, values[:-1])
            if name == "attack_success":
                self._put("attack_success_honest", names, np.repeat(values[-1:], len(names), axis=0))
        self.tried |= dict.fromkeys(names, num_levels)

    def _put(self, name: str, names: list[str], values: np.ndarray) -> None:
        """Puts values [attack, level, seed] in their places."""
        shape = (len(self.levels), len(self.attacks), values.shape[-1])
        _, whole = self.variables.setdefault(name, (("defense", "attack", "seed"), np.full(shape, np.nan)))
        for attack, of_attack in zip(names, values, strict=True):
            whole[: len(of_attack), self.attacks.index(attack)] = of_attack

    def to_dataset(self, seeds: int, facts: dict[str, Any]) -> xr.Dataset:
        """All of it as one labelled data set."""
        import xarray as xr

        shape = (len(self.levels), len(self.attacks), seeds)
        for name in ("attack_success", "attack_success_honest", "accuracy_attacked"):
            self.variables.setdefault(name, (("defense", "attack", "seed"), np.full(shape, np.nan)))
        is_silent = [name in partner.SILENT for name in self.readers]
        coords = {
            "defense": [level.name for level in self.levels],
            "words": ("defense", [level.words for level in self.levels]),
            "reader": self.readers,
            "is_silent": ("reader", is_silent),
            "attack": self.attacks,
            "seed": list(range(seeds)),
        }
        return xr.Dataset(self.variables, coords, Audit.attributes(facts))


def _by_level(last: xr.Dataset, num_levels: int, name: str) -> np.ndarray:
    """Values of every level and seed, float[L, S]."""
    return np.asarray(last[name].values, float).reshape(num_levels, -1)


def _duration(seconds: float) -> str:
    """A duration as people say it."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"

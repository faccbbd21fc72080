"""What an audit found, as numbers: what sentences and tables are made of. Nothing is trained here."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vfl_jax.audits.battery import NONE
from vfl_jax.statistics import interval
from vfl_jax.sweeps.cautions import FEW_ROWS

if TYPE_CHECKING:
    import xarray as xr

READS_ABOVE = 0.05
"""A reader reads where it names at least so many more rows, as a share, than who has no message; so the area of AUC."""
PLANTS_ABOVE = 0.1
"""A backdoor works where it leads so many more rows, as a share, to the wanted class than honest models say by it."""
FLOOR_AT_MOST = 0.5
"""Where honest models say the wanted class to more rows than this, an attack has nothing to show."""
KEEPS = 0.5
"""A defense spares a model that keeps this share of what it knows beyond guessing."""
COST_AT_MOST = 0.1
"""… and that loses at most so much of its accuracy."""


class Range(NamedTuple):
    """A number over seeds: its median or mean, and its 95 % interval.

    Args:
      value: the number.
      low: the lower end.
      high: the upper end.
    """

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Defended:
    """What became of the runs behind one defense.

    Args:
      name: its short name.
      words: the words for it in a sentence.
      accuracy: of honest runs, on all test rows.
      cost: what it takes of the accuracy, by seed.
      auc: of honest runs, for two classes; else None.
      read: the share of labels that the best reader of messages names rightly.
      reader: the name of this reader.
      read_auc: the largest area under the curve of a reader of messages, for two classes; else None.
      planted: the share of attacked rows that the strongest attack leads to the wanted class; None where none was
        tried, or not the one that is strongest without a defense.
      lift: the same above honest runs of the same seeds.
      attack: the name of this attack.
      floor: the share that honest models call the wanted class.
    """

    name: str
    words: str
    accuracy: Range
    cost: Range
    auc: Range | None
    read: Range
    reader: str
    read_auc: Range | None
    planted: Range | None = None
    lift: Range | None = None
    attack: str = ""
    floor: float = 0.0


@dataclasses.dataclass(frozen=True)
class Findings:
    """What an audit found.

    Args:
      partner: the name of the malicious party.
      wanted: the name of the class that a backdoor shall lead to.
      defended: the defenses that were tried; the first is none.
      num_seeds: the number of seeds of every number.
      majority: the share of test rows of the most frequent class.
      majority_read: the same of the training rows that readers are asked about.
      silent: the share of labels named rightly without any message, by the best of such readers, undefended.
      silent_auc: their area under the curve, for two classes; else None.
      num_test: the number of test rows.
      num_read: the number of training rows that readers are asked about.
      num_rarest: how many of these are of the rarest class.
      num_attacked: the number of test rows that measure a backdoor.
    """

    partner: str
    wanted: str
    defended: tuple[Defended, ...]
    num_seeds: int
    majority: float
    majority_read: float
    silent: float
    silent_auc: float | None
    num_test: int
    num_read: int
    num_rarest: int
    num_attacked: int

    @property
    def undefended(self) -> Defended:
        """What became of the runs without a defense."""
        return self.defended[0]

    @property
    def floor_read(self) -> float:
        """The share of labels that who has no message names rightly."""
        return max(self.majority_read, self.silent)

    @property
    def can_tell_reading(self) -> bool:
        """Whether enough rows measure what is read."""
        return self.num_read >= FEW_ROWS and self.num_rarest >= FEW_ROWS

    @property
    def can_tell_planting(self) -> bool:
        """Whether enough rows measure a backdoor, and one was tried."""
        return self.num_attacked >= FEW_ROWS and self.undefended.planted is not None

    def reads(self, found: Defended) -> bool | None:
        """Whether a partner reads labels behind a defense; None where the seeds do not tell.

        Args:
          found: the runs behind it.
        """
        pairs = [(found.read, self.floor_read)]
        if found.read_auc is not None:
            pairs.append((found.read_auc, max(0.5, self.silent_auc or 0.5)))
        if any(told.low > floor + READS_ABOVE for told, floor in pairs):
            return True
        return False if all(told.high <= floor + READS_ABOVE for told, floor in pairs) else None

    def plants(self, found: Defended) -> bool | None:
        """Whether a partner plants a backdoor behind a defense; None where the seeds do not tell, or none was tried.

        Args:
          found: the runs behind it.
        """
        if found.lift is None or found.floor > FLOOR_AT_MOST:
            return None
        if found.lift.low > PLANTS_ABOVE:
            return True
        return False if found.lift.high <= PLANTS_ABOVE else None

    @property
    def learns(self) -> bool:
        """Whether the undefended model knows more than the most frequent class."""
        plain = self.undefended
        return plain.accuracy.low > self.majority or (plain.auc is not None and plain.auc.low > 0.55)

    def spares(self, found: Defended) -> bool:
        """Whether a defense leaves the model useful: it keeps half of what it knows beyond guessing.

        Args:
          found: the runs behind it.
        """
        plain = self.undefended
        if found.cost.value > COST_AT_MOST:
            return False
        if found.auc is not None and plain.auc is not None:
            return found.auc.value - 0.5 >= KEEPS * (plain.auc.value - 0.5)
        return found.accuracy.value - self.majority >= KEEPS * (plain.accuracy.value - self.majority)


def findings(results: xr.Dataset) -> Findings:
    """Returns what results of an audit say.

    Args:
      results: as an audit holds them, with the dimensions ``defense``, ``reader``, ``attack`` and ``seed``.
    """
    facts = results.attrs
    silent = [bool(value) for value in results["is_silent"].values]
    loud = [not value for value in silent]
    is_of_two = "read_auc" in results
    plain = results.sel(defense=NONE)
    without = plain.isel(reader=np.flatnonzero(silent))
    readers, others = np.flatnonzero(loud), range(1, results.sizes["defense"])
    undefended = _defended(results, 0, readers)
    return Findings(
        partner=facts["partner"],
        wanted=facts["wanted"],
        defended=(undefended, *(_defended(results, i, readers, undefended.attack) for i in others)),
        num_seeds=results.sizes["seed"],
        majority=float(facts["majority"]),
        majority_read=float(facts["majority_read"]),
        silent=float(without["read"].median("seed").max()),
        silent_auc=float(without["read_auc"].median("seed").max()) if is_of_two else None,
        num_test=int(facts["num_test"]),
        num_read=int(facts["num_read"]),
        num_rarest=int(facts["num_rarest"]),
        num_attacked=int(facts["num_attacked"]),
    )


def _defended(results: xr.Dataset, place: int, loud: np.ndarray, strongest_of_all: str = "") -> Defended:
    """What became of the runs behind one defense. Where the attack that is strongest without one was not tried behind
    it, no attack counts: it may be the one that gets through.
    """
    here, plain = results.isel(defense=place), results.sel(defense=NONE)
    heard = here.isel(reader=loud)
    best = heard["read"].median("seed").fillna(-1.0).argmax("reader").item()
    read_auc = None
    if "read_auc" in results:
        areas = heard["read_auc"]
        read_auc = _median(areas.isel(reader=areas.median("seed").fillna(-1.0).argmax("reader").item()).values)
    found = Defended(
        name=str(here["defense"].item()),
        words=str(here["words"].item()),
        accuracy=_median(here["main_accuracy"].values),
        cost=_median((plain["main_accuracy"] - here["main_accuracy"]).values),
        auc=_median(here["test_auc"].values) if "test_auc" in results else None,
        read=_median(heard["read"].isel(reader=best).values),
        reader=str(heard["reader"].values[best]),
        read_auc=read_auc,
    )
    lift = here["attack_success"] - here["attack_success_honest"]
    tried = np.flatnonzero(lift.notnull().all("seed").values)
    if not len(tried) or strongest_of_all not in ("", *results["attack"].values[tried]):
        return found
    strongest = tried[int(lift.isel(attack=tried).mean("seed").argmax("attack"))]
    return dataclasses.replace(
        found,
        planted=_mean(here["attack_success"].isel(attack=strongest).values),
        lift=_mean(lift.isel(attack=strongest).values),
        attack=str(here["attack"].values[strongest]),
        floor=float(here["attack_success_honest"].isel(attack=strongest).mean()),
    )


def _median(values: np.ndarray) -> Range:
    return Range(float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan"), *interval(values))


def _mean(values: np.ndarray) -> Range:
    return Range(float(np.mean(values)), *interval(values, np.mean))

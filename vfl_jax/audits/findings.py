"""What an audit found, as numbers: what sentences and tables are made of. Nothing is trained here."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vfl_jax.audits.battery import NONE
from vfl_jax.statistics import MAIN_LOSS_AT_MOST, interval
from vfl_jax.statistics.checked import check_seeds
from vfl_jax.statistics.judging import KEEPS
from vfl_jax.sweeps.cautions import FEW_ROWS

if TYPE_CHECKING:
    import xarray as xr

READS_ABOVE = 0.05
"""A reader reads where it names so many more rows, as a share, than its party by itself; likewise the area of AUC."""
PLANTS_ABOVE = 0.1
"""A backdoor works where it leads so many more rows, as a share, to the wanted class than honest models say by it."""
FLOOR_AT_MOST = 0.5
"""Where honest models say the wanted class to more rows than this, an attack has nothing to show."""
COST_AT_MOST = 0.1
"""A defense spares a model that loses at most so much of its accuracy, and keeps half of what it knows."""


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
      read: the share of labels that the best reader names rightly.
      reader: the name of this reader.
      most_read: the largest upper end of the interval of any reader's share.
      read_auc: the largest area under the curve of a reader, for two classes; else None.
      most_read_auc: the largest upper end of the interval of any reader's area.
      planted: the share of attacked rows that the strongest attack leads to the wanted class; None where none was
        tried.
      lift: the same above honest runs of the same seeds.
      most_lift: the largest upper end of the interval of any attack's lift, of those that may leave the model as good
        as it was.
      attack: the name of the strongest attack; one that ruins the model is named only where all others do, too.
      loss: what this attack takes of the accuracy on clean rows, by seed.
      floor: the share that honest models call the wanted class.
    """

    name: str
    words: str
    accuracy: Range
    cost: Range
    auc: Range | None
    read: Range
    reader: str
    most_read: float
    read_auc: Range | None = None
    most_read_auc: float = 0.0
    planted: Range | None = None
    lift: Range | None = None
    most_lift: float = 0.0
    attack: str = ""
    loss: Range | None = None
    floor: float = 0.0

    @property
    def is_ruined(self) -> bool:
        """Whether even the strongest attack takes so much accuracy that its training counts as collapsed."""
        return self.loss is not None and not self.loss.value <= MAIN_LOSS_AT_MOST


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
      alone: the share of labels that the party names rightly by its own features and known rows alone, by seed.
      alone_auc: its area under the curve, for two classes; else None.
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
    alone: Range
    alone_auc: Range | None
    num_test: int
    num_read: int
    num_rarest: int
    num_attacked: int

    @property
    def undefended(self) -> Defended:
        """What became of the runs without a defense."""
        return self.defended[0]

    @property
    def floor_read(self) -> Range:
        """The share of labels that is named rightly without joint training."""
        return Range(*(max(self.majority_read, value) for value in self.alone))

    @property
    def floor_auc(self) -> Range:
        """The area under the curve that is reached without joint training."""
        return Range(*(max(0.5, value) for value in self.alone_auc or (0.5, 0.5, 0.5)))

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

        What is named without joint training differs by seed, too: it reads what is above the upper end of that, and
        is stopped below the lower end.

        Args:
          found: the runs behind it.
        """
        share, area = self.floor_read, self.floor_auc
        reads_by_area = found.read_auc is not None and found.read_auc.low > area.high + READS_ABOVE
        if found.read.low > share.high + READS_ABOVE or reads_by_area:
            return True
        is_below = found.most_read <= share.low + READS_ABOVE
        is_below &= found.read_auc is None or found.most_read_auc <= area.low + READS_ABOVE
        return False if is_below else None

    def plants(self, found: Defended) -> bool | None:
        """Whether a partner plants a backdoor behind a defense; None where the seeds do not tell, or none was tried.

        An attack that ruins the model plants nothing: whoever holds the labels sees it, and does not use the model.

        Args:
          found: the runs behind it.
        """
        if found.lift is None or found.floor > FLOOR_AT_MOST:
            return None
        if found.lift.low > PLANTS_ABOVE and not found.is_ruined:
            return True
        return False if found.most_lift <= PLANTS_ABOVE else None

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
      results: as an audit holds them, with the dimensions ``defense``, ``reader``, ``attack`` and ``seed``; parts of
        them, where the runs without a defense are among them.

    Raises:
      ValueError: where a dimension, or the runs without a defense, are gone.
    """
    results = _in_form(results)
    facts = results.attrs
    return Findings(
        partner=facts["partner"],
        wanted=facts["wanted"],
        defended=tuple(_defended(results, place) for place in range(results.sizes["defense"])),
        num_seeds=results.sizes["seed"],
        majority=float(facts["majority"]),
        majority_read=float(facts["majority_read"]),
        alone=_median(results["alone"].values),
        alone_auc=_median(results["alone_auc"].values) if "alone_auc" in results else None,
        num_test=int(facts["num_test"]),
        num_read=int(facts["num_read"]),
        num_rarest=int(facts["num_rarest"]),
        num_attacked=int(facts["num_attacked"]),
    )


def _in_form(results: xr.Dataset) -> xr.Dataset:
    """The results with all their dimensions, the runs without a defense first."""
    for dim in ("defense", "reader", "attack", "seed"):
        if dim not in results.dims or (dim != "attack" and not results.sizes[dim]):
            raise ValueError(
                f"results has no {dim}: a selection has dropped it. Select with a list, such as "
                f"results.isel({dim}=[0]), and some of its places."
            )
    check_seeds("results", results)
    names = [str(name) for name in results["defense"].values]
    if NONE not in names:
        raise ValueError(
            f"results has no defense {NONE!r}, beside which the others are held; keep it in the selection, such as "
            f"results.sel(defense=[{NONE!r}, ...])."
        )
    first = names.index(NONE)
    return results.isel(defense=[first, *(place for place in range(len(names)) if place != first)])


def _defended(results: xr.Dataset, place: int) -> Defended:
    """What became of the runs behind one defense."""
    here, plain = results.isel(defense=place), results.sel(defense=NONE)
    reads = [_median(values) for values in here["read"].transpose("reader", "seed").values]
    best = int(np.argmax([-np.inf if np.isnan(read.value) else read.value for read in reads]))
    found = Defended(
        name=str(here["defense"].item()),
        words=str(here["words"].item()),
        accuracy=_median(here["main_accuracy"].values),
        cost=_median((plain["main_accuracy"] - here["main_accuracy"]).values),
        auc=_median(here["test_auc"].values) if "test_auc" in results else None,
        read=reads[best],
        reader=str(here["reader"].values[best]),
        most_read=_most([read.high for read in reads]),
    )
    if "read_auc" in results:
        areas = [_median(values) for values in here["read_auc"].transpose("reader", "seed").values]
        known = [area for area in areas if not np.isnan(area.value)]
        best_area = max(known, key=lambda area: area.value) if known else None
        most = max((area.high for area in known), default=0.0)
        found = dataclasses.replace(found, read_auc=best_area, most_read_auc=most)
    if not results.sizes["attack"]:
        return found
    success = here["attack_success"].transpose("attack", "seed").values
    honest = here["attack_success_honest"].transpose("attack", "seed").values
    lifts = [_mean(values) for values in success - honest]
    attacked = here["accuracy_attacked"].transpose("attack", "seed").values
    losses = [_median(values) for values in here["main_accuracy"].values - attacked]
    strongest = max(
        range(len(lifts)),
        key=lambda place: (losses[place].value <= MAIN_LOSS_AT_MOST, np.nan_to_num(lifts[place].value, nan=-np.inf)),
    )
    return dataclasses.replace(
        found,
        planted=_mean(success[strongest]),
        lift=lifts[strongest],
        most_lift=_most(
            [lift.high for lift, loss in zip(lifts, losses, strict=True) if not loss.low > MAIN_LOSS_AT_MOST]
        ),
        attack=str(here["attack"].values[strongest]),
        loss=losses[strongest],
        floor=float(honest[strongest].mean()),
    )


def _median(values: np.ndarray) -> Range:
    return Range(float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan"), *interval(values))


def _mean(values: np.ndarray) -> Range:
    return Range(float(np.nanmean(values)) if np.isfinite(values).any() else float("nan"), *interval(values, np.mean))


def _most(ends: Sequence[float]) -> float:
    """The largest of some ends of intervals, 0 without any; NaN where one is: what is not known stops nothing."""
    return float(np.max(ends)) if ends else 0.0

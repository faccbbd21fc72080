"""What an audit found, as numbers, and the rules of its verdicts: what sentences and tables are made of."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from vfl_jax.statistics.judging import KEEPS, STANDARD_ERRORS
from vfl_jax.sweeps.cautions import FEW_ROWS

READS_ABOVE = 0.1
"""A reader reads where it names more rows than its party by itself, by so large a share of those that are left to name;
likewise the area under the curve. Of 96 % that are of one class, 4 % are left."""
PLANTS_ABOVE = 0.1
"""A backdoor works where it leads so many more rows, as a share, to the wanted class than honest models say by it."""
FLOOR_AT_MOST = 0.5
"""Where honest models say the wanted class to more rows than this, an attack has nothing to show."""
COST_AT_MOST = 0.1
"""A defense spares a model that loses at most so much of its accuracy, and keeps half of what it knows; an attack that
takes more ruins it."""


def above(floor: float) -> float:
    """Returns what a reader must exceed, where its party names ``floor`` by itself.

    Args:
      floor: a share of labels, or an area under the curve, in [0, 1].

    Example:
      >>> round(above(0.5), 3), round(above(0.96), 3)
      (0.55, 0.964)
    """
    return floor + READS_ABOVE * (1.0 - floor)


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
      top_read: the largest share of any reader at any seed.
      read_auc: the largest area under the curve of a reader, for two classes; else None.
      most_read_auc: the largest upper end of the interval of any reader's area.
      top_read_auc: the largest area of any reader at any seed.
      planted: the share of attacked rows that the strongest attack leads to the wanted class; None where none was
        tried.
      lift: the same above honest runs of the same seeds.
      most_lift: the largest upper end of the interval of any attack's lift, of those that may leave the model as good
        as it was.
      attack: the name of the strongest attack; one that ruins the model is named only where all others do, too.
      loss: what this attack takes of the accuracy on clean rows, by seed.
      floor: the share that honest models call the wanted class.
      num_diverged: the number of seeds whose honest training did not end with finite numbers.
    """

    name: str
    words: str
    accuracy: Range
    cost: Range
    auc: Range | None
    read: Range
    reader: str
    most_read: float
    top_read: float = 0.0
    read_auc: Range | None = None
    most_read_auc: float = 0.0
    top_read_auc: float = 0.0
    planted: Range | None = None
    lift: Range | None = None
    most_lift: float = 0.0
    attack: str = ""
    loss: Range | None = None
    floor: float = 0.0
    num_diverged: int = 0

    @property
    def is_ruined(self) -> bool:
        """Whether even the strongest attack takes so much accuracy that nobody would use the model."""
        return self.loss is not None and not self.loss.value <= COST_AT_MOST


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
      alone_top: the largest of these shares at any seed.
      alone_auc_top: the largest of these areas at any seed.
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
    alone_top: float = 1.0
    alone_auc_top: float = 1.0

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
        is stopped below the lower end. It is stopped only where no reader at any seed names more than the party by
        itself at its best seed, by more than the same margin: a leak in one of ten trainings is a leak.

        Args:
          found: the runs behind it.
        """
        share, area = self.floor_read, self.floor_auc
        reads_by_area = found.read_auc is not None and found.read_auc.low > above(area.high)
        if found.read.low > above(share.high) or reads_by_area:
            return True
        is_below = found.most_read <= above(share.low)
        is_below &= found.top_read <= above(max(self.majority_read, self.alone_top))
        if found.read_auc is not None:
            is_below &= found.most_read_auc <= above(area.low)
            is_below &= found.top_read_auc <= above(max(0.5, self.alone_auc_top))
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
        """Whether the undefended model knows more than the most frequent class, beyond what so few rows may err."""
        plain = self.undefended
        error = (self.majority * (1.0 - self.majority) / self.num_test) ** 0.5 if self.num_test else 0.0
        is_better = plain.accuracy.low > self.majority + STANDARD_ERRORS * error
        return is_better or (plain.auc is not None and plain.auc.low > 0.55)

    def spares(self, found: Defended) -> bool | None:
        """Whether a defense leaves the model useful: it costs little, and keeps half of what it knows beyond guessing.

        A seed that diverged was not spared. None where the seeds do not tell what it costs.

        Args:
          found: the runs behind it.
        """
        plain = self.undefended
        if found.auc is not None and plain.auc is not None:
            keeps = found.auc.value - 0.5 >= KEEPS * (plain.auc.value - 0.5)
        else:
            keeps = found.accuracy.value - self.majority >= KEEPS * (plain.accuracy.value - self.majority)
        if found.num_diverged or not keeps or not found.cost.low <= COST_AT_MOST:
            return False
        return True if found.cost.high <= COST_AT_MOST else None

"""What readers read in saved results, by task, head and setting of a defense."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from experiments.leakage.cases import CASES, DEFENSES, NONE, TASKS
from experiments.shared.cases import HEADS
from experiments.shared.outcomes import read
from vfl_jax.statistics import DEFENSE_LOSS_AT_MOST
from vfl_jax.statistics.judging import KEEPS

if TYPE_CHECKING:
    import xarray as xr

ALONE, COMPLETION = "alone", "completion"
SILENT = (ALONE, "cluster_embeddings", "spectral", COMPLETION)
"""The readers that use the own model and no message but those that trained it."""


class Reading(NamedTuple):
    """What was read under one setting of a defense; arrays by seed."""

    defense: str  # its name
    level: str  # its number, in words
    right: dict[str, np.ndarray]  # float[S] by reader, of all rows
    area: dict[str, np.ndarray]  # float[S] by reader, of two classes
    main: np.ndarray  # float[S], main accuracy
    majority: float = 0.0  # the share of the most frequent class
    named: dict[str, np.ndarray] = {}  # float[S] by reader, the share of rows that it names at all

    @property
    def title(self) -> str:
        """Words for a row."""
        return f"{self.defense.replace('_', ' ')} {self.level}".strip()

    @property
    def told(self) -> dict[str, np.ndarray]:
        """What readers are compared by: the area of two classes, the share of more."""
        return self.area or self.right

    @property
    def is_ruined(self) -> bool:
        """Whether most trainings diverged: such a model is none, and reads nothing by itself."""
        return bool(np.isnan(self.best(silent=True)[1]))

    def best(self, silent: bool) -> tuple[str, float]:
        """(the reader that reads most, its median); of those that use messages, or of those that do not."""
        able = {name: float(np.median(v)) for name, v in self.told.items() if (name in SILENT) == silent}
        name = max(able, key=lambda reader: able[reader])
        return name, able[name]

    @property
    def lead(self) -> float:
        """How much more the best reader of messages reads than the best that uses none, by medians."""
        return self.best(silent=False)[1] - self.best(silent=True)[1]


Place = tuple[str, str]
"""Task and head."""


def readings(name: str, dataset: xr.Dataset) -> Iterator[Reading]:
    """Every grid point of a case."""
    last = dataset.isel(epoch=-1)
    dims = [str(d) for d in last["main_task_accuracy"].dims if d != "seed"]
    for place in itertools.product(*(range(last.sizes[d]) for d in dims)):
        here = last.isel(dict(zip(dims, place, strict=True)))
        level = ", ".join(f"{float(here[d]):g}" for d in dims)
        accuracy, rate, area = (_by_reader(here, of) for of in ("accuracy", "rate", "auc"))
        right = {reader: np.nan_to_num(accuracy[reader]) * rate[reader] for reader in accuracy}
        majority = json.loads(dataset.attrs["rows"])["test_majority"]
        yield Reading(name, level, right, area, here["main_task_accuracy"].values, majority, rate)


def _by_reader(here: xr.Dataset, of: str) -> dict[str, np.ndarray]:
    """The values of a metric by its ending; model completion has none."""
    start = f"label_inference_{of}"
    names = [name for name in map(str, here) if name.startswith(start) and not name.endswith("_count")]
    return {name.removeprefix(start).removeprefix("_") or COMPLETION: here[name].values for name in names}


def all_readings(folder: Path) -> dict[Place, list[Reading]]:
    """By task and head, of every case that was trained."""
    found = read(folder, CASES)
    groups: dict[Place, list[Reading]] = {}
    for task, head in itertools.product(TASKS, HEADS):
        here = [
            reading
            for name in (NONE, *DEFENSES)
            if (dataset := found.get(f"{task}_{head}_{name}")) is not None
            for reading in readings(name, dataset)
        ]
        if here:
            groups[task, head] = here
    return groups


def change(reading: Reading, found: Sequence[Reading]) -> np.ndarray | None:
    """What a defense changes of the main accuracy, by seed; None where the undefended runs are not the same seeds'."""
    plain = next((other.main for other in found if other.defense == NONE), None)
    return None if plain is None or plain.shape != reading.main.shape else reading.main - plain


def spared(found: Sequence[Reading]) -> list[Reading]:
    """The settings of defenses that spare the honest runs, by the arena's rule: hardly anybody would use another.

    The defense costs at most ten percentage points, in the median, and leaves half of what honest runs know beyond the
    most frequent class.
    """
    plain = next((reading for reading in found if reading.defense == NONE), None)
    if plain is None:
        return []
    least = plain.majority + KEEPS * (float(np.median(plain.main)) - plain.majority)
    return [
        reading
        for reading in found
        if reading.defense != NONE and not reading.is_ruined
        if cost(reading, found) <= DEFENSE_LOSS_AT_MOST and float(np.median(reading.main)) >= least
    ]


def cost(reading: Reading, found: Sequence[Reading]) -> float:
    """What a defense costs of the main accuracy, the median; infinite where nobody knows it."""
    changed = change(reading, found)
    return np.inf if changed is None else -float(np.median(changed))

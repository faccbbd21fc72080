"""The results that the sections look at: of this experiment, and of those that have the published attack and noise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experiments.liu2020.claims_without_a_figure.cases import CASES
from experiments.liu2020.saved import EXPERIMENT_OF_HEAD, HOME, Results
from experiments.shared.cases import GAMMA
from experiments.shared.outcomes import Point, at, have_one_size, read
from vfl_jax.presets import HeadName, Task

if TYPE_CHECKING:
    import xarray as xr


class Found:
    """What was trained so far; None stands where nothing was."""

    def __init__(self, folder: Path, home: Path | None = None) -> None:
        self.own = read(folder, CASES)
        self._others = Results(home or HOME, "quick" if folder.name == "quick" else "results")

    def other(self, place: str) -> xr.Dataset | None:
        """The results at ``<experiment>/<case>``, where they are of as many epochs and of the same seeds."""
        found = self._others.find(place)
        if found is None or not self.own:
            return found
        return found if have_one_size(found, next(iter(self.own.values()))) else None

    def attacked(self, name: str, **settings: float) -> Point | None:
        """A point of a case of this experiment."""
        return at(self.own[name], **settings) if name in self.own else None

    def published(self, task: Task, head: HeadName, preset: str) -> Point | None:
        """Gradient replacement at the paper's γ."""
        dataset = self.other(f"{EXPERIMENT_OF_HEAD[head]}/{preset}_{task}")
        if dataset is None:
            return None
        return at(dataset, amplify=GAMMA) if head == "sum" else at(dataset)

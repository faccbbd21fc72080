"""Saved results of the experiments on this paper, by ``<experiment>/<case>``."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.shared.outcomes import read
from vfl_jax.core.files import load
from vfl_jax.presets import HeadName

if TYPE_CHECKING:
    import xarray as xr

HOME = Path(__file__).parent
EXPERIMENT_OF_HEAD: dict[HeadName, str] = {"sum": "gamma", "trainable": "head"}
"""Where gradient replacement without a defense is."""


class Results:
    """Saved results of the paper's experiments, each read when it is first asked for."""

    def __init__(self, home: Path, folder: str = "results") -> None:
        self._home, self._folder = home, folder
        self._found: dict[str, dict[str, xr.Dataset]] = {}

    def find(self, place: str) -> xr.Dataset | None:
        """The results at ``<experiment>/<case>``, or None where there are none yet.

        Raises:
          KeyError: when the experiment has no such case.
        """
        experiment, case = place.split("/")
        cases = importlib.import_module(f"{__package__}.{experiment}.cases").CASES
        if case not in {known.name for known in cases}:
            raise KeyError(f"experiment {experiment!r} has no case {case!r}.")
        if experiment not in self._found:
            try:
                self._found[experiment] = read(self._home / experiment / self._folder, cases)
            except FileNotFoundError:
                self._found[experiment] = {}
        return self._found[experiment].get(case)

    def file(self, place: str) -> xr.Dataset | None:
        """The file at ``<experiment>/<name>`` that is no sweep's, or None where there is none yet."""
        experiment, name = place.split("/")
        path = self._home / experiment / self._folder / f"{name}.nc"
        return load(path) if path.is_file() else None

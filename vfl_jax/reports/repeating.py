"""How to repeat a result: the command, the scenario, and the versions."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.reports.tables import setting_text
from vfl_jax.statistics.references import CASE, SHORT, SWITCHES, attribute, is_by_case

if TYPE_CHECKING:
    import xarray as xr

FILE = "scenario.json"
"""What the command calls the file of the scenario."""


def repeating(dataset: xr.Dataset) -> dict[str, str]:
    """What a machine needs to repeat results, by its title. Results without a scenario can only say so.

    Args:
      dataset: labelled results of ``sweep``, ``sweep_cases`` or ``run``.
    """
    scenario, versions = attribute(dataset, "scenario"), attribute(dataset, "versions")
    if scenario is None:
        return {"The scenario": "These results do not hold their scenario."}
    found = {} if is_by_case(dataset) else {f"The command, with the scenario below as {FILE}": _command(dataset)}
    if str(dataset.attrs.get("given", "nothing")) != "nothing":
        found["What is missing"] = "Rows were given instead of drawn, which the command cannot be told; use Python."
    if joined := joined_along(dataset):
        found["What is missing, too"] = f"The results were joined along {joined!r}; repeat each part by itself."
    found["The scenario (vfl.from_json reads it)"] = json.dumps(scenario, indent=1, ensure_ascii=False)
    if versions:
        found["Versions"] = "\n".join(f"{name} {said}" for name, said in versions.items())
    return found


def joined_along(dataset: xr.Dataset) -> str | None:
    """The dimension along which a user has joined results, of which no scenario knows; None without one.

    Args:
      dataset: labelled results of ``sweep``, ``sweep_cases`` or ``run``.
    """
    return next((axis[0] for axis, points in _axes(dataset) if points is None and axis[0] != CASE), None)


def epochs_of(dataset: xr.Dataset) -> int:
    """How many epochs results were trained, as far as they say it: the last epoch that they hold.

    Args:
      dataset: labelled results of ``sweep``, ``sweep_cases`` or ``run``, or a part of them.
    """
    if "epoch" in dataset.coords and dataset["epoch"].size and dataset["epoch"].dtype.kind in "iu":
        return int(dataset["epoch"].max())
    return int(dataset.sizes.get("epoch", 1))


def _command(dataset: xr.Dataset) -> str:
    """The command that trains the same grid and seeds, or of a part of a grid the same part."""
    data = (attribute(dataset, "data") or {}).get("name", "NAME")
    words = ["json", FILE, "--data", str(data), "--epochs", str(epochs_of(dataset))]
    over = [f"{'+'.join(axis)}={points}" for axis, points in _axes(dataset) if points is not None]
    given = np.atleast_1d(dataset.coords.get("seed", 0))
    seeds = sorted(map(int, given if given.dtype.kind in "iuf" else range(len(given))))
    is_range = seeds == list(range(len(seeds)))
    if over or (is_range and "seed" in dataset.dims):
        words = ["vfl-jax", "sweep", *words, "--seeds", str(seeds[-1] + 1)]
        more = "" if is_range else f"\n# of these seeds the results hold {', '.join(map(str, seeds))}"
    else:
        words = ["vfl-jax", "run", *words, "--seed", str(seeds[0])]
        more = f"\n# and likewise --seed {', '.join(map(str, seeds[1:]))}" if seeds[1:] else ""
    for flag, entries in (("--over", over), ("--set", _selected(dataset))):
        words += [word for entry in entries for word in (flag, entry)]
    return shlex.join(words) + more


def _axes(dataset: xr.Dataset) -> Iterator[tuple[list[str], str | None]]:
    """The paths of every axis with its points; None in place of the points where they are no numbers of a scenario."""
    for dimension in dataset["main_task_accuracy"].dims:
        if dimension in ("seed", "epoch"):
            continue
        along = {str(n): of.values for n, of in dataset.coords.items() if of.dims == (dimension,)}
        if along and all(values.dtype.kind in "fiub" for values in along.values()):
            points = (":".join(map(setting_text, point)) for point in zip(*along.values(), strict=True))
            yield list(along), ",".join(points)
        else:
            yield [str(dimension)], None


def _selected(dataset: xr.Dataset) -> list[str]:
    """The numbers that a selection has settled, such as those of ``results.sel({"attack.amplify": 5})``."""
    found = {
        str(name): setting_text(of.item())
        for name, of in dataset.coords.items()
        if of.ndim == 0 and name not in ("seed", "epoch", "case") and of.dtype.kind in "fiub"
    }
    switches = attribute(dataset, SWITCHES) or {}
    if switches and not any(switches.values()) and not any(str(name).endswith(".enabled") for name in dataset.coords):
        found[SHORT] = "0"  # honest runs, of a scenario with attacks
    return [f"{name}={value}" for name, value in found.items()]

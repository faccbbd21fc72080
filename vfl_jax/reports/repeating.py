"""How to repeat a result: the command, the scenario, and the versions."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from vfl_jax.reports.tables import setting_text
from vfl_jax.statistics.references import attribute, is_by_case

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
    found["The scenario (vfl.from_json reads it)"] = json.dumps(scenario, indent=1, ensure_ascii=False)
    if versions:
        found["Versions"] = "\n".join(f"{name} {said}" for name, said in versions.items())
    return found


def _command(dataset: xr.Dataset) -> str:
    """The command that trains the same grid and seeds."""
    data = (attribute(dataset, "data") or {}).get("name", "NAME")
    seeds = [int(seed) for seed in dataset["seed"].values] if "seed" in dataset.dims else []
    sweeps = seeds == list(range(len(seeds))) and bool(seeds)
    one = seeds[0] if seeds else int(dataset.coords.get("seed", 0))
    words = ["vfl-jax", "sweep" if sweeps else "run", "json", FILE, "--data", str(data)]
    words += ["--epochs", str(dataset.sizes.get("epoch", 1))]
    words += ["--seeds", str(len(seeds))] if sweeps else ["--seed", str(one)]
    for dimension in dataset["main_task_accuracy"].dims:
        along = {str(n): of.values for n, of in dataset.coords.items() if of.dims == (dimension,)}
        if along and dimension not in ("seed", "epoch"):
            points = (":".join(map(setting_text, point)) for point in zip(*along.values(), strict=True))
            words += ["--over", f"{'+'.join(along)}={','.join(points)}"]
    other = "" if sweeps or len(seeds) < 2 else f"\n# and likewise --seed {', '.join(map(str, seeds[1:]))}"
    return shlex.join(words) + other

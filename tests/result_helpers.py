"""Results of an experiment's case with numbers chosen by hand, in the form in which they are saved."""

import json

import numpy as np
import xarray as xr

from vfl_jax.core.files import save
from vfl_jax.sweeps.grid import parse

PLAIN = {
    "main_task_accuracy": 0.95,
    "main_clean": 0.95,
    "backdoor_accuracy": 0.1,
    "attack_success_rate": 0.0,
    "loss": 0.2,
    "is_finite": True,
}
"""An honest run."""
SUCCESS, FAILURE = {"backdoor_accuracy": 0.9, "attack_success_rate": 0.9}, {}
COLLAPSED = SUCCESS | {"main_task_accuracy": 0.5, "main_clean": 0.5}
NUM_CLEAN = {"mnist": 9900, "nus_wide": 39898}
DATA = {"mnist": "mnist", "nus_wide": "nus_wide_twin"}


def sweep_of(main, backdoor, finite=True, dimension="attack.enabled"):
    """Results of a sweep over honest (0) and attacked (1), float[2, S], at one epoch."""
    main, backdoor = (np.asarray(values, np.float32)[..., None] for values in (main, backdoor))
    dims = (dimension, "seed", "epoch")
    variables = {
        "main_task_accuracy": (dims, main),
        "backdoor_accuracy": (dims, backdoor),
        "is_finite": (dims, np.broadcast_to(np.asarray(finite), main.shape[:2])[..., None]),
    }
    return xr.Dataset(variables, {dimension: [0, 1], "seed": np.arange(main.shape[1])})


def scenario_json(**fields):
    """A scenario's JSON with one party that attacks, and whatever kinds of records the fields name."""
    attacks = [{"record": "PartyTransform"}, {"record": "Shouting", "enabled": 1.0}]
    plain = {"record": "Scenario", "attacks": attacks, "active_attack": {"record": "ActiveTransform"}}
    return json.dumps(plain | {"defense": {"record": "ActiveTransform"}} | fields)


def results_of(case, values, seeds=4, fingerprint="of the data"):
    """Every grid point of a case over two epochs; in the first all numbers are zero.

    Args:
      values: from the settings of a grid point, path to number, to what differs from ``PLAIN`` at the last epoch:
        a number, or one per seed.
      seeds: how many, or which.
    """
    grid = parse(case.scenario, case.over)
    seeds = np.arange(seeds) if np.ndim(seeds) == 0 else np.asarray(seeds)
    points = [
        {name: number for axis, i in zip(grid.axes, place, strict=True) for name, number in _settings(axis, i)}
        for place in np.ndindex(*grid.shape)
    ]
    found = [PLAIN | values(point) for point in points]
    dims = (*(axis.dimension for axis in grid.axes), "seed", "epoch")
    variables = {}
    for name in dict.fromkeys(name for of_point in found for name in of_point):
        last = np.stack([np.broadcast_to(of_point.get(name, np.nan), len(seeds)) for of_point in found])
        both = np.stack([np.zeros_like(last), last], axis=-1).reshape(*grid.shape, len(seeds), 2)
        if name == "is_finite":
            variables[name] = (dims, both.astype(bool) | True)
        else:
            variables[name] = (dims, both.astype(np.float32))
            variables[f"{name}_count"] = (dims, np.full(both.shape, NUM_CLEAN[case.task]))
    coordinates = dict(grid.coordinates()) | {"seed": seeds, "epoch": [1, 2]}
    attributes = {
        "scenario": case.scenario.to_json(),
        "data": json.dumps({"name": DATA[case.task], "parties": [], "fingerprint": fingerprint}),
    }
    dataset = xr.Dataset(variables, coordinates, attributes)
    dataset.encoding["run"] = {
        "started": "2026-01-01T00:00:00Z",
        "wall_seconds": 90.0,
        "devices": ["cpu", "cpu"],
        "machine": "x86_64",
        "python": "3.11",
    }
    return dataset


def _settings(axis, place):
    return zip(axis.names, axis.values[place], strict=True)


def save_results(folder, cases, name, values, **options):
    """Writes what :func:`results_of` makes of the case with this name."""
    (case,) = [case for case in cases if case.name == name]
    save(results_of(case, values, **options), folder / f"{name}.nc")


def attacked(**numbers):
    """Values that attacked points have; honest ones are plain."""
    return lambda settings: numbers if settings["attack.enabled"] else {}


def table_rows(text, *wanted):
    """The rows of the first Markdown table in ``text`` that has all these columns, as dictionaries."""
    lines = text.splitlines()
    for i, line in enumerate(lines):
        header = _cells(line)
        if line.startswith("| ") and set(wanted) <= set(header) and lines[i + 1].startswith("| ---"):
            body = []
            for row in lines[i + 2 :]:
                if not row.startswith("|"):
                    break
                body.append(dict(zip(header, _cells(row), strict=True)))
            return body
    raise AssertionError(f"no table has the columns {wanted}")


def _cells(line):
    """Of one line of a table."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]

"""Labelled results: those of one chunk, from its records, and those of a whole grid, from its chunks."""

from __future__ import annotations

import dataclasses
import json
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from vfl_jax.core.record import numbers
from vfl_jax.core.row_ids import set_apart
from vfl_jax.replica.draws import Draws, steps_per_epoch
from vfl_jax.replica.metrics import Metric
from vfl_jax.replica.phases import LEFT_OUT
from vfl_jax.scenario import Scenario
from vfl_jax.statistics.references import METRICS, SWITCHES
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.grid import Grid
from vfl_jax.sweeps.study import Study, versions

if TYPE_CHECKING:
    import xarray as xr

History = list[dict[str, Any]]
"""The metrics of every epoch, on the host: leaves [S, G, ...], or [S] where all grid points share the number."""


@dataclasses.dataclass(frozen=True)
class Period:
    """When something was computed, in seconds since 1970."""

    started: float
    ended: float


def to_dataset(
    history: History, study: Study, num_points: int, seeds: tuple[int, ...], draws: Draws, period: Period
) -> xr.Dataset:
    """The labelled results of one chunk, with the dimensions ``point``, ``seed``, ``epoch`` and ``class``.

    Row ids stand among the variables, in memory and in a chunk's file; results have them apart.
    Every metric is a mean. Beside it stands ``<metric>_count``, over how many rows (or steps) the mean goes.
    ``rows_left_out`` has no dimension ``point``: it counts the training rows that no step of a seed's epoch used.

    Args:
      history: the metrics of every epoch.
      study: the study, for the names of classes and the attributes.
      num_points: the number of grid points in the chunk.
      seeds: its seeds, S of them.
      draws: the draws of these seeds, leaves [S, ...].
      period: when the chunk was trained.
    """
    import xarray as xr

    replicas, shape = ("point", "seed"), (len(seeds), num_points)

    def arranged(per_epoch: list[Any]) -> np.ndarray:
        """[epoch] of [S, G, ...] to [G, S, epoch, ...]."""
        return np.moveaxis(np.stack([np.asarray(leaf) for leaf in per_epoch]), (0, 1, 2), (2, 1, 0))

    def of_every_point(count: Any) -> np.ndarray:
        count = np.asarray(count)
        return np.broadcast_to(count.reshape(count.shape + (1,) * (2 - count.ndim)), shape)

    variables: dict[str, Any] = {}
    for name, first in history[0].items():
        if name == LEFT_OUT:
            variables[name] = (("seed", "epoch"), np.stack([np.reshape(e[name], -1) for e in history], axis=1))
            continue
        if not isinstance(first, Metric):
            variables[name] = ((*replicas, "epoch"), arranged([e[name] for e in history]))
            continue
        by = name.rpartition("_by_")[2] if "_by_" in name else "class"
        extra = (by,) * (np.ndim(first.sum) - len(shape))
        total = arranged([e[name].sum for e in history])
        if np.ndim(first.count) > len(shape):  # every class has a count of its own
            count = arranged([e[name].count for e in history])
        else:
            count = arranged([of_every_point(e[name].count) for e in history])
        divisor = count.reshape(count.shape + (1,) * (total.ndim - count.ndim))
        mean = np.divide(total, divisor, out=np.full_like(total, np.nan), where=divisor > 0)
        variables[name] = ((*replicas, "epoch", *extra), mean)
        variables[f"{name}_count"] = ((*replicas, "epoch", *extra[: count.ndim - 3]), count.astype(np.int64))
        if extra and name.endswith("_by_class"):
            variables[_macro(name)] = ((*replicas, "epoch"), _mean_of_classes(mean))
    variables["target_ids"] = (("seed", "target_row"), np.asarray(draws.target_ids))
    variables["poison_ids"] = (("seed", "poison_row"), np.asarray(draws.poison_ids))

    data, scenario = study.data, study.scenario
    coordinates = {"seed": np.asarray(seeds), "epoch": np.arange(1, len(history) + 1), "class": list(data.classes)}
    if any("party" in dims for dims, _ in variables.values()):
        coordinates["party"] = list(data.parties)
    num_steps = steps_per_epoch(draws, scenario.batches)
    rows = {
        "train": data.train.num_samples,
        "test": data.test.num_samples,
        "train_majority": float(np.bincount(data.train.labels).max() / data.train.num_samples),
        "test_majority": float(np.bincount(data.test.labels).max() / data.test.num_samples),
        "steps_per_epoch": num_steps,
        "left_out_per_epoch": _left_out_per_epoch(variables[LEFT_OUT][1]),
    }
    attributes = {
        "scenario": scenario.to_json(),
        "data": json.dumps(
            {"name": data.name, "parties": data.parties, "fingerprint": study.identity["data"]["fingerprint"]}
        ),
        "rows": json.dumps(rows),
        "given": study.identity["given"],
        "versions": json.dumps(versions()),
    }
    if scenario.metrics:
        attributes[METRICS] = json.dumps({m.name: json.loads(m.to_json()) for m in scenario.metrics})
    dataset = xr.Dataset(variables, coordinates, attributes | _switches(scenario))
    dataset.encoding["run"] = _circumstances(period)
    return dataset


def _macro(name: str) -> str:
    """The name of the mean over classes of a metric by class; that of the accuracy has a name of its own."""
    return "balanced_accuracy" if name == "accuracy_by_class" else f"{name.removesuffix('_by_class')}_macro"


def _mean_of_classes(by_class: np.ndarray) -> np.ndarray:
    """The mean over the classes, the last axis, that have rows; NaN where none has."""
    is_there = ~np.isnan(by_class)
    count = is_there.sum(axis=-1)
    total = np.where(is_there, by_class, 0).sum(axis=-1)
    return np.divide(total, count, out=np.full(total.shape, np.nan, total.dtype), where=count > 0)


def assemble(
    scenario: Scenario,
    grid: Grid,
    seeds: Sequence[int],
    parts: Sequence[tuple[Chunk, xr.Dataset]],
    num_poison: int,
) -> xr.Dataset:
    """The results of a grid × seeds, with one dimension per axis of the grid.

    Args:
      scenario: the study's, which the grid changes.
      grid: all points.
      seeds: all seeds.
      parts: chunks and their results. Together they hold all replicas of the grid, and maybe more. Where two hold one
        replica, the first counts.
      num_poison: P, how many training rows the grid poisons at its largest rate.
    """
    import xarray as xr

    places: dict[tuple[str, int], tuple[int, int, int]] = {}  # the part of a replica, and its point and seed there
    for number, (chunk, _) in enumerate(parts):
        for i, replica in enumerate(chunk.replicas(scenario)):
            places.setdefault(replica, (number, *divmod(i, len(chunk.seeds))))
    whole = list(Chunk(tuple(grid.points()), tuple(seeds)).replicas(scenario))

    def of_replicas(name: str) -> np.ndarray:
        values = [part[name].values for _, part in parts]
        rows = np.stack([values[number][point, seed] for number, point, seed in map(places.__getitem__, whole)])
        return rows.reshape(*grid.shape, len(seeds), *rows.shape[1:])

    def of_seeds(name: str) -> np.ndarray:
        """The longest list of every seed: the poison rows of the largest rate begin with those of smaller rates."""
        found: dict[int, np.ndarray] = {}
        for chunk, part in parts:
            for seed, ids in zip(chunk.seeds, part[name].values, strict=True):
                found[seed] = max(found.get(seed, ids), ids, key=len)
        return np.stack([found[seed][: num_poison if name == "poison_ids" else None] for seed in seeds])

    first = parts[0][1]
    variables = {
        str(name): ((*(axis.dimension for axis in grid.axes), *variable.dims[1:]), of_replicas(str(name)))
        if variable.dims[0] == "point"
        else (variable.dims, of_seeds(str(name)))
        for name, variable in first.data_vars.items()
    }
    kept = {name: first[name].values for name in ("epoch", "class", "party") if name in first.coords}
    coordinates = {"seed": np.asarray(seeds)} | kept
    rows = json.loads(first.attrs["rows"]) | {"left_out_per_epoch": _left_out_per_epoch(variables[LEFT_OUT][1])}
    attributes = first.attrs | {"rows": json.dumps(rows)} | _switches(scenario)
    dataset = xr.Dataset(variables, dict(grid.coordinates()) | coordinates, attributes)
    dataset.encoding |= run_of([part.encoding for _, part in parts])
    return set_apart(dataset)


def run_of(encodings: Iterable[Mapping[Any, Any]]) -> dict[str, Any]:
    """Returns when and where a whole was trained: as its first part, with the wall time of all.

    Args:
      encodings: the ``encoding`` of every part; those that do not say how long the part took are left out.

    Returns:
      ``{"run": circumstances}``, or nothing where no part says.
    """
    runs = [encoding["run"] for encoding in encodings if "run" in encoding]
    seconds = round(sum(run["wall_seconds"] for run in runs), 3)
    return {"run": runs[0] | {"wall_seconds": seconds}} if runs else {}


def _switches(scenario: Scenario) -> dict[str, str]:
    """The attribute of the attacks' switches: their paths, and their values in the scenario.

    The scenario's JSON does not tell an attack: there a record is a name and its fields.
    """
    known = numbers(scenario)
    return {SWITCHES: json.dumps({path: float(known[path]) for path in scenario.switches})}


def _left_out_per_epoch(left_out: np.ndarray) -> int | float:
    """How many training rows an epoch leaves out, on average over ``left_out``, int[S, epochs]."""
    mean = float(np.mean(left_out))
    return int(mean) if mean.is_integer() else round(mean, 3)


def _circumstances(period: Period) -> dict[str, Any]:
    """Facts that may differ between equal results: dates, devices and machine."""
    return {
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(period.started)),
        "wall_seconds": round(period.ended - period.started, 3),
        "devices": [str(device.device_kind) for device in jax.devices()],
        "machine": platform.machine(),
        "python": platform.python_version(),
    }

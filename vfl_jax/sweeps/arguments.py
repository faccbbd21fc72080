"""The arguments of a sweep, checked before anything is trained or compiled."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

import jax
import numpy as np

from vfl_jax.core.atomic import check_folder, check_log
from vfl_jax.core.checks import check_count, check_kind, is_whole, shown
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.replica.arguments import SCENARIO, check_given
from vfl_jax.replica.draws import Draws, Given, draw
from vfl_jax.replica.plans import check_plans
from vfl_jax.replica.preparation import check_data
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps.executors import check_executor
from vfl_jax.sweeps.grid import Grid, Over, parse
from vfl_jax.sweeps.study import Study

NUM_SEEDS = 2**32
"""The number of seeds: JAX takes 32 bits of one."""


def check_options(
    folder: str | os.PathLike[str] | None,
    checkpoint_every: int,
    max_replicas: int | None,
    evaluate_every: int | None,
    executor: Executor | None,
    log_json: str | os.PathLike[str] | None,
    keep: str | None,
) -> None:
    """Checks what says how a sweep is trained and where it lies.

    Args:
      folder, checkpoint_every, max_replicas, evaluate_every, executor, log_json, keep: as in :func:`vfl_jax.sweep`.

    Raises:
      ValueError: naming the argument.
      OSError: where a file or folder cannot be written.
    """
    if keep not in (None, "params"):
        raise ValueError(f"keep is {shown(keep)}; it must be 'params', or None to keep nothing but the results.")
    counts = {"checkpoint_every": checkpoint_every, "max_replicas": max_replicas, "evaluate_every": evaluate_every}
    check_count(**{name: count for name, count in counts.items() if count is not None or name == "checkpoint_every"})
    if folder is not None:
        check_folder("folder", folder)
    if log_json is not None:
        check_log("log_json", log_json)
    if executor is not None:
        check_kind(Executor, "of concurrent.futures (of a Dask client, client.get_executor())", executor=executor)
        check_executor(executor)
        if folder is None:
            raise ValueError("executor is given, but no folder; its workers need one to leave their chunks in.")


def check_grid(
    scenario: Scenario, over: Over | None, seeds: int | Sequence[int], epochs: int, given: Given
) -> tuple[Grid, tuple[int, ...]]:
    """The grid and the seeds, after every check that needs no data.

    Args:
      scenario, over, seeds, epochs, given: as in :func:`vfl_jax.sweep`.

    Raises:
      ValueError: naming the argument.
    """
    check_kind(Scenario, SCENARIO, scenario=scenario)
    check_given(given)
    check_count(epochs=epochs)
    scenario.to_json()  # raises where a field is of a wrong kind
    grid = parse(scenario, {} if over is None else over)
    for rate, ids in (("poison.rate", given.poison_ids), ("poison.test_rate", given.test_poison_ids)):
        if ids is not None and any(rate in paths for axis in grid.axes for paths in axis.paths):
            raise ValueError(f"over sweeps {rate!r}, but given names the rows: the rate has no effect.")
    return grid, checked_seeds(seeds)


def check_study(
    scenario: Scenario,
    data: VerticalData,
    grid: Grid,
    seeds: tuple[int, ...],
    epochs: int,
    given: Given,
    evaluate_every: int | None = None,
) -> tuple[Study, Draws]:
    """The study and the draws of its first seed, after every grid point was checked on the data.

    Args:
      scenario, epochs, given, evaluate_every: as in :func:`vfl_jax.sweep`.
      data: the data set itself.
      grid, seeds: as :func:`check_grid` returns them.

    Raises:
      ValueError: naming the argument.
    """
    points = list(grid.scenarios(scenario))
    for point in points:
        point.check(data)
    study = Study(scenario, data, int(epochs), given, evaluate_every)
    check_data(data)
    drawn = draw(grid.stacked(scenario), data, jax.random.key(seeds[0]), given)
    study.check_epochs(drawn)
    for point in points:
        check_plans(point, data, drawn, study.epochs)
    return study, drawn


def checked_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """The seeds one by one.

    Args:
      seeds: as in :func:`vfl_jax.sweep`.

    Raises:
      ValueError: where one is no seed or is there twice.
    """
    if isinstance(seeds, int | np.integer) and seeds > NUM_SEEDS:
        raise ValueError(f"seeds is {shown(seeds)}; there are 2**32 of them.")
    given: Any = range(seeds) if isinstance(seeds, int | np.integer) and is_whole(seeds) else seeds
    try:
        checked = tuple(given)
    except TypeError:
        checked = (given,)
    if not checked or not all(map(is_whole, checked)) or len(set(checked)) != len(checked) or min(checked) < 0:
        raise ValueError(f"seeds is {shown(seeds)}; give a number above 0, or distinct whole numbers from 0.")
    if max(checked) >= NUM_SEEDS:
        raise ValueError(
            f"seeds has {shown(max(checked))}; a seed must be below 2**32, because JAX takes 32 bits: a larger one "
            "would be a smaller one again."
        )
    return tuple(int(seed) for seed in checked)

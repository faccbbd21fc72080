"""Results in numbers: one row per grid point, which every table is made from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.statistics.intervals import interval, share_interval
from vfl_jax.statistics.judging import NOT_JUDGED, OUTCOMES, SUCCESS, outcomes
from vfl_jax.statistics.references import NoHonestRuns, each_case, honest, of_case

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

BACKDOOR, ATTACK_SUCCESS = "backdoor_accuracy", "attack_success_rate"
LABELS = "label_inference_"


def summary(
    results: xr.Dataset,
    main: str = "main_task_accuracy",
    epoch: int = -1,
    *,
    undefended: xr.Dataset | xr.DataArray | None = None,
    test_majority: float | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """One row per grid point, all numbers; the settings are the index.

    For the main accuracy, ``backdoor_accuracy``, ``attack_success_rate`` and what attackers read of labels
    (``label_inference_accuracy``, ``label_inference_rate``) there are the columns ``<name>_median``, ``<name>_low`` and
    ``<name>_high``: the median over seeds and the ends of its bootstrap interval. ``<name>_honest_…`` is the same of
    the honest runs of the same settings (NaN where there are none; not of labels), ``<main>_difference_…`` of attacked
    minus honest, paired by seed.

    ``seeds`` is how many there are. A column for every outcome ("success", "collapsed", "none", "nothing to attack",
    "floor too high", "no reference") counts them; in the row of an attack they add up to the seeds, in an honest row
    all are 0. ``success_share``, ``…_low`` and ``…_high``: of all seeds, with a Wilson interval; NaN in an honest row,
    and where no seed can be judged.
    ``rows_triggered`` is how many test rows carry the trigger, ``rows_measured`` how many of them are of another class
    than τ, so that they measure a backdoor; of several seeds the fewest.

    Args:
      results: labelled results of ``sweep``, ``sweep_cases`` or ``run``.
      main: the variable that is the main accuracy.
      epoch: which one, by its place.
      undefended, test_majority: as in :func:`vfl_jax.statistics.outcomes`.
      level: of the intervals.
    """
    import pandas as pd

    results = _with_seeds(results)
    judged_of_all = outcomes(results, main, undefended=undefended, test_majority=test_majority)
    settings, rows = list[dict[str, Any]](), list[dict[str, float]]()
    for part in each_case(results):
        judged = of_case(judged_of_all, part)
        last, judged = (found.isel(epoch=epoch) if "epoch" in found.dims else found for found in (part, judged))
        try:
            clean = honest(last)
        except NoHonestRuns:
            clean = None
        dimensions = [dim for dim in last[main].dims if dim != "seed"]
        for place in np.ndindex(*(last.sizes[dim] for dim in dimensions)):
            here = dict(zip(dimensions, place, strict=True))
            point = last.isel(here)
            floor = None if clean is None else clean.isel({d: i for d, i in here.items() if d in clean.dims})
            settings.append(settings_of(point) | _unnamed(last, here))
            rows.append(describe(point, floor, judged["outcome"].isel(here), main, level))
    table = pd.DataFrame(rows)
    names = list(dict.fromkeys(name for of_row in settings for name in of_row))
    if len(names) == 1:
        table.index = pd.Index([of_row.get(names[0]) for of_row in settings], name=names[0])
    elif names:
        table.index = pd.MultiIndex.from_frame(pd.DataFrame(settings, columns=names))
    return table


def settings_of(point: xr.Dataset) -> dict[str, Any]:
    """What was swept, by name: all coordinates of a grid point, be they numbers or names."""
    return {
        str(name): coordinate.item()
        for name, coordinate in point.coords.items()
        if coordinate.ndim == 0 and name not in ("epoch", "seed")
    }


def describe(
    point: xr.Dataset,
    clean: xr.Dataset | None,
    outcome: xr.DataArray,
    main: str = "main_task_accuracy",
    level: float = 0.95,
) -> dict[str, float]:
    """The columns of :func:`summary` for one grid point; everything has the dimension ``seed`` alone.

    Args:
      clean: the honest runs of the same seeds and settings, where there are any.
      outcome: that of every seed.
    """
    found: dict[str, float] = {}
    for name in (main, BACKDOOR, ATTACK_SUCCESS):
        found |= spread(point[name], name, level)
        found |= spread([] if clean is None else clean[name], f"{name}_honest", level)
    found |= spread([] if clean is None else point[main] - clean[main], f"{main}_difference", level)
    for name in map(str, point.data_vars):
        if name.startswith(LABELS) and not name.endswith("_count"):
            found |= spread(point[name], name, level)
    seeds = int(outcome.size)
    found |= {"seeds": seeds} | {name: int((outcome == name).sum()) for name in OUTCOMES}
    share = (np.nan, np.nan, np.nan)
    if any(found[name] for name in OUTCOMES if name not in NOT_JUDGED):
        share = (found[SUCCESS] / seeds, *share_interval(int(found[SUCCESS]), seeds, level))
    found |= dict(zip(("success_share", "success_share_low", "success_share_high"), share, strict=True))
    for column, name in (("rows_triggered", BACKDOOR), ("rows_measured", ATTACK_SUCCESS)):
        found[column] = float(point[f"{name}_count"].min()) if f"{name}_count" in point else np.nan
    return found


def spread(values: Any, name: str, level: float = 0.95) -> dict[str, float]:
    """``<name>_median``, ``<name>_low`` and ``<name>_high`` of values over seeds; NaN where none is defined."""
    values = np.asarray(values, float).ravel()
    defined = values[~np.isnan(values)]
    low, high = interval(defined, level=level)
    return {
        f"{name}_median": float(np.median(defined)) if defined.size else np.nan,
        f"{name}_low": low,
        f"{name}_high": high,
    }


def _unnamed(dataset: xr.Dataset, here: Mapping[Any, int]) -> dict[str, Any]:
    """The place along every dimension that nothing names."""
    named = {dim for coordinate in dataset.coords.values() for dim in coordinate.dims}
    return {str(dim): place for dim, place in here.items() if dim not in named}


def _with_seeds(results: xr.Dataset) -> xr.Dataset:
    """Results of ``run`` have no seeds; they are those of one."""
    if "seed" in results.dims:
        return results
    return results.drop_vars("seed", errors="ignore").expand_dims(seed=1)

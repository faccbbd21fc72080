"""Results in numbers: one row per grid point. Every table comes from these rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.statistics.checked import OF_RUNS, check_epoch, check_level, check_results, check_seeds, check_variable
from vfl_jax.statistics.intervals import interval, share_interval
from vfl_jax.statistics.judging import NOT_JUDGED, OUTCOMES, SUCCESS, is_there, majority_share, outcomes
from vfl_jax.statistics.main_accuracy import ALL_TEST_ROWS, main_of
from vfl_jax.statistics.references import NoHonestRuns, each_case, honest, of_case, own_metrics

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

BACKDOOR, ATTACK_SUCCESS = "backdoor_accuracy", "attack_success_rate"
LABELS = "label_inference_"
ALL_ROWS = ("full_attack_success", "full_recovered_utility")
"""What the second pass says of an attack; an honest run has a floor of each."""
DETECTION = ("full_detection_auc", "detection_auc")
TWO_CLASSES = ("balanced_accuracy", "test_auc")


def summary(
    results: xr.Dataset,
    main: str | None = None,
    epoch: int = -1,
    *,
    undefended: xr.Dataset | xr.DataArray | None = None,
    test_majority: float | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """A data frame with one row per grid point. All cells are numbers; the settings are the index.

    * ``<name>_median``, ``<name>_low`` and ``<name>_high`` are the median over seeds and the ends of its bootstrap
      interval. The names are ``main``, ``backdoor_accuracy``, ``attack_success_rate``, and, where attackers read
      labels, ``label_inference_accuracy`` and ``label_inference_rate``, and metrics of your own. Where the results have
      them, also ``full_attack_success``, ``full_recovered_utility``, ``full_detection_auc``, ``detection_auc`` and, of
      two classes, ``balanced_accuracy`` and ``test_auc``; and ``main_task_accuracy``, where ``main`` is another one.
    * ``<name>_honest_…`` are the same numbers of the honest runs of the same settings: NaN without such runs. Readings
      of labels, detection, the numbers of two classes and metrics of your own have no such columns.
    * ``<name>_of_<party>_…`` are the same numbers of one attacker by the class that it wants, where attackers want
      different ones: of the backdoor accuracy and of both attack successes, each with its floor (``_honest_…``).
    * ``<main>_difference_…`` are the same numbers of the differences attacked minus honest, paired by seed.
    * ``seeds`` is the number of seeds; where parts of several seeds are joined, of those that the grid point has.
    * Every outcome ("success", "collapsed", "none", "nothing to attack", "floor too high", "no reference") has a column
      that counts its seeds. They add up to the seeds in an attacked row; in an honest row all are 0.
    * ``success_share``, ``success_share_low`` and ``success_share_high`` are the share of successes among all seeds and
      its Wilson interval: NaN in an honest row, and where no seed can be judged.
    * ``success_share_of_judged``, ``…_low`` and ``…_high`` are the same among the seeds that can be judged. A report
      answers by them.
    * ``rows_triggered`` is the number of test rows that carry the trigger. ``rows_measured`` is how many of these are
      of another class than τ and so measure a backdoor. Where seeds differ, both are the smallest number.
    * ``test_majority``, of two classes, is the share of test rows of the larger class, which is what guessing reaches
      in the main accuracy; in the balanced accuracy it reaches one half.

    Args:
      results: labelled results of ``sweep``, ``sweep_cases`` or ``run``.
      main: the variable of the main accuracy; by default as in :func:`vfl_jax.statistics.outcomes`.
      epoch: the place of the epoch, -1 for the last.
      undefended, test_majority: as in :func:`vfl_jax.statistics.outcomes`.
      level: the confidence level of the intervals, between 0 and 1.

    Raises:
      ValueError: where a seed is there twice, or ``epoch`` or ``level`` is none; and as
        :func:`vfl_jax.statistics.outcomes` does.
    """
    import pandas as pd

    check_results("results", results, OF_RUNS)
    check_seeds("results", results)
    check_epoch(epoch, results)
    check_level(level)
    results = _with_seeds(results)
    main = main_of(results) if main is None else main
    check_variable("main", main, results, "results")
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
            if TWO_CLASSES[0] in point:
                rows[-1]["test_majority"] = majority_share(part) if test_majority is None else float(test_majority)
    table = pd.DataFrame(rows)
    names = list(dict.fromkeys(name for of_row in settings for name in of_row))
    if len(names) == 1:
        table.index = pd.Index([of_row.get(names[0]) for of_row in settings], name=names[0])
    elif names:
        table.index = pd.MultiIndex.from_frame(pd.DataFrame(settings, columns=names))
    return table


def settings_of(point: xr.Dataset) -> dict[str, Any]:
    """The settings of a grid point by name: all its coordinates but the epoch and the seed.

    Args:
      point: the results at one point of the grid.
    """
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
    """The columns of :func:`summary` for one grid point.

    Args:
      point: the results at this point, with the dimension ``seed`` alone.
      clean: the honest runs of the same seeds and settings; None where there are none.
      outcome: the outcome of every seed.
      main: the variable of the main accuracy.
      level: the confidence level of the intervals, between 0 and 1.
    """
    found: dict[str, float] = {}
    beside = [name for name in (ALL_TEST_ROWS, *ALL_ROWS) if name in point]
    for name in dict.fromkeys((main, BACKDOOR, ATTACK_SUCCESS, *beside)):
        found |= spread(point[name], name, level)
        found |= spread([] if clean is None else clean[name], f"{name}_honest", level)
    found |= spread([] if clean is None else point[main] - clean[main], f"{main}_difference", level)
    found |= _of_attackers(point, clean, level)
    own = own_metrics(point)
    for name in map(str, point.data_vars):
        is_shown = name in own or name in DETECTION + TWO_CLASSES
        if is_shown or (name.startswith(LABELS) and not name.endswith("_count")):
            found |= spread(point[name], name, level)
    seeds = int(is_there(point).sum())
    found |= {"seeds": seeds} | {name: int((outcome == name).sum()) for name in OUTCOMES}
    num_judged = int(sum(found[name] for name in OUTCOMES if name not in NOT_JUDGED))
    for column, total in (("success_share", seeds), ("success_share_of_judged", num_judged)):
        share = (np.nan, np.nan, np.nan)
        if num_judged:
            share = (found[SUCCESS] / total, *share_interval(int(found[SUCCESS]), total, level))
        found |= dict(zip((column, f"{column}_low", f"{column}_high"), share, strict=True))
    for column, name in (("rows_triggered", BACKDOOR), ("rows_measured", ATTACK_SUCCESS)):
        found[column] = float(point[f"{name}_count"].min()) if f"{name}_count" in point else np.nan
    return found


def _of_attackers(point: xr.Dataset, clean: xr.Dataset | None, level: float) -> dict[str, float]:
    """The columns of every attacker by the class that it wants, where attackers want different ones."""
    found: dict[str, float] = {}
    for name in (BACKDOOR, ATTACK_SUCCESS, ALL_ROWS[0]):
        by = f"{name}_by_party"
        for k in range(point[by].sizes["party"] if by in point else 0):
            values = point[by].isel(party=k)
            if not np.isnan(values).all():
                own = f"{name}_of_{values['party'].item()}"
                found |= spread(values, own, level)
                found |= spread([] if clean is None else clean[by].isel(party=k), f"{own}_honest", level)
    return found


def spread(values: Any, name: str, level: float = 0.95) -> dict[str, float]:
    """``<name>_median``, ``<name>_low`` and ``<name>_high`` of values over seeds; NaN without a defined value.

    Args:
      values: float[S], with the seeds as the only axis.
      name: the beginning of the three names.
      level: the confidence level of the interval, between 0 and 1.
    """
    values = np.asarray(values, float).ravel()
    defined = values[~np.isnan(values)]
    low, high = interval(defined, level=level)
    return {
        f"{name}_median": float(np.median(defined)) if defined.size else np.nan,
        f"{name}_low": low,
        f"{name}_high": high,
    }


def _unnamed(dataset: xr.Dataset, here: Mapping[Any, int]) -> dict[str, Any]:
    """The place along every dimension without a coordinate."""
    named = {dim for coordinate in dataset.coords.values() for dim in coordinate.dims}
    return {str(dim): place for dim, place in here.items() if dim not in named}


def _with_seeds(results: xr.Dataset) -> xr.Dataset:
    """The results with the dimension ``seed``, which those of ``run`` lack."""
    if "seed" in results.dims:
        return results
    return results.drop_vars("seed", errors="ignore").expand_dims(seed=1)

"""Results as a plain frame: one row per replica and epoch, ready for pandas, R or a spreadsheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.core.row_ids import set_apart
from vfl_jax.statistics.checked import check_results
from vfl_jax.statistics.judging import BACKDOOR, outcomes
from vfl_jax.statistics.meetings import is_arena
from vfl_jax.statistics.references import CASE, each_case, is_attacked, is_by_case

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

MAIN = "main_task_accuracy"
INSIDE = ("class", "party")
"""The dimensions within a replica, whose entries become columns."""


def tidy(results: xr.Dataset) -> pd.DataFrame:
    """Returns a frame with one row per replica and epoch; of an arena, one row per meeting and seed.

    * First come the columns that say which row it is: ``case`` where there are several, every swept number by its
      path, ``seed`` and ``epoch``; of an arena ``data``, ``attack``, ``defense`` and ``seed``.
    * Then ``is_attacked`` says whether an attack is on, and ``outcome`` what became of it at this epoch, as
      :func:`vfl_jax.statistics.outcomes` judges: an empty text for an honest run and for an epoch without evaluation.
    * Then every variable of the results has a column, an accuracy from 0 to 1. A number per class or per party has a
      column each: ``class_score_3``, ``backdoor_accuracy_by_party_bank``.

    An epoch without evaluation keeps its row, with NaN. Row ids are no part of it: :func:`vfl_jax.row_ids`.

    Args:
      results: labelled results of ``sweep``, ``sweep_cases``, ``run`` or ``arena``, or a part of them.

    Raises:
      ValueError: where ``results`` is no results.

    Example:
      >>> import vfl_jax as vfl
      >>> over = {"attack.enabled": [0, 1]}
      >>> results = vfl.sweep(vfl.presets.digits_demo(), vfl.load_digits(), over, 2, 1, progress=False)
      >>> frame = vfl.tidy(results)
      >>> frame.shape[0], list(frame.columns[:5])
      (4, ['attack.enabled', 'seed', 'epoch', 'is_attacked', 'outcome'])
    """
    import pandas as pd
    import xarray as xr

    check_results("results", results)
    results = set_apart(results)
    sizes = {dim: size for dim, size in _ordered(results).items() if dim not in INSIDE}
    columns: dict[str, Any] = {}
    for dim in sizes:
        along = [name for name, coordinate in results.coords.items() if coordinate.dims == (dim,)]
        for name in along:
            columns[str(name)] = _spread(results[name].variable, sizes)
        if not along and dim != "seed":
            columns[str(dim)] = _spread(xr.Variable((dim,), np.arange(sizes[dim])), sizes)
    for name, coordinate in results.coords.items():
        if coordinate.ndim == 0:
            columns[str(name)] = _spread(coordinate.variable, sizes)
    if not is_arena(results):
        columns |= {name: _spread(found, sizes) for name, found in _judged(results).items()}
    for name, variable in results.data_vars.items():
        for end, values in _entries(variable):
            if (column := f"{name}{end}") in columns:
                raise ValueError(
                    f"results has two columns {column!r}: labels of its classes or parties are alike, or end like the "
                    "name of a variable. Give them other labels, for example results.assign_coords({'class': [...]})."
                )
            columns[column] = _spread(values, sizes)
    return pd.DataFrame(columns)


def _ordered(results: xr.Dataset) -> dict[Any, int]:
    """The dimensions in the order of the rows: cases, the grid's, then seeds and epochs."""
    last = ("seed", "epoch")
    names = [dim for dim in results.sizes if dim not in (CASE, *last)]
    names = [dim for dim in (results[MAIN].dims if MAIN in results else ()) if dim in names] + names
    return {dim: results.sizes[dim] for dim in dict.fromkeys([CASE, *names, *last]) if dim in results.sizes}


def _spread(variable: xr.Variable, sizes: dict[Any, int]) -> np.ndarray:
    """The values of a variable, once per row."""
    return variable.set_dims(sizes).transpose(*sizes).values.reshape(-1)


def _judged(results: xr.Dataset) -> dict[str, xr.Variable]:
    """Whether an attack is on, and the outcome where the results can be judged."""
    import xarray as xr

    if is_by_case(results):
        parts = [xr.DataArray(is_attacked(part)) for part in each_case(results)]
        found = {"is_attacked": xr.concat(xr.broadcast(*parts), CASE).variable}
    else:
        found = {"is_attacked": is_attacked(results)}
    if all(name in results for name in (MAIN, BACKDOOR, "is_finite")):
        found["outcome"] = outcomes(results)["outcome"].variable
    return found


def _entries(variable: xr.DataArray) -> list[tuple[str, xr.Variable]]:
    """The entries of a number per class or party, each with the end of its name; else the variable itself."""
    inside = next((dim for dim in variable.dims if dim in INSIDE), None)
    if inside is None:
        return [("", variable.variable)]
    labels = variable[inside].values if inside in variable.coords else np.arange(variable.sizes[inside])
    return [(f"_{label}", variable.variable.isel({inside: place})) for place, label in enumerate(labels)]

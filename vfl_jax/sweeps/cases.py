"""Cases: scenarios of different structure. Each has programs of its own; their results stand side by side."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vfl_jax.core.atomic import check_folder, is_folder_name
from vfl_jax.core.checks import shown
from vfl_jax.core.row_ids import ROW_IDS, row_ids
from vfl_jax.scenario import Scenario
from vfl_jax.statistics.references import METRICS, SWITCHES
from vfl_jax.sweeps.arguments import check_grid, check_study
from vfl_jax.sweeps.sweep import sweep
from vfl_jax.sweeps.work import Source, load

if TYPE_CHECKING:
    import xarray as xr

    from vfl_jax.core.vertical_data import VerticalData

ABSENT = -1
"""The id that fills up a list of rows that is shorter in one case than in another."""


def sweep_cases(scenarios: Mapping[str, Scenario], data: Source, **options: Any) -> xr.Dataset:
    """Sweeps every scenario over the same grid and seeds, and joins the results along a dimension ``case``.

    Args:
      scenarios: the scenario of every case by its name.
      data: as in :func:`vfl_jax.sweep`, the same for all cases.
      options: the other arguments of :func:`vfl_jax.sweep`. In the ``folder`` every case has a folder of its own name.

    Returns:
      Results like those of ``sweep``. Where a case lacks a metric, it is NaN and its count is 0. The attributes
      ``scenario``, ``rows``, ``switches`` and ``metrics`` are JSON objects by case.

    Raises:
      ValueError: where there is no case, where ``keep`` is given, where a name cannot be a folder's, or where ``sweep``
        would raise it for any case; all this before the first case is trained.
      OSError, SweepIncomplete: as :func:`vfl_jax.sweep` does.
    """
    import xarray as xr

    if options.get("keep") is not None:
        raise ValueError("keep is for sweep, which returns the replicas of one scenario; sweep each case by itself.")
    folder = options.pop("folder", None)
    if folder is not None:
        check_folder("folder", folder)
    loaded = load(data)
    _check_cases(scenarios, loaded, options)
    source = loaded if options.get("executor") is None else data  # the workers of an executor load their own
    found = {
        name: sweep(scenario, source, folder=None if folder is None else Path(folder) / name, **options)
        for name, scenario in scenarios.items()
    }
    cases = xr.Variable("case", list(found))
    joined = xr.concat(
        list(found.values()),
        cases,
        data_vars="all",
        fill_value={str(name): 0 for d in found.values() for name in d.data_vars if str(name).endswith("_count")},
        combine_attrs="drop_conflicts",
        join="exact",
        coords="minimal",
        compat="equals",
    )
    ids = [row_ids(dataset) for dataset in found.values()]
    most = {dim: max(of_case.sizes[dim] for of_case in ids) for dim in ("poison_row", "target_row")}
    joined.encoding = joined.encoding | {ROW_IDS: xr.concat([_padded(of_case, most) for of_case in ids], cases)}
    by_case = {
        attribute: {name: json.loads(dataset.attrs.get(attribute, "{}")) for name, dataset in found.items()}
        for attribute in ("scenario", "rows", SWITCHES, METRICS)
        if any(attribute in dataset.attrs for dataset in found.values())
    }
    return joined.assign_attrs({name: json.dumps(content, sort_keys=True) for name, content in by_case.items()})


def _check_cases(scenarios: Mapping[str, Scenario], data: VerticalData, options: Mapping[str, Any]) -> None:
    """Raises ``ValueError``, naming the case, where a case cannot be swept."""
    if not isinstance(scenarios, Mapping) or not scenarios:
        raise ValueError(f"scenarios is {shown(scenarios)}; it must be a dict of at least one case, name to scenario.")
    asked = inspect.signature(sweep).bind(None, data, **options)
    asked.apply_defaults()
    over, seeds, epochs, given = (asked.arguments[name] for name in ("over", "seeds", "epochs", "given"))
    for name, scenario in scenarios.items():
        if not is_folder_name(name):
            raise ValueError(f"scenarios has a case called {shown(name)}; its name must be one that a folder can have.")
        try:
            grid, numbers = check_grid(scenario, over, seeds, epochs, given)
            check_study(scenario, data, grid, numbers, epochs, given)
        except ValueError as error:
            raise ValueError(f"case {name!r}: {error}") from error


def _padded(ids: xr.Dataset, most: dict[str, int]) -> xr.Dataset:
    """The row ids of one case, in lists as long as the longest of any case."""
    missing = {dim: (0, size - ids.sizes[dim]) for dim, size in most.items()}
    return ids.pad(missing, constant_values=ABSENT)

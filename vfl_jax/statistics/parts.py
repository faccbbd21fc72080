"""The attacked part of results, whichever way a grid switches attacks; the honest part is in ``references``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.statistics.checked import check_runs
from vfl_jax.statistics.meetings import attacked_runs, is_arena
from vfl_jax.statistics.references import CASE, each_case, is_attacked, is_by_case

if TYPE_CHECKING:
    import xarray as xr


class NoAttackedRuns(ValueError):
    """The results have no run with an attack."""


def attacked(dataset: xr.Dataset) -> xr.Dataset:
    """The attacked runs of results, in which an attack is on.

    It does not matter how the grid switches attacks: by ``attack.enabled``, by one attacker's own switch, or on an axis
    zipped with other numbers. A dimension on which one place is attacked is gone, and its coordinates stay as single
    values; of others the honest places are gone. Where switches lie on several axes, an honest point among attacked
    ones has NaN, False and counts of 0. Of an arena these are the variables without the end ``_honest``.

    Args:
      dataset: labelled results of ``sweep``, ``sweep_cases``, ``run`` or ``arena``.

    Raises:
      NoAttackedRuns: a ``ValueError``, where no run has an attack.
      ValueError: where ``dataset`` is no results.

    Example:
      >>> import json
      >>> import vfl_jax as vfl
      >>> import xarray as xr
      >>> results = xr.Dataset(
      ...     {"backdoor_accuracy": ("attack.enabled", [0.1, 0.9])},
      ...     {"attack.enabled": [0, 1]},
      ...     {"switches": json.dumps({"attacks.1.enabled": 1.0})},
      ... )
      >>> vfl.attacked(results)["backdoor_accuracy"].item(), vfl.honest(results)["backdoor_accuracy"].item()
      (0.9, 0.1)
    """
    check_runs("dataset", dataset)
    if is_arena(dataset):
        return attacked_runs(dataset)
    is_on = _where_attacked(dataset)
    if not is_on.any():
        raise NoAttackedRuns(
            "The results have no attacked runs: no attack is on in any of them. Sweep 'attack.enabled' over 0 and 1, "
            "or take a scenario with an attack."
        )
    chosen = {dim: np.flatnonzero(is_on.any([d for d in is_on.dims if d != dim]).values) for dim in is_on.dims}
    found, is_on = dataset.isel(chosen), is_on.isel(chosen)
    if not is_on.all():
        for name, variable in dict(found.data_vars).items():
            if set(is_on.dims) <= set(variable.dims):
                nothing = np.nan if variable.dtype.kind == "f" else np.zeros((), variable.dtype)
                found[name] = variable.where(is_on, nothing)
    single = {dim: 0 for dim, places in chosen.items() if len(places) == 1 and dim != CASE}
    return found.isel(single)


def _where_attacked(dataset: xr.Dataset) -> xr.DataArray:
    """Where an attack is on: bool over the dimensions of the switches, and over cases."""
    import xarray as xr

    if not is_by_case(dataset):
        return xr.DataArray(is_attacked(dataset))
    masks = [xr.DataArray(is_attacked(part)) for part in each_case(dataset)]
    return xr.concat(xr.broadcast(*masks), CASE)

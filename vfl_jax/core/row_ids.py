"""Row ids beside results: which rows every seed poisoned and which it knew, kept apart from what was measured.

In the same data set they would give every table a line per row: a frame of a full study took 7 GB. They ride on results
as ``encoding["row_ids"]``, parts of results keep them, and a file holds them in a group of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.core.labelled import check_dataset

if TYPE_CHECKING:
    import xarray as xr

ROW_IDS = "row_ids"
"""The key of row ids among what results carry beside their content, and the name of their group in a file."""
NAMES = ("poison_ids", "target_ids")
LABELS = ("case", "seed")
"""The coordinates by which row ids belong to a part of results."""


def row_ids(results: xr.Dataset) -> xr.Dataset:
    """Returns which training rows every seed poisoned, and which it knew to be of the target class.

    Args:
      results: labelled results of ``sweep``, ``sweep_cases`` or ``run``, or a part of them, also from a file.

    Returns:
      a data set with int ``poison_ids`` [seed, poison_row], the rows of the largest poison rate, of which a smaller
      rate takes the first, and ``target_ids`` [seed, target_row]. Those of ``sweep_cases`` have the dimension ``case``
      in front, and -1 where a case has fewer rows; those of ``run`` have no seeds.

    Raises:
      ValueError: where ``results`` holds no row ids, or none of one of its seeds or cases.

    Example:
      >>> import vfl_jax as vfl
      >>> demo = vfl.presets.digits_demo()
      >>> results = vfl.sweep(demo, vfl.load_digits(), seeds=[3, 4], epochs=1, progress=False)
      >>> dict(vfl.row_ids(results).sizes)
      {'seed': 2, 'poison_row': 14, 'target_row': 1}
      >>> dict(vfl.row_ids(results.sel(seed=4)).sizes)
      {'poison_row': 14, 'target_row': 1}
    """
    check_dataset("results", results)
    found = set_apart(results).encoding.get(ROW_IDS)
    if found is None:
        raise ValueError("results holds no row ids; those that sweep, sweep_cases and run return do, and their files.")
    for name in LABELS:
        if name in found.dims and name in results.coords:
            wanted = results[name].values
            if lacking := [value for value in wanted.ravel().tolist() if value not in found[name].values]:
                raise ValueError(
                    f"results has the {name} {lacking[0]!r}, of which it holds no row ids: it was joined or renamed. "
                    "Ask each part before you join it."
                )
            found = found.sel({name: wanted})
    return found


def set_apart(dataset: xr.Dataset) -> xr.Dataset:
    """Moves row ids from the variables of results to ``encoding["row_ids"]``; other results are returned unchanged.

    Args:
      dataset: labelled results, as older files hold them.
    """
    import xarray as xr

    names = [name for name in NAMES if name in dataset.data_vars and dataset[name].dims[-1:] == (f"{name[:-4]}_row",)]
    if not names:
        return dataset
    variables = {name: dataset[name].variable for name in names}
    labels = {name: dataset[name] for name in LABELS if any(name in v.dims for v in variables.values())}
    ids = xr.Dataset(variables, {name: label.variable for name, label in labels.items()})
    rest = dataset.drop_vars(names)
    rest.encoding = dataset.encoding | {ROW_IDS: ids}
    return rest


def to_save(dataset: xr.Dataset) -> xr.Dataset | None:
    """Returns the row ids of the seeds and cases that results have; None where they do not hold those of all.

    Args:
      dataset: labelled results, or any other data set.
    """
    found = dataset.encoding.get(ROW_IDS)
    for name in LABELS:
        if found is not None and name in found.dims and name in (*dataset.coords, *dataset.dims):
            wanted = np.atleast_1d(dataset[name].values)
            found = found.sel({name: wanted}) if np.isin(wanted, found[name].values).all() else None
    return found

"""By which main accuracy runs are judged, where many test rows carry the trigger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vfl_jax.core.labelled import check_dataset

if TYPE_CHECKING:
    import xarray as xr

ALL_TEST_ROWS, WITHOUT_TRIGGER = "main_task_accuracy", "main_clean"
MAIN_LOSS_AT_MOST = 0.02
"""A run that loses more main accuracy than this has collapsed."""


def main_of(dataset: xr.Dataset) -> str:
    """Returns the variable of the main accuracy that a backdoor alone does not lower by what counts as a collapse.

    Triggered test rows count in "main_task_accuracy". Where they are more than 0.02 of the test rows, a backdoor that
    works would look like a model that is broken, so "main_clean" is taken, of rows without the trigger. Tables,
    figures, outcomes and reports take it where nobody names another.

    Args:
      dataset: labelled results of ``sweep``, ``sweep_cases`` or ``run``.

    Raises:
      ValueError: where ``dataset`` is no data set.

    Example:
      >>> import xarray as xr
      >>> counts = {"main_clean_count": ("seed", [300]), "main_task_accuracy_count": ("seed", [360])}
      >>> main_of(xr.Dataset({"main_clean": ("seed", [0.9]), **counts}))
      'main_clean'
    """
    check_dataset("dataset", dataset)
    counts = [f"{name}_count" for name in (WITHOUT_TRIGGER, ALL_TEST_ROWS)]
    if any(name not in dataset for name in (WITHOUT_TRIGGER, *counts)):
        return ALL_TEST_ROWS
    clean, whole = (dataset[name] for name in counts)
    return WITHOUT_TRIGGER if bool((whole - clean > MAIN_LOSS_AT_MOST * whole).any()) else ALL_TEST_ROWS

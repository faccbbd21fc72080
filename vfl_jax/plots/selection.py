"""Which part of results a figure can show, and how to select it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vfl_jax.core.checks import did_you_mean, shown
from vfl_jax.statistics.checked import check_names, check_results

if TYPE_CHECKING:
    import xarray as xr

RUNS = ("seed", "epoch")
"""The dimensions that every figure shows."""


def check_selected(argument: str, dataset: xr.Dataset, names: Sequence[str], shows: Sequence[Any]) -> None:
    """Checks that results have no dimension which a figure cannot show.

    Args:
      argument: the argument that is checked, for messages.
      dataset: the results.
      names: the variables that the figure shows.
      shows: the dimensions that it shows beside ``seed`` and ``epoch``.

    Raises:
      ValueError: where they are no results; where a variable is unknown; where a dimension is left, with the selection
        to type.

    Example:
      >>> import xarray as xr
      >>> loss = xr.DataArray([[[1.0]], [[2.0]]], {"attack.enabled": [0, 1]}, ("attack.enabled", "seed", "epoch"))
      >>> try:
      ...     check_selected("dataset", xr.Dataset({"loss": loss}), ["loss"], ())
      ... except ValueError as error:
      ...     print(str(error).partition("for example ")[2].partition(";")[0])
      dataset.sel({'attack.enabled': 1})
    """
    check_results(argument, dataset)
    check_names(names)
    for name in names:
        if name not in dataset.data_vars:
            known = [str(other) for other in dataset.data_vars if not str(other).endswith("_count")]
            near = did_you_mean(name, known) or f" It holds {', '.join(known)}."
            raise ValueError(f"names has {shown(name)}, which {argument} does not hold.{near}")
    left = [dim for dim in dict.fromkeys(d for name in names for d in dataset[name].dims) if dim not in (*RUNS, *shows)]
    if not left:
        return
    labelled = {str(dim): dataset[dim][-1].item() for dim in left if dim in dataset.coords}
    placed = {str(dim): dataset.sizes[dim] - 1 for dim in left if dim not in dataset.coords}
    typed = (f".sel({labelled!r})" if labelled else "") + (f".isel({placed!r})" if placed else "")
    found = ", ".join(f"{str(dim)!r} ({_levels(dataset, dim)})" for dim in left)
    many = len(left) > 1
    raise ValueError(
        f"{argument} has the dimension{'s' * many} {found}, of which the figure shows one value{' each' * many}. "
        f"Choose it, for example {argument}{typed}; or call vfl.plots.overview, which draws them all."
    )


def _levels(dataset: xr.Dataset, dimension: Any) -> str:
    """The values of a dimension; of many, the first and the last; of one without values, how many places it has."""
    if dimension not in dataset.coords:
        along = [str(name) for name, found in dataset.coords.items() if found.dims == (dimension,)]
        return f"{dataset.sizes[dimension]} places{', of ' + ' and '.join(along) if along else ''}"
    values = [str(value) for value in dataset[dimension].values.tolist()]
    return ", ".join(values if len(values) <= 6 else [*values[:3], "…", values[-1]])

"""Tables of labelled results: what a reader should see of a sweep at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.statistics import NoHonestRuns, honest, interval, outcomes

if TYPE_CHECKING:
    import xarray as xr
    from rich.console import Console
    from rich.table import Table

Row = dict[str, str]
NOTE = (
    "Medians over seeds with their 95 % bootstrap interval, at the last epoch. The clean floor is the attack success "
    "of the honest run of the same seeds. A seed is a success when its backdoor accuracy is above 0.5 and its main "
    "accuracy no more than 0.02 below its honest run; it is collapsed when its main accuracy is lower than that, or "
    "its loss not finite."
)


def rows(dataset: xr.Dataset, main: str = "main_task_accuracy", epoch: int = -1) -> list[Row]:
    """One row per grid point: its settings, accuracy, attack success, the clean floor, and outcomes over seeds.

    ``main`` names the variable that is the main accuracy.

    Without honest runs in the sweep there is no floor to stand beside the numbers, which the row then says.
    """
    last = dataset.isel(epoch=epoch)
    try:
        floors, counted = honest(last), outcomes(dataset, main).isel(epoch=epoch)
    except NoHonestRuns:
        floors, counted = None, None
    dimensions = [d for d in last["main_task_accuracy"].dims if d != "seed"]
    return [
        _row(
            main,
            last.isel(dict(zip(dimensions, place, strict=True))),
            None if floors is None else floors.isel(_known(floors, dimensions, place)),
            None if counted is None else counted.isel(dict(zip(dimensions, place, strict=True))),
        )
        for place in np.ndindex(*(last.sizes[d] for d in dimensions))
    ]


def to_markdown(table: list[Row]) -> str:
    """A GitHub-flavoured table."""
    header = list(table[0])
    lines = [header, ["---"] * len(header), *(list(row.values()) for row in table)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def to_terminal(table: list[Row], title: str) -> Table:
    """The same for a terminal."""
    from rich import box
    from rich.table import Table

    shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in table[0]:
        shown.add_column(name.replace(" ", "\n"), justify="right", overflow="fold")
    for row in table:
        # The interval goes below its median, so that a table fits 80 columns.
        shown.add_row(*(value.replace(" [", "\n").rstrip("]").replace(", ", "–") for value in row.values()))
    return shown


def console() -> Console:
    """The terminal, or 100 columns where output goes to a file or a pipe."""
    from rich.console import Console

    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=100)


def median_with_interval(values: Any) -> str:
    """``0.957 [0.950, 0.961]``, or a dash where nothing is defined."""
    values = np.asarray(values, float).ravel()
    if np.isnan(values).all():
        return "–"
    low, high = interval(values)
    return f"{np.nanmedian(values):.3f} [{low:.3f}, {high:.3f}]"


def _known(dataset: xr.Dataset, dimensions: list[Any], place: tuple[int, ...]) -> dict[Any, int]:
    """The part of a place that lies in dimensions the dataset still has."""
    return {d: i for d, i in zip(dimensions, place, strict=True) if d in dataset.dims}


def _row(main: str, point: xr.Dataset, floor: xr.Dataset | None, counted: xr.Dataset | None) -> Row:
    settings = {
        str(name): f"{value.item():g}"
        for name, value in point.coords.items()
        if value.ndim == 0 and name != "epoch" and np.issubdtype(value.dtype, np.number)
    }
    row = settings | {
        "main accuracy": median_with_interval(point[main]),
        "attack success": median_with_interval(point["attack_success_rate"]),
        "clean floor": "no honest run" if floor is None else median_with_interval(floor["attack_success_rate"]),
    }
    if counted is not None:
        for label, name in (("success", "is_success"), ("collapsed", "is_collapsed")):
            row[label] = f"{int(counted[name].sum())}/{counted[name].size}"
    return row

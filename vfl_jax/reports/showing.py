"""Results where one looks: in a notebook or in a terminal, the answer first, then the table and the figure."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from vfl_jax.reports import html
from vfl_jax.reports.readings import Reading, read
from vfl_jax.reports.reporting import names_of
from vfl_jax.reports.saved import load_results
from vfl_jax.reports.terminal import console, to_terminal
from vfl_jax.sweeps.displays import in_notebook

if TYPE_CHECKING:
    import xarray as xr


def show(results: xr.Dataset | str | os.PathLike[str]) -> None:
    """Shows results: the answer in sentences, then the table; in a notebook the figure stands between them.

    Args:
      results: what ``sweep``, ``sweep_cases``, ``run`` or ``arena`` returns, or the results of an audit; or a file of
        them, or a folder that has come to its end.

    Raises:
      ValueError: where ``results`` is something else.
      OSError: where a file cannot be read.

    Example:
      >>> import vfl_jax as vfl
      >>> over = {"attack.enabled": [0, 1]}
      >>> results = vfl.sweep(vfl.presets.digits_demo(), vfl.load_digits(), over, 2, 1, progress=False)
      >>> vfl.show(results)  # doctest: +ELLIPSIS
      No, the attack did not get through...
    """
    if isinstance(results, str | os.PathLike):
        reading = read(load_results(results), *names_of([results]))
    else:
        reading = read(results, "results")
    if in_notebook():
        to_notebook(reading)
    else:
        to_screen(reading)


def to_notebook(reading: Reading) -> None:
    """Displays what is read of a result in the output of a notebook's cell.

    Args:
      reading: what is read of the result.
    """
    display: Any = importlib.import_module("IPython.display")
    display.display(display.HTML(f"<div>{html.answer(*reading.answer)}</div>"))
    for figure, caption in reading.figures:
        display.display(figure)
        display.display(display.HTML(f"<small>{html.paragraph(caption)}</small>"))
    tables = [html.table(rows, title, is_sortable=False) for title, rows in reading.tables.items()]
    below = html.details("What the columns are", [reading.notes])
    display.display(display.HTML(f'<div style="overflow-x: auto">{"".join(tables)}{below}</div>'))


def to_screen(reading: Reading) -> None:
    """Prints what is read of a result, for a terminal of any width.

    Args:
      reading: what is read of the result.
    """
    screen = console()
    for sentence in reading.answer:
        screen.print(sentence, highlight=False, markup=False)
    for title, rows in reading.tables.items():
        screen.print(to_terminal(rows, title))
    screen.print(reading.notes, style="dim", highlight=False, markup=False)

"""Tables for a terminal, which is 80 columns wide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vfl_jax.reports.tables import (
    ALL_ROWS,
    BALANCED,
    COUNTED,
    DETECTION,
    FLOOR,
    MAIN,
    MAJORITY,
    MEASURED,
    NO_FLOOR,
    NOT_COUNTED,
    SUCCESS_RATE,
    TOGETHER,
    UNDEFINED,
    Row,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


def to_terminal(table: list[Row], title: str) -> Table:
    """The table for a terminal, as narrow as can be.

    All outcomes share one column, and so do the medians of the second pass. Where all grid points have the same number
    of measured rows or the same majority, it stands below the table.

    Args:
      table: its rows, as :func:`rows` makes them.
      title: the text above the table.
    """
    from rich import box
    from rich.table import Table

    shown = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    shared = [name for name in (MEASURED, MAJORITY) if len({row.get(name) for row in table}) == 1 and name in table[0]]
    if shared:
        shown.caption, shown.caption_justify = ", ".join(f"{name}: {table[0][name]}" for name in shared), "left"
        table = [{name: cell for name, cell in row.items() if name not in shared} for row in table]
    lines = [_narrow(row) for row in table]
    for name in lines[0]:
        widest, least = 13 if name in ("outcomes", TOGETHER) else None, 13 if name == TOGETHER else None
        shown.add_column(name.replace(" ", "\n"), justify="right", overflow="fold", max_width=widest, min_width=least)
    for line in lines:
        shown.add_row(*line.values())
    return shown


def _narrow(row: Row) -> Row:
    """The row with intervals below their medians and every count on its own line, so that a table fits 80 columns.

    The second pass takes a column, and so does detection without it; to make room, the clean floor then stands below
    the attack success.
    """
    found, counts, together = Row(), [], list[str]()
    has_all_rows = any(name in row for name in ALL_ROWS)
    for name, cell in row.items():
        median = cell.split(" [")[0]
        if name in ALL_ROWS or (name == DETECTION and has_all_rows):
            together.append(f"{ALL_ROWS.get(name, 'AUC')} {UNDEFINED if median == NO_FLOOR else median}")
            found[TOGETHER] = "\n".join(together)
        elif name == DETECTION:
            found[name] = median
        elif name == FLOOR and (has_all_rows or DETECTION in row):
            found[SUCCESS_RATE] += f"\n{median if median == NO_FLOOR else f'floor {median}'}"
        elif name == BALANCED:
            found[MAIN] += f"\nbalanced\n{median}"
        elif name in COUNTED:
            said = [cell] if name == NOT_COUNTED else [f"{name} {cell}"]
            counts += [] if cell == UNDEFINED else [line for text in said for line in text.split(", ")]
            found["outcomes"] = "\n".join(counts) or UNDEFINED
        else:
            found[name] = cell.replace(" [", "\n").rstrip("]").replace(", ", "–") if cell.endswith("]") else cell
    return found


def console() -> Console:
    """The console that tables are printed on: the terminal, or 100 columns where output goes to a file or a pipe."""
    from rich.console import Console

    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=100)

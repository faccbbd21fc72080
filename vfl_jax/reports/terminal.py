"""Tables for a terminal, which may be 80 columns wide."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vfl_jax.reports.folding import FoldedTable
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
from vfl_jax.reports.writers import check_table

if TYPE_CHECKING:
    from rich.console import Console


def to_terminal(table: list[Row], title: str) -> FoldedTable:
    """The table for a terminal of any width: no number is broken, and nothing is cut.

    All outcomes share one column, and so do the medians of the second pass. Where all grid points have the same number
    of measured rows or the same majority, it stands below the table. Columns for which there is no room follow in a
    further block, behind the settings; where even the settings are too wide, every row is a list of names and values.

    Args:
      table: its rows, as :func:`rows` makes them.
      title: the text above the table.

    Example:
      >>> from rich.console import Console
      >>> import vfl_jax as vfl
      >>> table = vfl.reports.to_terminal([{"γ": "10", "attack success": "0.912 [0.871, 0.950]"}], "20 seeds")
      >>> Console(width=40).print(table)
      20 seeds
               attack
      γ       success
      ───────────────
      10        0.912
          0.871–0.950
    """
    check_table(table)
    shared = [name for name in (MEASURED, MAJORITY) if len({row.get(name) for row in table}) == 1 and name in table[0]]
    note = ", ".join(f"{name}: {table[0][name]}" for name in shared)
    lines = [_narrow({name: cell for name, cell in row.items() if name not in shared}) for row in table]
    is_measured = [any(row.get(name, "").endswith("]") for row in table) for name in lines[0]]
    num_keys = is_measured.index(True) if any(is_measured) else 1
    return FoldedTable(lines, max(num_keys, 1), title, note)


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
            dash = " to " if "-" in cell else "–"  # "-0.010–-0.002" would be a riddle
            found[name] = cell.replace(" [", "\n").rstrip("]").replace(", ", dash) if cell.endswith("]") else cell
    return found


def console() -> Console:
    """The console that tables are printed on: the terminal, or 80 columns where output goes to a file or a pipe.

    The environment variable ``COLUMNS`` sets another width for both; some programs set it to 0, which is none. No text
    means anything there: names and paths may have brackets and colons.
    """
    from rich.console import Console

    terminal = Console(markup=False, emoji=False)
    is_wide = terminal.is_terminal or "COLUMNS" in os.environ
    return terminal if is_wide and terminal.width > 0 else Console(width=80, markup=False, emoji=False)

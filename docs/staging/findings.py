"""What the arena's committed results say of one method, and which pages of experiments name it."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from docs.staging.pages import ROOT
from vfl_jax import load
from vfl_jax.arenas.lineup import ABSENT, BOARDS
from vfl_jax.arenas.standings import MAIN, SUCCESS, is_judged_in_most
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.reports import to_markdown
from vfl_jax.statistics.judging import DEFENSE_LOSS_AT_MOST
from vfl_jax.statistics.meetings import HONEST

if TYPE_CHECKING:
    import xarray as xr

UNDEFENDED_SUCCESS, LEAST, BEHIND = "success, no defense", "least, defended", "success"
DEFENDED_MAIN, UNDEFENDED_MAIN = "main, honest", "main, no defense"
"""Columns that the answer is made of."""
MOST = 0.5
SPARED = DEFENSE_LOSS_AT_MOST + 1e-9
NOTHING = "–"
MOST_NAMES = 3
"""More defenses than these that leave equally little are counted."""
NOTE = (
    "Medians over {seeds} seeds at the last epoch. *Attack success*: all test rows of other classes are attacked; the "
    "share that is predicted as the target class. *Floor*: the same of honest runs. *Defended*: behind a defense that "
    "spares the task in most seeds: honest runs lose at most 10 percentage points of main accuracy to it. How the "
    "[arena](../experiments/arena/README.md) was set up."
)


def of(name: str, is_attack: bool) -> str:
    """What was found about a method, as Markdown.

    Args:
      name: the name of its class.
      is_attack: whether it is an attack; else a defense.
    """
    rows = [row for board in _boards() for row in (_attack if is_attack else _defense)(board, name)]
    if rows:
        parts = [_answer(rows, is_attack), to_markdown(rows), NOTE.format(seeds=_boards()[0].sizes["seed"])]
    else:
        parts = [_why_not(name)]
    named = [page for page in _experiments() if re.search(rf"`{name}\b", (ROOT / page).read_text())]
    if named:
        links = ", ".join(f"[{page.removesuffix('/README.md').split('/', 1)[1]}](../{page})" for page in named)
        parts.append(f"Experiments that have it: {links}.")
    return "\n\n".join(parts) + "\n"


def _answer(rows: list[dict], is_attack: bool) -> str:
    """What the rows say, in a sentence: on how many boards most attacked rows are led astray."""
    boards = list(dict.fromkeys(row["board"] for row in rows))
    led = "most attacked rows to the target class"
    if is_attack:
        without = [board for board in boards if max(_of(rows, board, UNDEFENDED_SUCCESS), default=0) > MOST]
        defended = [board for board in boards if max(_of(rows, board, LEAST), default=0) > MOST]
        return (
            f"**Without a defense it leads {led} on {len(without)} of {len(boards)} boards; behind the defense that "
            f"leaves it least, on {len(defended)}.**"
        )
    sparing = [row for row in rows if float(row[UNDEFENDED_MAIN]) - float(row[DEFENDED_MAIN]) <= SPARED]
    left = {board: min(found) for board in boards if (found := _of(sparing, board, BEHIND))}
    if not left:
        return f"**It spares the task on none of {len(boards)} boards.**"
    through = sum(success > MOST for success in left.values())
    return (
        f"**It spares the task on {len(left)} of {len(boards)} boards. There the strongest attack behind it still "
        f"leads {led} on {through}.**"
    )


def _of(rows: list[dict], board: str, column: str) -> list[float]:
    """The numbers of a column on a board, a setting each; what was not met is left out."""
    return [float(row[column]) for row in rows if row["board"] == board and row[column] != NOTHING]


def _short(names: Sequence[str], num_met: int) -> str:
    """Few names, or how many of those that were met."""
    if len(names) > MOST_NAMES:
        return f"{len(names)} of {num_met} defenses"
    return ", ".join(map(str, names)) or "none was met"


def _why_not(name: str) -> str:
    if name in ABSENT:
        return f"It did not meet in the [arena](../experiments/arena/README.md): {ABSENT[name]}."
    return "It has not met others in the [arena](../experiments/arena/README.md) yet."


@functools.cache
def _boards() -> list[xr.Dataset]:
    """The boards of the trainable head; those of other kinds have tables of their own on the arena's page."""
    folder = ROOT / "experiments" / "arena" / "results"
    return [load(path) for name in sorted(BOARDS) if (path := folder / f"{name}.nc").is_file()]


@functools.cache
def _experiments() -> list[str]:
    found = (path.relative_to(ROOT).as_posix() for path in ROOT.glob("experiments/*/**/README.md"))
    return sorted(found)


def _entries(board: xr.Dataset, kind: str, name: str) -> list[str]:
    """The entries of the line-up on a board that are made with a method, alone or in a chain."""
    methods = json.loads(board.attrs[f"{kind}s"])
    methods = methods[str(board["data"].values[0])] if kind == "attack" else methods
    return [e for e in board[kind].values if f'"record": "{name}"' in json.dumps(methods.get(str(e), {}))]


def _attack(board: xr.Dataset, name: str) -> list[dict]:
    rows = []
    for entry in _entries(board, "attack", name):
        met = board.sel(data=board["data"].values[0], attack=entry)
        success = met[SUCCESS].median("seed")
        spared = is_judged_in_most(board).sel(data=met["data"], attack=entry) & (met["defense"] != UNDEFENDED)
        left = success.where(spared)
        rows.append(
            {
                "board": str(met["data"].values),
                "as": str(entry),
                UNDEFENDED_SUCCESS: _number(success.sel(defense=UNDEFENDED)),
                "floor": _number(met[SUCCESS + HONEST].sel(defense=UNDEFENDED).median("seed")),
                LEAST: _number(left.min()),
                "by": _short(left["defense"].values[np.isclose(left, left.min(), atol=0.005)], int(spared.sum())),
            }
        )
    return rows


def _defense(board: xr.Dataset, name: str) -> list[dict]:
    rows = []
    for entry in _entries(board, "defense", name):
        met = board.isel(data=0)
        success = met[SUCCESS].median("seed")
        behind, without = success.sel(defense=entry), success.sel(defense=UNDEFENDED)
        if behind.isnull().all():  # such as a defense that needs three parties, on a board of two
            continue
        strongest = str(behind["attack"].values[int(np.nanargmax(behind.values))])
        main = met[MAIN + HONEST].mean("attack").median("seed")  # as on the arena's page
        rows.append(
            {
                "board": str(met["data"].values),
                "as": str(entry),
                "strongest attack": strongest,
                BEHIND: _number(behind.max()),
                "no defense": _number(without.max()),
                DEFENDED_MAIN: _number(main.sel(defense=entry)),
                UNDEFENDED_MAIN: _number(main.sel(defense=UNDEFENDED)),
            }
        )
    return rows


def _number(value: xr.DataArray) -> str:
    return NOTHING if np.isnan(float(value)) else f"{float(value):.2f}"

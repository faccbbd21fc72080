"""What the arena's committed results say of one method, and which pages of experiments name it."""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING

import numpy as np

from docs.staging.pages import ROOT
from vfl_jax import load
from vfl_jax.arenas.lineup import ABSENT
from vfl_jax.arenas.standings import MAIN, SUCCESS, is_judged
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.reports import to_markdown
from vfl_jax.statistics.meetings import HONEST

if TYPE_CHECKING:
    import xarray as xr

NOTE = (
    "Medians over {seeds} seeds at the last epoch. *Attack success*: all test rows of other classes are attacked; the "
    "share that is predicted as the target class. *Floor*: the same of honest runs. A defense spares the task where "
    "honest runs lose at most 0.1 of main accuracy to it. How the [arena](../experiments/arena/README.md) was set up."
)


def of(name: str, is_attack: bool) -> str:
    """What was found about a method, as Markdown.

    Args:
      name: the name of its class.
      is_attack: whether it is an attack; else a defense.
    """
    rows = [row for board in _boards() for row in (_attack if is_attack else _defense)(board, name)]
    parts = [to_markdown(rows), NOTE.format(seeds=_boards()[0].sizes["seed"])] if rows else [_why_not(name)]
    named = [page for page in _experiments() if re.search(rf"`{name}\b", (ROOT / page).read_text())]
    if named:
        links = ", ".join(f"[{page.removesuffix('/README.md').split('/', 1)[1]}](../{page})" for page in named)
        parts.append(f"Experiments that have it: {links}.")
    return "\n\n".join(parts) + "\n"


def _why_not(name: str) -> str:
    if name in ABSENT:
        return f"It did not meet in the [arena](../experiments/arena/README.md): it {ABSENT[name]}."
    return "It has not met others in the [arena](../experiments/arena/README.md) yet."


@functools.cache
def _boards() -> list[xr.Dataset]:
    return [load(path) for path in sorted((ROOT / "experiments" / "arena" / "results").glob("*.nc"))]


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
        spared = is_judged(board).sel(data=met["data"], attack=entry).any("seed") & (met["defense"] != UNDEFENDED)
        left = success.where(spared)
        best = ", ".join(map(str, left["defense"].values[np.isclose(left, left.min(), atol=0.005)])) or "none was met"
        rows.append(
            {
                "board": str(met["data"].values),
                "as": str(entry),
                "attack success, no defense": _number(success.sel(defense=UNDEFENDED)),
                "floor": _number(met[SUCCESS + HONEST].sel(defense=UNDEFENDED).median("seed")),
                "least behind a defense that spares the task": f"{_number(left.min())}: {best}",
            }
        )
    return rows


def _defense(board: xr.Dataset, name: str) -> list[dict]:
    rows = []
    for entry in _entries(board, "defense", name):
        met = board.isel(data=0)
        success = met[SUCCESS].median("seed")
        behind, without = success.sel(defense=entry), success.sel(defense=UNDEFENDED)
        strongest = str(behind["attack"].values[int(np.nanargmax(behind.values))])
        main = met[MAIN + HONEST].median(("attack", "seed"))
        rows.append(
            {
                "board": str(met["data"].values),
                "as": str(entry),
                "strongest attack behind it": strongest,
                "its attack success": _number(behind.max()),
                "without a defense": _number(without.max()),
                "main accuracy, honest": _number(main.sel(defense=entry)),
                "undefended": _number(main.sel(defense=UNDEFENDED)),
            }
        )
    return rows


def _number(value: xr.DataArray) -> str:
    return f"{float(value):.2f}"

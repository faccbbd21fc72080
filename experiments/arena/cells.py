"""Single meetings on a board, and how tables write their values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.arenas.holding import boards_held
from vfl_jax.arenas.standings import MAIN, lifts
from vfl_jax.reports import Row
from vfl_jax.statistics.intervals import interval
from vfl_jax.statistics.meetings import HONEST

if TYPE_CHECKING:
    import xarray as xr


def cell_rows(board: xr.Dataset, attacks: Sequence[str]) -> list[Row]:
    """Every meeting on a board: the mean attack success above the floor, a row per defense.

    Attacks have numbers in the heads of columns, because a page has no room for ten names side by side.

    Args:
      board: the results of one board.
      attacks: the attacks, in the order of their numbers.
    """
    cell = board.isel(data=0)
    lift, honest = lifts(cell).mean("seed"), cell[MAIN + HONEST].mean(("attack", "seed"))
    return [
        {
            "defense": str(name),
            "honest runs": number(honest.sel(defense=name)),
            **{str(i): number(lift.sel(defense=name, attack=attack)) for i, attack in enumerate(attacks, 1)},
        }
        for name in cell["defense"].values
    ]


def rows_by_board(results: xr.Dataset) -> list[Row]:
    """Every defense that met on a board: its honest runs, whether it holds, and the lift of every attack.

    Args:
      results: those of all boards.
    """
    found: list[Row] = []
    for name in map(str, results["data"].values):
        for defense in map(str, results["defense"].values):
            cell = results.sel(data=name, defense=defense)
            by_seed = lifts(cell)
            if not by_seed.notnull().any():
                continue
            held, _ = boards_held(results.sel(data=[name]), defense)
            lift = {str(a): by_seed.sel(attack=a).dropna("seed").values for a in cell["attack"].values}
            found.append(
                {"data": name, "defense": defense, "honest runs": number(cell[MAIN + HONEST].mean())}
                | {"holds": "yes" if held else "not shown"}
                | {attack: mean_with_interval(values) if values.size else "–" for attack, values in lift.items()}
            )
    return found


def mean_with_interval(values: np.ndarray) -> str:
    """A mean over seeds with its interval, as a table has them.

    Args:
      values: float[S].
    """
    low, high = interval(values, np.mean)
    return f"{values.mean():z.3f} [{low:z.3f}, {high:z.3f}]"


def number(value: xr.DataArray) -> str:
    """A value as a table has it, or a dash.

    Args:
      value: float[].
    """
    return "–" if np.isnan(float(value)) else f"{float(value):z.2f}"

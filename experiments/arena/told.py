"""Attackers who are told every training row of τ, as if they had read the labels and overwrote all they read."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from experiments.arena.cells import mean_with_interval, number
from vfl_jax.arenas.boards import Board
from vfl_jax.arenas.holding import attacks_through, boards_held
from vfl_jax.arenas.standings import MAIN, lifts
from vfl_jax.reports import Row
from vfl_jax.statistics.meetings import HONEST

if TYPE_CHECKING:
    import xarray as xr

NOTE = """\
The boards are the same, but an attacker is told every training row of τ, where the ranks tell him a tenth. No attack
reads labels so well behind every defense: these are bounds. An attacker who overwrites what he read from gradients
stays below them. Mean lifts over seeds, with 95 % bootstrap intervals.
"""


def every_row_known(board: Board) -> Board:
    """Returns the board on which an attacker may know all training rows of every class.

    Args:
      board: a board of the arena.
    """
    counts = np.bincount(np.asarray(board.data.train.labels), minlength=board.data.num_classes)
    return dataclasses.replace(board, most_known=tuple(map(int, counts)))


def line(results: xr.Dataset, told: xr.Dataset) -> str:
    """The line of the answer: of the defenses that hold, which hold against who is told every row of τ; "" of none.

    Args:
      results: those of the ranks, of all boards.
      told: those of attackers who are told every row, of some boards.
    """
    open_at, held_at = [], []
    for defense in map(str, told["defense"].values):
        boards, _ = boards_held(results, defense) if defense in results["defense"] else ([], [])
        for name in (name for name in boards if name in told["data"]):
            here = told.sel(data=[name])
            through, met = attacks_through(here, name, defense)
            if met and boards_held(here, defense)[0]:
                held_at.append(f"{defense} on {name}")
            elif through:
                means = {attack: float(lifts(here).sel(attack=attack, defense=defense).mean()) for attack in through}
                best = max(means, key=lambda attack: means[attack])
                open_at.append(f"{defense} on {name} ({best} leads {means[best]:.0%} more than honest runs do)")
    parts = [f"get through {' and '.join(open_at)}"] if open_at else []
    parts += [f"were not seen to get through {' and '.join(held_at)}"] if held_at else []
    return f"* Told every row of τ, not a tenth, attackers {', and '.join(parts)}." if parts else ""


def rows(results: xr.Dataset) -> list[Row]:
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

"""More seeds than every meeting of a board has: who gets them, and what they say beside the first."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from experiments.arena.cells import mean_with_interval
from vfl_jax.arenas.standings import at_common_seeds, lifts
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.reports import Row

if TYPE_CHECKING:
    import xarray as xr


DIFFERS = 0.05
"""Means of the first seeds and of those since that lie so far apart are told meeting by meeting."""


def strongest_on(board: xr.Dataset, count: int) -> dict[str, list[str]]:
    """The attacks of a board, each with the defenses on which it is one of the strongest; no defense is not among them.

    The strongest have the largest mean attack success above the honest runs', at the seeds that all meetings have.

    Args:
      board: the results of one board.
      count: how many attacks of every defense.
    """
    means = lifts(at_common_seeds(board)).mean("seed").isel(data=0)
    found: dict[str, list[str]] = {str(name): [] for name in board["attack"].values}
    for defense in (str(name) for name in board["defense"].values if name != UNDEFENDED):
        of_defense = means.sel(defense=defense).dropna("attack")
        for name in of_defense["attack"].values[np.argsort(-of_defense.values, kind="stable")[:count]]:
            found[str(name)].append(defense)
    return found


def rows_by_defense(results: xr.Dataset) -> list[Row]:
    """By defense, what the seeds say that chose its strongest attacks, and what those since say, which chose none.

    Args:
      results: those of all boards.
    """
    first, since = _first_and_since(results)
    change = (since - first).where(since.notnull())
    rows: list[Row] = []
    for defense in results["defense"].values:
        of_it = change.sel(defense=defense)
        if of_it.notnull().any():
            most = of_it.stack(meeting=("data", "attack")).dropna("meeting")
            most = most.isel(meeting=int(np.abs(most.values).argmax()))
            means = [float(lift.sel(defense=defense).where(of_it.notnull()).mean()) for lift in (first, since)]
            row: Row = {"defense": str(defense), "meetings": str(int(of_it.notnull().sum()))}
            row |= {"lift, first seeds": f"{means[0]:z.3f}", "lift, seeds since": f"{means[1]:z.3f}"}
            board, attack = most["meeting"].item()
            rows.append(row | {"largest change of a meeting": f"{float(most):+z.2f}, {attack} on {board}"})
    return rows


def rows_with_more(results: xr.Dataset) -> list[Row]:
    """The meetings that have more seeds than all of their board, where those since say something else than the first.

    Args:
      results: those of all boards.
    """
    first, since = _first_and_since(results)
    differs = abs(since - first) >= DIFFERS
    rows: list[Row] = []
    for board in results["data"].values:
        by_seed, common = lifts(results.sel(data=board)), _common_seeds(results, board)
        for defense, attack in itertools.product(results["defense"].values, results["attack"].values):
            if differs.sel(data=board, defense=defense, attack=attack):
                lift = by_seed.sel(defense=defense, attack=attack).dropna("seed")
                is_first = np.isin(lift["seed"].values, common)
                row: Row = {"data": str(board), "defense": str(defense), "attack": str(attack)}
                row |= {"lift": mean_with_interval(lift.values), "seeds": str(lift.size)}
                row |= {"of the first": mean_with_interval(lift.values[is_first]), "first seeds": str(is_first.sum())}
                rows.append(row | {"of those since": mean_with_interval(lift.values[~is_first])})
    return rows


def _common_seeds(results: xr.Dataset, board: str) -> np.ndarray:
    """The seeds that all meetings of a board have: they chose its strongest attacks."""
    return at_common_seeds(results.sel(data=[board]))["seed"].values


def _first_and_since(results: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """By data, defense and attack, the mean lift of the seeds that chose, and of the others."""
    import xarray as xr

    by_seed, names = lifts(results), ("data", "seed")
    chose = [np.isin(results["seed"].values, _common_seeds(results, board)) for board in results["data"].values]
    is_first = xr.DataArray(chose, {name: results[name] for name in names}, names)
    return by_seed.where(is_first).mean("seed"), by_seed.where(~is_first).mean("seed")

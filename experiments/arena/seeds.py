"""More seeds than the first: who gets them, and what they say beside the first."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from experiments.arena.cells import mean_with_interval
from vfl_jax.arenas.standings import lifts
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.reports import Row

if TYPE_CHECKING:
    import xarray as xr


FIRST = 5
"""So many seeds every meeting had first. They choose who gets more as one of the strongest, on every board alike."""
DIFFERS = 0.1
"""Means of the first seeds and of those since that lie so far apart are told meeting by meeting. Nearly all meetings
have seeds since, and 0.05 would fill pages."""


def strongest_on(board: xr.Dataset, count: int) -> dict[str, list[str]]:
    """The attacks of a board, each with the defenses on which it is one of the strongest; no defense is not among them.

    The strongest have the largest mean attack success above the honest runs', of those that have all first seeds.

    Args:
      board: the results of one board.
      count: how many attacks of every defense.

    Raises:
      ValueError: where the board lacks one of the first seeds.
    """
    of_first = _lifts_of_first(board).isel(data=0)
    if of_first.sizes["seed"] < FIRST:
        raise ValueError(f"The strongest attacks are chosen by seeds 0 to {FIRST - 1}; the board lacks some of them.")
    means = of_first.mean("seed", skipna=False)
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
    """The meetings that have more seeds than the first, where those since say something else.

    Args:
      results: those of all boards.
    """
    first, since = _first_and_since(results)
    differs = abs(since - first) >= DIFFERS
    rows: list[Row] = []
    for board in results["data"].values:
        by_seed = lifts(results.sel(data=board))
        for defense, attack in itertools.product(results["defense"].values, results["attack"].values):
            if differs.sel(data=board, defense=defense, attack=attack):
                lift = by_seed.sel(defense=defense, attack=attack).dropna("seed")
                is_first = lift["seed"].values < FIRST
                row: Row = {"data": str(board), "defense": str(defense), "attack": str(attack)}
                row |= {"lift": mean_with_interval(lift.values), "seeds": str(lift.size)}
                row |= {"of the first": mean_with_interval(lift.values[is_first]), "first seeds": str(is_first.sum())}
                rows.append(row | {"of those since": mean_with_interval(lift.values[~is_first])})
    return rows


def _lifts_of_first(results: xr.Dataset) -> xr.DataArray:
    """The lifts of the seeds that choose, float[data, attack, defense, seed]."""
    return lifts(results.sel(seed=results["seed"] < FIRST))


def _first_and_since(results: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """By data, defense and attack, the mean lift of the seeds that chose, and of the others."""
    since = lifts(results.sel(seed=results["seed"] >= FIRST))
    return _lifts_of_first(results).mean("seed"), since.mean("seed")

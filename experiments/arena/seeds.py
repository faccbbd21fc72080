"""More seeds where they matter: without a defense, and of every defense with the attacks that were strongest on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from experiments.arena.cells import mean_with_interval
from vfl_jax.arenas.standings import at_common_seeds, lifts
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.reports import Row

if TYPE_CHECKING:
    import xarray as xr


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


def rows_with_more(results: xr.Dataset) -> list[Row]:
    """The meetings that have more seeds than all have: what these say, beside what the common ones say.

    Args:
      results: those of all boards.
    """
    common = at_common_seeds(results)["seed"].values
    by_seed = lifts(results)
    rows: list[Row] = []
    for board in results["data"].values:
        for defense in results["defense"].values:
            for attack in results["attack"].values:
                lift = by_seed.sel(data=board, defense=defense, attack=attack).dropna("seed")
                if lift.sizes["seed"] > len(common):
                    first = lift.sel(seed=lift["seed"].isin(common))
                    row: Row = {"data": str(board), "defense": str(defense), "attack": str(attack)}
                    row |= {"seeds": str(lift.sizes["seed"]), "lift": mean_with_interval(lift.values)}
                    rows.append(row | {f"of the first {len(common)}": mean_with_interval(first.values)})
    return rows

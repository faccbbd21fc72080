"""More seeds where they matter: without a defense, and of every defense with the attacks that were strongest on it."""

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
    """By defense, what the seeds say that chose its strongest attacks, and what those since say, which chose nothing.

    Args:
      results: those of all boards.
    """
    count, first, since = _before_and_since(results)
    change = (since - first).where(since.notnull())
    rows: list[Row] = []
    for defense in results["defense"].values:
        of_it = change.sel(defense=defense)
        if of_it.notnull().any():
            most = of_it.stack(meeting=("data", "attack")).dropna("meeting")
            most = most.isel(meeting=int(np.abs(most.values).argmax()))
            means = [float(lift.sel(defense=defense).where(of_it.notnull()).mean()) for lift in (first, since)]
            row: Row = {"defense": str(defense), "meetings": str(int(of_it.notnull().sum()))}
            row |= {f"lift, first {count} seeds": f"{means[0]:z.3f}", "lift, seeds since": f"{means[1]:z.3f}"}
            board, attack = most["meeting"].item()
            rows.append(row | {"largest change of a meeting": f"{float(most):+.2f}, {attack} on {board}"})
    return rows


def rows_with_more(results: xr.Dataset) -> list[Row]:
    """The meetings that have more seeds than all have: what all their seeds say, the first of them, and those since.

    Args:
      results: those of all boards.
    """
    by_seed, common, rows = lifts(results), at_common_seeds(results)["seed"], list[Row]()
    count, _, since = _before_and_since(results)
    for board, defense, attack in itertools.product(*(results[of].values for of in ("data", "defense", "attack"))):
        meeting = {"data": board, "defense": defense, "attack": attack}
        if np.isfinite(since.sel(meeting)):
            lift = by_seed.sel(meeting).dropna("seed")
            is_first = lift["seed"].isin(common).values
            row: Row = {name: str(value) for name, value in meeting.items()}
            row |= {"seeds": str(lift.sizes["seed"]), "lift": mean_with_interval(lift.values)}
            row[f"of the first {count}"] = mean_with_interval(lift.values[is_first])
            rows.append(row | {"of those since": mean_with_interval(lift.values[~is_first])})
    return rows


def _before_and_since(results: xr.Dataset) -> tuple[int, xr.DataArray, xr.DataArray]:
    """How many seeds all meetings have; by data, defense and attack, the mean lift of these, and of the others."""
    by_seed, common = lifts(results), at_common_seeds(results)["seed"]
    is_common = by_seed["seed"].isin(common)
    first, since = (by_seed.isel(seed=which.values).mean("seed") for which in (is_common, ~is_common))
    return common.size, first, since

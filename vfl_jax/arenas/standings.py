"""Who wins in an arena: the rank of attacks and of defenses, with intervals over seeds, ties shown as ties.

A value of a ranking is first averaged over cells, seed by seed, then over seeds; its interval is over seeds. Of two
neighbours in a ranking the lower one is tied with the upper where the interval of their paired difference holds 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vfl_jax.arenas.table import HONEST, UNDEFENDED
from vfl_jax.statistics.intervals import interval
from vfl_jax.statistics.judging import DEFENSE_LOSS_AT_MOST

if TYPE_CHECKING:
    import xarray as xr

SUCCESS = "attack_success"
MAIN = "main_accuracy"
LEVEL = 0.95
"""Of every interval."""


class Standing(NamedTuple):
    """A place in a ranking.

    Args:
      rank: from 1; tied neighbours share one. None for who met on fewer than half of the boards: its values are over
        other cells than those of the ranked.
      name: the attack or defense.
      success: the mean attack success, and the ends of its interval.
      lift: the mean attack success above its floor, the honest runs', and the ends of its interval.
      cost: the mean loss of main accuracy, and the ends of its interval: of an attack, by the attack; of a defense, in
        honest runs beside undefended ones.
      num_cells: the number of cells that were averaged.
    """

    rank: int | None
    name: str
    success: tuple[float, float, float]
    lift: tuple[float, float, float]
    cost: tuple[float, float, float]
    num_cells: int


def is_judged(results: xr.Dataset) -> xr.DataArray:
    """Where a meeting says something of an attack, bool[data, attack, defense, seed].

    The honest run must be finite, and lose no more than 0.1 of main accuracy to the defense.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    honest = results[MAIN + HONEST]
    undefended = honest.sel(defense=UNDEFENDED, drop=True)
    return honest.notnull() & (results[f"is_finite{HONEST}"] > 0) & (undefended - honest <= DEFENSE_LOSS_AT_MOST)


def is_ranked(results: xr.Dataset, dimension: str) -> xr.DataArray:
    """Who met on at least half of the boards, bool by attack or by defense.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
      dimension: "attack" or "defense".
    """
    others = [name for name in ("attack", "defense", "seed") if name != dimension]
    return results[SUCCESS].notnull().any(others).mean("data") >= 0.5


def shared_cells(results: xr.Dataset) -> xr.DataArray:
    """The cells that every ranked attack has, bool[data, defense].

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    ranked = results["attack"].values[is_ranked(results, "attack").values]
    return results[SUCCESS].sel(attack=ranked).notnull().any("seed").all("attack")


def shared_boards(results: xr.Dataset) -> list[str]:
    """The boards that every ranked defense has.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    ranked = results["defense"].values[is_ranked(results, "defense").values]
    there = results[SUCCESS].sel(defense=ranked).notnull().any(("seed", "attack")).all("defense")
    return [str(name) for name in results["data"].values[there.values]]


def rank_attacks(results: xr.Dataset) -> list[Standing]:
    """Ranks attacks by their success above the floor, over the boards and defenses that all of them have.

    A cell whose defense has ruined the honest run counts with the success that the attack has there: the attacker does
    not mind.

    Args:
      results: as :func:`vfl_jax.arena` returns them.

    Returns:
      the attacks, the strongest first; behind them those that are not ranked, over their own cells.
    """
    over, shared, ranked = ("data", "defense"), shared_cells(results), is_ranked(results, "attack")
    own = results[SUCCESS].notnull().any("seed")
    is_cell = own & (shared | ~ranked)
    cells = results.where(is_cell)
    values = {
        SUCCESS: cells[SUCCESS].mean(over),
        "lift": (cells[SUCCESS] - cells[SUCCESS + HONEST]).mean(over),
        "cost": (cells[MAIN + HONEST] - cells[MAIN]).mean(over),
    }
    return _ranked("attack", values, ranked, is_cell.sum(over), strongest_first=True)


def rank_defenses(results: xr.Dataset) -> list[Standing]:
    """Ranks defenses by what the strongest attack tried has above its floor behind each, over the boards that all have.

    The strongest attack is chosen on every board. A defense that ruins honest runs leaves what it leaves, and its cost
    says so.

    Args:
      results: as :func:`vfl_jax.arena` returns them.

    Returns:
      the defenses, the one that leaves least first; behind them those that are not ranked, over their own boards.
    """
    ranked = is_ranked(results, "defense")
    own = results[SUCCESS].notnull().any(("seed", "attack"))
    is_cell = own & (results["data"].isin(shared_boards(results)) | ~ranked)
    strongest = strongest_attacks(results)
    left, floor = (results[name].isel(attack=strongest).where(is_cell) for name in (SUCCESS, SUCCESS + HONEST))
    honest = results[MAIN + HONEST].mean("attack").where(is_cell)
    undefended = results[MAIN + HONEST].mean("attack").sel(defense=UNDEFENDED, drop=True)
    values = {
        SUCCESS: left.mean("data"),
        "lift": (left - floor).mean("data"),
        "cost": (undefended - honest).mean("data"),
    }
    return _ranked("defense", values, ranked, is_cell.sum("data"), strongest_first=False)


def strongest_attacks(results: xr.Dataset) -> xr.DataArray:
    """The number of the strongest attack of every board and defense: the one whose median over seeds is the largest.

    Args:
      results: as :func:`vfl_jax.arena` returns them.

    Returns:
      int[data, defense]; of a meeting that did not take place it says nothing.
    """
    return results[SUCCESS].median("seed").fillna(-1.0).argmax("attack")


def _ranked(
    dimension: str,
    values: dict[str, xr.DataArray],
    is_ranked: xr.DataArray,
    num_cells: xr.DataArray,
    strongest_first: bool,
) -> list[Standing]:
    """The standings in order of their lift, the ranked before the others."""
    names = [str(name) for name in is_ranked[dimension].values]
    rows = {name: array.transpose(dimension, "seed").values for name, array in values.items()}
    means = np.array([_mean(row) for row in rows["lift"]])
    order = np.lexsort((-means if strongest_first else means, ~is_ranked.values))
    found: list[Standing] = []
    for place, i in enumerate(order):
        rank = place + 1 if is_ranked.values[i] else None
        if rank is not None and found and _is_tied(rows["lift"][order[place - 1]], rows["lift"][i]):
            rank = found[-1].rank
        success, lift, cost = (_with_interval(rows[name][i]) for name in (SUCCESS, "lift", "cost"))
        found.append(Standing(rank, names[i], success, lift, cost, int(num_cells.values[i])))
    return found


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else np.nan


def _with_interval(values: np.ndarray) -> tuple[float, float, float]:
    """The mean over seeds and the ends of its interval."""
    return (_mean(values), *interval(values, np.mean, LEVEL))


def _is_tied(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether the seeds cannot tell two rows apart: the interval of their difference holds 0, or there is one seed."""
    difference = (one - other)[np.isfinite(one - other)]
    if len(difference) < 2:
        return True
    low, high = interval(difference, np.mean, LEVEL)
    return low <= 0 <= high

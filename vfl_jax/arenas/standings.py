"""Who wins in an arena: the rank of attacks and of defenses, with intervals over seeds, ties shown as ties.

A value of a ranking is first averaged over cells, seed by seed, then over seeds; its interval is over seeds. Of two
neighbours in a ranking the lower one is tied with the upper where the interval of their paired difference holds 0.
"""

from __future__ import annotations

from collections.abc import Sequence
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
      rank: from 1; tied neighbours share one.
      name: the attack or defense.
      success: the mean attack success, and the ends of its interval.
      lift: the mean attack success above its floor, the honest runs', and the ends of its interval.
      cost: the mean loss of main accuracy, and the ends of its interval: of an attack, by the attack; of a defense, in
        honest runs beside undefended ones.
      num_cells: the number of cells that were averaged.
    """

    rank: int
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


def shared_cells(results: xr.Dataset) -> xr.DataArray:
    """The meetings of boards and defenses that every attack has, bool[data, defense].

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    return results[SUCCESS].notnull().any("seed").all("attack")


def rank_attacks(results: xr.Dataset) -> list[Standing]:
    """Ranks attacks by their success over the boards and defenses that all of them have.

    A cell whose defense has ruined the honest run counts with the success that the attack has there: the attacker does
    not mind.

    Args:
      results: as :func:`vfl_jax.arena` returns them.

    Returns:
      the attacks, the strongest first.
    """
    shared = shared_cells(results)
    cells = results.where(shared)
    over = ("data", "defense")
    values = {
        SUCCESS: cells[SUCCESS].mean(over),
        "lift": (cells[SUCCESS] - cells[SUCCESS + HONEST]).mean(over),
        "cost": (cells[MAIN + HONEST] - cells[MAIN]).mean(over),
    }
    return _ranked(results["attack"].values, "attack", values, "lift", int(shared.sum()), strongest_first=True)


def rank_defenses(results: xr.Dataset, boards: Sequence[str] | None = None) -> list[Standing]:
    """Ranks defenses by what the strongest attack tried leaves behind each of them.

    The strongest attack is chosen on every board. A defense that ruins honest runs leaves what it leaves, and its cost
    says so.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
      boards: the boards to rank over; by default those that every defense has.

    Returns:
      the defenses, the one that leaves least first.
    """
    there = results[SUCCESS].notnull().any(("seed", "attack")).all("defense")
    chosen = results.sel(data=list(boards) if boards is not None else results["data"].values[there.values])
    strongest = strongest_attacks(chosen)
    left, floor = (chosen[name].isel(attack=strongest) for name in (SUCCESS, SUCCESS + HONEST))
    honest = chosen[MAIN + HONEST].mean("attack")
    values = {
        SUCCESS: left.mean("data"),
        "lift": (left - floor).mean("data"),
        "cost": (honest.sel(defense=UNDEFENDED, drop=True) - honest).mean("data"),
    }
    return _ranked(results["defense"].values, "defense", values, "lift", chosen.sizes["data"], strongest_first=False)


def strongest_attacks(results: xr.Dataset) -> xr.DataArray:
    """The number of the strongest attack of every board and defense: the one whose median over seeds is the largest.

    Args:
      results: as :func:`vfl_jax.arena` returns them.

    Returns:
      int[data, defense]; of a meeting that did not take place it says nothing.
    """
    return results[SUCCESS].median("seed").fillna(-1.0).argmax("attack")


def _ranked(
    names: np.ndarray,
    dimension: str,
    values: dict[str, xr.DataArray],
    by: str,
    num_cells: int,
    strongest_first: bool,
) -> list[Standing]:
    """The standings in order of one value."""
    table = {name: array.transpose(dimension, "seed").values for name, array in values.items()}
    means = np.array([_mean(row) for row in table[by]])
    order = np.argsort(-means if strongest_first else means, kind="stable")
    found: list[Standing] = []
    for place, i in enumerate(order):
        rank = place + 1
        if found and _is_tied(table[by][order[place - 1]], table[by][i]):
            rank = found[-1].rank
        estimates = {name: _with_interval(rows[i]) for name, rows in table.items()}
        found.append(Standing(rank, str(names[i]), estimates[SUCCESS], estimates["lift"], estimates["cost"], num_cells))
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

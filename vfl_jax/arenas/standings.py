"""Who wins in an arena: the rank of attacks and of defenses, with intervals over seeds, ties shown as ties.

A value of a ranking is first averaged over cells, seed by seed, then over seeds; its interval is over seeds. Who
follows the first of a rank shares it where the t interval of their paired difference holds 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.statistics.intervals import interval, t_interval
from vfl_jax.statistics.judging import BACKDOOR_ABOVE, DEFENSE_LOSS_AT_MOST, KEEPS
from vfl_jax.statistics.meetings import HONEST

if TYPE_CHECKING:
    import xarray as xr

SUCCESS = "attack_success"
MAIN = "main_accuracy"
LEVEL = 0.95
"""Of every interval."""
NEARLY_ALL = 0.9
"""Who is ranked met in so large a share of the cells that anybody has."""


class Standing(NamedTuple):
    """A place in a ranking.

    Args:
      rank: from 1; who is tied shares one. None for who is not ranked: its values are over other cells.
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


def lifts(results: xr.Dataset) -> xr.DataArray:
    """Returns the attack success above the honest runs of the same seeds, by data, attack, defense and seed.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    return results[SUCCESS] - results[SUCCESS + HONEST]


def at_common_seeds(results: xr.Dataset) -> xr.Dataset:
    """Returns results at the seeds of every meeting by which ranks are told; all of them where there is no such seed.

    Ranks are told by the meetings of attacks that :func:`met_evenly`. Parts of an arena may have more seeds than
    others. A mean over cells, seed by seed, would be one over other cells at these seeds. Attacks that met few defenses
    may have fewer: theirs are missing values.

    Args:
      results: as :func:`vfl_jax.arena` returns them, or joined parts of them.
    """
    was_trained = _was_trained(results)
    lacks_none = was_trained | ~(was_trained.any("seed") & met_evenly(results))
    is_common = lacks_none.all([name for name in lacks_none.dims if name != "seed"]).values
    return results.isel(seed=is_common) if is_common.any() else results


def _was_trained(results: xr.Dataset) -> xr.DataArray:
    """Which seeds a meeting has, bool[data, attack, defense, seed]."""
    return results[f"is_finite{HONEST}"].notnull()


def is_judged(results: xr.Dataset) -> xr.DataArray:
    """Where a meeting says something of an attack, bool[data, attack, defense, seed].

    The honest run must be finite, and not lead more than half of the attacked rows to τ by itself. The defense must
    spare it: it loses no more than 0.1 of main accuracy, and keeps half of what the undefended honest run knows beyond
    the most frequent class.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    honest = results[MAIN + HONEST]
    undefended = honest.sel(defense=UNDEFENDED, drop=True)
    majority = results["majority"]
    is_useful = honest - majority >= KEEPS * (undefended - majority)
    is_spared = is_useful & (undefended - honest <= DEFENSE_LOSS_AT_MOST)
    return is_spared & (results[f"is_finite{HONEST}"] > 0) & (results[SUCCESS + HONEST] <= BACKDOOR_ABOVE)


def is_ranked(results: xr.Dataset, dimension: str) -> xr.DataArray:
    """Who met in nearly all cells that anybody has, bool by attack or by defense.

    Were it fewer, one attack that cannot be on a board would take this board from all others.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
      dimension: "attack" or "defense".
    """
    met = results[SUCCESS].notnull().any("seed")
    if dimension == "defense":
        met = met.any("attack")
    over = [name for name in met.dims if name != dimension]
    return met.sum(over) >= NEARLY_ALL * met.any(dimension).sum()


def met_evenly(results: xr.Dataset) -> xr.DataArray:
    """Who met nearly all defenses that anybody met on a board, bool[data, attack]; all, where nobody did.

    A defense that refuses an attack counts as met. Defenses are ranked by these attacks alone: one that met no defense
    but a few would make the others look better than they are.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    met = results[SUCCESS].notnull().any("seed")
    there = met.any("attack")
    evenly = ((met | (results["reason"] != "")) & there).sum("defense") >= NEARLY_ALL * there.sum("defense")
    return evenly | ~evenly.any("attack")


def compared(results: xr.Dataset) -> xr.Dataset:
    """Returns what defenses are compared by: the meetings of attacks that :func:`met_evenly`, at their common seeds.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    names = [SUCCESS, SUCCESS + HONEST, MAIN, MAIN + HONEST]
    return at_common_seeds(results)[names].where(met_evenly(results))


def shared_cells(results: xr.Dataset) -> xr.DataArray:
    """The cells that every ranked attack has and that are judged for all of them in most seeds, bool[data, defense].

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    ranked = results["attack"].values[is_ranked(results, "attack").values]
    return is_judged_in_most(results).sel(attack=ranked).all("attack")


def shared_boards(results: xr.Dataset) -> list[str]:
    """The boards that every ranked defense has.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    ranked = results["defense"].values[is_ranked(results, "defense").values]
    there = results[SUCCESS].sel(defense=ranked).notnull().any(("seed", "attack")).all("defense")
    return [str(name) for name in results["data"].values[there.values]]


def is_judged_in_most(results: xr.Dataset) -> xr.DataArray:
    """Where a meeting is judged in more than half of its seeds (:func:`is_judged`), bool[data, attack, defense].

    Args:
      results: as :func:`vfl_jax.arena` returns them.
    """
    there = results[SUCCESS].notnull()
    return (is_judged(results) & there).sum("seed") * 2 > there.sum("seed")


def rank_attacks(results: xr.Dataset) -> list[Standing]:
    """Ranks attacks by their success above the floor, over the cells that all of them have.

    A cell does not count where the defense has ruined most honest runs, or where these lead most rows to τ themselves.
    Every board weighs the same, however many defenses met on it.

    Args:
      results: as :func:`vfl_jax.arena` returns them.

    Returns:
      the attacks, the strongest first; behind them those that are not ranked, over their own cells.
    """
    results = at_common_seeds(results)
    over, shared, ranked = ("data", "defense"), shared_cells(results), is_ranked(results, "attack")
    is_cell = is_judged_in_most(results) & (shared | ~ranked)
    has_all = (_was_trained(results) | ~is_cell).all(over)  # who is not ranked may lack seeds in some of its cells
    counts = has_all | ranked | ~has_all.any("seed")
    cells = results.where(is_cell & counts)
    values = {
        SUCCESS: _over_boards(cells[SUCCESS]),
        "lift": _over_boards(lifts(cells)),
        "cost": _over_boards(cells[MAIN + HONEST] - cells[MAIN]),
    }
    return _ranked("attack", values, ranked, is_cell.sum(over), strongest_first=True)


def _over_boards(values: xr.DataArray) -> xr.DataArray:
    """The mean over boards of the means over defenses: a board does not weigh more because more defenses met on it."""
    return values.mean("defense").mean("data")


def rank_defenses(results: xr.Dataset) -> list[Standing]:
    """Ranks defenses by what the strongest attack tried has above its floor behind each, over the boards that all have.

    The strongest attack is chosen on every board, by its lift, of those that met nearly all defenses there. A defense
    that costs honest runs more than 0.1 of main accuracy in the mean has no rank: it stops the task.

    Args:
      results: as :func:`vfl_jax.arena` returns them.

    Returns:
      the defenses, the one that leaves least first; behind them those that are not ranked, over their own boards.
    """
    results = compared(results)
    ranked = is_ranked(results, "defense")
    undefended = results[MAIN + HONEST].mean("attack").sel(defense=UNDEFENDED, drop=True)
    cost = (undefended - results[MAIN + HONEST].mean("attack")).mean(("data", "seed"))
    own = results[SUCCESS].notnull().any(("seed", "attack"))
    is_cell = own & (results["data"].isin(shared_boards(results)) | ~ranked)
    strongest = _strongest(results)
    left, floor = (results[name].isel(attack=strongest).where(is_cell) for name in (SUCCESS, SUCCESS + HONEST))
    honest = results[MAIN + HONEST].mean("attack").where(is_cell)
    values = {
        SUCCESS: left.mean("data"),
        "lift": (left - floor).mean("data"),
        "cost": (undefended - honest).mean("data"),
    }
    return _ranked(
        "defense", values, ranked & (cost <= DEFENSE_LOSS_AT_MOST), is_cell.sum("data"), strongest_first=False
    )


def strongest_attacks(results: xr.Dataset) -> xr.DataArray:
    """The number of the strongest attack of every board and defense: the one whose mean lift is the largest.

    Only attacks that met nearly all defenses of the board compete (:func:`met_evenly`).

    Args:
      results: as :func:`vfl_jax.arena` returns them.

    Returns:
      int[data, defense]; of a meeting that did not take place it says nothing.
    """
    return _strongest(compared(results))


def _strongest(compared: xr.Dataset) -> xr.DataArray:
    return lifts(compared).mean("seed").fillna(-np.inf).argmax("attack")


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
    means = np.array([mean_of(row) for row in rows["lift"]])
    has_rank = is_ranked.values & np.isfinite(means)  # where nothing was judged, there is nothing to rank
    order = np.lexsort((-means if strongest_first else means, ~has_rank))
    found: list[Standing] = []
    first = order[0]  # of those that share a rank
    for place, i in enumerate(order):
        rank = place + 1 if has_rank[i] else None
        if rank is not None and found and _is_tied(rows["lift"][first], rows["lift"][i]):
            rank = found[-1].rank
        else:
            first = i
        success, lift, cost = (_with_interval(rows[name][i]) for name in (SUCCESS, "lift", "cost"))
        found.append(Standing(rank, names[i], success, lift, cost, int(num_cells.values[i])))
    return found


def mean_of(values: np.ndarray) -> float:
    """The mean over the seeds that have a value, NaN where none has.

    Args:
      values: float[S].
    """
    return float(np.nanmean(values)) if np.isfinite(values).any() else np.nan


def _with_interval(values: np.ndarray) -> tuple[float, float, float]:
    """The mean over seeds and the ends of its interval."""
    return (mean_of(values), *interval(values, np.mean, LEVEL))


def _is_tied(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether seeds cannot tell two rows apart: the t interval of their difference holds 0, or there is one seed."""
    difference = (one - other)[np.isfinite(one - other)]
    if len(difference) < 2:
        return True
    low, high = t_interval(difference, LEVEL)
    return low <= 0 <= high

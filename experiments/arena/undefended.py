"""Attacks that met few defenses or none: all attacks without a defense, and what some defenses let through of more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.arena.cells import mean_with_interval, number
from vfl_jax.arenas.standings import SUCCESS, lifts, met_evenly, rank_attacks
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.reports import Row

if TYPE_CHECKING:
    import xarray as xr

NOTE = (
    "Ranks and means are over the boards that all ranked attacks have and whose honest runs do not lead most rows to τ "
    "themselves. An attack that is not on nearly all boards has no rank, and its means are over its own.\n"
)
BESIDE_NOTE = (
    "These count where this page says whether a defense holds. They do not count in the ranks, because these attacks "
    "met few defenses.\n"
)
BOARDS_NOTE = (
    "The mean over seeds of the attack success above the honest runs'. A dash: it could not be there, or was not "
    "tried.\n"
)


def those_who_met_defenses(results: xr.Dataset) -> xr.Dataset:
    """The results of the attacks that met nearly all defenses of some board; the heat map has these.

    Args:
      results: those of all boards.
    """
    met = results[SUCCESS].notnull().any("seed")
    met_one = met.sel(defense=met["defense"] != UNDEFENDED).any("defense")
    found = results.sel(attack=(met_evenly(results) & met_one).any("data").values)
    return found if found.sizes["attack"] else results


def without_defenses(results: xr.Dataset) -> xr.Dataset:
    """The results of meetings without a defense.

    Args:
      results: those of all boards.
    """
    return results.sel(defense=[UNDEFENDED])


def lift_rows(results: xr.Dataset) -> list[Row]:
    """Every attack's lift without a defense, the strongest first; a column per board.

    Args:
      results: those of all boards.
    """
    undefended = without_defenses(results)
    means = lifts(undefended).mean("seed").sel(defense=UNDEFENDED)
    return [
        {"attack": place.name}
        | {str(name): number(means.sel(data=name, attack=place.name)) for name in results["data"].values}
        for place in rank_attacks(undefended)
    ]


def meetings_beside(results: xr.Dataset) -> list[Row]:
    """The meetings with a defense of attacks that met few of a board's defenses.

    Args:
      results: those of all boards.
    """
    by_seed = lifts(results)
    evenly = met_evenly(results)
    return [
        {"data": data, "defense": defense, "attack": attack, "lift": mean_with_interval(lift)}
        for data in map(str, results["data"].values)
        for defense in map(str, results["defense"].values)
        for attack in map(str, results["attack"].values)
        if defense != UNDEFENDED and not evenly.sel(data=data, attack=attack)
        if (lift := by_seed.sel(data=data, defense=defense, attack=attack).dropna("seed").values).size
    ]

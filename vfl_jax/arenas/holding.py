"""Whether a defense holds on a board, and which attacks get through it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.arenas.standings import LEVEL, SUCCESS, is_judged, lifts, mean_of
from vfl_jax.statistics.intervals import t_interval

if TYPE_CHECKING:
    import xarray as xr

HOLDS_WITHIN = 0.1
"""A defense holds on a board where every attack tried stays so near to the honest runs."""


def boards_held(results: xr.Dataset, defense: str) -> tuple[list[str], list[str]]:
    """Returns the boards that a defense holds, and all that it was tried on; a mean over boards hides both.

    It holds a board where it spares the honest runs of every seed (:func:`is_judged`) and no attack tried leads more
    than 0.1 more of the attacked rows to τ than they do, by the upper end of the t interval over seeds of its lift.
    An attack that few seeds let through counts, too, and so does a seed whose training diverges.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
      defense: its name.
    """
    held, tried = [], []
    cells = results.sel(defense=defense)
    is_spared = (is_judged(results).sel(defense=defense) | cells[SUCCESS].isnull()).all(("attack", "seed"))
    for board in map(str, results["data"].values):
        if cells[SUCCESS].sel(data=board).notnull().any():
            tried.append(board)
            lift = _lifts_of_those_who_met(results, board, defense)
            if is_spared.sel(data=board) and all(_stays_near(of_attack) for of_attack in lift.values()):
                held.append(board)
    return held, tried


def attacks_through(results: xr.Dataset, board: str, defense: str) -> tuple[list[str], list[str]]:
    """Returns the attacks that get through a defense on a board, by a mean lift above 0.1, and all that met it there.

    Args:
      results: as :func:`vfl_jax.arena` returns them.
      board: its name.
      defense: its name, or "none".
    """
    met = _lifts_of_those_who_met(results, board, defense)
    return [name for name, lift in met.items() if mean_of(lift) > HOLDS_WITHIN], list(met)


def _lifts_of_those_who_met(results: xr.Dataset, board: str, defense: str) -> dict[str, np.ndarray]:
    """The lifts of the attacks that met a defense on a board, float[S] each."""
    of_attacks = lifts(results.sel(data=board, defense=defense)).transpose("attack", "seed")
    met = of_attacks.isel(attack=of_attacks.notnull().any("seed").values)
    return {str(name): lift for name, lift in zip(met["attack"].values, met.values, strict=True)}


def _stays_near(lift: np.ndarray) -> bool:
    """Whether the lift of an attack, one per seed, is small, and the seeds leave no doubt; one seed leaves some."""
    return mean_of(lift) <= HOLDS_WITHIN and t_interval(lift, LEVEL)[1] <= HOLDS_WITHIN

"""Attackers who are told every training row of τ, as if they had read the labels and overwrote all they read."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.arenas.boards import Board
from vfl_jax.arenas.holding import attacks_through, boards_held
from vfl_jax.arenas.standings import lifts

if TYPE_CHECKING:
    import xarray as xr

READS = "-read"
"""So end the attacks of the line-up that read labels first."""
NOTE = """\
The boards are the same, but an attacker is told every training row of τ, and these attacks overwrite all they know; the
ranks tell a tenth at most. Who reads labels could do so, too, as far as he reads them: `BASL-read` and
`LearnedMessage-30-read` do, [without a defense](#without-a-defense) and with some. More rows do not always help: the
trained head sees no honest row of τ from him then. Mean lifts over seeds, with 95 % bootstrap intervals.
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
    through_at, held_at, open_at = [], [], []
    places: list[tuple[str, str]] = []
    for defense in map(str, told["defense"].values):
        boards, _ = boards_held(results, defense) if defense in results["defense"] else ([], [])
        for name in (name for name in boards if name in told["data"]):
            here = told.sel(data=[name])
            through, met = attacks_through(here, name, defense)
            places += [(defense, name)] if met else []
            if met and boards_held(here, defense)[0]:
                held_at.append(f"{defense} on {name}")
            elif met and not through:
                open_at.append(f"{defense} on {name}")
            elif through:
                means = {attack: float(lifts(here).sel(attack=attack, defense=defense).mean()) for attack in through}
                best = max(means, key=lambda attack: means[attack])
                told_of = f"{len(through)} of {len(met)} attacks get through {defense} on {name}"
                through_at.append(f"{told_of} ({best} leads {means[best]:.0%} more than honest runs do)")
    parts = list(through_at)
    parts += [f"none was seen to get through {' and '.join(held_at)}"] if held_at else []
    parts += [f"some may get through {' and '.join(open_at)}"] if open_at else []
    said = f"* Told every row of τ, not a tenth at most, {', and '.join(parts)}." if parts else ""
    return f"{said}{_reading(results, places)}"


def _reading(results: xr.Dataset, places: Sequence[tuple[str, str]]) -> str:
    """The sentence on attacks that read the rows of τ themselves, where some met these defenses on these boards."""
    reading = [name for name in map(str, results["attack"].values) if name.endswith(READS)]
    means = lifts(results).sel(attack=reading).mean("seed")
    reached = [float(means.sel(data=data, defense=defense).max()) for defense, data in places] if reading else []
    if not reached or np.isnan(reached).any():
        return ""
    return (
        f" The attacks tried that read labels and overwrite what they read ({' and '.join(reading)}) lead at most "
        f"{max(reached):z.0%} more than honest runs do there."
    )

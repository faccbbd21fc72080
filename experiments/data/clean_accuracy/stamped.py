"""The backdoor of stamped triggers, on the data sets that the arena's page does not have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.data.clean_accuracy.data_sets import DATA_SETS, LEARNING_RATE
from vfl_jax.arenas import arena, board_for
from vfl_jax.arenas.lineup import ATTACKS
from vfl_jax.arenas.standings import MAIN, SUCCESS
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.core.files import load, save
from vfl_jax.presets import HeadName
from vfl_jax.reports import Row, median_with_interval
from vfl_jax.statistics.meetings import HONEST

if TYPE_CHECKING:
    import xarray as xr

    from vfl_jax.core.vertical_data import VerticalData

NAMES = ("breast_cancer", "digits", "citeseer", "adult", "phishing")
CHOSEN = ("GradientReplacement", "FreshReplacement-500")
"""The paper's attack with one known row of τ; and a gradient of this batch, with up to 500 known rows."""


def run_stamped(
    name: str, data: VerticalData, heads: Sequence[HeadName], seeds: int, epochs: int | None, folder: Path
) -> None:
    """Trains what ``<folder>/<name>_stamped.nc`` lacks: both attacks without a defense, under every head.

    Args:
      name: that of the data set; where it is not one of ``NAMES``, nothing is done.
      data: the data set.
      heads: the heads.
      seeds: how many.
      epochs: by default those of the data set.
      folder: that of results; what is not finished lies in its folder ``runs``.
    """
    path, length = folder / f"{name}_stamped.nc", epochs or DATA_SETS[name].epochs
    if name not in NAMES or (path.is_file() and load(path).sizes["seed"] >= seeds):
        return
    boards = {str(head): board_for(data, head=head, epochs=length, learning_rate=LEARNING_RATE) for head in heads}
    attacks = {attack: ATTACKS[attack] for attack in CHOSEN}
    save(arena(attacks, {}, boards, seeds, folder=folder / "runs" / path.stem), path)


def stamped_rows(folder: Path) -> list[Row]:
    """A row per data set and head: what the attacks reach, what honest runs do on the same rows, what it costs.

    Args:
      folder: that of results.
    """
    found = {name: load(path) for name in NAMES if (path := folder / f"{name}_stamped.nc").is_file()}
    return [
        _row(DATA_SETS[name].title, results.sel(data=head, defense=UNDEFENDED))
        for name, results in found.items()
        for head in results["data"].values
    ]


def _row(title: str, cell: xr.Dataset) -> Row:
    """One data set under one head."""
    row: Row = {"data set": title, "head": str(cell["data"].item()), "τ": str(cell["target_class"].item())}
    row |= {"clean floor": median_with_interval(cell[SUCCESS + HONEST].sel(attack=CHOSEN[0]))}
    lost = 100 * (cell[MAIN + HONEST] - cell[MAIN])
    for attack in CHOSEN:
        row |= {f"attack success, {attack}": median_with_interval(cell[SUCCESS].sel(attack=attack))}
        row |= {f"points lost, {attack}": f"{float(lost.sel(attack=attack).median()):z.1f}"}
    return row

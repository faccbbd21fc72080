"""The backdoor of stamped triggers, on the data sets that the arena's page does not have."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.data.clean_accuracy.data_sets import DATA_SETS, LEARNING_RATE
from vfl_jax.arenas import arena, board_for
from vfl_jax.arenas.lineup import ATTACKS
from vfl_jax.arenas.standings import MAIN, SUCCESS
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.core.files import load, save
from vfl_jax.presets import HeadName
from vfl_jax.reports import Row, median_with_interval
from vfl_jax.statistics.intervals import interval
from vfl_jax.statistics.meetings import HONEST

if TYPE_CHECKING:
    import xarray as xr

    from vfl_jax.core.vertical_data import VerticalData

NAMES = ("breast_cancer", "digits", "citeseer", "adult", "phishing")
CHOSEN = ("GradientReplacement", "FreshReplacement-500")
"""The paper's attack with blurred activations and one known row of τ; and one with a gradient of this batch and up to
500 known rows."""


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

    Raises:
      ValueError: where the file is of other seeds, epochs or heads.
    """
    if name not in NAMES:
        return
    path, length = folder / f"{name}_stamped.nc", epochs or DATA_SETS[name].epochs
    boards = {str(head): board_for(data, head=head, epochs=length, learning_rate=LEARNING_RATE) for head in heads}
    if path.is_file():
        found = load(path)
        trained = {head: content["epochs"] for head, content in json.loads(found.attrs["boards"]).items()}
        if found.sizes["seed"] == seeds and trained == dict.fromkeys(boards, length):
            print(f"{path} is there; remove it to train again.", flush=True)
            return
        raise ValueError(f"{path} has other seeds, epochs or heads; remove it, or write into another folder (--out).")
    attacks, unfinished = {attack: ATTACKS[attack] for attack in CHOSEN}, folder / "runs" / path.stem
    save(arena(attacks, {}, boards, seeds, folder=unfinished), path)
    shutil.rmtree(unfinished)


def stamped_rows(folder: Path) -> list[Row]:
    """A row per data set, head and attack: what it reaches, what honest runs do on the same rows, what it costs.

    Args:
      folder: that of results.
    """
    found = {name: load(path) for name in NAMES if (path := folder / f"{name}_stamped.nc").is_file()}
    return [
        _row(DATA_SETS[name].title, results.sel(data=head, defense=UNDEFENDED, attack=attack))
        for name, results in found.items()
        for head in results["data"].values
        for attack in CHOSEN
    ]


def _row(title: str, cell: xr.Dataset) -> Row:
    """One attack on a data set under one head."""
    row: Row = {"data set": title, "head": str(cell["data"].item()), "attack": str(cell["attack"].item())}
    row |= {"τ": str(cell["target_class"].item()), "clean floor": median_with_interval(cell[SUCCESS + HONEST])}
    row |= {"attack success": median_with_interval(cell[SUCCESS])}
    return row | {"cost, points": _points(100 * (cell[MAIN + HONEST] - cell[MAIN]).values)}


def _points(lost: np.ndarray) -> str:
    """A median over seeds with its interval, in percentage points."""
    low, high = interval(lost, np.median)
    return f"{np.median(lost):z.1f} [{low:z.1f}, {high:z.1f}]"

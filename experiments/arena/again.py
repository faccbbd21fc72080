"""Without a defense once more, on another machine: how far equal seeds end apart."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.arenas.lineup import BOARDS
from vfl_jax.arenas.standings import MAIN, SUCCESS
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.core.files import load
from vfl_jax.reports import Row
from vfl_jax.statistics.meetings import HONEST

if TYPE_CHECKING:
    import xarray as xr

FOLDER = "again"
"""The folder of these results, beside those that count."""


def rows(results: xr.Dataset, folder: Path) -> list[Row]:
    """Every attack that was trained twice without a defense: its success then and again; of honest runs their accuracy.

    Args:
      results: those of all boards, of which ranks are made.
      folder: the folder of results.
    """
    found: list[Row] = []
    for name in BOARDS:
        if not (path := folder / FOLDER / f"{name}.nc").is_file() or name not in results["data"].values:
            continue
        other = load(path).sel(data=name, defense=UNDEFENDED)
        first = results.sel(data=name, defense=UNDEFENDED, attack=other["attack"], seed=other["seed"])
        for attack in other["attack"].values:
            then, again = (part[SUCCESS].sel(attack=attack).values for part in (first, other))
            if np.isnan(then).all():
                continue  # it could not meet, and the table of refusals says why
            honest = np.abs((first[MAIN + HONEST] - other[MAIN + HONEST]).sel(attack=attack)).max()
            found.append(
                {
                    "data": name,
                    "attack": str(attack),
                    "attack success": f"{then.mean():z.2f}",
                    "again": f"{again.mean():z.2f}",
                    "largest difference of a seed": f"{np.abs(then - again).max():z.2f}",
                    "honest main accuracy, largest difference": f"{float(honest):z.3f}",
                }
            )
    return found

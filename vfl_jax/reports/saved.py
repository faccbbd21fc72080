"""Results that lie in a file or in a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from vfl_jax.core.files import load

if TYPE_CHECKING:
    import xarray as xr

RESULTS = "results.nc"
"""The results in the folder of a sweep or of an arena that has come to its end."""


def load_results(path: str | os.PathLike[str]) -> xr.Dataset:
    """Reads results from a file, or from the folder of a sweep or an arena that has come to its end.

    Args:
      path: the file or the folder.

    Raises:
      FileNotFoundError: where there is no such file; where a folder has no results yet, with what to do.
      OSError: where the file is damaged, or holds no results.
    """
    path = Path(path)
    if not path.is_dir():
        return load(path)
    if (path / RESULTS).is_file():
        return load(path / RESULTS)
    raise FileNotFoundError(
        f"{path} has no {RESULTS}: its work has not come to its end, or it is no folder of a sweep or an arena. "
        f"vfl-jax status {path} says what is finished there; the command that began it goes on."
    )


def results_of(given: xr.Dataset | str | os.PathLike[str]) -> xr.Dataset:
    """The results themselves, which a path stands for.

    Args:
      given: results, or a path as :func:`load_results` takes it.

    Raises:
      OSError: as :func:`load_results` does.
    """
    return load_results(given) if isinstance(given, str | os.PathLike) else given


def file_of(path: str | os.PathLike[str]) -> Path:
    """The file that holds the results at a path.

    Args:
      path: the file, or the folder of a sweep or an arena.
    """
    path = Path(path)
    return path / RESULTS if path.is_dir() else path


def places_of(path: str | os.PathLike[str]) -> list[Path]:
    """The path itself; of a folder of cases that are all finished, the folders of the cases.

    Args:
      path: a file or a folder of results.
    """
    path = Path(path)
    if path.is_dir() and not (path / RESULTS).is_file():
        cases = sorted(place.parent for place in path.glob("*/manifest.json"))
        if cases and all((case / RESULTS).is_file() for case in cases):
            return cases
    return [path]

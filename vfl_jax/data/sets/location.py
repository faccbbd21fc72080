"""Where real data lies: a folder that is given, or the one that the environment names."""

from __future__ import annotations

import os
from pathlib import Path

DATA_VARIABLE = "VFL_JAX_DATA"


def data_folder(folder: str | os.PathLike[str] | None) -> Path | None:
    """The folder that is given, else the one that the environment variable ``VFL_JAX_DATA`` names, else None."""
    found = folder or os.environ.get(DATA_VARIABLE)
    return Path(found) if found else None


def find_file(folder: str | os.PathLike[str] | None, *names: str, where_from: str) -> Path:
    """The first of some files, by their names in the data folder, that is there.

    Raises:
      FileNotFoundError: naming them, and ``where_from`` they come, when none is there or no folder is known.
    """
    root = data_folder(folder)
    if root is None:
        raise FileNotFoundError(
            f"{names[0]} is needed, and no data folder is known: give the argument folder, or set {DATA_VARIABLE}. "
            f"{where_from}"
        )
    for name in names:
        if (root / name).is_file():
            return root / name
    raise FileNotFoundError(f"{root} has no {' and no '.join(names)}. {where_from}")

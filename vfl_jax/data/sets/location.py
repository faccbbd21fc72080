"""The data folder: the argument of a loader, or the folder that the environment names."""

from __future__ import annotations

import os
from pathlib import Path

DATA_VARIABLE = "VFL_JAX_DATA"


def data_folder(folder: str | os.PathLike[str] | None) -> Path | None:
    """Returns the data folder; None where neither an argument nor the environment names one.

    Args:
      folder: the data folder; by default, the folder that the environment variable ``VFL_JAX_DATA`` names.
    """
    found = folder or os.environ.get(DATA_VARIABLE)
    return Path(found) if found else None


def find_file(folder: str | os.PathLike[str] | None, *names: str, where_from: str) -> Path:
    """Finds the first of some files that the data folder has.

    Args:
      folder: the data folder; by default, the folder that the environment variable ``VFL_JAX_DATA`` names.
      names: the paths of the files in the data folder, in the order of preference.
      where_from: a sentence on the origin of the files, for the message.

    Raises:
      FileNotFoundError: where none of the files is there, or no data folder is known.
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

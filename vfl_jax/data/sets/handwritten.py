"""The multiple-features digits: 2,000 handwritten numerals in six views; every party holds one view."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from vfl_jax.core.damage import named
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data.own.arrays import from_arrays
from vfl_jax.data.repartition import repartition
from vfl_jax.data.sets.location import find_file
from vfl_jax.data.sets.npz import read_npz

NUM_ROWS, NUM_CLASSES = 2000, 10
VIEWS = {
    "profile correlations": ("fac", 216),
    "Fourier coefficients": ("fou", 76),
    "Karhunen-Loève coefficients": ("kar", 64),
    "morphological features": ("mor", 6),
    "pixel averages": ("pix", 240),
    "Zernike moments": ("zer", 47),
}
"""By party: the ending of its original file, and F."""
FILE = "handwritten/handwritten.npz"
MOST_NUMBER = 30
"""So many bytes a number of an original file may take, with the blanks around it."""
MOST_TIMES = 2
"""A line of more than so many times its numbers is refused before the table is read."""
TRIGGER_ABOVE = (65.0, 570.0)
"""A row carries the natural trigger where its last two Zernike moments are larger."""


def load_handwritten(
    folder: str | os.PathLike[str] | None = None, *, num_parties: int = 6, active_party: int | None = None
) -> VerticalData:
    """Loads 2,000 digits in six views: 160 of each class to train on, and 40 to test on, drawn once.

    The six parties are named in ``VIEWS``. With fewer parties, neighbours are joined; with more, parties are cut into
    blocks. Features are standardised on the training rows.

    Natural trigger: the last two Zernike moments are above 65 and 570; either limit lies nearly one standard deviation
    above the mean. 39 training rows and 9 test rows carry it.

    Source: van Breukelen, Duin, Tax and den Hartog 1998, UCI data set 72, CC BY 4.0.

    Args:
      folder: the data folder with ``handwritten/handwritten.npz`` (``y`` [2000] and ``view0`` to ``view5``), or with
        the six original files ``handwritten/mfeat-fac`` to ``mfeat-zer`` (numbers separated by blanks, 200 rows of each
        digit in order). By default, the folder that the environment variable ``VFL_JAX_DATA`` names.
      num_parties: K, from 2 to 649.
      active_party: the number of the party that also holds the labels; None when the label holder has no features.

    Raises:
      FileNotFoundError: naming the missing file, or where no data folder is known.
      ValueError: naming the damaged file, with what was found and expected; on fewer than 2 or more than 649 parties,
        or an ``active_party`` that is none of them.
    """
    where_from = "UCI data set 72 has the files mfeat-fac to mfeat-zer; put them into handwritten/."
    path = find_file(folder, FILE, _original("fac"), where_from=where_from)
    if path.suffix == ".npz":
        expected = {f"view{k}": ((NUM_ROWS, width), "f") for k, (_, width) in enumerate(VIEWS.values())}
        labels, *views = read_npz(path, {"y": ((NUM_ROWS,), "iu"), **expected}).values()
    else:
        labels = np.repeat(np.arange(NUM_CLASSES), NUM_ROWS // NUM_CLASSES)
        views = [
            _read_original(find_file(folder, _original(ending), where_from=where_from), width)
            for ending, width in VIEWS.values()
        ]
    try:
        data = from_arrays(
            dict(zip(VIEWS, views, strict=True)),
            labels,
            classes=range(NUM_CLASSES),
            standardise=True,
            has_trigger=(views[-1][:, -2:] > TRIGGER_ABOVE).all(axis=1),
            name="handwritten",
        )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return repartition(data, num_parties, active_party=active_party)


def _original(ending: str) -> str:
    return f"handwritten/mfeat-{ending}"


def _read_original(path: Path, width: int) -> np.ndarray:
    """Reads one original file, float32[N, F]."""
    import pandas as pd

    most = NUM_ROWS * width * MOST_NUMBER
    if path.stat().st_size > most:
        raise ValueError(f"{path} has {path.stat().st_size:,} bytes; expected at most {most:,}. Fetch it again.")
    with path.open("rb") as file:
        found = len(file.readline().split())
    if found > MOST_TIMES * width:  # pandas has its work with each column
        raise ValueError(f"{path} has {found} numbers in line 1; expected {width}. Fetch it again.")
    with named(path, "is not a table of numbers separated by blanks", "fetch it again"):
        table = pd.read_csv(path, sep=r"\s+", header=None, dtype=np.float32)
    if table.shape != (NUM_ROWS, width):
        raise ValueError(f"{path} has {len(table)} rows of {table.shape[1]} numbers; expected {NUM_ROWS} of {width}.")
    if (is_short := table.isna().any(axis=1)).any():
        raise ValueError(f"{path} has too few numbers in line {int(is_short.argmax()) + 1}; expected {width}.")
    return table.to_numpy()

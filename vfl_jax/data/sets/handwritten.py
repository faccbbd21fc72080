"""The multiple-features digits: 2,000 handwritten numerals in six views, one party each."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

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
"""Party to the ending of its original file and F."""
FILE = "handwritten/handwritten.npz"
TRIGGER_ABOVE = (65.0, 570.0)


def load_handwritten(
    folder: str | os.PathLike[str] | None = None, *, num_parties: int = 6, active_party: int | None = None
) -> VerticalData:
    """2,000 digits, standardised on the training rows: 160 of each class to train on, and 40, drawn once, to test on.

    The six parties are named in ``VIEWS``; fewer are joined neighbours, more are cut up.

    Natural trigger: the last two Zernike moments are above 65 and 570, both nearly one standard deviation above their
    mean. 39 training rows and 9 test rows carry it.

    Args:
      folder: a data folder with ``handwritten/handwritten.npz`` (``y`` [2000] and ``view0`` to ``view5``), or with the
        original six files ``handwritten/mfeat-fac`` to ``mfeat-zer``: numbers separated by blanks, 200 rows of each
        digit in order. Without it the environment variable ``VFL_JAX_DATA``.

    Raises:
      FileNotFoundError: naming the file that is not there.
      ValueError: on a damaged file (which one, what was found and expected); on a bad number of parties, or an
        ``active_party`` that is none of them.

    Source: van Breukelen, Duin, Tax and den Hartog 1998, UCI data set 72, CC BY 4.0.
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
    """float32[N, F]"""
    import pandas as pd

    try:
        table = pd.read_csv(path, sep=r"\s+", header=None, dtype=np.float32)
    except ValueError as error:
        raise ValueError(f"{path} is no table of numbers separated by blanks ({error}); fetch it again.") from error
    if table.shape != (NUM_ROWS, width):
        raise ValueError(f"{path} has {len(table)} rows of {table.shape[1]} numbers; expected {NUM_ROWS} of {width}.")
    if (is_short := table.isna().any(axis=1)).any():
        raise ValueError(f"{path} has too few numbers in line {int(is_short.argmax()) + 1}; expected {width}.")
    return table.to_numpy()

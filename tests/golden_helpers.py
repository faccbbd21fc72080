"""Reference vectors that published code of other projects gave; they lie beside the data, in ``reference/golden``."""

import os
from pathlib import Path

import numpy as np
import pytest

from vfl_jax.data.sets.location import DATA_VARIABLE


def golden(name):
    """The arrays of one vector by name, or a skipped test where the vectors are not there."""
    if not os.environ.get(DATA_VARIABLE):
        pytest.skip(f"needs reference vectors; set {DATA_VARIABLE} to a folder beside reference/golden/")
    path = Path(os.environ[DATA_VARIABLE]).parent / "reference" / "golden" / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"needs the reference vector {path}")
    with np.load(path) as arrays:
        return {key: arrays[key] for key in arrays.files}

"""Checked reading of the arrays in an npz file."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def read_npz(path: Path, expected: Mapping[str, tuple[tuple[int | None, ...], str]]) -> dict[str, np.ndarray]:
    """Reads arrays by name, without pickle; others in the file are left alone.

    Args:
      expected: the shape of every array, None where any length will do, and the letters of the kinds of numbers
        (``dtype.kind``) that may be in it.

    Raises:
      ValueError: naming the file, where it is damaged or no npz, or lacks an array; naming the array, where that has
        another shape or kind (found and expected).
    """
    try:
        with zipfile.ZipFile(path) as whole:  # np.load would take a file that is none for a pickle
            there = {Path(name).stem for name in whole.namelist()}
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in expected if name in there}
    except Exception as error:  # whatever the libraries make of damaged bytes
        raise ValueError(f"{path} is not a whole npz file of plain arrays ({error}); fetch it again.") from error
    if missing := [name for name in expected if name not in found]:
        raise ValueError(f"{path} has no array {missing[0]!r}; it has {', '.join(sorted(there)) or 'none'}.")
    for name, (shape, kinds) in expected.items():
        array = found[name]
        fits = len(array.shape) == len(shape) and all(w in (None, n) for n, w in zip(array.shape, shape, strict=True))
        if not fits or array.dtype.kind not in kinds:
            numbers = "floating numbers" if "f" in kinds else "whole numbers"
            wanted = ", ".join("any" if length is None else str(length) for length in shape)
            raise ValueError(f"{path}: {name} is {array.dtype}{list(array.shape)}; expected {numbers}, [{wanted}].")
    return found

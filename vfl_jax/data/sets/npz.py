"""Reading of the arrays in an npz file, with a check of their shapes and kinds."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np


def read_npz(path: Path, expected: Mapping[str, tuple[tuple[int | None, ...], str]]) -> dict[str, np.ndarray]:
    """Reads some arrays of an npz file, without pickle.

    Args:
      path: the file.
      expected: for every array to read, its shape, with None for a length of any size, and the letters of the allowed
        ``dtype.kind``.

    Returns:
      the arrays, by name.

    Raises:
      ValueError: naming the file, where it is missing, damaged, no npz file, or lacks an array; naming the array, where
        its shape or kind differs.
    """
    try:
        with zipfile.ZipFile(path) as whole:  # np.load would take any other file for a pickle.
            there = {Path(name).stem for name in whole.namelist()}
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in expected if name in there}
    except Exception as error:  # Damaged bytes make the libraries raise errors of many types.
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

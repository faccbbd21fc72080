"""Reading of the arrays in an npz file, with a check of their shapes and kinds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vfl_jax.core.archives import Header, open_archive
from vfl_jax.core.damage import Damaged
from vfl_jax.core.packed import most_bytes


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
        with open_archive(path) as archive:
            there = archive.headers
            if missing := [name for name in expected if name not in there]:
                raise ValueError(f"{path} has no array {missing[0]!r}; it has {', '.join(sorted(there)) or 'none'}.")
            for name, (shape, kinds) in expected.items():
                _check(path, name, there[name], shape, kinds)
            return {name: archive.read(name) for name in expected}
    except (Damaged, FileNotFoundError) as error:
        raise ValueError(f"{path} is not a whole npz file of plain arrays ({error}); fetch it again.") from error


def _check(path: Path, name: str, found: Header, shape: tuple[int | None, ...], kinds: str) -> None:
    """Checks what an array says of itself, before any number of it is read."""
    numbers = "floating numbers" if "f" in kinds else "whole numbers"
    wanted = ", ".join("any" if length is None else str(length) for length in shape)
    fits = len(found.shape) == len(shape) and all(w in (None, n) for n, w in zip(found.shape, shape, strict=True))
    if not fits or found.dtype.kind not in kinds:
        raise ValueError(f"{path}: {name} is {found.dtype}{list(found.shape)}; expected {numbers}, [{wanted}].")
    if math.prod(found.shape) * found.dtype.itemsize > most_bytes(path):
        raise ValueError(f"{path}: {name} is {found.dtype}{list(found.shape)}, more than a file of its size holds.")

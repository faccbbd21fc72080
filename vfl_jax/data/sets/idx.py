"""The idx format of the MNIST files, plain or gzip-compressed."""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path

import numpy as np

from vfl_jax.core.packed import BLOCK, most_bytes, opened

UNSIGNED_BYTE = 0x08
MOST_DIMENSIONS = 4
MOST_VALUES = 640_000_000
"""So many bytes a file may hold: the 814,255 images of EMNIST, the most that are published in this format."""
SMALL = 1 << 24
"""So many, 16 MiB, may come out of any packed file; out of a larger one a hundred times its size. MNIST shrinks to a
fifth."""


def read_idx(path: Path) -> np.ndarray:
    """Reads an idx file of unsigned bytes.

    Args:
      path: the file; it is compressed where its name ends in ``.gz``.

    Returns:
      uint8[...].

    Raises:
      FileNotFoundError: where the file is missing.
      ValueError: on a damaged gzip file, a wrong magic number, fewer or more bytes than the header says, or a
        header of more than 4 dimensions or 640 million values, or of more than a packed file of its size may hold:
        16 MiB, or a hundred times its size where that is more.
    """
    path = Path(path)
    with opened(path) as file:
        start = file.read(4)
        if len(start) < 4 or start[:2] != b"\0\0" or start[2] != UNSIGNED_BYTE:
            raise ValueError(
                f"{path} starts with {start.hex(' ') or 'nothing'}; an idx file of bytes starts with 00 00 08 "
                "and its number of dimensions."
            )
        num_dimensions = start[3]
        lengths = file.read(4 * num_dimensions)
        if len(lengths) < 4 * num_dimensions:
            raise ValueError(
                f"{path} ends within its header, after {4 + len(lengths)} of {4 + 4 * num_dimensions} bytes; "
                "fetch it again."
            )
        shape = struct.unpack(f">{num_dimensions}I", lengths)
        expected = math.prod(shape)
        if num_dimensions > MOST_DIMENSIONS or expected > MOST_VALUES:
            raise ValueError(
                f"{path} says in its header that it holds {shape}; expected at most {MOST_DIMENSIONS} dimensions and "
                f"{MOST_VALUES:,} values. Fetch it again."
            )
        if isinstance(file, gzip.GzipFile) and expected > most_bytes(path, SMALL):
            raise ValueError(
                f"{path} has {path.stat().st_size:,} bytes and says in its header that it holds {shape}, more than "
                f"{most_bytes(path, SMALL):,} values; if that is right, unpack it yourself."
            )
        content = file.read(expected)
        more = file.read(BLOCK)  # also verifies the checksum of a packed file that ends here
        if len(content) != expected or more:
            found = f"{len(content) + len(more)}{' or more' if len(more) == BLOCK else ''}"
            raise ValueError(
                f"{path} holds {found} values; its header says {shape}, which is {expected}. Fetch it again."
            )
    return np.frombuffer(content, np.uint8).reshape(shape)

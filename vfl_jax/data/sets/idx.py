"""The idx format of the MNIST files, plain or gzip-compressed."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

UNSIGNED_BYTE = 0x08


def read_idx(path: Path) -> np.ndarray:
    """Reads an idx file of unsigned bytes.

    Args:
      path: the file; it is compressed where its name ends in ``.gz``.

    Returns:
      uint8[...].

    Raises:
      FileNotFoundError: where the file is missing.
      ValueError: on a damaged gzip file, a wrong magic number, or fewer or more bytes than the header says.
    """
    path = Path(path)
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is not a whole gzip file ({error}); fetch it again.") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != UNSIGNED_BYTE:
        raise ValueError(
            f"{path} starts with {content[:4].hex(' ') or 'nothing'}; an idx file of bytes starts with 00 00 08 "
            "and its number of dimensions."
        )
    num_dimensions = content[3]
    header = 4 + 4 * num_dimensions
    if len(content) < header:
        raise ValueError(f"{path} ends within its header, after {len(content)} of {header} bytes; fetch it again.")
    shape = struct.unpack(f">{num_dimensions}I", content[4:header])
    expected = int(np.prod(shape, dtype=np.int64))
    if len(content) - header != expected:
        raise ValueError(
            f"{path} holds {len(content) - header} values; its header says {shape}, which is {expected}. "
            "Fetch it again."
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)

"""Packed files of others, read under a bound: a small file may unpack to more than the memory holds."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path

from vfl_jax.core.ordinary import check_ordinary

SMALL = 1 << 28
"""So many bytes, 256 MiB, may come out of any packed file."""
MOST_TIMES = 100
"""Beyond that, a packed file may hold this many times its own size; tables shrink to a hundredth at most."""
BLOCK = 1 << 20


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BufferedIOBase]:
    """Opens a file for reading, unpacked where its name ends in ``.gz``.

    Args:
      path: the file.

    Raises:
      ValueError: naming the file, where reading finds that it is no whole gzip file.
      OSError: where it cannot be read, or is no ordinary file.
    """
    check_ordinary(path)
    try:
        with path.open("rb") as file:
            yield gzip.GzipFile(fileobj=file) if path.name.lower().endswith(".gz") else file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is not a whole gzip file ({error}); fetch it again.") from error


def most_bytes(path: Path, small: int | None = None) -> int:
    """Returns how many bytes a packed file may hold: 256 MiB, or a hundred times its size where that is more.

    Args:
      path: the file.
      small: another number of bytes that any such file may hold.
    """
    return max(SMALL if small is None else small, MOST_TIMES * path.stat().st_size)


def check_unpacked(path: Path) -> None:
    """Checks that a packed file is whole and holds no more than it may, without keeping what it holds.

    Args:
      path: the file; one whose name does not end in ``.gz`` passes.

    Raises:
      ValueError: naming the file, where it is no whole gzip file, or holds more than :func:`most_bytes`.
      OSError: where it cannot be read.
    """
    if not path.name.lower().endswith(".gz"):
        return
    most, found = most_bytes(path), 0
    with opened(path) as file:
        while block := file.read(BLOCK):
            found += len(block)
            if found > most:
                raise too_large(path, most)


def too_large(path: Path, most: int, instead: str = "unpack it yourself and name the unpacked file") -> ValueError:
    """Returns the error for a file that holds more bytes than it may.

    Args:
      path: the file.
      most: how many it may hold.
      instead: what whoever knows that it is right may do.
    """
    return ValueError(
        f"{path} has {path.stat().st_size:,} bytes and unpacks to more than {most:,}, which no table does; if it is "
        f"yours and right, {instead}."
    )

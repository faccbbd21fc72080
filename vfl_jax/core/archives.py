"""Arrays in an npz file, read without pickle. What an array says of itself is checked before its numbers are read."""

from __future__ import annotations

import contextlib
import io
import math
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Literal, NamedTuple

import numpy as np

from vfl_jax.core.damage import Damaged, named
from vfl_jax.core.ordinary import check_ordinary

ENDING = ".npy"
MOST_HEADER = 4096
"""A plain array says its dtype and shape in fewer bytes."""
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""How NumPy packs arrays. Other ways unpack far more at once than is asked for."""


READERS = {(1, 0): ("<H", np.lib.format.read_array_header_1_0), (2, 0): ("<I", np.lib.format.read_array_header_2_0)}
"""By version of NumPy's format: how the length of a header is written, and who reads both."""


class Header(NamedTuple):
    """What an array says of itself.

    Args:
      dtype: the kind of its numbers.
      shape: its shape.
    """

    dtype: np.dtype
    shape: tuple[int, ...]


class Archive:
    """An open npz file; :func:`open_archive` makes it.

    Args:
      path: the file, for messages.
      archive: the zip file.
      headers: what the arrays say of themselves, by name.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, headers: Mapping[str, Header]) -> None:
        self.path, self._archive, self.headers = path, archive, headers

    def read(self, name: str) -> np.ndarray:
        """Returns the array called ``name``, of the shape and dtype of its header.

        Raises:
          Damaged: where its bytes are damaged.
        """
        header = self.headers[name]
        with _whole(self.path, name), self._archive.open(name + ENDING) as file:
            order = _read_header(file)[1]
            size = math.prod(header.shape) * header.dtype.itemsize
            content = file.read(size)
            if len(content) != size or file.read(1):  # reading to the end also verifies the checksum
                raise ValueError(f"it has other than the {size} bytes of {header.dtype}{list(header.shape)}")
            flat = np.frombuffer(bytearray(content), header.dtype)
            return flat.reshape(header.shape, order=order)


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Opens an npz file and reads what its arrays say of themselves, but none of their numbers.

    Args:
      path: the file.

    Raises:
      FileNotFoundError: where there is no such file.
      Damaged: naming the file and the array, where it is damaged, no npz file, or holds other than plain arrays; where
        an array has other than the bytes that its shape needs; where two have one name.
    """
    with contextlib.ExitStack() as stack:
        with _whole(path):
            check_ordinary(path)
            archive = stack.enter_context(zipfile.ZipFile(path))
        headers: dict[str, Header] = {}
        for member in archive.infolist():
            name = member.filename.removesuffix(ENDING)
            with _whole(path, name):
                if name in headers:
                    raise ValueError("it is there twice")
                if member.compress_type not in PACKED:
                    raise ValueError("it is packed in a way that NumPy does not write")
                with archive.open(member) as file:
                    header, _ = _read_header(file)
                    size = math.prod(header.shape) * header.dtype.itemsize
                    if file.tell() + size != member.file_size:
                        raise ValueError(
                            f"{header.dtype}{list(header.shape)} takes {size:,} bytes, and the file has "
                            f"{member.file_size - file.tell():,} of it"
                        )
                headers[name] = header
        yield Archive(path, archive, headers)


def _read_header(file: IO[bytes]) -> tuple[Header, Literal["C", "F"]]:
    """Reads (dtype and shape, the order of the numbers) at the beginning of an array's file."""
    version = np.lib.format.read_magic(file)
    if version not in READERS:
        raise ValueError(f"it is of version {version} of NumPy's format")
    form, read = READERS[version]
    length = file.read(struct.calcsize(form))
    (size,) = struct.unpack(form, length)
    if size > MOST_HEADER:  # NumPy would read it all, up to 4 GiB, before it looks
        raise ValueError(f"its header says that it has {size:,} bytes; expected at most {MOST_HEADER:,}")
    shape, is_fortran, dtype = read(io.BytesIO(length + file.read(size)), max_header_size=MOST_HEADER)
    if dtype.hasobject or dtype.itemsize == 0 or min(shape, default=0) < 0:
        raise ValueError(f"it holds {dtype}{list(shape)}")
    return Header(dtype, shape), "F" if is_fortran else "C"


def _whole(path: Path, name: str | None = None) -> contextlib.AbstractContextManager[None]:
    """Turns whatever damaged bytes raise into :class:`Damaged`, which names the file and the array."""
    what = "is no whole npz file" if name is None else f"has no plain array {name[:80]!r} that is whole"
    return named(path, what, kind=Damaged)

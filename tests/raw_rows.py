"""Looks for rows of features in files: as bytes of float32 and float64, packed or not, and as decimals in a text."""

import zipfile

import h5py
import numpy as np

DIGITS = 8
"""So many decimals tell a number of a row from any other."""


def planted(count, seed=0):
    """Numbers that nothing but a leak writes, float32[count] in (0.1, 0.9)."""
    return np.random.default_rng(seed).uniform(0.1, 0.9, count).astype(np.float32)


def traces(folder, values):
    """The files below a folder that hold one of the values, by name."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path.relative_to(folder).as_posix() for path in paths if _holds(path, values)]


def _holds(path, values):
    wanted = [value.tobytes() for value in values] + [np.float64(value).tobytes() for value in values]
    wanted += [f"{value:.{DIGITS}f}"[: DIGITS + 1].encode() for value in values]
    return any(found in content for content in _contents(path) for found in wanted)


def _contents(path):
    """What a file holds: its bytes, and what they unpack to."""
    yield path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    if h5py.is_hdf5(path):
        with h5py.File(path) as file:
            found = []
            file.visititems(lambda _, item: found.append(item))
            for item in (file, *found):
                yield from (np.asarray(value).tobytes() for value in item.attrs.values())
                if isinstance(item, h5py.Dataset) and item.dtype.kind != "O":
                    yield np.ascontiguousarray(item[()]).tobytes()

"""Datasets in a form that NetCDF holds, and back.

NetCDF holds real numbers, booleans and text, with attributes that are text, numbers or rows of numbers. Time stamps
become whole numbers. Mixed and missing values become JSON. ``attributes.py`` sees to attributes that NetCDF would lose
or change. Other programs can read all of it, and this module restores it as it was.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.core.attributes import MARK, from_attributes, is_plain_text, notes_of, refused, to_attributes, to_jsonable

if TYPE_CHECKING:
    import h5py
    import xarray as xr

SMALL = 1 << 26
"""So many bytes, 64 MiB, may come out of any file."""
MOST_TIMES = 1100
"""Beyond that, a file may fill this many times its size; deflate shrinks to a 1032nd at most."""
JSON = "json"
"""The dtype in the notes of a variable whose entries are written as JSON."""
UNITS = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
EPOCH = "since 1970-01-01 00:00:00"


def to_stored(dataset: xr.Dataset) -> xr.Dataset:
    """Brings a dataset into a form that NetCDF holds without a change.

    Args:
      dataset: the dataset, in memory.

    Returns:
      a dataset with the same content; :func:`from_stored` is the way back.

    Raises:
      ValueError: naming a variable or attribute that no file can hold.
    """
    import xarray as xr

    _check_names(dataset)
    changed, variables = False, {}
    for name, variable in dataset.variables.items():
        values = variable.values
        plain, was = _to_plain(name, values)
        attributes = to_attributes(f"variable {name!r}", variable.attrs, {} if was is None else {"dtype": was})
        changed |= plain is not values or plain.dtype != variable.dtype or attributes is not variable.attrs
        variables[name] = xr.Variable(variable.dims, plain, attributes)
    odd = [str(name) for name in dataset.coords if " " in str(name)]  # NetCDF lists coordinates between spaces
    attributes = to_attributes("the results", dataset.attrs, {"coordinates": odd} if odd else {})
    if not changed and attributes is dataset.attrs:
        return dataset.drop_encoding()
    coordinates = {name: variables.pop(name) for name in dataset.coords if str(name) not in odd}
    return xr.Dataset(variables, xr.Coordinates(coordinates, indexes={}), attributes)


def from_stored(dataset: xr.Dataset) -> xr.Dataset:
    """Restores the dataset that :func:`to_stored` was given."""
    import xarray as xr

    if not any(MARK in attributes for attributes in (dataset.attrs, *(v.attrs for v in dataset.variables.values()))):
        return dataset
    variables = {}
    for name, variable in dataset.variables.items():
        attributes, notes = from_attributes(variable.attrs)
        variables[name] = xr.Variable(variable.dims, _from_plain(variable.values, notes.get("dtype")), attributes)
    attributes, notes = from_attributes(dataset.attrs)
    coordinates = {name: variables.pop(name) for name in [*dataset.coords, *notes.get("coordinates", ())]}
    return xr.Dataset(variables, coordinates, attributes)


def most_bytes(size: int) -> int:
    """Returns how many bytes of memory a file of ``size`` bytes may fill: no compression in HDF5 exceeds this."""
    return max(SMALL, MOST_TIMES * size)


def read_stored(content: bytes, group: str) -> tuple[xr.Dataset, xr.Dataset | None]:
    """Reads the bytes of a NetCDF file.

    Args:
      content: all its bytes.
      group: the name of a group that it may have.

    Returns:
      the data set of the file and that of the group, in the form of :func:`to_stored`; None where there is no group.

    Raises:
      Exception: of any kind, where the bytes are damaged or no NetCDF file.
    """
    import h5py
    import xarray as xr

    most = most_bytes(len(content))
    with h5py.File(io.BytesIO(content), "r") as file:
        stored = xr.decode_cf(without_hints(undecoded(file, most=most)))
        return stored, xr.decode_cf(undecoded(file, group, most)) if group in file else None


def undecoded(file: h5py.File, group: str = "/", most: int = SMALL) -> xr.Dataset:
    """Reads all that is in a group of a NetCDF file but the groups within it, each number once.

    xarray's own way asks HDF5 for the same facts of a variable some fifty times, and took three times as long.

    Args:
      file: the file, open.
      group: the name of the group; "/" is the whole file.
      most: how many bytes all numbers together may fill.

    Raises:
      ValueError: where they would fill more, before any is read; where texts would, as wide as the longest.
    """
    import h5netcdf
    import h5py
    import xarray as xr

    def read(name: str, variable: h5netcdf.Variable) -> xr.Variable:
        stored, dimensions = file[group][name], variable.dimensions
        is_text = h5py.check_dtype(vlen=variable.dtype) is str
        # A variable that is called as a dimension lies elsewhere; of a growing one the file may hold a part.
        if (name in sizes and dimensions != (name,)) or stored.shape != tuple(sizes[d] for d in dimensions):
            stored = variable
        elif is_text:
            stored = stored.asstr()
        values = stored[...]
        if is_text:
            _check_text(name, values, most)
        return xr.Variable(dimensions, values, dict(variable.attrs), {"dtype": str} if is_text else None)

    with h5netcdf.File(file, "r", decode_vlen_strings=True) as whole:
        labelled = whole if group == "/" else whole[group]
        dimensions = {**whole.dimensions, **labelled.dimensions}  # a group shares those of the file
        sizes = {name: dimension.size for name, dimension in dimensions.items()}
        filled = sum(_size(file[group][name], variable, sizes) for name, variable in labelled.variables.items())
        if filled > most:
            raise ValueError(f"it says that it holds {filled:,} bytes; a file of its size holds at most {most:,}")
        variables = {name: read(name, variable) for name, variable in labelled.variables.items()}
        return xr.Dataset(variables, attrs=dict(labelled.attrs))


def _size(stored: Any, variable: Any, sizes: Mapping[str, int]) -> int:
    """Returns how many bytes a variable fills; one of a growing dimension is filled up to the dimension's size."""
    entries = max(math.prod(stored.shape), math.prod(sizes[name] for name in variable.dimensions))
    return entries * stored.dtype.itemsize


def _check_text(name: str, values: np.ndarray, most: int) -> None:
    """Checks that texts fit the memory once they are of one width (:func:`text`), with 4 bytes for a character."""
    if (filled := 4 * values.size * max(map(len, values.flat), default=0)) > most:
        raise ValueError(f"the texts of {name!r} would fill {filled:,} bytes; those of its size fill at most {most:,}")


def with_hints(dataset: xr.Dataset) -> xr.Dataset:
    """Returns a copy whose attributes tell other programs which whole numbers are time stamps."""
    changed = dataset.copy()
    for name, variable in dataset.variables.items():
        if hints := _hints(variable.attrs):
            changed[name].attrs.update(hints)
    return changed


def without_hints(dataset: xr.Dataset) -> xr.Dataset:
    """Returns a copy without the attributes of :func:`with_hints`, of a dataset that is not decoded yet."""
    changed = dataset.copy()
    for name, variable in dataset.variables.items():
        for hint in _hints(variable.attrs):
            changed[name].attrs.pop(hint, None)
    return changed


def text(values: np.ndarray) -> np.ndarray:
    """Returns texts as a NumPy array that is as wide as its longest entry."""
    return np.asarray(values.tolist(), np.str_).reshape(values.shape)


def _hints(attributes: Mapping[Any, Any]) -> dict[str, str]:
    """Returns the attributes by which other programs read a variable as time stamps; none for other variables."""
    was = notes_of(attributes).get("dtype", "")
    if not (match := re.fullmatch(r"(datetime|timedelta)64\[(\w+)\]", was)):
        return {}
    unit = UNITS[match[2]]
    return (
        {"units": f"{unit} {EPOCH}", "calendar": "proleptic_gregorian"} if match[1] == "datetime" else {"units": unit}
    )


def _check_names(dataset: xr.Dataset) -> None:
    """Checks that a file can hold the names, and that no index has several levels."""
    import pandas as pd

    for name in (*dataset.variables, *dataset.dims):
        if not isinstance(name, str) or not name or name == "." or re.search("[/\0\ud800-\udfff]", name):
            raise ValueError(
                f"The results have a variable or dimension called {name!r}; a file needs names that are text without "
                "'/'. Rename it (dataset.rename)."
            )
    for name, index in dataset.indexes.items():
        if isinstance(index, pd.MultiIndex):
            raise ValueError(
                f"The coordinate {name!r} is an index of several levels ({', '.join(map(str, index.names))}), which no "
                f"file holds; give dataset.reset_index({name!r}) or dataset.unstack({name!r})."
            )


def _to_plain(name: Hashable, values: Any) -> tuple[np.ndarray, str | None]:
    """Returns (values as NetCDF holds them, their original dtype or None); the same array where nothing changes."""
    if not isinstance(values, np.ndarray):  # one time stamp alone, or an array of pandas
        values = np.asarray(values) if isinstance(values, np.generic) else np.asarray(values, object)
    kind = values.dtype.kind
    if kind in "Mm":
        return values.astype(np.int64), values.dtype.name
    if kind == "V" and values.dtype.name == "bfloat16":
        return values.astype(np.float32), values.dtype.name
    if kind in "UTO" and all(isinstance(value, str) and is_plain_text(value) for value in values.flat):
        plain = text(values)
        return (values if kind == "U" and plain.dtype == values.dtype else plain), None
    if kind in "UTO":
        return _to_numbers_or_json(name, values)
    if kind not in "fiubcS":
        raise refused(f"variable {name!r}", values.dtype)
    return (values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))), None


def _to_numbers_or_json(name: Hashable, values: np.ndarray) -> tuple[np.ndarray, str | None]:
    """Returns objects as an array of numbers where that loses nothing, else as JSON, entry by entry."""
    entries = [to_jsonable(value, f"variable {name!r}") for value in values.flat]
    kinds = {type(entry) for entry in entries}
    if kinds == {bool} or kinds <= {int, float}:
        numbers = np.asarray(entries)
        if numbers.dtype.kind in "fib" and numbers.tolist() == entries:
            return numbers.reshape(values.shape), None
    written = np.asarray([json.dumps(entry, sort_keys=True) for entry in entries], np.str_)
    return written.reshape(values.shape), JSON


def _from_plain(values: np.ndarray, was: str | None) -> np.ndarray:
    """Restores the values of a variable by their original dtype."""
    if was is None:
        return values
    if was == JSON:
        found = np.empty(values.size, object)
        for i, written in enumerate(values.flat):
            found[i] = json.loads(written)
        return found.reshape(values.shape)
    if was == "bfloat16":
        import ml_dtypes

        return values.astype(ml_dtypes.bfloat16)
    return values.astype(np.dtype(was))

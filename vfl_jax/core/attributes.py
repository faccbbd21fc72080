"""Attributes in a form that NetCDF holds, and back.

NetCDF would lose or change some attributes, or take them for instructions. They go together into one attribute,
``MARK``, as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

MARK = "vfl_jax"
"""The attribute that holds notes about the original form of a variable or of the whole."""
INSTRUCTIONS = {
    *("_FillValue", "missing_value", "scale_factor", "add_offset", "_Unsigned", "dtype", "units", "calendar"),
    *("coordinates", "grid_mapping", "bounds", "cell_measures", "formula_terms", "ancillary_variables"),
    *("CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST", "DIMENSION_LABELS", "digest", MARK),
}
"""Attributes that a reader of NetCDF, or this package, takes for instructions."""
MOST_BYTES = 32_000
"""An attribute in HDF5 has no room for more."""


def to_attributes(where: str, attributes: Mapping[Any, Any], notes: dict[str, Any]) -> Any:
    """Returns attributes as NetCDF holds them, the others within the mark; the same object where nothing changes.

    Args:
      where: whose they are, for messages.
      attributes: the attributes.
      notes: what else the mark is to hold.

    Raises:
      ValueError: naming an attribute that no file can hold.
    """
    plain, marked = {}, {}
    for name, value in attributes.items():
        if not isinstance(name, str):
            raise ValueError(f"An attribute of {where} is called {name!r}; a name must be text.")
        if not _is_text(name):
            raise ValueError(f"An attribute of {where} is called {name!r}, half a character in it; rename it.")
        if (is_own := name == "digest" and where == "the results") or _is_plain_attribute(name, value):
            if not is_own:  # a digest of an earlier file; saving makes a new one
                plain[str(name)] = str(value) if isinstance(value, np.str_) else value
        elif isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
            marked[name] = {"values": value.tolist(), "dtype": value.dtype.name}
        else:
            marked[name] = {"values": to_jsonable(value, f"attribute {name!r} of {where}")}
    notes = notes | ({"attributes": marked} if marked else {})
    if not notes and all(plain.get(name) is value for name, value in attributes.items()):
        return attributes
    return plain | ({MARK: json.dumps(notes, sort_keys=True)} if notes else {})


def from_attributes(attributes: Mapping[Any, Any]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """Returns (the original attributes, all notes of the mark).

    Args:
      attributes: as :func:`to_attributes` returns them.
    """
    notes = notes_of(attributes)
    plain = {name: value for name, value in attributes.items() if name != MARK}
    for name, marked in notes.get("attributes", {}).items():
        values = marked["values"]
        plain[name] = np.asarray(values, marked["dtype"]) if "dtype" in marked else values
    return plain, notes


def notes_of(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Returns the notes of the mark; none without a mark.

    Args:
      attributes: as :func:`to_attributes` returns them.
    """
    return json.loads(attributes[MARK]) if MARK in attributes else {}


def _is_plain_attribute(name: str, value: Any) -> bool:
    """Whether NetCDF gives an attribute back as it is."""
    if name in INSTRUCTIONS or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.:+ -]*", name):
        return False
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and value.size > 1 and value.dtype.kind in "fiu" and value.nbytes < MOST_BYTES
    if isinstance(value, str):
        return bool(value) and is_plain_text(value)
    if isinstance(value, bool | np.bool_):
        return False
    return isinstance(value, float | np.floating | np.integer) or (isinstance(value, int) and -(2**63) <= value < 2**63)


def is_plain_text(value: str) -> bool:
    """Whether NetCDF gives a text back as it is.

    Args:
      value: the text.
    """
    return "\0" not in value and _is_text(value)


def _is_text(value: str) -> bool:
    """Whether a text is whole: no encoding writes half of a surrogate pair."""
    return not re.search("[\ud800-\udfff]", value)


def to_jsonable(value: Any, where: str) -> Any:
    """Returns a value in plain values of Python, which JSON holds.

    Args:
      value: the value.
      where: where it stands, for messages.

    Raises:
      ValueError: where no file can hold it.
    """
    if isinstance(value, np.ndarray):
        value = value.tolist()
    elif isinstance(value, np.generic) and value.dtype.kind in "fiubU":
        value = value.item()
    if value is None or type(value).__name__ == "NAType":
        return None
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, str) and _is_text(value):
        return str(value)
    if isinstance(value, list | tuple):
        return [to_jsonable(entry, where) for entry in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) and _is_text(key) for key in value):
        return {str(key): to_jsonable(entry, where) for key, entry in value.items()}
    found = f"{value!r}, half a character in it" if isinstance(value, str) else type(value).__name__
    raise refused(where, found)


def refused(where: str, found: Any) -> ValueError:
    """Returns the error for a value that no file can hold.

    Args:
      where: where it stands.
      found: the value, or what it is.
    """
    return ValueError(
        f"{where[0].upper()}{where[1:]} holds {found}; a file holds numbers, booleans, text, None, lists and "
        "dictionaries of them, and variables also time stamps without a zone. Convert it, for example with str()."
    )

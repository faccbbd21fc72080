"""Configuration as data: records of numbers that print, compare, save and sweep.

A :class:`Record` is a frozen, keyword-only dataclass and a pytree. Its ``float`` and ``int``
fields are leaves (so a grid of values is the same record with an extra axis); fields declared
with :func:`static` are structure (a new value is a new program).
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import typing
from collections.abc import Iterator
from typing import Any, Self, dataclass_transform

import flax.struct
import numpy as np

DTYPES: dict[type, type] = {float: np.float32, int: np.int32}
_KINDS: dict[str, type[Record]] = {}


def static(default: Any = dataclasses.MISSING) -> Any:
    """Declares a field that is structure (kinds, widths, lengths), not a leaf."""
    if default is dataclasses.MISSING:
        return flax.struct.field(pytree_node=False)
    return flax.struct.field(pytree_node=False, default=default)


@dataclass_transform(kw_only_default=True, frozen_default=True, eq_default=False, field_specifiers=(static,))
class Record:
    """Base of all configuration. Subclassing makes the dataclass and registers it by its name.

    Equality and hash are those of the canonical JSON, so ``10`` equals ``10.0`` in a ``float``
    field and a list never differs from a tuple. A record that holds traced or swept values
    has no JSON and cannot be compared.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        flax.struct.dataclass(cls, kw_only=True, eq=False, repr=False)
        _KINDS[cls.__name__] = cls

    def replace(self, **changes: Any) -> Self:
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, ``inf`` as ``"inf"``, float32 numbers at their shortest."""
        return json.dumps(_to_plain(self), sort_keys=True, allow_nan=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def __repr__(self) -> str:
        shown = (f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self))  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(shown)})"


def kinds(base: type[Record]) -> dict[str, type[Record]]:
    """Every registered record that derives from ``base``, by name."""
    return {name: kind for name, kind in sorted(_KINDS.items()) if issubclass(kind, base)}


def from_json(text: str) -> Any:
    """Reads what :meth:`Record.to_json` wrote.

    Raises:
      ValueError: on a kind that is not registered or a field that the kind does not have.
    """
    return _from_plain(json.loads(text))


def numbers(record: Record) -> dict[str, Any]:
    """Every sweepable number of a record, by its exact path, e.g. ``"attacks.1.amplify"``."""
    return {path: value for path, value, _ in _walk(record, "")}


def cast(record: Any) -> Any:
    """Casts every number to the dtype its field declares; structure and arrays' shapes are kept."""
    return _map_numbers(record, "", lambda _, value, dtype: np.asarray(value, dtype))


def with_numbers(record: Any, changes: dict[str, Any]) -> Any:
    """The same record with the numbers at some exact paths replaced."""
    return _map_numbers(record, "", lambda path, value, _: changes.get(path, value))


def _fields(record: Record) -> Iterator[tuple[str, Any, Any, bool]]:
    hints = _hints(type(record))
    for field in dataclasses.fields(record):  # type: ignore[arg-type]
        is_leaf = field.metadata.get("pytree_node", True)
        yield field.name, getattr(record, field.name), hints[field.name], is_leaf


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _map_numbers(value: Any, path: str, change: Any) -> Any:
    """Rebuilds a tree of records with ``change(path, number, dtype)`` in place of every number."""
    if isinstance(value, tuple):
        return tuple(_map_numbers(v, f"{path}.{i}".lstrip("."), change) for i, v in enumerate(value))
    changes = {}
    for name, child, hint, is_leaf in _fields(value):
        if not is_leaf:
            continue
        where = f"{path}.{name}".lstrip(".")
        changes[name] = change(where, child, DTYPES[hint]) if hint in DTYPES else _map_numbers(child, where, change)
    return dataclasses.replace(value, **changes)


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any, type]]:
    found: list[tuple[str, Any, type]] = []

    def note(where: str, number: Any, dtype: type) -> Any:
        found.append((where, number, dtype))
        return number

    _map_numbers(value, path, note)
    return iter(found)


def _to_plain(value: Any, hint: Any = None) -> Any:
    if isinstance(value, Record):
        plain = {name: _to_plain(child, hint) for name, child, hint, _ in _fields(value)}
        return {"kind": type(value).__name__, **plain}
    if isinstance(value, tuple | list):
        return [_to_plain(v) for v in value]
    if value is None or isinstance(value, str | bool):
        return value
    if np.ndim(value) != 0:
        raise ValueError(f"A record with swept values has no JSON; found an array of shape {np.shape(value)}.")
    if hint is float or isinstance(value, float | np.floating):
        return _shortest(float(value))
    return int(value)


def _shortest(value: float) -> float | str:
    """The shortest decimal that names the same float32, so 0.1 and ``np.float32(0.1)`` are equal."""
    if math.isnan(value):
        raise ValueError("A configuration holds NaN; every number must be finite or infinite.")
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return float(str(np.float32(value)))


def _from_plain(plain: Any) -> Any:
    if isinstance(plain, list):
        return tuple(_from_plain(v) for v in plain)
    if plain in ("inf", "-inf"):
        return float(plain)
    if not isinstance(plain, dict):
        return plain
    content = dict(plain)
    name = content.pop("kind", None)
    if name not in _KINDS:
        raise ValueError(f"Unknown kind {name!r}; registered kinds are {sorted(_KINDS)}.")
    known = {f.name for f in dataclasses.fields(_KINDS[name])}  # type: ignore[arg-type]
    if unknown := sorted(set(content) - known):
        raise ValueError(f"{name} has no field {unknown[0]!r}; its fields are {sorted(known)}.")
    return _KINDS[name](**{key: _from_plain(child) for key, child in content.items()})

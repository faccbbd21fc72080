"""Configuration as data: records of numbers that print, compare, save and sweep.

A :class:`Record` is a frozen, keyword-only dataclass and a pytree. Its ``float`` and ``int`` fields are leaves, so a
grid of values is the same record with an extra axis. Fields that :func:`static` declares are structure, so a new value
needs a new program.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterator
from typing import Any, Self, TypeVar, dataclass_transform

import numpy as np

from vfl_jax.core.checks import shown
from vfl_jax.core.declarations import check_attributes, check_leaves
from vfl_jax.core.fields import Declared, check_fields, check_names, check_values, declared, structure, tuples
from vfl_jax.core.folded import folded
from vfl_jax.core.plain import OMIT_DEFAULT, RECORD, from_plain, parse, to_plain
from vfl_jax.core.pytrees import register
from vfl_jax.core.registry import home

DTYPES: dict[type, type] = {float: np.float32, int: np.int32}
_KINDS: dict[str, type[Record]] = {}


def static(*, default: Any = dataclasses.MISSING, omit_default: bool = False) -> Any:
    """Declares a field of a record that is structure, such as a kind, a width or a length; it cannot be swept.

    Args:
      default: the default of the field; without one a user must give it.
      omit_default: whether JSON leaves the field out while it holds its default. A field that a later version adds to a
        record then changes no JSON of before, and results of before stay those of the same scenario.
    """
    return dataclasses.field(default=default, metadata={"pytree_node": False, OMIT_DEFAULT: omit_default})


def leaf(*, default: Any, omit_default: bool = False) -> Any:
    """Declares a field of a record that may be swept, as a plain annotation does.

    Args:
      default: the default of the field.
      omit_default: as in :func:`static`.
    """
    return dataclasses.field(default=default, metadata={OMIT_DEFAULT: omit_default})


@dataclass_transform(kw_only_default=True, frozen_default=True, eq_default=False, field_specifiers=(static, leaf))
class Record(Declared):
    """Base of all configuration; a subclass becomes a dataclass, and its name becomes known to :func:`from_json`.

    A module or notebook may define a class again; the name then means the new class. JAX puts other values (shapes,
    axes, None) in the place of leaves. A record that JAX builds is neither checked nor initialised.

    Two records are equal where their canonical JSON is: ``10`` equals ``10.0`` in a ``float`` field, and a list equals
    a tuple. A record with traced or swept values has no JSON, so it cannot be compared.

    Args:
      fields: the values of the fields, by name.

    Raises:
      ValueError: when a record is made, where a field does not hold what its annotation says; when a class is made,
        where another module has a record of the same name, because JSON could not tell the two apart.
      TypeError: when a record is made, where a value is given without a name, or by one that is no field; when a class
        is made, where an attribute lacks its annotation or a leaf could hold no number
        (:mod:`vfl_jax.core.declarations`).

    Example:
      >>> import vfl_jax as vfl
      >>> clipping = vfl.defenses.Clipping(bound=2)
      >>> clipping.replace(by="value")
      Clipping(by='value', bound=2)
      >>> clipping.to_json()
      '{"bound": 2.0, "by": "row_l2", "record": "Clipping"}'
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _check_name(cls)
        check_attributes(cls)
        dataclasses.dataclass(frozen=True, kw_only=True, eq=False, repr=False)(cls)
        if RECORD in (f.name for f in dataclasses.fields(cls)):  # type: ignore[arg-type]
            raise TypeError(f"{cls.__name__} has a field {RECORD!r}, which names the kind of record in JSON.")
        check_leaves(cls)
        cls.__init__ = _checked(cls.__init__)  # type: ignore[method-assign]
        register(cls)
        _KINDS[cls.__name__] = cls

    def __post_init__(self) -> None:
        """Checks what no annotation says, such as a range; a subclass that overrides this method calls its base's."""

    def replace(self, **changes: Any) -> Self:
        """Returns a new record with other values in some fields.

        Args:
          changes: the new values, by the names of their fields.

        Raises:
          TypeError: where a name is no field.
          ValueError: where a field would not hold what its annotation says.
        """
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]

    def to_json(self) -> str:
        """Returns the canonical JSON: sorted keys, ``inf`` as ``"inf"``, float32 numbers as their shortest decimals.

        Raises:
          ValueError: naming the field, where a field does not hold what its annotation says, holds NaN, or holds swept
            or traced values.
        """
        check_fields(self, type(self).__name__)
        return json.dumps(to_plain(self), sort_keys=True, allow_nan=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def __repr__(self) -> str:
        return folded(self)


Kind = TypeVar("Kind", bound=Record)


def kinds(base: type[Kind]) -> dict[str, type[Kind]]:
    """Returns every known class of records that derives from ``base``, by name."""
    return {name: kind for name, kind in sorted(_KINDS.items()) if issubclass(kind, base)}


def from_json(text: str) -> Any:
    """Makes a record of its JSON.

    A record of your own class needs the module that defines the class to be imported: by ``import``, or by
    :func:`vfl_jax.load_plugins`.

    Args:
      text: JSON, as :meth:`Record.to_json` returns it.

    Raises:
      ValueError: where ``text`` is no JSON of a record; where a kind is unknown; where a field is unknown, is missing,
        is there twice, or does not hold what its annotation says.

    Example:
      >>> import vfl_jax as vfl
      >>> vfl.from_json('{"record": "Clipping", "by": "value", "bound": 0.5}')
      Clipping(by='value', bound=0.5)
    """
    return from_plain(parse(text), _KINDS)


def numbers(record: Record) -> dict[str, Any]:
    """Returns every number of a record that can be swept, by its path.

    Args:
      record: a record, such as a scenario.

    Returns:
      a dictionary from paths, such as ``"attacks.1.amplify"``, to numbers.

    Raises:
      ValueError: where ``record`` is none, or a field does not hold what its annotation says.

    Example:
      >>> import vfl_jax as vfl
      >>> vfl.numbers(vfl.attacks.GradientReplacement(amplify=5))
      {'enabled': 1.0, 'amplify': 5}
    """
    if not isinstance(record, Record):
        raise ValueError(f"record is {shown(record)}; it must be a Record, such as a Scenario or a method.")
    check_fields(record)
    return {path: value for path, value, _ in _walk(record, "")}


def cast(record: Any) -> Any:
    """Casts every number of a record to the dtype of its field, float32 or int32.

    Args:
      record: a record, or a tuple of records; numbers may be arrays.

    Returns:
      the same record with NumPy arrays of the same shapes.
    """
    return _map_numbers(record, "", lambda _, value, dtype: np.asarray(value, dtype))


def with_numbers(record: Any, changes: dict[str, Any]) -> Any:
    """Replaces the numbers of a record at some paths.

    Args:
      record: a record, or a tuple of records.
      changes: the new numbers, by path; other paths are passed over.
    """
    return _map_numbers(record, "", lambda path, value, _: changes.get(path, value))


def _check_name(cls: type[Record]) -> None:
    """Checks that no other module has a kind of this name."""
    there = _KINDS.get(cls.__name__)
    if there is not None and home(there.__module__) != home(cls.__module__):
        raise ValueError(
            f"{cls.__module__} defines a record {cls.__name__!r}, but {there.__module__} has one of that name, and a "
            "scenario's JSON knows records by their names alone; choose another name."
        )


def _checked(init: Any) -> Any:
    """Wraps the ``__init__`` of a kind, so that it gets checked values, and tuples in place of lists."""

    @functools.wraps(init)
    def wrapped(self: Record, *places: Any, **fields: Any) -> None:
        check_names(type(self), places, fields)
        init(self, **_values(type(self), fields))

    return wrapped


def _values(kind: type[Record], given: dict[str, Any]) -> dict[str, Any]:
    """Returns the values of a new record, given ones and defaults, after a check.

    A user may give lists, ranges and NumPy's numbers; the record holds tuples and Python's numbers, which hash.
    """
    values = dict(given)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        if not field.init:
            continue
        if field.default is not dataclasses.MISSING:
            values.setdefault(field.name, field.default)
        elif field.default_factory is not dataclasses.MISSING and field.name not in given:
            values[field.name] = field.default_factory()
    is_leaf = {name: is_leaf for name, _, is_leaf in declared(kind)}  # type: ignore[arg-type]
    values = {name: tuples(value) if is_leaf.get(name) else structure(value) for name, value in values.items()}
    check_values(kind, values, kind.__name__)
    return values


def _fields(record: Record) -> Iterator[tuple[str, Any, Any, bool]]:
    """Yields (name, value, annotation, whether it is a leaf) of every field."""
    fields = declared(type(record))  # type: ignore[arg-type]
    return ((name, getattr(record, name), hint, is_leaf) for name, hint, is_leaf in fields)


def _map_numbers(value: Any, path: str, change: Any) -> Any:
    """Rebuilds a tree of records; ``change(path, number, dtype)`` takes the place of every number."""
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
    """Yields (path, number, dtype) of every number in a tree of records."""
    found: list[tuple[str, Any, type]] = []

    def note(where: str, number: Any, dtype: type) -> Any:
        found.append((where, number, dtype))
        return number

    _map_numbers(value, path, note)
    return iter(found)

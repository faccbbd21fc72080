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
import sys
import typing
from collections.abc import Iterator
from typing import Any, Self, dataclass_transform

import jax
import numpy as np

from vfl_jax.core.checks import is_number, shown
from vfl_jax.core.declarations import check_attributes, check_leaves
from vfl_jax.core.fields import Declared, check_fields, check_values, declared, missing, structure, tuples
from vfl_jax.core.pytrees import register

DTYPES: dict[type, type] = {float: np.float32, int: np.int32}
RECORD = "record"
"""The key that names the kind of a record in its JSON; no record has a field of that name."""
_KINDS: dict[str, type[Record]] = {}


def static(*, default: Any = dataclasses.MISSING) -> Any:
    """Declares a field that is structure (kinds, widths, lengths), not a leaf."""
    return dataclasses.field(default=default, metadata={"pytree_node": False})


@dataclass_transform(kw_only_default=True, frozen_default=True, eq_default=False, field_specifiers=(static,))
class Record(Declared):
    """Base of all configuration. Subclassing makes the dataclass and registers it by its name.

    Within one module, or a notebook, a class may be defined again; the name then means the new one. A second class of
    one name from another module is a ``ValueError``, because JSON could not tell them apart. What would be no field, or
    could be no leaf, is a ``TypeError`` when the class is made (:mod:`vfl_jax.core.declarations`).

    Fields that do not hold what their annotations say are a ``ValueError`` when a record is made, before
    ``__post_init__`` sees them; swept and traced numbers pass. JAX puts whatever it likes in the place of leaves
    (shapes, axes, None): what it makes of a record is neither checked nor initialised.

    Equality and hash are those of the canonical JSON, so ``10`` equals ``10.0`` in a ``float``
    field and a list never differs from a tuple. A record that holds traced or swept values
    has no JSON and cannot be compared.
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
        """Checks what no annotation says, such as a range; a subclass that overrides it calls its base's."""

    def replace(self, **changes: Any) -> Self:
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]

    def to_json(self) -> str:
        """Canonical JSON: sorted keys, ``inf`` as ``"inf"``, float32 numbers at their shortest.

        Raises:
          ValueError: naming the field, where one does not hold what its annotation says, or no finite or infinite
            number; on swept or traced values.
        """
        check_fields(self, type(self).__name__)
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
      ValueError: on text that is no JSON of a record, a kind that is not registered, a field that the kind does not
        have, that is missing, there twice, or does not hold what its annotation says.
    """
    if not isinstance(text, str):
        raise ValueError(f"text is {shown(text)}; it must be a str, as to_json gives it.")
    try:
        plain = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except ValueError as error:
        raise ValueError(f"text is no JSON of a record: {error}") from error
    except RecursionError:
        raise ValueError("text is no JSON of a record: it is nested too deeply.") from None
    if not isinstance(plain, dict):
        raise ValueError(f"text holds {shown(plain)}; it must hold an object with {RECORD!r}, as to_json writes it.")
    try:
        return _from_plain(plain)
    except RecursionError:
        raise ValueError("text is no JSON of a record: it is nested too deeply.") from None


def numbers(record: Record) -> dict[str, Any]:
    """Every sweepable number of a record, by its exact path, e.g. ``"attacks.1.amplify"``.

    Raises:
      ValueError: where a field does not hold what its annotation says.
    """
    check_fields(record)
    return {path: value for path, value, _ in _walk(record, "")}


def cast(record: Any) -> Any:
    """Casts every number to the dtype its field declares; structure and arrays' shapes are kept."""
    return _map_numbers(record, "", lambda _, value, dtype: np.asarray(value, dtype))


def with_numbers(record: Any, changes: dict[str, Any]) -> Any:
    """The same record with the numbers at some exact paths replaced."""
    return _map_numbers(record, "", lambda path, value, _: changes.get(path, value))


def _check_name(cls: type[Record]) -> None:
    """Raises ``ValueError`` where another module has a kind of this name."""
    there = _KINDS.get(cls.__name__)
    if there is not None and _place(there) != _place(cls):
        raise ValueError(
            f"{cls.__module__} defines a record {cls.__name__!r}, but {there.__module__} has one of that name, and a "
            "scenario's JSON knows records by their names alone; choose another name."
        )


def _place(cls: type[Record]) -> str:
    """The module that a kind is of. What is typed, executed or started as a script counts as one."""
    if cls.__module__ in ("__main__", "__mp_main__", "builtins"):  # exec gives "builtins" where it is given no name
        return "__main__"
    main = sys.modules.get("__main__")
    module = sys.modules.get(cls.__module__)
    is_script = module is not None and getattr(module, "__file__", None) == getattr(main, "__file__", "")
    return "__main__" if is_script else cls.__module__


def _checked(init: Any) -> Any:
    """Makes a record only of values that fit its fields, whose numbers and lists are of one form."""

    @functools.wraps(init)
    def wrapped(self: Record, **fields: Any) -> None:
        init(self, **_values(type(self), fields))

    return wrapped


def _values(kind: type[Record], given: dict[str, Any]) -> dict[str, Any]:
    """What a new record will hold, checked: what is given, and the defaults.

    Lists, ranges and NumPy's numbers are taken, though structure must compare and hash.
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
    fields = declared(type(record))  # type: ignore[arg-type]
    return ((name, getattr(record, name), hint, is_leaf) for name, hint, is_leaf in fields)


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


def _to_plain(value: Any, hint: Any = None, where: str = "") -> Any:
    if isinstance(value, Record):
        name = type(value).__name__
        plain = {field: _to_plain(child, hint, f"{name}.{field}") for field, child, hint, _ in _fields(value)}
        return {RECORD: name, **plain}
    if isinstance(value, tuple):
        return [_to_plain(v, where=where) for v in value]
    if value is None or isinstance(value, str | bool):
        return value
    if not (is_number(value) or isinstance(value, np.ndarray | jax.Array)):
        raise ValueError(
            f"{where} is {shown(value)} (of type {type(value).__name__}); a field holds numbers, texts, True, False, "
            "None, records, and lists of them. Make a record of its own, whose methods may be any code."
        )
    if np.ndim(value) != 0:
        raise ValueError(f"{where} is an array of shape {np.shape(value)}; a record with swept values has no JSON.")
    if hint is int and value != int(value):
        raise ValueError(f"{where} is {value}; it must be a whole number.")
    if float in (hint, *typing.get_args(hint)) or (hint is not int and isinstance(value, float | np.floating)):
        return _plain_float(float(value), where)
    return int(value)


def _plain_float(value: float, where: str) -> float | str:
    """The shortest decimal, and texts for the infinite ones."""
    if math.isnan(value):
        raise ValueError(f"{where} is NaN; every number must be finite or infinite.")
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    short = shortest(value)
    if math.isinf(short):
        raise ValueError(f"{where} is {value}, which float32 cannot hold; use inf where no bound is meant.")
    return short


def shortest(value: float) -> float:
    """The shortest decimal that names the same float32: 0.1 for 0.1 and for ``np.float32(0.1)``; 0 for −0."""
    with np.errstate(over="ignore"):
        return float(str(np.float32(value))) + 0.0


def _from_plain(plain: Any) -> Any:
    if isinstance(plain, list):
        return tuple(_from_plain(v) for v in plain)
    if plain in ("inf", "-inf"):
        return float(plain)
    if not isinstance(plain, dict):
        return plain
    content = dict(plain)
    name = content.pop(RECORD, None)
    if not isinstance(name, str) or name not in _KINDS:
        raise ValueError(f"{RECORD!r} is {shown(name)}, an unknown kind; registered kinds are {sorted(_KINDS)}.")
    known = {f.name for f in dataclasses.fields(_KINDS[name])}  # type: ignore[arg-type]
    if unknown := sorted(set(content) - known):
        raise ValueError(f"{name} has no field {unknown[0]!r}; its fields are {sorted(known)}.")
    if lacking := missing(_KINDS[name], content):
        raise ValueError(f"{name} lacks {', '.join(map(repr, lacking))}, which must be given.")
    return _KINDS[name](**{key: _from_plain(child) for key, child in content.items()})


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose every key is there once; Python would take the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"it has {twice!r} twice in one object; leave one out.")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f'it has {name}; write "inf" or "-inf" for what is infinite, and leave out what is no number.')

"""Records as plain values of Python, which JSON holds, and back."""

from __future__ import annotations

import dataclasses
import json
import math
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from vfl_jax.core.checks import did_you_mean, is_number, shown
from vfl_jax.core.fields import Declared, declared, missing, no_field
from vfl_jax.core.registry import ADVICE

RECORD = "record"
"""The key that names the kind of a record in its JSON; no record has a field of that name."""

OMIT_DEFAULT = "omit_default"
"""The key in a field's metadata that says whether JSON leaves the field out while it holds its default."""


def parse(text: Any) -> dict[str, Any]:
    """Reads the JSON of a record into plain values.

    Args:
      text: the JSON.

    Returns:
      the outermost object.

    Raises:
      ValueError: where ``text`` is no text, no JSON, or no JSON of an object; where an object has a key twice; where a
        number is larger than float32 holds.
    """
    if not isinstance(text, str):
        raise ValueError(f"text is {shown(text)}; it must be a str, as to_json gives it.")
    try:
        plain = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_float)
    except ValueError as error:
        raise ValueError(f"text is no JSON of a record: {error}") from error
    except RecursionError:
        raise ValueError("text is no JSON of a record: it is nested too deeply.") from None
    if not isinstance(plain, dict):
        raise ValueError(f"text holds {shown(plain)}; it must hold an object with {RECORD!r}, as to_json writes it.")
    return plain


def to_plain(value: Any, hint: Any = None, where: str = "") -> Any:
    """Turns a record, or a value in it, into plain values.

    Args:
      value: the record or value.
      hint: the annotation of the field that holds the value.
      where: the path of that field, for messages.

    Raises:
      ValueError: naming the field, where a value is of a kind that no record holds, or is swept, traced or NaN.
    """
    if isinstance(value, Declared):
        name = type(value).__name__
        plain = {field: to_plain(child, hint, f"{name}.{field}") for field, child, hint in _fields(value)}
        return {RECORD: name, **plain}
    if isinstance(value, tuple):
        return [to_plain(v, where=where) for v in value]
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
    """Returns a number as its shortest decimal, an infinite one as a text."""
    if math.isnan(value):
        raise ValueError(f"{where} is NaN; every number must be finite or infinite.")
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    short = shortest(value)
    if math.isinf(short):
        raise ValueError(f"{where} is {value}, which float32 cannot hold; use inf where no bound is meant.")
    return short


def shortest(value: float) -> float:
    """Returns the shortest decimal that names the same float32; 0 for −0.

    Example:
      >>> shortest(np.float32(0.1))
      0.1
    """
    with np.errstate(over="ignore"):
        return float(str(np.float32(value))) + 0.0


def from_plain(plain: Any, kinds: Mapping[str, type]) -> Any:
    """Makes a record of plain values.

    Args:
      plain: the values, as :func:`to_plain` returns them.
      kinds: the known kinds of records, by name.

    Raises:
      ValueError: where a kind is unknown, where a field is unknown, is missing or does not hold what its annotation
        says, or where the values are nested too deeply.
    """
    try:
        return _made(plain, kinds)
    except RecursionError:
        raise ValueError("text is no JSON of a record: it is nested too deeply.") from None


def _made(plain: Any, kinds: Mapping[str, type]) -> Any:
    """Makes a record, or a value in it, of plain values; see :func:`from_plain`."""
    if isinstance(plain, list):
        return tuple(_made(v, kinds) for v in plain)
    if plain in ("inf", "-inf"):
        return float(plain)
    if not isinstance(plain, dict):
        return plain
    content = dict(plain)
    name = content.pop(RECORD, None)
    if not isinstance(name, str) or name not in kinds:
        raise ValueError(_unknown(name, kinds))
    known = {f.name for f in dataclasses.fields(kinds[name])}
    if unknown := sorted(set(content) - known):
        raise ValueError(no_field(kinds[name], unknown[0]))
    if lacking := missing(kinds[name], content):
        raise ValueError(f"{name} lacks {', '.join(map(repr, lacking))}, which must be given.")
    return kinds[name](**{key: _made(child, kinds) for key, child in content.items()})


def _unknown(name: Any, kinds: Mapping[str, type]) -> str:
    """What is said of a kind of record that nobody knows."""
    if name is None:
        return f"text has a record without {RECORD!r}, the name of its kind, such as 'Scenario' or 'GaussianNoise'."
    near = did_you_mean(name, kinds)
    return f"{RECORD!r} is {shown(name)}, no known kind of record.{near} {ADVICE}"


def _fields(record: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yields (name, value, annotation) of every field that JSON holds."""
    known = {f.name: f for f in dataclasses.fields(record)}
    for name, hint, _ in declared(type(record)):  # type: ignore[arg-type]
        value, field = getattr(record, name), known[name]
        if not (field.metadata.get(OMIT_DEFAULT) and value == field.default):
            yield name, value, hint


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns a JSON object, after a check that it has no key twice; Python would keep the last of two."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"it has {twice!r} twice in one object; leave one out.")
    return found


def _no_constant(name: str) -> Any:
    """Refuses NaN and Infinity, which JSON itself does not have."""
    raise ValueError(f'it has {name}; write "inf" or "-inf" for what is infinite, and leave out what is no number.')


def _float(text: str) -> float:
    """Returns a number, after a check that float32 holds it: Python makes infinity of 1e999."""
    if math.isinf(shortest(float(text))):
        raise ValueError(f'it has {text}, which float32 cannot hold; write "inf" or "-inf" for what is infinite.')
    return float(text)

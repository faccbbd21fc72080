"""Checks that the fields of a record hold what their annotations say, before other code uses the record."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.checks import did_you_mean, is_number, is_whole, shown, with_article


class Declared:
    """Base of the dataclasses that this module checks by their annotations, which are the records."""


def check_fields(record: Any, where: str = "") -> None:
    """Checks a record and all records in it; traced and swept numbers pass.

    Args:
      record: the record.
      where: the path of the record, with which every message begins.

    Raises:
      ValueError: naming the path of a field, what it holds and what it must hold.
    """
    check_values(type(record), vars(record), where)


def check_values(kind: type, values: Mapping[str, Any], where: str) -> None:
    """Checks the values of a record, as :func:`check_fields` does, perhaps before the record exists.

    Args:
      kind: the class of the record.
      values: the values, by the names of their fields; other names are passed over.
      where: the path of the record, with which every message begins.

    Raises:
      ValueError: naming the path of a field, what it holds and what it must hold.
    """
    for name, hint, is_leaf in declared(kind):
        path = f"{where}.{name}".lstrip(".")
        if is_leaf:
            check_leaf(path, hint, ValueError)
        if name in values:
            _check(path, values[name], hint, is_leaf)


def check_leaf(path: str, hint: Any, error: type[Exception]) -> None:
    """Checks that a leaf is declared as a number, a record or a tuple of records.

    Args:
      path: the path of the field, for the message.
      hint: its annotation.
      error: the type of the error to raise.

    Raises:
      error: where the annotation is another one.
    """
    if not _may_be_leaf(hint):
        raise error(
            f"{path} is declared as {_words(hint)}; only numbers (float or int), records and tuples of records are "
            "swept or passed on. Declare it static(default=...)."
        )


@functools.cache
def declared(kind: type) -> tuple[tuple[str, Any, bool], ...]:
    """Returns :func:`declared_now` of a finished class, from a cache."""
    return declared_now(kind)


def declared_now(kind: type) -> tuple[tuple[str, Any, bool], ...]:
    """Returns every field of a kind of record: (name, annotation, whether the field is a leaf, that is, not static).

    Args:
      kind: the class, a dataclass.

    Raises:
      ValueError: where an annotation has a name that the module does not know, or does not know yet.
    """
    try:
        hints = typing.get_type_hints(kind)
    except (NameError, AttributeError) as error:
        raise ValueError(
            f"{kind.__name__} has an annotation that {kind.__module__} does not know ({error}); import or define the "
            "name at the top of that module."
        ) from error
    fields = dataclasses.fields(kind)
    return tuple((f.name, hints[f.name], f.metadata.get("pytree_node", True)) for f in fields)


def check_names(kind: type, places: Sequence[Any], given: Iterable[str]) -> None:
    """Checks that a record is given its fields by their names.

    Args:
      kind: the class, a dataclass.
      places: what is given without a name.
      given: the names that are given.

    Raises:
      TypeError: naming the class, and its fields.
    """
    names = [field.name for field in dataclasses.fields(kind) if field.init]
    if places:
        example = f", for example {kind.__name__}({names[0]}={shown(places[0])})" if names else "; it has none"
        raise TypeError(f"{kind.__name__} takes its fields by name{example}.")
    if unknown := [name for name in given if name not in names]:
        raise TypeError(no_field(kind, unknown[0]))


def no_field(kind: type, name: str) -> str:
    """Returns what is said of a name that is no field: the nearest field, or all of them.

    Args:
      kind: the class, a dataclass.
      name: the name.
    """
    names = [field.name for field in dataclasses.fields(kind) if field.init]
    known = f"Its fields are {', '.join(names)}." if names else "It has no fields."
    return f"{kind.__name__} has no field {name!r}.{did_you_mean(name, names)} {known}"


def missing(kind: type, given: Any) -> list[str]:
    """Returns the names of the fields that have no default and are not given.

    Args:
      kind: the class, a dataclass.
      given: the names that are given.
    """
    needed = (f for f in dataclasses.fields(kind) if f.default is f.default_factory is dataclasses.MISSING)
    return [f.name for f in needed if f.name not in given]


def structure(value: Any) -> Any:
    """Brings the value of a static field into a form that compares and hashes.

    Lists, ranges and concrete arrays become tuples, and NumPy's numbers become Python's.
    """
    if isinstance(value, range) or (
        isinstance(value, np.ndarray | jax.Array) and not isinstance(value, jax.core.Tracer)
    ):
        return tuples(np.asarray(value).tolist())
    if isinstance(value, np.generic):
        return value.item()
    return tuple(map(structure, value)) if type(value) in (list, tuple) else value


def tuples(value: Any) -> Any:
    """Turns lists into tuples, at any depth."""
    return tuple(map(tuples, value)) if type(value) in (list, tuple) else value


def _check(path: str, value: Any, hint: Any, is_leaf: bool) -> None:
    """Checks one value, and all values in it, by an annotation."""
    if _is_union(hint):
        fitting = [option for option in typing.get_args(hint) if _fits(value, option, is_leaf)]
        if not fitting:
            raise _wrong(path, value, hint)
        return _check(path, value, fitting[0], is_leaf)
    if not _fits(value, hint, is_leaf):
        raise _wrong(path, value, hint)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{path} is {shown(value)}; whole numbers must fit into 64 bits.")
    if typing.get_origin(hint) in (tuple, list):
        for i, (entry, of_entry) in enumerate(_entries(path, value, hint)):
            _check(f"{path}.{i}", entry, of_entry, is_leaf)
    elif _is_record(hint):
        check_fields(value, path)
    return None


def _entries(path: str, value: tuple[Any, ...], hint: Any) -> Iterator[tuple[Any, Any]]:
    """Returns every entry of a tuple with its annotation."""
    of_entries = typing.get_args(hint)
    if typing.get_origin(hint) is list or of_entries[1:] == (Ellipsis,):
        return ((entry, of_entries[0]) for entry in value)
    if len(value) != len(of_entries):
        raise ValueError(f"{path} has {len(value)} entries; it must have {len(of_entries)}.")
    return zip(value, of_entries, strict=True)


def _fits(value: Any, hint: Any, is_leaf: bool) -> bool:
    """Whether a value itself is of the annotated kind; its entries are not looked at."""
    origin = typing.get_origin(hint)
    if hint in (float, int):
        if isinstance(value, np.ndarray | jax.Array):
            is_real = jnp.issubdtype(value.dtype, jnp.floating) or jnp.issubdtype(value.dtype, jnp.integer)
            return is_leaf and bool(is_real)
        return is_number(value) if hint is float else is_whole(value) or (is_leaf and _is_whole_float(value))
    if hint in (None, type(None)):
        return value is None
    if origin is typing.Literal:
        return any(type(value) is type(choice) and value == choice for choice in typing.get_args(hint))
    if origin in (tuple, list) or hint in (tuple, list):  # lists are tuples by now
        return type(value) is tuple
    return isinstance(value, hint) if _tells_instances(hint) else True


def _tells_instances(hint: Any) -> bool:
    """Whether an annotation is a class that ``isinstance`` takes; ``Any`` and some protocols are not."""
    is_protocol = getattr(hint, "_is_protocol", False) and not getattr(hint, "_is_runtime_protocol", False)
    return isinstance(hint, type) and hint is not Any and not is_protocol


def _is_whole_float(value: Any) -> bool:
    """Whether a value is a number without a fraction, such as 2.0."""
    return is_number(value) and float(value).is_integer()


def _may_be_leaf(hint: Any) -> bool:
    """Whether an annotation is a number, a record or a tuple of records."""
    if typing.get_origin(hint) is tuple:
        return all(_is_record(entry) for entry in typing.get_args(hint) if entry is not Ellipsis)
    return hint in (float, int) or _is_record(hint)


def _is_record(hint: Any) -> bool:
    """Whether an annotation is a class of records."""
    return isinstance(hint, type) and issubclass(hint, Declared)


def _is_union(hint: Any) -> bool:
    """Whether an annotation allows several kinds."""
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _wrong(path: str, value: Any, hint: Any) -> ValueError:
    """Returns the error for a value of another kind, with advice for the common mistakes."""
    advice = ""
    if isinstance(value, type) and _is_record(hint) and issubclass(value, hint):
        advice = f" That is the class; make one of it: {value.__name__}()."
    elif type(value) is tuple and value and _is_record(hint) and all(isinstance(entry, hint) for entry in value):
        advice = " Several are joined by a chain, which is one (ActiveChain, PartyChain)."
    elif (isinstance(value, bool) and hint in (int, float)) or (hint is int and _is_whole_float(value)):
        advice = f" Write {int(value)}."
    return ValueError(f"{path} is {shown(value)}; it must be {_words(hint)}.{advice}")


def _words(hint: Any) -> str:
    """Returns an annotation in words."""
    plain = {float: "a number", int: "a whole number", bool: "True or False", str: "a text", type(None): "None"}
    args = typing.get_args(hint)
    if hint in plain:
        return plain[hint]
    if _is_union(hint):
        return " or ".join(map(_words, args))
    if typing.get_origin(hint) is typing.Literal:
        return f"one of {', '.join(map(repr, args))}"
    if args and typing.get_origin(hint) in (tuple, list):
        return f"a list, of which every entry is {' and '.join(dict.fromkeys(_words(a) for a in args if a is not ...))}"
    if isinstance(hint, type):
        return with_article(hint.__name__)
    return str(hint)

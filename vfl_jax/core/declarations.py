"""Checks of a class of records, when Python makes the class. Python itself would pass these mistakes over."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from typing import Any

from vfl_jax.core.checks import shown
from vfl_jax.core.fields import check_leaf, declared_now


def check_attributes(cls: type) -> None:
    """Checks the attributes that a class sets without an annotation.

    A dataclass makes fields of annotated names only. So a forgotten annotation would lose a field, or the new default
    of a field, without a word. Methods, descriptors, classes, constants (``UPPERCASE``) and private names need no
    annotation, nor does a name that a base sets as a plain attribute.

    Args:
      cls: the class, before it becomes a dataclass.

    Raises:
      TypeError: naming an attribute that lacks its annotation.
    """
    annotated = inspect.get_annotations(cls)
    bases = filter(dataclasses.is_dataclass, cls.__mro__[1:])
    fields = {field.name for base in bases for field in dataclasses.fields(base)}
    for name, value in vars(cls).items():
        if name in annotated or name.startswith("_") or not _is_plain(value):
            continue
        if name in fields:
            raise TypeError(
                f"{cls.__name__} sets {name} = {shown(value)} without an annotation, so that the field of that name "
                f"keeps its old default. Write {name}: <its type> = ..., as the base does."
            )
        if not name.isupper() and not any(hasattr(base, name) for base in cls.__bases__):
            raise TypeError(
                f"{cls.__name__} sets {name} = {shown(value)} without an annotation, so that it is no field: it could "
                f"neither be given nor swept, and no JSON would hold it. {_advice(name, value)}, or call it "
                f"{name.upper()} or _{name} if it is a constant."
            )


def check_leaves(cls: type) -> None:
    """Checks the fields of a class that are not static.

    Where an annotation names a class that the module defines later, the first use of the record checks its fields.

    Args:
      cls: the class, once it is a dataclass.

    Raises:
      TypeError: naming a leaf that could hold no number, no record and no tuple of records.
    """
    try:
        found = declared_now(cls)
    except ValueError:  # a name that the module defines later, or never; the first use tells them apart
        return
    for name, hint, is_leaf in found:
        if is_leaf:
            check_leaf(f"{cls.__name__}.{name}", hint, TypeError)


def _is_plain(value: Any) -> bool:
    """Whether a value could be a default: it is no method or other descriptor, no class and no type."""
    return not (hasattr(type(value), "__get__") or isinstance(value, type) or typing.get_origin(value) is not None)


def _advice(name: str, value: Any) -> str:
    """Returns the line that a user should write instead."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"Write {name}: float = {value} for a number that is swept"
    return f"Write {name}: <its type> = static(default=...)"

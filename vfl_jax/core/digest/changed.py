"""What code changes itself: counters, caches and the like, whose content is no part of what a programmer wrote."""

from __future__ import annotations

import inspect
import types
from typing import Any

from vfl_jax.core.digest.bytecode import Change, attributes_of, changes_of
from vfl_jax.core.digest.held import HEAP_TYPE, is_container, is_versioned, module_of, wrapped
from vfl_jax.core.record import Record

_MAKING = {
    *("__init__", "__post_init__", "__new__", "__init_subclass__", "__set_name__", "__setstate__", "__setattr__"),
    *("__setitem__", "__delitem__", "__delattr__", "__set__", "setup"),
}
"""Methods that say what an object is; what they store is not left out."""


class Changed:
    """The places that functions change: names of modules, attributes of objects, variables of functions around.

    To be filled by :meth:`see` with every function of which the digest tells, before anything is left out.
    """

    def __init__(self) -> None:
        self.places: set[tuple[int, str]] = set()
        self.used: set[str] = set()
        self.kept: list[Any] = []  # so that no other thing gets an id that was noted

    def see(self, function: types.FunctionType) -> None:
        self.kept.append(function)
        if not is_versioned(module_of(function)):
            self.used |= attributes_of(function.__code__)
        cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
        for change in changes_of(function.__code__):
            if change.scope == "global":
                holder: Any = function.__globals__
                value = holder.get(change.name)
            elif change.scope == "free" and change.name in cells:
                holder = cells[change.name]
                value = content(holder)
            else:
                continue
            if change.attribute:
                holder, value = value, inspect.getattr_static(value, change.attribute, None)
            if not change.is_call or is_container(value):
                self.places.add((id(holder), change.attribute or change.name))

    def has(self, holder: Any, name: str) -> bool:
        """Whether the place is changed: a name of a module's dict, an attribute of an object, the name of a cell."""
        return (id(holder), name) in self.places

    def attributes(self, kind: type) -> dict[str, bool]:
        """The attributes that a class's own methods change, and whether only by methods of containers.

        Those of a record all count, of another class those that are called.
        """
        found: dict[str, bool] = {}
        for base in kind.__mro__:
            for name, method in vars(base).items() if base.__flags__ & HEAP_TYPE else ():
                is_used = issubclass(kind, Record) or name in self.used or name.startswith("__")
                for function in _functions(method) if is_used and name not in _MAKING else ():
                    for change in _of_itself(function):
                        found[change.attribute] = found.get(change.attribute, True) and change.is_call
        return found

    def leaves_out(self, holder: Any, attributes: dict[str, bool], name: str, value: Any) -> bool:
        """Whether an attribute is changed by the code, its class's or other."""
        is_changed = name in attributes and (not attributes[name] or is_container(value))
        is_method = isinstance(holder, type) and isinstance(value, types.FunctionType | staticmethod | classmethod)
        return not is_method and (is_changed or self.has(holder, name))


def content(cell: types.CellType) -> Any:
    """What a variable of a function around holds; None if nothing."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def changed_defaults(function: types.FunctionType) -> set[str]:
    """Parameters whose default is a container that the function changes, as in ``def f(x, cache={})``."""
    return {change.name for change in changes_of(function.__code__) if change.scope == "local" and not change.attribute}


def _functions(method: Any) -> list[types.FunctionType]:
    if isinstance(method, property):
        return [f for f in (method.fget,) if isinstance(f, types.FunctionType)]
    inner = getattr(method, "__func__", method)
    while (within := wrapped(inner)) is not None:
        inner = within
    return [inner] if isinstance(inner, types.FunctionType) else []


def _of_itself(function: types.FunctionType) -> list[Change]:
    """Changes of attributes of the first argument, or of its type."""
    code = function.__code__
    itself = {("local", name) for name in code.co_varnames[: min(code.co_argcount, 1)]}
    itself |= {("free", name) for _, name in itself} | {("global", "type")}
    return [change for change in changes_of(code) if change.attribute and (change.scope, change.name) in itself]

"""The things that code itself changes, such as counters and caches. A programmer did not write their content."""

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
"""The methods that make an object; the attributes that they store stay in the digest."""


class Changed:
    """The places that functions change: names of modules, attributes of objects, variables of enclosing functions.

    :meth:`see` must get every function in the digest before the digest leaves anything out.
    """

    def __init__(self) -> None:
        self.places: set[tuple[int, str]] = set()
        self.used: set[str] = set()
        self.kept: list[Any] = []  # keeps the functions alive, so that no other thing gets a noted id

    def see(self, function: types.FunctionType) -> None:
        """Notes the places that a function changes, and the attributes that it looks up."""
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
        """Whether code changes a name in a module's dict, an attribute of an object, or the variable of a cell."""
        return (id(holder), name) in self.places

    def attributes(self, kind: type) -> dict[str, bool]:
        """Returns the attributes that the methods of a class change, and whether only container methods change them.

        All methods of a record count. Of another class the methods count that some code in the digest looks up.
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
        """Whether the digest leaves an attribute out, because code of its class or other code changes it."""
        is_changed = name in attributes and (not attributes[name] or is_container(value))
        is_method = isinstance(holder, type) and isinstance(value, types.FunctionType | staticmethod | classmethod)
        return not is_method and (is_changed or self.has(holder, name))


def content(cell: types.CellType) -> Any:
    """Returns the value of a variable of an enclosing function; None where it has none yet."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def changed_defaults(function: types.FunctionType) -> set[str]:
    """Returns the parameters whose content the function changes, as in ``def f(x, cache={})``."""
    return {change.name for change in changes_of(function.__code__) if change.scope == "local" and not change.attribute}


def _functions(method: Any) -> list[types.FunctionType]:
    """Returns the function in a method or property; none where there is none."""
    if isinstance(method, property):
        return [f for f in (method.fget,) if isinstance(f, types.FunctionType)]
    inner = getattr(method, "__func__", method)
    while (within := wrapped(inner)) is not None:
        inner = within
    return [inner] if isinstance(inner, types.FunctionType) else []


def _of_itself(function: types.FunctionType) -> list[Change]:
    """Returns the changes that a method makes to attributes of its first argument, or of that argument's type."""
    code = function.__code__
    itself = {("local", name) for name in code.co_varnames[: min(code.co_argcount, 1)]}
    itself |= {("free", name) for _, name in itself} | {("global", "type")}
    return [change for change in changes_of(code) if change.attribute and (change.scope, change.name) in itself]

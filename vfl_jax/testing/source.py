"""What the code of a method reaches: functions, classes and globals, walked without calling anything."""

from __future__ import annotations

import builtins
import dis
import functools
import sys
import types
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from vfl_jax.core.record import Record
from vfl_jax.testing.failures import CheckFailed
from vfl_jax.testing.names import ATTRIBUTES, WHAT, is_trusted, of_member, of_module

MANY = 16
"""A container of more numbers than this counts as an array, and a constant of a program as data."""


class Reach:
    """Everything that the functions of a class of methods reach.

    Args:
      kind: the class.

    Attributes:
      found: what it reaches, by the path on which it is reached; containers and namespaces, which a hook could change.

    Raises:
      CheckFailed: where a function names what no hook needs, or where an array is reached.
    """

    def __init__(self, kind: type) -> None:
        self._name = kind.__name__
        self._seen: dict[int, Any] = {}
        self.found: dict[str, Any] = {}
        for base in kind.__mro__:
            if not is_trusted(base.__module__):
                self._visit(base, base.__name__)

    def _visit(self, value: Any, path: str) -> None:
        """Walks one object."""
        if id(value) in self._seen or value is None or isinstance(value, bool | int | float | complex):
            return
        self._seen[id(value)] = value
        if isinstance(value, jax.Array | np.ndarray) and np.ndim(value):
            raise CheckFailed(
                "arrays",
                self._name,
                f"holds an array of {value.dtype} and shape {np.shape(value)} at {path}: whatever is in it, a hook "
                "then knows. Make it in init, so that it is state, or of the hook's arguments.",
            )
        if isinstance(value, types.FunctionType):
            self._function(value, path)
        elif isinstance(value, types.ModuleType):
            self._named(value, path)
        elif isinstance(value, type):
            if not is_trusted(value.__module__):
                self._namespace(value, path)
            else:
                self._named(value, path)
        else:
            self._instance(value, path)

    def _instance(self, value: Any, path: str) -> None:
        """Walks an object that is no function, class or module."""
        if isinstance(value, str | bytes | bytearray):
            if not isinstance(value, str) and len(value) > MANY:
                self._many(path, len(value), "bytes")
        elif isinstance(value, staticmethod | classmethod):
            self._visit(value.__func__, path)
        elif isinstance(value, property | functools.cached_property):
            for part in ("fget", "fset", "func"):
                self._visit(getattr(value, part, None), path)
        elif isinstance(value, functools.partial):
            self._visit(value.func, path)
            self._visit((*value.args, *value.keywords.values()), f"{path} (partial)")
        elif isinstance(value, types.MethodType):
            self._visit(value.__func__, path)
            self._visit(value.__self__, f"{path}.__self__")
        elif isinstance(value, dict | list | tuple | set | frozenset):
            self._container(value, path)
        elif isinstance(value, Record):
            self._visit(type(value), path)
        else:
            self._named(value, path)
            self._visit(getattr(value, "__wrapped__", None), path)
            if not is_trusted(type(value).__module__):
                self._visit(vars(value) if hasattr(value, "__dict__") else None, path)
                self._visit(type(value), path)

    def _container(self, value: Any, path: str) -> None:
        """Walks a container, which may hold as much as an array."""
        items = list(value.values()) if isinstance(value, dict) else list(value)
        numbers = sum(isinstance(item, bool | int | float | np.number) for item in items)
        if numbers > MANY:
            self._many(path, numbers, "numbers")
        if isinstance(value, dict | list | set):
            self.found[path] = value
        keys = list(value) if isinstance(value, dict) else range(len(items))
        for key, item in zip(keys, items, strict=True):
            self._visit(item, f"{path}[{key!r}]")

    def _many(self, path: str, count: int, what: str) -> None:
        raise CheckFailed(
            "arrays",
            self._name,
            f"holds {count} {what} at {path}, as much as an array: whatever is in it, a hook then knows. Make it a "
            "static field, which every reader of a scenario sees, or make it of the hook's arguments.",
        )

    def _namespace(self, kind: type, path: str) -> None:
        """Walks what a class holds."""
        self.found[path] = kind
        for name, value in list(vars(kind).items()):
            if not _is_bookkeeping(name, value):
                self._visit(value, f"{path}.{name}")

    def _function(self, function: types.FunctionType, path: str) -> None:
        """Walks what a function holds, and what its code names."""
        module = str(function.__globals__.get("__name__", ""))
        self._named(function, path)
        self._visit(getattr(function, "__wrapped__", None), path)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
            held = _content(cell)
            if not is_trusted(module) or isinstance(
                held, types.FunctionType | functools.partial | jax.Array | np.ndarray
            ):
                self._visit(held, f"{path}, in its closure as {name}")
        if is_trusted(module):
            return
        self.found[path] = function
        self.found[f"the module {module}"] = sys.modules.get(module)
        self._visit(function.__defaults__, f"{path}, in its defaults")
        self._visit(function.__kwdefaults__, f"{path}, in its defaults")
        self._visit(dict(vars(function)) or None, f"{path}, in its attributes")
        for code in _codes(function.__code__):
            self._code(code, function.__globals__, path)

    def _code(self, code: types.CodeType, names: dict[str, Any], path: str) -> None:
        """Walks the instructions of one function."""
        for text in code.co_consts:
            if isinstance(text, str) and text in ATTRIBUTES:
                self._refuse(ATTRIBUTES[text], path, repr(text))
        owner: Any = None
        for instruction in dis.get_instructions(code):
            operation, name = instruction.opname, instruction.argval
            if operation in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                raise CheckFailed("hidden", self._name, f"sets the global {name} in {path}: {_KEEP}")
            if operation == "STORE_DEREF" and name in code.co_freevars:
                raise CheckFailed("hidden", self._name, f"sets {name}, a name outside {path}: {_KEEP}")
            if operation == "STORE_ATTR" and isinstance(owner, types.ModuleType | type):
                raise CheckFailed("hidden", self._name, f"sets {owner.__name__}.{name} in {path}: {_KEEP}")
            if operation in ("LOAD_GLOBAL", "LOAD_NAME"):
                owner = names.get(name, getattr(builtins, name, None))
                self._member(builtins if name not in names else None, name, path)
            elif operation == "IMPORT_NAME":
                owner = sys.modules.get(name) or types.ModuleType(name)
            elif operation in ("IMPORT_FROM", "LOAD_ATTR", "LOAD_METHOD"):
                self._member(owner, name, path)
                owner = getattr(owner, name, None) if isinstance(owner, types.ModuleType | type) else None
            elif operation not in ("CACHE", "PUSH_NULL", "EXTENDED_ARG"):
                owner = None
            if owner is not None:
                self._visit(owner, f"{path}, as {name}")

    def _member(self, owner: Any, name: str, path: str) -> None:
        """Checks the name of a global or of an attribute."""
        if kind := of_member(owner, name):
            whose = "" if owner in (None, builtins) or not hasattr(owner, "__name__") else f"{owner.__name__}."
            self._refuse(kind, path, f"{whose}{name}")

    def _named(self, value: Any, path: str) -> None:
        """Checks the module that an object is, or comes from."""
        name = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", None)
        if isinstance(value, types.FunctionType):
            name = value.__globals__.get("__name__")
        if not isinstance(name, str) or (isinstance(value, types.ModuleType) and name.startswith("vfl_jax")):
            return  # of this package, members are checked
        public = name.startswith("jax._src") and not isinstance(value, types.ModuleType)
        if not public and (kind := of_module(name)):
            self._refuse(kind, path, name if isinstance(value, types.ModuleType) else getattr(value, "__name__", name))

    def _refuse(self, kind: Any, path: str, name: str) -> None:
        raise CheckFailed(kind, self._name, f"uses {name} in {path}, {WHAT[kind]}.")


_KEEP = "what a method keeps from one call to another is its state, or else runs would share it."


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yields the code of a function and of the functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _content(cell: Any) -> Any:
    """Returns what a cell holds; None where it is empty."""
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _is_bookkeeping(name: str, value: Any) -> bool:
    """Whether a member of a class is made by Python or by dataclasses, not by its author."""
    made = isinstance(value, types.FunctionType) and value.__code__.co_filename == "<string>"
    dunder = name.startswith("__") and not isinstance(value, types.FunctionType)
    return made or dunder or name.startswith("_abc_")

"""The content of an object: the parts that decide what it does, the same in every process, and its imported name."""

from __future__ import annotations

import collections
import contextlib
import copyreg
import dataclasses
import functools
import inspect
import sys
import types
from collections.abc import MutableMapping, MutableSequence, MutableSet
from typing import Any

HEAP_TYPE = 1 << 9
"""The flag of the classes that Python code makes."""
VERSIONED = {"vfl_jax", "jax", "jaxlib", "flax", "optax", "numpy", "abc", "enum", "typing"}
"""The packages whose versions are part of a study's identity, and the modules that make Python's own classes."""
_PROTOCOL = 4
"""The protocol of pickle; a later one depends on memory addresses."""


def is_known(kind: type) -> bool:
    """Whether a class is of Python or of a package whose version is known."""
    is_builtin = not kind.__flags__ & HEAP_TYPE  # the flag tells; exec may name the module "builtins", too
    return is_builtin or is_versioned(str(kind.__module__))


def is_versioned(module: str) -> bool:
    """Whether a module is of a package whose version is known."""
    return module.partition(".")[0] in VERSIONED


def is_container(value: Any) -> bool:
    """Whether a value is a container that can change."""
    return isinstance(value, MutableMapping | MutableSequence | MutableSet | collections.deque)


def module_of(thing: Any) -> str:
    """Returns the module that made a function or class; exec may name none, and a pool's process renames the script."""
    name = thing.__globals__.get("__name__", "builtins") if isinstance(thing, types.FunctionType) else thing.__module__
    return "__main__" if name == "__mp_main__" else str(name)


def imported_name(value: Any, home: str) -> str | None:
    """Returns the name under which a module other than ``home`` holds this very thing; None where none holds it.

    A function that needs only its module always has a name, even where this process cannot import it.
    """
    if isinstance(value, types.ModuleType):
        return value.__name__
    if isinstance(value, type):
        is_elsewhere = module_of(value) != home and "<locals>" not in value.__qualname__
        return f"{value.__module__}.{value.__qualname__}" if is_elsewhere or not value.__flags__ & HEAP_TYPE else None
    if isinstance(value, types.FunctionType):
        if module_of(value) == home:
            return None
        if not value.__closure__ and "<locals>" not in value.__code__.co_qualname:
            return f"{module_of(value)}.{value.__qualname__}"
    if _compiled(value) is not None:
        return None  # another process gets another object
    return _name_of_itself(value, home) or _name_in_package(value)


def _name_of_itself(value: Any, home: str) -> str | None:
    """Returns the name that a compiled or decorated function gives itself, if the named place holds it."""
    module, *names = (_text(value, attribute) for attribute in ("__module__", "__qualname__", "__name__"))
    for name in names if module not in (None, "__mp_main__", home) else ():
        there: Any = sys.modules.get(str(module))
        for part in (name or "<none>").split("."):
            there = getattr(there, part, None)
        if there is value:
            return f"{module}.{name}"
    return None


def _name_in_package(value: Any) -> str | None:
    """Returns the name of a thing that Python or a package with a known version has once, such as jax.config.

    Only the package makes objects of its private classes, such as os.environ and dataclasses.MISSING. They get the name
    of their class, because another process holds a copy, which no name there leads to.
    """
    kind = type(value)
    module = str(kind.__module__)
    if module == "builtins" or not (is_versioned(module) or module.partition(".")[0] in sys.stdlib_module_names):
        return None
    if kind.__name__.startswith("_") and wrapped(value) is None:
        return f"{module}.{kind.__qualname__}"
    names = sorted(name for name, there in vars(sys.modules.get(module, types)).items() if there is value)
    return f"{module}.{names[0]}" if names else None


def _text(value: Any, attribute: str) -> str | None:
    """Returns an attribute that is a text; None for any other."""
    with contextlib.suppress(Exception):  # an object may answer for any attribute as it likes
        found = getattr(value, attribute)
        return found if isinstance(found, str) else None
    return None


def _compiled(value: Any) -> Any:
    """Returns the function that ``jax.jit`` compiles, from its pickle; attributes do not reach other processes."""
    if type(value).__name__ != "PjitFunction":
        return None
    state = value.__reduce_ex__(_PROTOCOL)[2]
    return state.get("fun") if isinstance(state, dict) else None


def wrapped(value: Any) -> Any:
    """Returns the function within a decorator's result, as of ``functools.cache``; None where there is none."""
    return getattr(value, "__dict__", {}).get("__wrapped__")


def parts_of(value: Any) -> tuple[Any, ...] | None:
    """Returns the parts of a method, property, partial or compiled function, or of a slice; None for other things."""
    if (function := _compiled(value)) is not None:
        return (function,)
    if isinstance(value, staticmethod | classmethod | types.MethodType):
        return value.__func__, getattr(value, "__self__", None)
    if isinstance(value, property):
        return value.fget, value.fset, value.fdel
    if isinstance(value, functools.partial | functools.partialmethod):
        return value.func, value.args, dict(value.keywords)
    if isinstance(value, slice):
        return value.start, value.stop, value.step
    return None


def own_state(value: Any) -> dict[str, Any]:
    """Returns the attributes of an object, slots included, without the values that cached properties keep.

    A dataclass whose base is from another module, such as ``flax.linen.Module``, gives its fields alone, because the
    base keeps further attributes for itself.
    """
    kind = type(value)
    if dataclasses.is_dataclass(kind) and _has_foreign_base(kind):
        return fields_of(value)
    found = dict(getattr(value, "__dict__", {}))
    for base in kind.__mro__:
        for name, member in vars(base).items():
            if isinstance(member, types.MemberDescriptorType) and base.__flags__ & HEAP_TYPE:
                with contextlib.suppress(AttributeError):  # not set
                    found[name] = member.__get__(value)
    return _without_kept(kind, found)


def _without_kept(kind: type, state: dict[str, Any]) -> dict[str, Any]:
    """Returns attributes without the values that a ``functools.cached_property`` keeps."""
    found = {name: inspect.getattr_static(kind, str(name), None) for name in state}
    return {name: part for name, part in state.items() if not isinstance(found[name], functools.cached_property)}


def _has_foreign_base(kind: type) -> bool:
    """Whether a class has a base from another module."""
    others = (base for base in kind.__mro__ if base.__flags__ & HEAP_TYPE and module_of(base) != module_of(kind))
    return any(base.__module__ not in ("abc", "enum", "typing") for base in others)


def fields_of(value: Any) -> dict[str, Any]:
    """Returns the fields of a dataclass that count in comparisons."""
    names = [field.name for field in dataclasses.fields(value) if field.compare]
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def pickled_state(value: Any) -> tuple[Any, ...] | None:
    """Returns the parts that pickle keeps of another package's object; None where it keeps none, as of a lock."""
    if hasattr(type(value), "__next__"):
        return None  # reading an iterator changes it
    if dataclasses.is_dataclass(value):
        return (fields_of(value),)
    try:
        reduce = copyreg.dispatch_table.get(type(value))
        reduced = reduce(value) if reduce else value.__reduce_ex__(_PROTOCOL)
    except Exception:  # a class may raise any error here
        return None
    if isinstance(reduced, str):
        return (reduced,)
    make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
    if isinstance(state, tuple) and len(state) == 2 and isinstance(state[1], dict):
        state = (state[0] or {}) | state[1] if isinstance(state[0], dict | None) else state
    if isinstance(state, dict):
        state = _without_kept(type(value), state)
    return make, arguments, state, list(items or ()), dict(pairs or ())

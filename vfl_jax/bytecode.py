"""Code as words: what Python compiled of a class and of what it uses of its module, told one after another."""

from __future__ import annotations

import builtins
import dataclasses
import dis
import functools
import hashlib
import inspect
import types
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from vfl_jax.registry import Record

_OF_PYTHON = {
    *("__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__slots__", "__slotnames__"),
    *("__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__", "__firstlineno__"),
    *("__static_attributes__", "__type_params__", "__parameters__", "__orig_bases__", "__classcell__"),
    *("__abstractmethods__", "_abc_impl"),
}
"""What every class has, and what does nothing."""
_OF_DATACLASSES = {
    *("__dataclass_fields__", "__dataclass_params__", "__match_args__", "__init__", "__replace__"),
    *("__setattr__", "__delattr__"),
}
"""What a frozen dataclass is given; its fields are told one by one."""
_VERSIONED = {"vfl_jax", "jax", "jaxlib", "flax", "optax", "numpy", "abc", "enum", "typing"}
"""Packages whose versions a study's identity names, and what Python's own classes are made with."""
_FLAGS = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS | inspect.CO_GENERATOR | inspect.CO_COROUTINE
HEAP_TYPE = 1 << 9
"""The flag of classes that are made by Python code."""
_BUILTINS = vars(builtins)
_SILENT = {"NOP", "CACHE", "EXTENDED_ARG"}
"""Instructions that do nothing; how many there are depends on line breaks."""


def records_in(value: Any, path: str) -> Iterator[tuple[str, Record]]:
    """A record and the records in it, each with its path."""
    if isinstance(value, Record):
        yield path, value
        parts = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]  # type: ignore[arg-type]
    else:
        parts = [(str(i), part) for i, part in enumerate(value)] if isinstance(value, tuple) else []
    for name, part in parts:
        yield from records_in(part, f"{path}.{name}".lstrip("."))


def is_known(kind: type) -> bool:
    is_builtin = not kind.__flags__ & HEAP_TYPE  # by its module one made by exec might seem to be builtin, too
    return is_builtin or str(kind.__module__).partition(".")[0] in _VERSIONED


def _is_at(kind: type, home: str) -> bool:
    """Whether a class is the module's own."""
    return not is_known(kind) and _module_of(kind) == home


class Reader:
    """Tells code as words. A function or class is told once, its number when met again.

    Of other things one that holds itself is not told within itself; which of equal ones are the same object, Python
    decides anew in every process.
    """

    def __init__(self) -> None:
        self.told: dict[int, int] = {}
        self.kept: list[Any] = []  # what was told, so that no other thing gets its id
        self.open: set[int] = set()

    def of_class(self, kind: type) -> Iterator[str]:
        if is_known(kind):
            yield f"known {kind.__qualname__}"
            return
        if (yield from self._is_told(kind)):
            return
        yield "class"
        for base in kind.__mro__:
            if is_known(base):
                yield f"base {base.__qualname__}"
                continue
            is_dataclass = "__dataclass_fields__" in vars(base)
            if is_dataclass:
                yield from self._of_fields(base)
            left_out = _OF_PYTHON | (_OF_DATACLASSES if is_dataclass else set())
            for name, value in sorted(vars(base).items()):
                if name not in left_out and not isinstance(value, types.MemberDescriptorType):
                    yield f"attribute {name}"
                    yield from self.of(value, _module_of(base))

    def _of_fields(self, kind: type) -> Iterator[str]:
        for name, field in vars(kind)["__dataclass_fields__"].items():
            yield f"field {name} {field.metadata.get('pytree_node', True)}"
            yield from self.of(field.default, _module_of(kind))
            yield from self.of(field.default_factory, _module_of(kind))

    def of(self, value: Any, home: str) -> Iterator[str]:
        """Of anything that code can hold; of what it does not know, only the type."""
        plain = self._of_plain(value, home)
        if plain is not None:
            yield from plain
        elif isinstance(value, types.CodeType):
            yield from self._of_code(value, home)
        elif isinstance(value, types.FunctionType):
            yield from self._of_function(value, home)
        elif isinstance(value, staticmethod | classmethod | types.MethodType):
            yield str(type(value).__name__)
            yield from self.of(value.__func__, home)
            yield from self.of(getattr(value, "__self__", None), home)
        elif isinstance(value, property):
            yield from self.of((value.fget, value.fset, value.fdel), home)
        elif isinstance(value, functools.partial | functools.partialmethod):
            yield type(value).__name__
            yield from self.of((value.func, value.args, dict(value.keywords)), home)
        elif isinstance(value, type):
            if _is_at(value, home):
                yield from self.of_class(value)
            else:
                yield f"type {value.__module__}.{value.__qualname__}"
        elif isinstance(value, types.ModuleType):
            yield f"module {value.__name__}"
        else:
            yield from self._of_object(value, home)

    def _of_plain(self, value: Any, home: str) -> Iterator[str] | None:
        if value is None or value is Ellipsis or isinstance(value, bool | int | float | complex | str | bytes):
            return iter((f"{type(value).__name__} {value!r}",))
        if isinstance(value, np.ndarray | np.generic | jax.Array):
            return self._of_array(value)
        if isinstance(value, Record):
            return self._of_record(value)
        if isinstance(value, tuple | list):
            return self._of_parts(value, value, home)
        if isinstance(value, set | frozenset):
            return self._of_parts(value, sorted(value, key=_order), home)
        if isinstance(value, dict | types.MappingProxyType):
            return self._of_parts(value, sorted(value.items(), key=lambda item: _order(item[0])), home)
        if isinstance(value, slice):
            return self._of_parts(value, (value.start, value.stop, value.step), home)
        return None

    def _of_parts(self, whole: Any, parts: Sequence[Any], home: str) -> Iterator[str]:
        if id(whole) in self.open:
            yield "itself"
            return
        self.open.add(id(whole))
        yield f"{type(whole).__name__} of {len(parts)}"
        for part in parts:
            yield from self.of(part, home)
        self.open.remove(id(whole))

    def _of_array(self, value: Any) -> Iterator[str]:
        yield f"array {value.dtype} {value.shape}"
        try:
            array = np.asarray(value)
        except Exception:  # of keys, or traced
            return
        if not array.dtype.hasobject:
            yield hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()

    def _of_record(self, value: Record) -> Iterator[str]:
        try:
            yield value.to_json()
        except ValueError:  # traced or swept values
            yield f"record {type(value).__name__}"
        for _, part in records_in(value, ""):
            yield from self.of_class(type(part))

    def _of_function(self, function: types.FunctionType, home: str) -> Iterator[str]:
        if (yield from self._is_told(function)):
            return
        yield "function"
        module = _module_of(function)
        if module.partition(".")[0] == "vfl_jax":
            yield f"known {function.__qualname__}"
        else:
            yield from self._of_code(function.__code__, home)
            yield from self.of(function.__defaults__, home)
            yield from self.of(function.__kwdefaults__, home)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            if name == "__class__":
                continue
            yield f"cell {name}"
            try:
                yield from self.of(cell.cell_contents, home)
            except ValueError:
                yield "empty"
        for name in _globals_of(function.__code__) if module == home else ():
            value = function.__globals__.get(name, _BUILTINS.get(name))
            if value is not _BUILTINS.get(name) and self._is_of(value, home):
                yield f"global {name}"
                yield from self.of(value, home)

    @staticmethod
    def _is_of(value: Any, home: str) -> bool:
        """Whether a global is the module's own, as far as it can be told."""
        inner = inspect.unwrap(value) if callable(value) and not isinstance(value, type) else value
        return not isinstance(inner, type | types.FunctionType) or _module_of(inner) == home

    def _of_code(self, code: types.CodeType, home: str) -> Iterator[str]:
        """Instructions with what they refer to, instead of bytes and tables, whose order tells of docstrings."""
        yield f"code {code.co_argcount} {code.co_posonlyargcount} {code.co_kwonlyargcount} {code.co_flags & _FLAGS}"
        yield " ".join(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
        bytecode = dis.Bytecode(code)
        instructions = [i for i in bytecode if i.opname not in _SILENT]
        offsets = [i.offset for i in instructions]

        def place(offset: int) -> int:
            """Which instruction stands there, or next."""
            return int(np.searchsorted(offsets, offset))

        for instruction in instructions:
            opcode = instruction.opcode
            yield instruction.opname
            if opcode in dis.hasconst:
                yield from self.of(instruction.argval, home)
            elif opcode in dis.hasjrel or opcode in dis.hasjabs:
                yield f"to {place(instruction.argval)}"
            elif opcode in dis.hasname or opcode in dis.haslocal or opcode in dis.hasfree:
                yield str(instruction.argval)
            else:
                yield str(instruction.arg)
        for entry in bytecode.exception_entries:  # type: ignore[attr-defined]
            yield f"{place(entry.start)} {place(entry.end)} {place(entry.target)} {entry.depth} {entry.lasti}"

    def _of_object(self, value: Any, home: str) -> Iterator[str]:
        if id(value) in self.open:
            yield "itself"
            return
        self.open.add(id(value))
        kind = type(value)
        yield f"{kind.__module__}.{kind.__qualname__} {getattr(value, '__name__', '')}"
        if hasattr(value, "__wrapped__"):  # jax.jit, functools.cache and their like
            yield from self.of(value.__wrapped__, home)
        is_at_home = _is_at(kind, home)
        if is_at_home:
            yield from self.of_class(kind)
        for name, part in sorted(getattr(value, "__dict__", {}).items()):  # jax.custom_vjp, and objects of one's own
            if name != "__wrapped__" and (is_at_home or isinstance(part, types.FunctionType)):
                yield f"attribute {name}"
                yield from self.of(part, home)
        self.open.remove(id(value))

    def _is_told(self, thing: Any) -> Generator[str, None, bool]:
        if id(thing) in self.told:
            yield f"told {self.told[id(thing)]}"
            return True
        self.told[id(thing)] = len(self.told)
        self.kept.append(thing)
        return False


def _module_of(thing: Any) -> str:
    """Where a function or class was made; exec may give no name, and a process of a pool its own."""
    name = thing.__globals__.get("__name__", "builtins") if isinstance(thing, types.FunctionType) else thing.__module__
    return "__main__" if name == "__mp_main__" else str(name)


def _order(value: Any) -> tuple[str, str]:
    """Sorts plain values as every process does."""
    return type(value).__name__, repr(value) if isinstance(value, bool | int | float | complex | str | bytes) else ""


def _globals_of(code: types.CodeType) -> list[str]:
    """The names that code looks up in its module, inner functions' too."""
    found = {str(i.argval) for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= set(_globals_of(constant))
    return sorted(found)

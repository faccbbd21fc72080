"""Code as words: the compiled code of a class, and of everything in its module that it uses, word by word."""

from __future__ import annotations

import builtins
import dataclasses
import hashlib
import inspect
import types
from collections.abc import Collection, Generator, Iterator
from collections.abc import Set as AnySet
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.digest.bytecode import Constant, globals_of, words_of_code
from vfl_jax.core.digest.changed import Changed, changed_defaults, content
from vfl_jax.core.digest.held import (
    imported_name,
    is_container,
    is_known,
    is_versioned,
    module_of,
    own_state,
    parts_of,
    pickled_state,
    wrapped,
)
from vfl_jax.core.record import Record

_OF_PYTHON = {
    *("__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__slots__", "__slotnames__"),
    *("__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__", "__firstlineno__"),
    *("__static_attributes__", "__type_params__", "__parameters__", "__orig_bases__", "__classcell__"),
    *("__abstractmethods__", "_abc_impl"),
    *("__dataclass_fields__", "__dataclass_params__", "__match_args__", "__replace__"),
}
"""Attributes that every class or dataclass has, or that do nothing; a dataclass's fields have words of their own."""
_BUILTINS = vars(builtins)
_PLAIN = (type(None), type(...), bool, int, float, complex, str, bytes)
_UNSET = object()


class _CannotTell(Exception):
    """Another package's object holds something that pickle would not keep."""


def words_of(kind: type) -> Iterator[str]:
    """Yields the words of a class; they are the same in every process, whatever its code has changed meanwhile."""
    changed = Changed()
    for _ in Reader(changed).of_class(kind):  # sees what the code changes
        pass
    yield from Reader(changed).of_class(kind)


def records_in(value: Any, path: str) -> Iterator[tuple[str, Record]]:
    """Yields (path, record) for a record and all records in it."""
    if isinstance(value, Record):
        yield path, value
        parts = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]  # type: ignore[arg-type]
    else:
        parts = [(str(i), part) for i, part in enumerate(value)] if isinstance(value, tuple) else []
    for name, part in parts:
        yield from records_in(part, f"{path}.{name}".lstrip("."))


class Reader:
    """Turns code, and the things it holds, into words.

    A thing that another module holds gets the name it has there. A function or class gets its words once, and its
    number afterwards. Any other thing gets its words each time, because Python decides anew in every process which
    equal things are one object. A thing within itself gets the word "itself".

    Args:
      changed: notes the places that the functions change; the reader leaves out the places that it knows already.
    """

    def __init__(self, changed: Changed) -> None:
        self.changed = changed
        self.told: dict[int, int] = {}
        self.kept: list[Any] = []  # keeps the told things alive, so that no other thing gets their ids
        self.open: set[int] = set()
        self.is_strict = False

    def apart(self, value: Any, home: str, is_strict: bool = False) -> tuple[str, ...]:
        """Returns the words of a thing alone, so that they do not depend on the things that were told beside it.

        Raises:
          _CannotTell: if strict, where it holds a thing that has no words but its type.
        """
        reader = Reader(self.changed)
        reader.told, reader.open, reader.kept = dict(self.told), set(self.open), self.kept
        reader.is_strict = is_strict or self.is_strict
        return tuple(reader.of(value, home))

    def of_class(self, kind: type) -> Iterator[str]:
        """Yields the words of a class and of its bases."""
        if is_known(kind):
            yield f"known {kind.__qualname__}"
            return
        if (yield from self._is_told(kind)):
            return
        yield "class"
        if not is_known(type(kind)):
            yield "metaclass"
            yield from self.of(type(kind), module_of(kind))
        stored = self.changed.attributes(kind)
        for base in kind.__mro__:
            if is_known(base):
                yield f"base {base.__qualname__}"
                continue
            if "__dataclass_fields__" in vars(base):
                yield from self._of_fields(base)
            for name, value in sorted(vars(base).items()):
                if name in _OF_PYTHON or isinstance(value, types.MemberDescriptorType) or _is_generated(value):
                    continue
                if not self.changed.leaves_out(base, stored, name, value):
                    yield f"attribute {name}"
                    yield from self.of(value, module_of(base))

    def _of_fields(self, kind: type) -> Iterator[str]:
        for name, field in vars(kind)["__dataclass_fields__"].items():
            yield f"field {name} {field.metadata.get('pytree_node', True)}"
            yield from self.of(field.default, module_of(kind))
            yield from self.of(field.default_factory, module_of(kind))

    def of(self, value: Any, home: str) -> Iterator[str]:
        """Yields the words of anything that code can hold; ``home`` is the module of that code."""
        if type(value) in _PLAIN:
            yield f"{type(value).__name__} {value!r}"
        elif isinstance(value, types.CodeType):
            yield from self._of_code(value, home)
        elif isinstance(value, np.ndarray | np.generic | jax.Array):
            yield from self._of_array(value, home)
        elif isinstance(value, Record):
            yield from self._of_record(value)
        elif (name := imported_name(value, home)) is not None:
            yield f"by name {name}"
        elif isinstance(value, types.FunctionType):
            yield from self._of_function(value, home)
        elif isinstance(value, type):
            yield from self.of_class(value)
        elif id(value) in self.open:
            yield "itself"
        else:
            self.open.add(id(value))
            yield from self._of_object(value, home)
            self.open.remove(id(value))

    def _of_object(self, value: Any, home: str) -> Iterator[str]:
        kind = type(value)
        parts = parts_of(value)
        if parts is not None:
            yield kind.__name__
            yield from self.of(parts, home)
        elif kind in (tuple, list):
            yield f"{kind.__name__} of {len(value)}"
            for part in value:
                yield from self.of(part, home)
        elif isinstance(value, dict | types.MappingProxyType) and is_known(kind):
            yield f"{kind.__name__} of {len(value)}"
            yield from self._of_unordered(value.items(), home)
            yield from self.of(getattr(value, "default_factory", None), home)
        elif wrapped(value) is not None:
            yield kind.__qualname__
            yield from self.of(wrapped(value), home)
            yield from self._of_functions_in(value, home)
        elif not is_known(kind) and module_of(kind) == home:
            yield from self._of_own(value, home)
        elif isinstance(value, AnySet):
            yield f"{kind.__name__} of {len(value)}"
            yield from self._of_unordered([(part,) for part in value], home)
        else:
            yield from self._of_foreign(value, home)

    def _of_unordered(self, parts: Collection[tuple[Any, ...]], home: str) -> Iterator[str]:
        """Yields the parts sorted, by a plain first part or by their words; hashes would differ between processes."""
        if all(type(part[0]) in _PLAIN for part in parts):
            for part in sorted(parts, key=lambda part: (type(part[0]).__name__, repr(part[0]))):
                yield from self.of(part, home)
        else:
            for words in sorted(self.apart(part, home) for part in parts):
                yield from words

    def _of_own(self, value: Any, home: str) -> Iterator[str]:
        kind = type(value)
        yield "object"
        yield from self.of_class(kind)
        yield from self._of_attributes(own_state(value), value, home)
        for plain in (bool, int, float, complex, str, bytes, tuple, list, frozenset, set, dict):
            if isinstance(value, plain):  # and has more to it, such as methods
                base: Any = plain
                yield from self.of(base(value) if plain is not str else str.__str__(value), home)
                break

    def _of_attributes(self, state: dict[str, Any], holder: Any, home: str) -> Iterator[str]:
        stored = self.changed.attributes(type(holder))
        for name, part in sorted(state.items()):
            if not self.changed.leaves_out(holder, stored, name, part):
                yield f"attribute {name}"
                yield from self.of(part, home)

    def _of_foreign(self, value: Any, home: str) -> Iterator[str]:
        """Yields the type, and all that pickle keeps; where pickle would lose a part, the functions that it holds."""
        kind = type(value)
        yield f"{kind.__module__}.{kind.__qualname__}"
        state = pickled_state(value)
        changed = [place for place in getattr(value, "__dict__", ()) if self.changed.has(value, place)]
        if state is not None and changed:
            state = (*state[:1], {k: v for k, v in vars(value).items() if k not in changed})
        try:
            if state is None:
                raise _CannotTell
            yield from self.apart(state, home, is_strict=True)
        except (_CannotTell, RecursionError):
            if self.is_strict:
                raise _CannotTell from None
            yield from self._of_functions_in(value, home)

    def _of_functions_in(self, value: Any, home: str) -> Iterator[str]:
        """Yields the functions in an object, such as a gradient; its other attributes may name lines of a file."""
        for name, part in sorted(getattr(value, "__dict__", {}).items()):
            if callable(part) and not name.startswith("__"):
                yield f"attribute {name}"
                yield from self.of(part, home)

    def _of_array(self, value: Any, home: str) -> Iterator[str]:
        yield f"array {value.dtype} {value.shape}"
        try:
            is_key = isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
            array = np.asarray(jax.random.key_data(value) if is_key else value)
        except Exception:  # traced, deleted, or on another machine
            return
        if array.dtype.hasobject:
            yield from self.of(array.tolist(), home)
        else:
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
        self.changed.see(function)
        module, code = module_of(function), function.__code__
        yield "function"
        if is_versioned(module):
            yield f"known {module}.{code.co_qualname}"
        else:
            yield from self._of_code(code, home)
        left_out = changed_defaults(function)
        defaults = function.__defaults__ or ()
        named = dict(zip(code.co_varnames[code.co_argcount - len(defaults) : code.co_argcount], defaults, strict=True))
        for name, value in sorted((named | (function.__kwdefaults__ or {})).items()):
            yield f"default {name}"
            if not (name in left_out and is_container(value)):
                yield from self.of(value, home)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            if name != "__class__":
                yield f"cell {name}"
                if not self.changed.has(cell, name):
                    yield from self.of(content(cell), home)
        if module != home:
            return
        yield from self._of_attributes({k: v for k, v in vars(function).items() if k != "__wrapped__"}, function, home)
        for name in globals_of(code):
            value = function.__globals__.get(name, _BUILTINS.get(name, _UNSET))
            if value is not _BUILTINS.get(name, _UNSET) and not self.changed.has(function.__globals__, name):
                yield f"global {name}"
                yield from self.of(value, home)

    def _of_code(self, code: types.CodeType, home: str) -> Iterator[str]:
        for word in words_of_code(code):
            if isinstance(word, Constant):
                yield from self.of(word.value, home)
            else:
                yield word

    def _is_told(self, thing: Any) -> Generator[str, None, bool]:
        if id(thing) in self.told:
            yield f"told {self.told[id(thing)]}"
            return True
        self.told[id(thing)] = len(self.told)
        self.kept.append(thing)
        return False


def _is_generated(value: Any) -> bool:
    """Whether ``dataclasses`` wrote a method, from the fields."""
    inner = inspect.unwrap(value) if isinstance(value, types.FunctionType) else value
    return isinstance(inner, types.FunctionType) and inner.__code__.co_qualname.startswith("__create_fn__")

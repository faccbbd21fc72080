"""Code that Python compiled: its instructions as words, the names that it looks up, and what it changes in place."""

from __future__ import annotations

import bisect
import dis
import inspect
import types
from collections.abc import Iterator
from typing import Any, NamedTuple

_SILENT = {"NOP", "CACHE", "EXTENDED_ARG"}
"""Instructions that do nothing; how many there are depends on line breaks."""
_FLAGS = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS | inspect.CO_GENERATOR | inspect.CO_COROUTINE
_MUTATING = {
    *("add", "append", "appendleft", "clear", "discard", "extend", "extendleft", "insert", "pop", "popitem", "popleft"),
    *("remove", "reverse", "rotate", "setdefault", "sort", "update"),
}
"""Methods by which the containers of Python change."""


class Constant(NamedTuple):
    """A constant among the words of code: of a function in it, the code."""

    value: Any


class Change(NamedTuple):
    """What an instruction changes: a name, something in what the name stands for, or an attribute of that."""

    scope: str
    """How the name is looked up: "global", "free" (of a function around it), or "local"."""
    name: str
    attribute: str = ""
    is_call: bool = False
    """Whether by a method such as ``append``, which means a change for containers only."""


def instructions(code: types.CodeType) -> list[dis.Instruction]:
    """All that do something."""
    return [i for i in dis.get_instructions(code) if i.opname not in _SILENT]


def words_of_code(code: types.CodeType) -> Iterator[str | Constant]:
    """Instructions with what they refer to, instead of bytes and tables, whose order tells of docstrings."""
    yield f"code {code.co_argcount} {code.co_posonlyargcount} {code.co_kwonlyargcount} {code.co_flags & _FLAGS}"
    yield " ".join(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
    told = instructions(code)
    offsets = [i.offset for i in told]

    def place(offset: int) -> int:
        """Which instruction stands there, or next."""
        return bisect.bisect_left(offsets, offset)

    for instruction in told:
        opcode = instruction.opcode
        yield instruction.opname
        if opcode in dis.hasconst:
            yield Constant(instruction.argval)
        elif opcode in dis.hasjrel or opcode in dis.hasjabs:
            yield f"to {place(instruction.argval)}"
        elif opcode in dis.hasname or opcode in dis.haslocal or opcode in dis.hasfree:
            yield str(instruction.argval)
        else:
            yield str(instruction.arg)
    for entry in dis.Bytecode(code).exception_entries:  # type: ignore[attr-defined]
        yield f"{place(entry.start)} {place(entry.end)} {place(entry.target)} {entry.depth} {entry.lasti}"


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code and that of the functions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def globals_of(code: types.CodeType) -> list[str]:
    """The names that code looks up in its module, inner functions' too."""
    lookups = ("LOAD_GLOBAL", "LOAD_NAME")
    return sorted({str(i.argval) for c in codes(code) for i in dis.get_instructions(c) if i.opname in lookups})


def attributes_of(code: types.CodeType) -> set[str]:
    """The names of attributes that code looks up, inner functions' too."""
    return {
        str(i.argval)
        for c in codes(code)
        for i in dis.get_instructions(c)
        if (i.opcode in dis.hasname and "ATTR" in i.opname) or i.opname == "LOAD_METHOD"
    }


def changes_of(code: types.CodeType) -> set[Change]:
    """What code changes in place, as in ``CALLS["n"] += 1``, ``self.seen.append(x)`` or ``global n; n = 1``.

    What is changed begins in the source where its name does: ``CALLS["n"]`` at ``CALLS``. So its name is known without
    running the code. Not found is what is changed under another name, or by a function that it is handed to.
    """
    return {change for c in codes(code) for change in _changes_of_one(c)}


def _changes_of_one(code: types.CodeType) -> Iterator[Change]:
    begun: dict[tuple[int, int], Change] = {}  # what was looked up, by the place where it begins
    second = None  # of an instruction that looks up two names and says only where the first begins
    for i in instructions(code):
        operation, name = i.opname, i.argval
        where = (i.positions.lineno or 0, i.positions.col_offset or 0) if i.positions else (0, 0)
        if operation in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            yield Change("global", name)
        elif operation in ("STORE_DEREF", "DELETE_DEREF") and name in code.co_freevars:
            yield Change("free", name)
        elif operation in ("LOAD_GLOBAL", "LOAD_NAME"):
            begun[where] = Change("global", name)
        elif operation == "LOAD_DEREF":
            begun[where] = Change("free", name)
        elif operation.startswith("LOAD_FAST"):
            names = name if isinstance(name, tuple) else (name,)
            begun[where] = Change("local", names[0])
            second = Change("local", names[1]) if len(names) == 2 else None
        elif operation in ("LOAD_ATTR", "LOAD_METHOD"):
            root = begun.get(where, second)
            if root is not None and name in _MUTATING:
                yield root._replace(is_call=True)
            elif root is not None and not root.attribute:
                begun[where] = root._replace(attribute=name)
        elif operation in ("STORE_ATTR", "DELETE_ATTR") and where in begun:
            yield begun[where]._replace(attribute=begun[where].attribute or name)
        elif operation in ("STORE_SUBSCR", "DELETE_SUBSCR", "STORE_SLICE") and where in begun:
            yield begun[where]

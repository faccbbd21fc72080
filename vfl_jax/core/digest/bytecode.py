"""Compiled code of Python: its instructions as words, the names it looks up, and the things it changes in place."""

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
"""The methods that change the containers of Python."""


class Constant(NamedTuple):
    """A constant among the words of code; an inner function stands there as its code."""

    value: Any


class Change(NamedTuple):
    """A change by an instruction: of a name, of the content of the named thing, or of an attribute of that thing."""

    scope: str
    """Where the code looks the name up: "global", "free" (in an enclosing function) or "local"."""
    name: str
    attribute: str = ""
    is_call: bool = False
    """Whether a method such as ``append`` makes the change; it changes containers only."""


def instructions(code: types.CodeType) -> list[dis.Instruction]:
    """Returns the instructions that do something."""
    return [i for i in dis.get_instructions(code) if i.opname not in _SILENT]


def words_of_code(code: types.CodeType) -> Iterator[str | Constant]:
    """Yields every instruction with the thing it refers to; the bytes of the code would change with docstrings."""
    yield f"code {code.co_argcount} {code.co_posonlyargcount} {code.co_kwonlyargcount} {code.co_flags & _FLAGS}"
    yield " ".join(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
    told = instructions(code)
    offsets = [i.offset for i in told]

    def place(offset: int) -> int:
        """Returns the number of the instruction at an offset, or of the next one."""
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
    """Yields the code, and the code of every function in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def globals_of(code: types.CodeType) -> list[str]:
    """Returns the names that code, with its inner functions, looks up in its module."""
    lookups = ("LOAD_GLOBAL", "LOAD_NAME")
    return sorted({str(i.argval) for c in codes(code) for i in dis.get_instructions(c) if i.opname in lookups})


def attributes_of(code: types.CodeType) -> set[str]:
    """Returns the names of the attributes that code, with its inner functions, looks up."""
    return {
        str(i.argval)
        for c in codes(code)
        for i in dis.get_instructions(c)
        if (i.opcode in dis.hasname and "ATTR" in i.opname) or i.opname == "LOAD_METHOD"
    }


def changes_of(code: types.CodeType) -> set[Change]:
    """Finds the changes that code makes in place, as in ``CALLS["n"] += 1`` or ``self.seen.append(x)``.

    An expression begins in the source where its name begins: ``CALLS["n"]`` begins at ``CALLS``. So the positions tell
    the name, and the code need not run. The function does not find changes under another name, nor changes by another
    function that gets the thing as an argument.

    Args:
      code: the code of a function; its inner functions count.
    """
    return {change for c in codes(code) for change in _changes_of_one(c)}


def _changes_of_one(code: types.CodeType) -> Iterator[Change]:
    """Yields the changes of one function, without its inner functions."""
    begun: dict[tuple[int, int], Change] = {}  # the names looked up, by the place where their expressions begin
    second = None  # the second name of an instruction that looks up two, and gives the place of the first alone
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

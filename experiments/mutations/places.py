"""Where a mistake may be made: the expressions and statements of a file that decide what it computes."""

from __future__ import annotations

import ast
import bisect
import functools
import io
import tokenize
from collections.abc import Iterator
from typing import NamedTuple

WORDS = {"annotation", "returns", "decorator_list", "type_params", "bases"}
"""The parts of a definition that are types, or say what it is."""
TALKING = {"warn", "print", "debug", "info", "warning", "error", "exception", "log"}
"""Functions whose arguments are messages."""
TYPES_ALONE = {"isinstance", "issubclass", "cast", "TypeVar", "NewType"}
"""Functions that take types."""
SHOWING = ("__repr__", "__str__", "__format__", "_repr_")
"""Beginnings of the names of functions that make a text of an object."""


class Place(NamedTuple):
    """A node where a mistake may be made.

    Fields:
      node: the expression or statement.
      parent: the node that holds it.
      qualname: the dotted name of the function or class around it; empty at the top of a file.
      lines: its statement's first and last line, counted from 1; of a compound statement those of its head.
    """

    node: ast.AST
    parent: ast.AST
    qualname: str
    lines: tuple[int, int]


class Source:
    """The text of a file with its nodes; positions are bytes, as those of ``ast`` are."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.tree = ast.parse(data)
        self._lines = data.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def span(self, node: ast.AST) -> tuple[int, int]:
        """The first byte of a node, and the byte after its last."""
        at = [(getattr(node, f"{end}lineno"), getattr(node, f"{end}col_offset")) for end in ("", "end_")]
        first, last = (self._starts[line - 1] + column for line, column in at)
        return first, last

    def text(self, node: ast.AST) -> str:
        """What is written at a node."""
        first, last = self.span(node)
        return self.data[first:last].decode()

    def between(self, first: int, last: int) -> str:
        """What is written from one byte to another."""
        return self.data[first:last].decode()

    @functools.cached_property
    def _tokens(self) -> list[tuple[int, ...]]:
        """The bytes of the file's operators and names; comments and brackets are left out."""
        found: list[tuple[int, ...]] = []
        for token in tokenize.tokenize(io.BytesIO(self.data).readline):
            if token.type in (tokenize.OP, tokenize.NAME) and token.string not in set("()[]{}"):
                row, column = token.start
                before = self._lines[row - 1].decode()[:column]
                first = self._starts[row - 1] + len(before.encode())
                found.append((first, first + len(token.string.encode())))
        return found

    def operator(self, left: ast.AST, right: ast.AST) -> tuple[int, int]:
        """Where the operator between two operands lies."""
        first, last = self.span(left)[1], self.span(right)[0]
        begin, end = (bisect.bisect_left(self._tokens, (byte,)) for byte in (first, last))
        return self._tokens[begin][0], self._tokens[end - 1][1]


def places(tree: ast.Module) -> Iterator[Place]:
    """Every place of a file where a mistake may be made, in the order of the text.

    Left out are docstrings and other texts, what is inside messages, types, decorators, assertions, and functions that
    make a text of an object.
    """
    yield from _inside(tree, "", (1, 1))


def _inside(node: ast.AST, qualname: str, lines: tuple[int, int]) -> Iterator[Place]:
    for child in _children(node):
        of_child = lines
        if isinstance(child, ast.stmt):
            of_child = (child.lineno, _last_line(child))
        yield Place(child, node, qualname, of_child)
        if isinstance(child, ast.Raise) or _talks(child):
            continue
        name = getattr(child, "name", None) if isinstance(child, ast.FunctionDef | ast.ClassDef) else None
        yield from _inside(child, f"{qualname}.{name}".lstrip(".") if name else qualname, of_child)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for field, value in ast.iter_fields(node):
        if field in WORDS or (field == "args" and called(node) in TYPES_ALONE):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_left_out(child):
                yield child


def _is_left_out(node: ast.AST) -> bool:
    """Whether nothing in a node may be changed."""
    match node:
        case ast.JoinedStr() | ast.Assert() | ast.Import() | ast.ImportFrom():
            return True
        case ast.Constant(value=str() | bytes()) | ast.Expr(value=ast.Constant()):
            return True
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            return name.startswith(SHOWING)
        case ast.If(test=test):
            return "TYPE_CHECKING" in ast.unparse(test)
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="logger")))):
            return True
    return False


def _talks(node: ast.AST) -> bool:
    """Whether a statement says something; it may be removed, what it says may not be changed."""
    return isinstance(node, ast.Expr) and called(node.value) in TALKING


def called(node: ast.AST) -> str:
    """The last word of what is called: ``where`` of ``jnp.where(...)``; empty for another node."""
    if not isinstance(node, ast.Call):
        return ""
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _last_line(statement: ast.stmt) -> int:
    body = getattr(statement, "body", None)
    last = statement.end_lineno or statement.lineno
    return max(statement.lineno, body[0].lineno - 1) if body else last

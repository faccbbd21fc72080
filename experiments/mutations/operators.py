"""The mistakes: every operator finds what it would change at a place."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from experiments.mutations.places import Place, Source, called


class Edit(NamedTuple):
    """A change of a file: the bytes from ``first`` to ``last`` become ``text``."""

    first: int
    last: int
    text: str


Operator = Callable[[Source, Place], Iterator[Edit]]

NEGATED: dict[type[ast.cmpop], str] = {
    ast.Lt: ">=", ast.LtE: ">", ast.Gt: "<=", ast.GtE: "<", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
NEXT: dict[type[ast.cmpop], str] = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">"}
ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
}  # fmt: skip
ANOTHER = {
    "+": "-", "-": "+", "*": "/", "/": "*", "//": "*", "%": "*", "**": "*",
    "&": "|", "|": "&", "^": "&", "<<": ">>", ">>": "<<",
}  # fmt: skip
RANGES = {"range", "arange", "linspace"}
BRANCHING = {"where", "cond", "select"}
NOT_SWAPPED = {"isinstance", "issubclass", "getattr", "setattr", "hasattr", "cast", "super", *BRANCHING}


def comparison(source: Source, place: Place) -> Iterator[Edit]:
    """Says the opposite: ``<`` becomes ``>=``, ``==`` becomes ``!=``, ``in`` becomes ``not in``."""
    yield from _compared(source, place, NEGATED)


def off_by_one(source: Source, place: Place) -> Iterator[Edit]:
    """Takes one more or less: ``<`` becomes ``<=``, ``x[1:]`` becomes ``x[2:]``, ``range(3)`` becomes ``range(4)``."""
    yield from _compared(source, place, NEXT)
    if _counts(place):
        yield Edit(*source.span(place.node), str(int(source.text(place.node), 0) + 1))


def arithmetic(source: Source, place: Place) -> Iterator[Edit]:
    """Computes another thing: ``+`` and ``-``, ``*`` and ``/``, ``&`` and ``|`` change places; a sign is lost."""
    match place.node:
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            is_type = isinstance(op, ast.BitOr) and ("." not in place.qualname and not place.qualname)
            has_none = any(isinstance(side, ast.Constant) and side.value is None for side in (left, right))
            if not (is_type or has_none or _is_text(left) or _is_text(right)):
                yield Edit(*source.operator(left, right), ANOTHER[ARITHMETIC[type(op)]])
        case ast.AugAssign(target=target, op=op, value=value) if type(op) in ARITHMETIC and not _is_text(value):
            yield Edit(*source.operator(target, value), ANOTHER[ARITHMETIC[type(op)]] + "=")
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            yield Edit(*source.span(place.node), source.text(operand))


def constants(source: Source, place: Place) -> Iterator[Edit]:
    """Takes another number: 1 more of whole ones, twice others, 1.0 for 0.0; True and False change places."""
    if not isinstance(place.node, ast.Constant) or _counts(place) or _is_said(place):
        return
    match place.node.value:
        case bool(value):
            yield Edit(*source.span(place.node), str(not value))
        case int(value):
            yield Edit(*source.span(place.node), str(value + 1))
        case float(value):
            yield Edit(*source.span(place.node), repr(2 * value if value else 1.0))


def boolean(source: Source, place: Place) -> Iterator[Edit]:
    """``and`` and ``or`` change places."""
    if isinstance(place.node, ast.BoolOp):
        other = "or" if isinstance(place.node.op, ast.And) else "and"
        for left, right in zip(place.node.values, place.node.values[1:], strict=False):
            yield Edit(*source.operator(left, right), other)


def negation(source: Source, place: Place) -> Iterator[Edit]:
    """A ``not`` is lost, or one is added to the condition of an ``if``, a ``while`` or a comprehension."""
    node, parent = place.node, place.parent
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield Edit(*source.span(node), f"({source.text(node.operand)})")
        return
    is_test = node is getattr(parent, "test", None) or (isinstance(parent, ast.comprehension) and node in parent.ifs)
    if is_test and not isinstance(node, ast.Compare | ast.Constant):
        yield Edit(*source.span(node), f"(not ({source.text(node)}))")


def returned(source: Source, place: Place) -> Iterator[Edit]:
    """A function gives back something else: the first argument of the call that it returns, or None."""
    if not isinstance(place.node, ast.Return) or place.node.value is None:
        return
    value = place.node.value
    match value:
        case ast.Constant():  # a number is another operator's
            return
        case ast.Call(args=[ast.Name(id=name), *_]) if called(value) not in NOT_SWAPPED:
            yield Edit(*source.span(value), name)
        case _:
            yield Edit(*source.span(value), "None")


def removal(source: Source, place: Place) -> Iterator[Edit]:
    """A statement is missing: a call, an early return, an error, ``+=``, or an assignment to what was there before."""
    node = place.node
    match node:
        case ast.Expr() | ast.AugAssign() | ast.Raise() | ast.Continue() | ast.Break() | ast.Delete():
            is_removed = not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Yield | ast.YieldFrom)
        case ast.Return():
            is_removed = isinstance(place.parent, ast.If)
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            is_removed = True
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            is_removed = any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(value))
        case _:
            is_removed = False
    if is_removed:
        yield Edit(*source.span(node), "pass")


def swap(source: Source, place: Place) -> Iterator[Edit]:
    """Two arguments of a call that stand side by side change places."""
    node = place.node
    if isinstance(node, ast.Call) and called(node) not in NOT_SWAPPED:
        for left, right in zip(node.args, node.args[1:], strict=False):
            yield from _swapped(source, left, right)


def branches(source: Source, place: Place) -> Iterator[Edit]:
    """The two values of ``jnp.where``, ``lax.cond`` or of an ``if`` in an expression change places."""
    match place.node:
        case ast.Call(args=[_, left, right, *_]) if called(place.node) in BRANCHING:
            yield from _swapped(source, left, right)
        case ast.IfExp(body=left, orelse=right):
            yield from _swapped(source, left, right)


OPERATORS: dict[str, Operator] = {
    "comparison": comparison,
    "off by one": off_by_one,
    "arithmetic": arithmetic,
    "constant": constants,
    "boolean": boolean,
    "not": negation,
    "return": returned,
    "removal": removal,
    "swap": swap,
    "branches": branches,
}


def _compared(source: Source, place: Place, others: Mapping[type[ast.cmpop], str]) -> Iterator[Edit]:
    if isinstance(place.node, ast.Compare):
        operands = [place.node.left, *place.node.comparators]
        for op, left, right in zip(place.node.ops, operands, operands[1:], strict=False):
            if type(op) in others:
                yield Edit(*source.operator(left, right), others[type(op)])


def _swapped(source: Source, left: ast.expr, right: ast.expr) -> Iterator[Edit]:
    if isinstance(left, ast.Starred) or isinstance(right, ast.Starred) or ast.dump(left) == ast.dump(right):
        return
    (first, after_left), (before_right, last) = source.span(left), source.span(right)
    yield Edit(first, last, source.text(right) + source.between(after_left, before_right) + source.text(left))


def _counts(place: Place) -> bool:
    """Whether a node is a whole number that counts places: in an index, a slice, a range, or added to something."""
    node, parent = place.node, place.parent
    if not isinstance(node, ast.Constant) or type(node.value) is not int:
        return False
    if isinstance(parent, ast.BinOp):
        return isinstance(parent.op, ast.Add | ast.Sub) and node.value == 1
    is_index = isinstance(parent, ast.Subscript) and node is parent.slice
    return is_index or isinstance(parent, ast.Slice) or (isinstance(parent, ast.Call) and called(parent) in RANGES)


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _is_said(place: Place) -> bool:
    """Whether a number only says which line a warning names, or how a text is indented."""
    return isinstance(place.parent, ast.keyword) and place.parent.arg in {"stacklevel", "indent"}

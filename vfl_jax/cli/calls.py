"""Texts of flags that are written as Python writes a call, such as ``Clipping(by=value, bound=0.1)``."""

from __future__ import annotations

import ast
import math
from typing import Any, NamedTuple


class Call(NamedTuple):
    """A name with its arguments.

    Args:
      name: the name before the parenthesis, or the whole text where there is none.
      arguments: the values by name. A value that is written as a call is a :class:`Call`, too.
    """

    name: str
    arguments: dict[str, Any]


def read_call(flag: str, text: str) -> Call:
    """Reads a name, with or without arguments.

    Words without quotes are texts, but ``True``, ``False``, ``None`` and ``inf``, which mean what they mean in Python.

    Args:
      flag: the flag that the text is given to, for messages.
      text: the text, such as "Clipping" or "Clipping(by=value, bound=0.1)".

    Raises:
      ValueError: naming the flag, where the text is neither a name nor such a call.

    Example:
      >>> read_call("--defense", "Clipping(by=value, bound=0.1)")
      Call(name='Clipping', arguments={'by': 'value', 'bound': 0.1})
      >>> read_call("--defense", "Clipping")
      Call(name='Clipping', arguments={})
    """
    if "(" not in text:
        return Call(text.strip(), {})
    try:
        value = _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise ValueError(
            f"{flag} has {text!r} ({reason}); it must be NAME or NAME(FIELD=VALUE, ...), e.g. "
            "'Clipping(by=value, bound=0.1)'. Put the whole into quotes, and texts other than words into a second pair."
        ) from None
    if not isinstance(value, Call):
        raise ValueError(f"{flag} has {text!r}; it must be NAME or NAME(FIELD=VALUE, ...).")
    return value


def _value(node: ast.expr) -> Any:
    """The value of a part of the text; ``ValueError`` where it is none."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.args or any(keyword.arg is None for keyword in node.keywords):
            raise ValueError("every argument needs its name")
        return Call(node.func.id, {str(keyword.arg): _value(keyword.value) for keyword in node.keywords})
    if isinstance(node, ast.Name):
        return math.inf if node.id == "inf" else node.id
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.Tuple | ast.List):
        return [_value(part) for part in node.elts]
    if isinstance(node, ast.Constant):
        return node.value
    raise ValueError(f"{ast.unparse(node)!r} is no value")

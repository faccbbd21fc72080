"""Records as text of Python, folded between fields, so that a terminal of 80 columns breaks no number."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from vfl_jax.core.fields import Declared

WIDTH = 79
INDENT = "    "
LONG = 64
"""A text of more letters is shown in parts."""


def folded(record: Declared) -> str:
    """Returns the call that makes a record; where it is long, on several lines. Python reads it back.

    Args:
      record: the record; its numbers may be swept or traced.

    Example:
      >>> import vfl_jax as vfl
      >>> print(folded(vfl.attacks.LFBA()))
      LFBA(enabled=1.0, anchor='known', poison_rate=0.1, switch_rate=0.5,
          feed='switched', mask_size=0.25)
    """
    lines = [""]
    for part in _parts(record):
        if lines[-1].strip() and len(f"{lines[-1]} {part}") > WIDTH:
            lines.append(INDENT + part)
        else:
            lines[-1] += f" {part}" if lines[-1] else part
    return "\n".join(lines)


def by_field(name: str, fields: Mapping[str, str]) -> str:
    """Returns a call with a field per line, so that several of them fit a terminal in a tuple, too.

    Args:
      name: what is called.
      fields: the text of every value, by the name of its field.

    Example:
      >>> print(by_field("Range", {"low": "1", "high": "2"}))
      Range(
          low=1,
          high=2,
      )
    """
    inside = [f"{INDENT}{field}={text}," for field, text in fields.items()]
    return "\n".join([f"{name}(", *inside, ")"]) if inside else f"{name}()"


def literal(value: object) -> str:
    """Returns what Python reads back as a value: its repr, a long text in several parts below each other.

    Args:
      value: the value.

    Example:
      >>> print(literal("one word " * 8 + "more"))
      (
              'one word one word one word one word one word one word one word '
              'one word more'
          )
    """
    if not isinstance(value, str) or len(repr(value)) <= LONG:
        return repr(value)
    wrapper = textwrap.TextWrapper(
        LONG, drop_whitespace=False, replace_whitespace=False, expand_tabs=False, break_on_hyphens=False
    )
    parts = [f"{INDENT * 2}{part!r}" for part in wrapper.wrap(value)]
    return "\n".join(["(", *parts, f"{INDENT})"])


def _parts(value: Any, before: str = "", after: str = "") -> Iterator[str]:
    """Yields what no line breaks: the fields of records, and of records in them, with the signs around them."""
    if isinstance(value, Declared):
        names = [field.name for field in dataclasses.fields(value)]  # type: ignore[arg-type]
        inside = [(f"{name}=", getattr(value, name)) for name in names]
        start, end = f"{type(value).__name__}(", ")"
    elif isinstance(value, tuple) and any(isinstance(entry, Declared) for entry in value):
        inside = [("", entry) for entry in value]
        start, end = "(", ",)" if len(value) == 1 else ")"
    else:
        inside, start, end = [], repr(value), ""
    if not inside:
        yield before + start + end + after
        return
    for place, (name, entry) in enumerate(inside):
        opened = before + start if place == 0 else ""
        closed = end + after if place == len(inside) - 1 else ","
        yield from _parts(entry, opened + name, closed)

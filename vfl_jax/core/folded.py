"""Records as text of Python, folded between fields, so that a terminal of 80 columns breaks no number."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from vfl_jax.core.fields import Declared

WIDTH = 79
INDENT = "    "


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

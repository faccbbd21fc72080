"""Records as TOML, which people read and change more easily than JSON."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

from vfl_jax.core.checks import check_kind, shown
from vfl_jax.core.record import Record, from_json

NONE = {"none": True}
"""TOML has no null; this table stands for None."""
MOST_TEXT = 1 << 22
"""So many characters, 4 Mi, TOML may have."""
DEEP = re.compile(r"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){32}""")
"""A key of more than 32 parts. Memory for a key grows with the square of its parts: 1 MB in one key filled any."""


def to_toml(record: Record) -> str:
    """Returns a record as TOML, which :func:`from_toml` reads back.

    Args:
      record: a record, such as a scenario.

    Raises:
      ValueError: as ``record.to_json()`` does.

    Example:
      >>> import vfl_jax as vfl
      >>> print(to_toml(vfl.defenses.Clipping(by="value", bound=0.1)))
      bound = 0.1
      by = "value"
      record = "Clipping"
      <BLANKLINE>
    """
    import tomli_w

    check_kind(Record, "such as a Scenario", record=record)
    return tomli_w.dumps(_mapped(json.loads(record.to_json()), None, NONE))


def from_toml(text: str) -> Any:
    """Makes a record of its TOML.

    Args:
      text: TOML, as :func:`to_toml` returns it.

    Raises:
      ValueError: where ``text`` is no TOML; else as :func:`vfl_jax.from_json` does.

    Example:
      >>> from_toml('record = "Clipping"\\nby = "value"\\nbound = 0.5').by
      'value'
    """
    if not isinstance(text, str):
        raise ValueError(f"text is {shown(text)}; it must be a str, as to_toml gives it.")
    try:
        plain = parse_toml(text)
    except ValueError as error:
        raise ValueError(f"text is no TOML of a record: {error}.") from error
    try:
        return from_json(json.dumps(_mapped(plain, NONE, None)))
    except RecursionError as error:
        raise ValueError("text is no TOML of a record: it goes too deep.") from error
    except TypeError as error:  # dates and times, which no field holds
        raise ValueError(f"text is no TOML of a record: {error}.") from error


def parse_toml(text: str) -> dict[str, Any]:
    """Reads TOML. The mark at its beginning that some editors write is no part of it.

    Args:
      text: the TOML.

    Raises:
      ValueError: where it is none, or goes too deep; where it has more than 4 Mi characters or a key of more than 32
        parts.
    """
    if len(text) > MOST_TEXT:
        raise ValueError(f"it has more than {MOST_TEXT:,} characters")
    if DEEP.search(text):
        raise ValueError("it goes too deep")
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except RecursionError as error:
        raise ValueError("it goes too deep") from error


def _mapped(value: Any, before: Any, after: Any) -> Any:
    """A tree of plain values with ``after`` in every place of ``before``."""
    if value == before and type(value) is type(before):
        return after
    if isinstance(value, dict):
        return {key: _mapped(child, before, after) for key, child in value.items()}
    if isinstance(value, list):
        return [_mapped(child, before, after) for child in value]
    return value

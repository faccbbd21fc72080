"""A scenario in a few lines for people: how it differs from the nearest preset, or what it holds."""

from __future__ import annotations

import dataclasses
import html
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from vfl_jax.core.record import Record

WIDTH = 79
MOST_DIFFERENCES = 6
"""A scenario that differs from every preset in more places is told by what it holds."""
NEAREST: list[Callable[[Any], tuple[str, Any] | None]] = []
"""What finds the preset that is nearest to a scenario: its call and its scenario. The room of presets fills it."""


def text_of(scenario: Record) -> str:
    """Returns the lines, none longer than 79 characters but for words that are.

    Args:
      scenario: a scenario whose numbers are not swept.
    """
    call, changes = _told(scenario)
    if call is None:
        held = [part for path, here, _ in changes for part in _wrapped(f"{path} = {here}")]
        return "\n".join(["Scenario with", *held]) if held else "Scenario()"
    lines = [f"{path} = {here}; the preset has {there}" for path, here, there in changes]
    head = f"Scenario of {call}" + (", but" if lines else "")
    return "\n".join([head, *(part for line in lines for part in _wrapped(line))])


def html_of(scenario: Record) -> str:
    """Returns the same as a table of HTML.

    Args:
      scenario: a scenario whose numbers are not swept.
    """
    call, changes = _told(scenario)
    names = ("field", "value") if call is None else ("path", "here", "in the preset")
    head = "".join(f"<th>{name}</th>" for name in names)
    cells = [[f'<td style="text-align: left">{html.escape(cell)}</td>' for cell in change] for change in changes]
    rows = "".join(f"<tr>{''.join(of_row[: len(names)])}</tr>" for of_row in cells)
    said = "" if call is None else f" of <code>{html.escape(call)}</code>" + (", but" if changes else "")
    return f"<div><b>Scenario</b>{said}" + f"<table><tr>{head}</tr>{rows}</table>" * bool(changes) + "</div>"


def changed_fields(here: Any, there: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    """Yields (path, value here, value there) where two records differ; where they differ in kind, the whole records.

    Args:
      here, there: records, tuples of records, or values.
      path: the path of both.
    """
    if isinstance(here, Record) and type(here) is type(there):
        for field in dataclasses.fields(here):  # type: ignore[arg-type]
            below = f"{path}.{field.name}".lstrip(".")
            yield from changed_fields(getattr(here, field.name), getattr(there, field.name), below)
    elif _are_records(here) and _are_records(there) and len(here) == len(there):
        for i, pair in enumerate(zip(here, there, strict=True)):
            yield from changed_fields(*pair, f"{path}.{i}")
    elif here != there:
        yield path, " ".join(repr(here).split()), " ".join(repr(there).split())


def _told(scenario: Record) -> tuple[str | None, list[tuple[str, str, str]]]:
    """The call of the nearest preset with the differences to it; without a near one None and all that is no default."""
    for find in NEAREST:
        if (found := find(scenario)) is not None:
            call, preset = found
            changes = list(changed_fields(scenario, preset))
            if len(changes) <= MOST_DIFFERENCES:
                return call, changes
    return None, list(changed_fields(scenario, type(scenario)()))


def _are_records(value: Any) -> bool:
    """Whether a value is a tuple of records."""
    return isinstance(value, tuple) and any(isinstance(part, Record) for part in value)


def _wrapped(line: str) -> list[str]:
    """A line, folded at spaces."""
    return textwrap.wrap(
        line, WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    )

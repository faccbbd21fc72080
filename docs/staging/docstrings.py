"""Docstrings as Sphinx reads them: bars of mathematics, and words that touch a literal."""

from __future__ import annotations

import re
from typing import Any

LITERAL = re.compile(r"(``[^`]+``)")
MAY_FOLLOW = re.compile(r"[\s.,:;!?)\]}'\"\-/>]")
MAY_PRECEDE = re.compile(r"[\s(\[{<'\"\-/:]")


def read(text: str) -> str:
    """Returns a docstring in which a bar is a bar, and a literal may touch a word: ``factor``².

    Args:
      text: the docstring; its examples stay as they are.
    """
    parts = LITERAL.split(text)
    for i in range(0, len(parts), 2):
        parts[i] = parts[i].replace("|", r"\|")
    for i in range(1, len(parts), 2):
        before, after = parts[i - 1], parts[i + 1]
        if before and not MAY_PRECEDE.match(before[-1]):
            parts[i] = rf"\ {parts[i]}"
        if after and not MAY_FOLLOW.match(after[0]):
            parts[i] = rf"{parts[i]}\ "
    is_example, lines = False, []
    for line, changed in zip(text.split("\n"), "".join(parts).split("\n"), strict=True):
        is_example = line.lstrip().startswith(">>>") or (is_example and bool(line.strip()))
        lines.append(line if is_example else changed)
    return "\n".join(lines)


def process(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Changes the lines of a docstring; Sphinx calls it by the event "autodoc-process-docstring"."""
    lines[:] = read("\n".join(lines)).split("\n")

"""Docstrings as Sphinx reads them: bars of mathematics, and words that touch a literal."""

from __future__ import annotations

import re
from typing import Any

LITERAL = re.compile(r"(``[^`]+``)")
ENDS = r"\s.,:;!?)\]}'\"\-/>"


def read(text: str) -> str:
    """Returns a line in which a bar is a bar, and a literal may touch a word: ``factor``².

    Args:
      text: a line of a docstring.
    """
    if text.lstrip().startswith((">>>", "...")):
        return text
    parts = LITERAL.split(text)
    plain = [part if part.startswith("``") else part.replace("|", r"\|") for part in parts]
    text = re.sub(rf"(``[^`]+``)(?=[^{ENDS}])", r"\1\\ ", "".join(plain))
    return re.sub(r"(?<=[⌊⌈|√×−·])(``[^`]+``)", r"\\ \1", text)


def process(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Changes the lines of a docstring; Sphinx calls it by the event "autodoc-process-docstring"."""
    lines[:] = [read(line) for line in lines]

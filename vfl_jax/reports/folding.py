"""A table that folds: columns without room stand in a further block below, so that no number is ever broken."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table

Row = dict[str, str]
GAP = 2
"""The columns of a terminal between two columns of a table."""
OF_KEYS, OF_OTHERS = 22, 13
"""Words in a cell go on in a new line after so many characters; those of keys say which row it is."""
PATH = 12
"""A header that is the path of a number goes on after its dots where it is longer."""


class FoldedTable:
    """A table for ``rich`` that finds its form when it is printed, because it then knows the width.

    Args:
      lines: the rows, at least one, all with the same columns; a cell may have several lines.
      num_keys: how many columns, from the left, say which row it is; every block begins with them.
      title: the text above the first block.
      note: the text below the last block; may be empty.
    """

    def __init__(self, lines: Sequence[Row], num_keys: int, title: str, note: str = "") -> None:
        self.num_keys, self.title, self.note = num_keys, title, note
        keys = list(lines[0])[:num_keys]
        self.lines = [
            {name: _cell(text, OF_KEYS if name in keys else OF_OTHERS) for name, text in line.items()} for line in lines
        ]

    @property
    def columns(self) -> list[str]:
        """The names of all columns."""
        return list(self.lines[0])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Yields the blocks, as :meth:`blocks` divides the columns; or every row as a list."""
        from rich.text import Text

        if self.title:
            yield Text(self.title, style="italic")
        blocks = self.blocks(options.max_width)
        if blocks is None:
            yield from self._lists()
        for number, block in enumerate(blocks or ()):
            if number:
                yield Text("")
            yield self._table(block)
        if self.note:
            yield Text(self.note, style="dim italic")

    def blocks(self, width: int) -> list[list[str]] | None:
        """The names of the columns of every block; None where a column does not fit beside the keys.

        Args:
          width: how many characters a line has.
        """
        keys, others = self.columns[: self.num_keys], self.columns[self.num_keys :]
        room = width - sum(self._width(name) + GAP for name in keys)
        if any(self._width(name) > room for name in others) or room < 0:
            return None
        found: list[list[str]] = []
        left = 0
        for name in others:
            if not found or self._width(name) > left:
                found.append(list(keys))
                left = room
            found[-1].append(name)
            left -= self._width(name) + GAP
        return found or [keys]

    def _width(self, name: str) -> int:
        """The characters that a column takes."""
        from rich.cells import cell_len

        texts = [_header(name), *(line[name] for line in self.lines)]
        return max(cell_len(part) for text in texts for part in text.split("\n"))

    def _table(self, names: Sequence[str]) -> Table:
        """One block."""
        from rich import box
        from rich.table import Table
        from rich.text import Text

        found = Table(box=box.SIMPLE_HEAD, padding=(0, GAP - 1, 0, 0), pad_edge=False, show_edge=False)
        for name in names:
            is_key = name in self.columns[: self.num_keys]
            found.add_column(Text(_header(name)), justify="left" if is_key else "right", no_wrap=True)
        for line in self.lines:
            found.add_row(*(Text(line[name]) for name in names))
        return found

    def _lists(self) -> Iterator[RenderableType]:
        """Every row as lines of a name and a value."""
        from rich.padding import Padding
        from rich.text import Text

        for line in self.lines:
            yield Text("")
            for place, (name, text) in enumerate(line.items()):
                said = Text(f"{name}: {' '.join(text.split())}")
                yield Padding(said, (0, 0, 0, 0 if place < self.num_keys else 2))


def _header(name: str) -> str:
    """The name of a column in lines: a word each, and of a long path as much as ends in a dot."""
    return "\n".join(part for word in name.split() for part in ([word] if len(word) <= PATH else _at_dots(word)))


def _at_dots(path: str) -> list[str]:
    """A path in pieces that end in dots, of at most ``PATH`` characters where its parts allow it."""
    found = [""]
    for part in path.replace("+", "+ ").replace(".", ". ").split(" "):
        if found[-1] and len(found[-1]) + len(part) > PATH:
            found.append("")
        found[-1] += part
    return found


def _cell(text: str, width: int) -> str:
    """The text of a cell in lines of whole words."""

    def wrapped(line: str) -> list[str]:
        return textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False) or [""]

    return "\n".join(part for line in text.split("\n") for part in wrapped(line))

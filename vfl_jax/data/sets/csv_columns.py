"""Columns of a published text file with commas, each checked against what is known of it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO, TypeAlias, cast

import numpy as np

from vfl_jax.core.packed import check_unpacked, opened

ColumnKind: TypeAlias = "type[int] | type[str] | tuple[str, ...]"
"""Whole numbers, any texts, or some texts alone."""
WHOLE = re.compile(r"-?[0-9]{1,18}")
MOST_OTHER = 1000
"""So many lines may be blank or stand before the rows."""
MOST_LINE = 1000
MOST_CELL = 100
"""The characters of a line and of a text, a few times as many as published files have."""


def read_columns(
    path: Path, columns: Mapping[str, ColumnKind], num_rows: int, *, first_line: str | None = None
) -> dict[str, np.ndarray]:
    """Reads the columns of a text file with commas between cells.

    Blanks after a comma and blank lines are skipped. No file is read beyond N + 1,000 lines, nor a line beyond 1,000
    characters, so that a small packed file cannot fill the memory.

    Args:
      path: the file, packed where it ends in ``.gz``.
      columns: the name and kind of every column, in the order of the file.
      num_rows: N, the rows that the file was published with.
      first_line: the line before the rows, such as a header; None where there is none.

    Returns:
      the columns by name: int64[N] of whole numbers, texts [N] of others.

    Raises:
      ValueError: naming the file, where it is damaged, or has another first line or number of rows; and the line,
        where it is too long, or has too few or too many cells; and the column, where a cell is of another kind.
    """
    check_unpacked(path)
    rows: dict[int, list[str]] = {}
    try:
        with opened(path) as file, io.TextIOWrapper(cast(io.BufferedReader, file), encoding="utf-8") as text:
            lines = enumerate(csv.reader(_lines(path, text), quoting=csv.QUOTE_NONE, skipinitialspace=True), start=1)
            if first_line is not None:
                found = ",".join(next(lines, (1, []))[1])
                if found != first_line:
                    raise ValueError(f"{path} begins with {found[:200]!r}; expected {first_line!r}. Fetch it again.")
            for line, cells in lines:
                if line > num_rows + MOST_OTHER:
                    most = num_rows + MOST_OTHER
                    raise ValueError(f"{path} has more than {most} lines; expected {num_rows} rows. Fetch it again.")
                if not any(cells):
                    continue
                if len(cells) != len(columns):
                    raise ValueError(
                        f"{path} has {len(cells)} cells on line {line}; expected {len(columns)}: {', '.join(columns)}."
                    )
                rows[line] = cells
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a whole file of text ({error}); fetch it again.") from error
    if len(rows) != num_rows:
        raise ValueError(f"{path} has {len(rows)} rows; expected {num_rows}. Fetch it again.")
    by_column = zip(columns.items(), zip(*rows.values(), strict=True), strict=True)
    return {name: _column(path, name, kind, list(rows), cells) for (name, kind), cells in by_column}


def _lines(path: Path, text: TextIO) -> Iterator[str]:
    """Yields the lines of a text, none of which is endless."""
    for number, line in enumerate(iter(lambda: text.readline(MOST_LINE + 1), ""), start=1):
        if len(line) > MOST_LINE:
            raise ValueError(f"{path} has more than {MOST_LINE} characters on line {number}; fetch it again.")
        yield line


def _column(path: Path, name: str, kind: ColumnKind, lines: Sequence[int], cells: Sequence[str]) -> np.ndarray:
    """Makes an array of one column, [N], after a check of its cells."""
    wrong = {cell for cell in set(cells) if not _fits(cell, kind)}
    if wrong:
        i = next(i for i, cell in enumerate(cells) if cell in wrong)
        kinds = {int: "a whole number", str: "a text"}
        expected = kinds[cast(type, kind)] if kind in kinds else " or ".join(map(repr, cast(tuple, kind)))
        raise ValueError(f"{path}, line {lines[i]}, column {name!r} holds {cells[i]!r}; expected {expected}.")
    return np.array(cells, np.int64 if kind is int else None)


def _fits(cell: str, kind: ColumnKind) -> bool:
    if kind is int:
        return WHOLE.fullmatch(cell) is not None
    return cell in kind if isinstance(kind, tuple) else 0 < len(cell) <= MOST_CELL

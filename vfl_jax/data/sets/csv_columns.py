"""Columns of a published text file with commas, each checked against what is known of it."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np

from vfl_jax.core.packed import check_unpacked

ColumnKind: TypeAlias = "type[int] | type[str] | tuple[str, ...]"
"""Whole numbers, any texts, or some texts alone."""
WHOLE = re.compile(r"-?[0-9]{1,18}")


def read_columns(
    path: Path, columns: Mapping[str, ColumnKind], num_rows: int, *, first_line: str | None = None
) -> dict[str, np.ndarray]:
    """Reads the columns of a text file with commas between cells.

    Blanks after a comma and blank lines are skipped.

    Args:
      path: the file, packed where it ends in ``.gz``.
      columns: the name and kind of every column, in the order of the file.
      num_rows: N, the rows that the file was published with.
      first_line: the line before the rows, such as a header; None where there is none.

    Returns:
      the columns by name: int64[N] of whole numbers, texts [N] of others.

    Raises:
      ValueError: naming the file, where it is damaged, or has another first line or number of rows; and the line and
        column, where a line has too few or too many cells, or a cell is of another kind.
    """
    check_unpacked(path)
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            lines = list(enumerate(csv.reader(file, quoting=csv.QUOTE_NONE, skipinitialspace=True), start=1))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a whole file of text ({error}); fetch it again.") from error
    if first_line is not None:
        found = ",".join(lines.pop(0)[1]) if lines else ""
        if found != first_line:
            raise ValueError(f"{path} begins with {found[:200]!r}; expected {first_line!r}. Fetch it again.")
    rows = {line: cells for line, cells in lines if any(cells)}
    for line, cells in rows.items():
        if len(cells) != len(columns):
            raise ValueError(
                f"{path} has {len(cells)} cells on line {line}; expected {len(columns)}: {', '.join(columns)}."
            )
    if len(rows) != num_rows:
        raise ValueError(f"{path} has {len(rows)} rows; expected {num_rows}. Fetch it again.")
    by_column = zip(columns.items(), zip(*rows.values(), strict=True), strict=True)
    return {name: _column(path, name, kind, list(rows), cells) for (name, kind), cells in by_column}


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
    return cell in kind if isinstance(kind, tuple) else bool(cell)

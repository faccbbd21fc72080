"""The text files of NUS-WIDE as they are distributed: labels, image features and tags of one split.

White space separates cells and also ends a line. A block of lines is parsed at once. A block that looks damaged is read
again cell by cell; the second reading either finds the damaged cell or accepts the block.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vfl_jax.core.ordinary import check_ordinary

BLOCK = 1 << 24
"""So many bytes of a file are parsed at once; the tags of a whole split as dense rows would take too much memory."""
MOST_LINE = 1 << 20
"""A line of a file has fewer bytes, a few thousand as published."""

DEFECTS = {("Labels_lake_Train.txt", 78373): b"-1130179"}
"""The known errors of the distribution, by file and line: a number in place of a label. It is read as 0."""

LARGEST = float(np.finfo(np.float32).max)
NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def label_file(concept: str, split: str) -> str:
    """Returns the path of a label file in the folder ``nus_wide``.

    Args:
      concept: the name of the concept; "*" makes a pattern of all concepts.
      split: "Train" or "Test".
    """
    return f"Groundtruth/TrainTestLabels/Labels_{concept}_{split}.txt"


def feature_file(block: str, split: str) -> str:
    """Returns the path of a block of image features in the folder ``nus_wide``; ``split`` is "Train" or "Test"."""
    return f"Low_Level_Features/{split}_Normalized_{block}.dat"


def tag_file(split: str) -> str:
    """Returns the path of the tags in the folder ``nus_wide``; ``split`` is "Train" or "Test"."""
    return f"NUS_WID_Tags/{split}_Tags1k.dat"


def read_labels(path: Path) -> np.ndarray:
    """Reads which rows have a concept.

    The known error of the distribution is read as 0, with a warning.

    Args:
      path: a label file.

    Returns:
      bool[N].

    Raises:
      ValueError: naming file, line and cell, on a cell that is neither 0 nor 1; on an empty file.
    """
    return np.concatenate([_flags(path, line, text, 1)[:, 0] for line, text in blocks(path)])


def read_features(path: Path, width: int) -> dict[str, np.ndarray]:
    """Reads a block of image features.

    Args:
      path: the file of the block.
      width: F.

    Returns:
      ``features``, float32[N, F].

    Raises:
      ValueError: naming file, line and cell, on a line of another length, or a cell that is not a finite number; on an
        empty file.
    """
    return {"features": np.concatenate([_numbers(path, line, text, width) for line, text in blocks(path)])}


def read_tags(path: Path, width: int) -> dict[str, np.ndarray]:
    """Reads the tags of a split.

    Args:
      path: a file of tags.
      width: the number of tags that exist.

    Returns:
      ``indptr``, int64[N + 1], and ``ids``, int32. Row i has the tags ``ids[indptr[i]:indptr[i + 1]]``, ascending.

    Raises:
      ValueError: naming file, line and cell, on a line of another length, or a cell that is neither 0 nor 1; on an
        empty file.
    """
    counts, ids = [np.zeros(1, np.int64)], []
    for line, text in blocks(path):
        flags = _flags(path, line, text, width)
        counts.append(flags.sum(axis=1))
        ids.append(np.nonzero(flags)[1].astype(np.int32))
    return {"indptr": np.cumsum(np.concatenate(counts)), "ids": np.concatenate(ids)}


def blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yields whole lines of a file, at most about ``BLOCK`` bytes at once, with the number of the first line, from 1.

    Raises:
      ValueError: where the file is empty; where a line has no end.
      OSError: where it cannot be read, or is no ordinary file.
    """
    line = 1
    check_ordinary(path)
    with path.open("rb") as file:
        while text := file.read(BLOCK) + (rest := file.readline(MOST_LINE)):
            if len(rest) == MOST_LINE:
                raise ValueError(f"{path} has a line of {MOST_LINE:,} bytes or more. Fetch it again.")
            yield line, text if text.endswith(b"\n") else text + b"\n"
            line += text.count(b"\n")
    if line == 1 and path.stat().st_size == 0:
        raise ValueError(f"{path} is empty. Fetch it again.")


def cells(path: Path, line: int, text: bytes, width: int) -> list[bytes]:
    """Splits one line into cells.

    Args:
      path: the file, for the message.
      line: the number of the line, for the message.
      text: the line.
      width: how many cells the line must have.

    Raises:
      ValueError: where the line has another number of cells.
    """
    found = text.split()
    if len(found) != width:
        other = next((mark for mark in ",;|" if mark.encode() in text), None)
        hint = "Fetch the file again." if other is None else f"The separator seems to be {other!r}."
        raise ValueError(
            f"{path} has {len(found)} cells in line {line}; expected {width}, separated by white space. {hint}"
        )
    return found


def _flags(path: Path, first: int, text: bytes, width: int) -> np.ndarray:
    """Parses lines of 0 and 1, bool[lines, width]."""
    length, last = text.find(b"\n") + 1, 2 * width - 1
    # In an undamaged block all lines have one length, and equal bytes stand between and after their cells.
    if len(text) % length == 0 and length > last and not (text[1:last:2] + text[last:length]).strip():
        grid = np.frombuffer(text, np.uint8).reshape(-1, length)
        values, is_same = grid[:, :last:2] - np.uint8(ord("0")), grid == grid[0]
        if values.max() <= 1 and is_same[:, 1:last:2].all() and is_same[:, last:].all():
            return values.astype(bool)
    lines = enumerate(text.splitlines(), first)
    return np.array(
        [[_flag(path, line, j, cell) for j, cell in enumerate(cells(path, line, row, width))] for line, row in lines]
    )


def _flag(path: Path, line: int, column: int, cell: bytes) -> bool:
    if cell in (b"0", b"1"):
        return cell == b"1"
    if DEFECTS.get((path.name, line)) == cell:
        warnings.warn(f"{path} has {cell.decode()} in line {line}, as distributed; it is read as 0.", stacklevel=2)
        return False
    raise ValueError(f"{path} has {_shown(cell)} in line {line}, column {column + 1}; expected 0 or 1.")


def _numbers(path: Path, first: int, text: bytes, width: int) -> np.ndarray:
    """Parses lines of numbers, float32[lines, width]."""
    import pandas as pd

    cells(path, first, text[: text.find(b"\n")], width)  # A longer first line would widen pandas' table.
    try:
        # One column more than the file has stands for the empty cell after the last separator of a line.
        if len(text) < 2 * width * text.count(b"\n"):  # pandas would fill up short lines, and the memory
            raise ValueError("a line is short")
        with np.errstate(over="ignore"):  # The check below finds a number beyond float32.
            table = pd.read_csv(
                io.BytesIO(text), sep=" ", header=None, names=range(width + 1), dtype=np.float32,
                quoting=csv.QUOTE_NONE, skip_blank_lines=False,
            ).to_numpy()  # fmt: skip
        if np.isfinite(table[:, :width]).all() and np.isnan(table[:, width]).all():
            return table[:, :width]
    except ValueError:  # pandas names neither file nor line; the reading by cells does.
        pass
    lines = enumerate(text.splitlines(), first)
    return np.array(
        [[_number(path, line, j, cell) for j, cell in enumerate(cells(path, line, row, width))] for line, row in lines],
        np.float32,
    )


def _number(path: Path, line: int, column: int, cell: bytes) -> float:
    if NUMBER.fullmatch(cell) and abs(value := float(cell)) <= LARGEST:
        return value
    raise ValueError(f"{path} has {_shown(cell)} in line {line}, column {column + 1}; expected a finite number.")


def _shown(cell: bytes) -> str:
    return repr(cell[:30].decode(errors="replace"))

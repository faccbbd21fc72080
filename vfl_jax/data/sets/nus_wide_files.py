"""The text files of NUS-WIDE as they are distributed: labels, image features and tags of one split.

Cells are separated by white space, also after the last of a line. A chunk of lines is parsed at once; only one that is
not as it should be is read again cell by cell, which finds what is wrong with it, or that it is right after all.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

CHUNK = 1 << 24
"""Bytes of a file that are parsed at once. The tags of a split are far too many to be held as dense rows."""

DEFECTS = {("Labels_lake_Train.txt", 78373): b"-1130179"}
"""What the distribution has by mistake where a label should be, by file and line; it is read as 0."""

LARGEST = float(np.finfo(np.float32).max)
NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def label_file(concept: str, split: str) -> str:
    """The place of a concept's labels in the tree; ``split`` is ``"Train"`` or ``"Test"``, here and below."""
    return f"Groundtruth/TrainTestLabels/Labels_{concept}_{split}.txt"


def feature_file(block: str, split: str) -> str:
    return f"Low_Level_Features/{split}_Normalized_{block}.dat"


def tag_file(split: str) -> str:
    return f"NUS_WID_Tags/{split}_Tags1k.dat"


def read_labels(path: Path) -> np.ndarray:
    """Which rows have a concept, bool[N].

    Raises:
      ValueError: naming file, line and cell, on what is not 0 or 1. The one known defect of the distribution is read
        as 0, with a warning.
    """
    return np.concatenate([_flags(path, line, text, 1)[:, 0] for line, text in chunks(path)])


def read_features(path: Path, width: int) -> dict[str, np.ndarray]:
    """Image features as ``features``, float32[N, F].

    Args:
      width: F.

    Raises:
      ValueError: naming file, line and cell, on a line of other length, or on what is no finite number.
    """
    return {"features": np.concatenate([_numbers(path, line, text, width) for line, text in chunks(path)])}


def read_tags(path: Path, width: int) -> dict[str, np.ndarray]:
    """Tags as ``indptr``, int64[N + 1], and ``ids``, int32: row i has ``ids[indptr[i]:indptr[i + 1]]``, ascending.

    Args:
      width: how many tags there are to choose from.

    Raises:
      ValueError: naming file, line and cell, on a line of other length, or on what is not 0 or 1.
    """
    counts, ids = [np.zeros(1, np.int64)], []
    for line, text in chunks(path):
        flags = _flags(path, line, text, width)
        counts.append(flags.sum(axis=1))
        ids.append(np.nonzero(flags)[1].astype(np.int32))
    return {"indptr": np.cumsum(np.concatenate(counts)), "ids": np.concatenate(ids)}


def chunks(path: Path) -> Iterator[tuple[int, bytes]]:
    """Whole lines of a file, with the number of the first, counted from 1.

    Raises:
      ValueError: when the file is empty.
    """
    line = 1
    with path.open("rb") as file:
        while text := file.read(CHUNK) + file.readline():
            yield line, text if text.endswith(b"\n") else text + b"\n"
            line += text.count(b"\n")
    if line == 1 and path.stat().st_size == 0:
        raise ValueError(f"{path} is empty. Fetch it again.")


def cells(path: Path, line: int, text: bytes, width: int) -> list[bytes]:
    """The cells of one line.

    Raises:
      ValueError: where there are not ``width``.
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
    """Lines of 0 and 1, as bool[lines, width]."""
    length, last = text.find(b"\n") + 1, 2 * width - 1
    # All lines are of one length, with equal bytes after and between cells, where nothing is wrong.
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
    """Lines of numbers, as float32[lines, width]."""
    import pandas as pd

    cells(path, first, text[: text.find(b"\n")], width)  # pandas would shape its table after a longer first line
    try:
        # One column more than there are, for what follows the last separator of a line: nothing.
        with np.errstate(over="ignore"):  # found below
            table = pd.read_csv(
                io.BytesIO(text), sep=" ", header=None, names=range(width + 1), dtype=np.float32,
                quoting=csv.QUOTE_NONE, skip_blank_lines=False,
            ).to_numpy()  # fmt: skip
        if np.isfinite(table[:, :width]).all() and np.isnan(table[:, width]).all():
            return table[:, :width]
    except ValueError:  # of pandas, without file and line
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

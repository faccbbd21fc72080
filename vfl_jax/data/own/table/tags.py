"""Features from the tags in the cells of a column, with or without values."""

from __future__ import annotations

import contextlib
import re
from typing import Any, NamedTuple

import numpy as np

from vfl_jax.core.advice import Advised
from vfl_jax.data.own.table.cells import Column
from vfl_jax.data.own.table.files import listed
from vfl_jax.data.own.table.kinds import ColumnReport, Tags

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
MOSTLY = 0.9


class Carried(NamedTuple):
    """All pairs of a row and a tag that the row carries, each once; the three arrays have one entry per pair.

    Args:
      rows: the row, int.
      numbers: the place of the tag in ``tags``, int.
      values: the value of the tag, float64; None where tags have no values.
      tags: the different tags, sorted.
    """

    rows: np.ndarray
    numbers: np.ndarray
    values: np.ndarray | None
    tags: np.ndarray


def tags_of(column: Column, kind: Tags) -> Carried:
    """Reads the tags in the cells of a column.

    Args:
      column: the column.
      kind: its declared kind, which says how tags are separated.

    Raises:
      ValueError: naming the cell, on a tag that is not a text; on a value that is missing or not a finite number; on
        two values of one tag in a cell; on tags that look as if they had values where ``kind`` declares none.
    """
    import pandas as pd
    from pandas.api import types

    cells = column.cells.dropna().astype(object)
    if types.infer_dtype(cells) in ("string", "empty"):
        cells = cells.str.split(kind.separator, regex=False)
    found = cells.map(lambda cell: list(cell.items()) if isinstance(cell, dict) else cell).explode().dropna()
    is_pair = found.map(lambda tag: isinstance(tag, tuple) and len(tag) == 2 and isinstance(tag[0], str))
    if len(found) and is_pair.all():
        pairs = found.tolist()
        return _valued(column, found, [tag.strip() for tag, _ in pairs], [value for _, value in pairs])
    if (what := types.infer_dtype(found)) not in ("string", "empty"):
        raise ValueError(
            f"{column.place(found.index[0])} holds {listed(found.iloc[[0]])} ({what}); expected tags: texts with "
            f"{kind.separator!r} between them, or lists of texts."
        )
    found = found.map(str.strip)
    found = found[(found != "").to_numpy(bool)]
    if kind.value_separator:
        parts = [text.rpartition(kind.value_separator) for text in found]
        return _valued(column, found, [tag.strip() for tag, _, _ in parts], [value for _, _, value in parts])
    if kind.value_separator is None and (likely := _value_separator(found)):
        valued, bare = (Tags(separator=kind.separator, value_separator=between) for between in (likely, ""))
        raise Advised(
            f"{column.place(found.index[0])} holds {listed(found.iloc[[0]])}, which seems to be a tag and its value. "
            "Say ",
            *(column.declared(valued), ", or where it is a tag as it stands ", column.declared(bare), "."),
        )
    codes, written = pd.factorize(found)
    tags, numbers = np.unique(np.array(written, str), return_inverse=True)
    places = pd.unique(found.index.to_numpy(np.int64) * len(tags) + numbers[codes])
    rows, numbers = np.divmod(places, max(len(tags), 1))
    return Carried(rows, numbers, None, tags)


def encode_tags(column: Column, kind: Tags, is_train: np.ndarray) -> tuple[Any, list[str], ColumnReport]:
    """Makes one feature per tag of the vocabulary.

    Args:
      column: the column.
      kind: its declared kind.
      is_train: bool[N]; without a declared vocabulary, the tags of these rows are the vocabulary.

    Returns:
      a SciPy sparse array, float32[N, F]; the F tags; and the report.

    Raises:
      ValueError: where :func:`tags_of` refuses a cell; where the training rows have no tags; where the test rows have
        nearly none of their tags.
    """
    import pandas as pd

    rows, numbers, values, tags = tags_of(column, kind)
    vocabulary = kind.vocabulary
    if vocabulary is None:
        counts = np.bincount(numbers[is_train[rows]], minlength=len(tags))
        order = np.argsort(-counts, kind="stable")
        vocabulary = tags[order[counts[order] > 0]].tolist()[: kind.most]
        if not vocabulary:
            raise Advised(f"{column.where} has no tags in the training rows. Leave it out: ", column.left_out, ".")
    codes = pd.Index(vocabulary).get_indexer(tags)[numbers]
    is_tested = ~is_train[rows]
    if (
        kind.vocabulary is None
        and kind.most is None
        and (codes[is_tested] < 0).sum() > max(4, MOSTLY * is_tested.sum())
    ):
        raise Advised(
            f"{column.where}: nearly no tag of the test rows, such as {listed(tags[numbers[is_tested]], 2)}, is one of "
            f"the training rows. Is {kind.separator!r} what stands between two tags? Say what does, as ",
            *(column.declared(Tags(separator="…")), ", give a vocabulary, or leave the column out: "),
            *(column.left_out, "."),
        )
    report = ColumnReport(kind="tags", num_features=len(vocabulary), num_unknown=int((codes < 0).sum()))
    return sparse_of(rows, codes, (len(column.rows), len(vocabulary)), values), list(vocabulary), report


def sparse_of(rows: np.ndarray, codes: np.ndarray, shape: tuple[int, int], values: np.ndarray | None = None) -> Any:
    """Makes a SciPy sparse array, float32[N, F].

    Args:
      rows: the row of every entry, int.
      codes: the column of every entry, int; an entry with a column below 0 is left out.
      shape: N and F.
      values: the entries; without it, all are 1.
    """
    from scipy import sparse

    is_known = codes >= 0
    places = rows[is_known], codes[is_known]
    entries = np.ones(len(places[0]), np.float32) if values is None else values[is_known].astype(np.float32)
    return sparse.csr_array((entries, places), shape=shape)


def looks_like_values(texts: Any) -> tuple[str, str] | None:
    """Guesses the separators of tags and of values; None unless nearly all texts are lists of tags with values."""
    for value_separator in (":", "="):
        pair = rf"[^\s:=;,|]+{value_separator}{NUMBER}"
        for separator in (";", ",", " ", "|"):
            lists = re.compile(rf"{pair}(?P<more>{re.escape(separator)}\s*{pair})*{re.escape(separator)}?")
            found = [lists.fullmatch(text.strip()) for text in texts]
            if np.mean([match is not None for match in found]) >= MOSTLY and any(
                match and match["more"] for match in found
            ):
                return separator, value_separator
    return None


def _value_separator(found: Any) -> str | None:
    """Guesses the separator between a tag and its value; None unless nearly all texts are a tag and a value."""
    for separator in (":", "="):
        is_pair = [bool(re.fullmatch(rf"[^:=]+{separator}{NUMBER}", text)) for text in found]
        if len(is_pair) and np.mean(is_pair) >= MOSTLY:
            return separator
    return None


def _valued(column: Column, found: Any, names: list[str], written: list[Any]) -> Carried:
    """Pairs rows with tags that have values; ``found`` holds the original entries, indexed by row, for messages."""
    values = np.full(len(names), np.nan)
    for i, (name, value) in enumerate(zip(names, written, strict=True)):
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            values[i] = float(value)
        if not name or not abs(values[i]) <= np.finfo(np.float32).max:
            raise ValueError(
                f"{column.place(found.index[i])} holds {listed(found.iloc[[i]])}; expected a tag and its value, a "
                "finite number."
            )
    tags, numbers = np.unique(np.array(names, str), return_inverse=True)
    rows = found.index.to_numpy(np.int64)
    places, first = np.unique(rows * max(len(tags), 1) + numbers, return_index=True)
    if len(places) < len(rows):
        again = int(np.setdiff1d(np.arange(len(rows)), first)[0])
        raise ValueError(f"{column.place(rows[again])} has tag {names[again]!r} twice; a tag has one value in a cell.")
    return Carried(rows, numbers, values, tags)

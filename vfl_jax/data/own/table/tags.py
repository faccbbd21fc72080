"""Tags in the cells of a column, with or without values, as features."""

from __future__ import annotations

import contextlib
import re
from typing import Any, NamedTuple

import numpy as np

from vfl_jax.data.own.table.cells import Column
from vfl_jax.data.own.table.files import listed
from vfl_jax.data.own.table.kinds import ColumnReport, Tags

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
MOSTLY = 0.9


class Carried(NamedTuple):
    """Which row carries which tag, each pair once."""

    rows: np.ndarray  # int[…]
    numbers: np.ndarray  # int[…]  places in ``tags``
    values: np.ndarray | None  # float64[…], where tags have values
    tags: np.ndarray  # sorted texts


def tags_of(column: Column, kind: Tags) -> Carried:
    """The tags of a column's cells.

    Raises:
      ValueError: naming the cell, on tags that are no texts; on values that are missing, no finite numbers, or given
        twice for a tag in one cell; on tags that seem to have values of which ``kind`` says nothing.
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
        raise ValueError(
            f"{column.place(found.index[0])} holds {listed(found.iloc[[0]])}, which seems to be a tag and its value. "
            f"Say columns={{{column.reference!r}: Tags(separator={kind.separator!r}, value_separator={likely!r})}}, or "
            "value_separator='' where it is a tag as it stands."
        )
    codes, written = pd.factorize(found)
    tags, numbers = np.unique(np.array(written, str), return_inverse=True)
    places = pd.unique(found.index.to_numpy(np.int64) * len(tags) + numbers[codes])
    rows, numbers = np.divmod(places, max(len(tags), 1))
    return Carried(rows, numbers, None, tags)


def encode_tags(column: Column, kind: Tags, is_train: np.ndarray) -> tuple[Any, list[str], ColumnReport]:
    """A sparse array float32[N, F] of the tags that the training rows have, their names, and the report."""
    import pandas as pd

    rows, numbers, values, tags = tags_of(column, kind)
    vocabulary = kind.vocabulary
    if vocabulary is None:
        counts = np.bincount(numbers[is_train[rows]], minlength=len(tags))
        order = np.argsort(-counts, kind="stable")
        vocabulary = tags[order[counts[order] > 0]].tolist()[: kind.most]
        if not vocabulary:
            raise ValueError(
                f"{column.where} has no tags in the training rows. Leave it out: drop=[{column.reference!r}]."
            )
    codes = pd.Index(vocabulary).get_indexer(tags)[numbers]
    is_tested = ~is_train[rows]
    if (
        kind.vocabulary is None
        and kind.most is None
        and (codes[is_tested] < 0).sum() > max(4, MOSTLY * is_tested.sum())
    ):
        raise ValueError(
            f"{column.where}: nearly no tag of the test rows, such as {listed(tags[numbers[is_tested]], 2)}, is one of "
            f"the training rows. Is {kind.separator!r} what stands between two tags? Say Tags(separator=...), give a "
            f"vocabulary, or leave the column out: drop=[{column.reference!r}]."
        )
    report = ColumnReport(kind="tags", num_features=len(vocabulary), num_unknown=int((codes < 0).sum()))
    return sparse_of(rows, codes, (len(column.rows), len(vocabulary)), values), list(vocabulary), report


def sparse_of(rows: np.ndarray, codes: np.ndarray, shape: tuple[int, int], values: np.ndarray | None = None) -> Any:
    """A sparse array, float32[N, F], with ones or ``values`` at these places; codes below 0 are no place."""
    from scipy import sparse

    is_known = codes >= 0
    places = rows[is_known], codes[is_known]
    entries = np.ones(len(places[0]), np.float32) if values is None else values[is_known].astype(np.float32)
    return sparse.csr_array((entries, places), shape=shape)


def looks_like_values(texts: Any) -> tuple[str, str] | None:
    """The separators of tags and of values, where nearly all texts are lists of tags with values; else None."""
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
    """What stands between tags and values, where nearly all texts are a tag and a value; else None."""
    for separator in (":", "="):
        is_pair = [bool(re.fullmatch(rf"[^:=]+{separator}{NUMBER}", text)) for text in found]
        if len(is_pair) and np.mean(is_pair) >= MOSTLY:
            return separator
    return None


def _valued(column: Column, found: Any, names: list[str], written: list[Any]) -> Carried:
    """Tags with values; ``found`` are they as they were found, by row."""
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

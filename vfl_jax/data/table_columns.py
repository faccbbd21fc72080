"""Kinds of columns, and how each becomes features."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from vfl_jax.checks import is_number
from vfl_jax.data.arrays import standardised
from vfl_jax.data.table_cells import Column, plain
from vfl_jax.data.table_files import listed

MOST_CATEGORIES = 1000
"""Of a column whose kind is not given; one with more is rather a name or a text."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Numeric:
    """A column of numbers: one feature. ``fill`` stands for missing cells: a number, or the training rows' mean."""

    fill: float | Literal["mean"] | None = None

    def __post_init__(self) -> None:
        if self.fill not in (None, "mean") and not (is_number(self.fill) and np.isfinite(self.fill)):
            raise ValueError(f"Numeric.fill is {self.fill!r}; it must be a finite number, 'mean' or None.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Categorical:
    """A column of categories: one feature each, 1 or 0. ``fill`` is the category of missing cells."""

    fill: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.fill, str | None):
            raise ValueError(f"Categorical.fill is {self.fill!r}; it must be a text or None.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tags:
    """A column of any number of tags per cell, in a text or a list: one feature each, 1 or 0.

    The ``vocabulary``, unless given, is what the training rows have: by number of rows, then by name, at ``most`` so
    many. An empty cell has no tags.
    """

    separator: str = " "
    vocabulary: Sequence[str] | None = None
    most: int | None = None

    def __post_init__(self) -> None:
        if not self.separator:
            raise ValueError("Tags.separator is empty; give what stands between two tags.")
        if self.most is not None and (self.vocabulary is not None or self.most < 1):
            raise ValueError(f"Tags.most is {self.most}; it must be above 0, and goes without a vocabulary.")
        if self.vocabulary is not None and not 0 < len(set(self.vocabulary)) == len(self.vocabulary):
            raise ValueError("Tags.vocabulary is empty or has a tag twice.")


Kind: TypeAlias = Numeric | Categorical | Tags


@dataclasses.dataclass(frozen=True, kw_only=True)
class ColumnReport:
    """What a column became."""

    kind: str  # numeric, categorical or tags
    num_features: int
    num_filled: int = 0  # missing cells that were filled
    num_unknown: int = 0  # categories or tags of a row that no feature stands for

    def __str__(self) -> str:
        count = {
            "numeric": "",
            "categorical": f", {self.num_features} categories",
            "tags": f", {self.num_features} tags",
        }
        filled = f", {self.num_filled:,} cells filled" if self.num_filled else ""
        unknown = f", {self.num_unknown:,} of the rows' are none of them" if self.num_unknown else ""
        return self.kind + count[self.kind] + filled + unknown


def encode_party(
    columns: Sequence[tuple[Column, Kind | None]], is_train: np.ndarray, standardise: bool
) -> tuple[Any, tuple[str, ...], dict[str, ColumnReport]]:
    """Features of one party, their names, and what became of its columns.

    Numeric columns come first, then categories, then tags. Features are float32[N, F]; with tags a SciPy sparse array.

    Args:
      columns: with their kinds; None is numeric for numbers, and categorical for texts and truth values.
      is_train: the rows that everything is fitted on, bool[N].

    Raises:
      ValueError: naming file, line and column, on cells that do not fit their kind.
    """
    from scipy import sparse

    of_kind: dict[type, list[tuple[Column, Any]]] = {Numeric: [], Categorical: [], Tags: []}
    for column, kind in columns:
        kind = kind or _inferred(column)
        of_kind[type(kind)].append((column, kind))

    names: list[str] = []
    blocks: list[Any] = []
    reports = {}
    if of_kind[Numeric]:
        values = []
        for column, kind in of_kind[Numeric]:
            numbers, reports[column.name] = _numbers(column, kind, is_train)
            values.append(numbers)
            names.append(column.name)
        block = np.stack(values, axis=1)
        blocks.append(standardised(block, is_train) if standardise else block.astype(np.float32))
    for encode, wanted in ((_categories, Categorical), (_tags, Tags)):
        for column, kind in of_kind[wanted]:
            block, features, reports[column.name] = encode(column, kind, is_train)
            blocks.append(block)
            names += [f"{column.name}={feature}" for feature in features]

    if of_kind[Tags]:
        joined = sparse.hstack(blocks, format="csr")
    else:
        joined = np.hstack([block if isinstance(block, np.ndarray) else block.toarray() for block in blocks])
    return joined, tuple(names), {column.name: reports[column.name] for column, _ in columns}


def tags_of(column: Column, kind: Tags) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which row carries which tag: rows int[…] and numbers of tags int[…], each pair once; and the tags, sorted."""
    import pandas as pd
    from pandas.api import types

    cells = column.cells.dropna().astype(object)
    if types.infer_dtype(cells) in ("string", "empty"):
        cells = cells.str.split(kind.separator, regex=False)
    found = cells.explode().dropna()
    if (what := types.infer_dtype(found)) not in ("string", "empty"):
        raise ValueError(
            f"{column.place(found.index[0])} holds {listed(found.iloc[[0]])} ({what}); expected tags: texts with "
            f"{kind.separator!r} between them, or lists of texts."
        )
    codes, written = pd.factorize(found)
    tags, numbers = np.unique(np.array([text.strip() for text in written], str), return_inverse=True)
    pairs = pd.unique(found.index.to_numpy(np.int64) * len(tags) + numbers[codes])
    rows, numbers = np.divmod(pairs, max(len(tags), 1))
    is_tag = tags[numbers] != ""
    return rows[is_tag], numbers[is_tag], tags


def _inferred(column: Column) -> Kind:
    import pandas as pd
    from pandas.api import types

    cells = column.cells
    if types.is_bool_dtype(cells.dtype):
        return Categorical()
    if types.is_numeric_dtype(cells.dtype):
        return Numeric()
    where, name = f"{column.table.where}, column {column.name!r}", column.reference
    is_number = (pd.to_numeric(cells, errors="coerce").notna() | cells.isna()).to_numpy()
    if is_number.mean() > 0.5 and not is_number.all():
        i = int(is_number.argmin())
        raise ValueError(
            f"{column.place(i)} holds {listed(cells[[i]])}, where most cells are numbers. Correct it, or say "
            f"columns={{{name!r}: Categorical()}}."
        )
    found = types.infer_dtype(cells, skipna=True)
    if found not in ("string", "boolean", "empty"):
        raise ValueError(
            f"{where} holds {found} values; expected numbers, texts or truth values. Convert it, say Tags() for "
            f"lists of texts, or leave it out: drop=[{name!r}]."
        )
    if (count := cells.nunique()) > MOST_CATEGORIES:
        raise ValueError(
            f"{where} holds {count} different texts; up to {MOST_CATEGORIES} are taken for categories. Say "
            f"columns={{{name!r}: Categorical()}} or Tags(), or leave it out: drop=[{name!r}]."
        )
    return Categorical()


def _numbers(column: Column, kind: Numeric, is_train: np.ndarray) -> tuple[np.ndarray, ColumnReport]:
    import pandas as pd

    cells = column.cells
    values = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64, na_value=np.nan, copy=True)
    is_missing = cells.isna().to_numpy()
    is_bad = ~is_missing & ~(np.abs(values) <= np.finfo(np.float32).max)
    if is_bad.any():
        i = int(is_bad.argmax())
        raise ValueError(
            f"{column.place(i)} holds {listed(cells[[i]])}; expected a finite number. Correct it, or leave the "
            f"column out: drop=[{column.reference!r}]."
        )
    is_known = is_train & ~is_missing
    fill = kind.fill
    if fill == "mean":
        fill = values[is_known].mean() if is_known.any() else None
    if fill is None:
        column.check_fillable("Numeric(fill='mean')")
    else:
        values[is_missing] = fill
    return values, ColumnReport(kind="numeric", num_features=1, num_filled=int(is_missing.sum()))


def _categories(column: Column, kind: Categorical, is_train: np.ndarray) -> tuple[Any, list[Any], ColumnReport]:
    import pandas as pd

    cells = column.cells
    is_missing = cells.isna().to_numpy()
    if kind.fill is None:
        column.check_fillable("Categorical(fill='unknown')")
    if is_missing.any():
        values = np.full(len(cells), kind.fill, object)
        values[~is_missing] = plain(cells[~is_missing]).astype(str)
    else:
        values = plain(cells)
    categories = np.unique(values[is_train])
    codes = pd.Index(categories).get_indexer(values)
    report = ColumnReport(
        kind="categorical",
        num_features=len(categories),
        num_filled=int(is_missing.sum()),
        num_unknown=int((codes < 0).sum()),
    )
    return _ones(np.arange(len(codes)), codes, (len(codes), len(categories))), categories.tolist(), report


def _tags(column: Column, kind: Tags, is_train: np.ndarray) -> tuple[Any, list[str], ColumnReport]:
    import pandas as pd

    rows, numbers, tags = tags_of(column, kind)
    vocabulary = kind.vocabulary
    if vocabulary is None:
        counts = np.bincount(numbers[is_train[rows]], minlength=len(tags))
        order = np.argsort(-counts, kind="stable")
        vocabulary = tags[order[counts[order] > 0]].tolist()[: kind.most]
        if not vocabulary:
            raise ValueError(
                f"{column.table.where}, column {column.name!r} has no tags in the training rows. Leave it out: "
                f"drop=[{column.reference!r}]."
            )
    codes = pd.Index(vocabulary).get_indexer(tags)[numbers]
    report = ColumnReport(kind="tags", num_features=len(vocabulary), num_unknown=int((codes < 0).sum()))
    return _ones(rows, codes, (len(column.rows), len(vocabulary))), list(vocabulary), report


def _ones(rows: np.ndarray, codes: np.ndarray, shape: tuple[int, int]) -> Any:
    """A sparse array, float32[N, F], with ones at these places; codes below 0 are no place."""
    from scipy import sparse

    is_known = codes >= 0
    places = rows[is_known], codes[is_known]
    return sparse.csr_array((np.ones(len(places[0]), np.float32), places), shape=shape)

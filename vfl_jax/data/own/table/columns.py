"""Features of one party from its columns, each by its kind."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from vfl_jax.core.advice import Advised
from vfl_jax.data.own.scaling import LOST, scaled, written_merged
from vfl_jax.data.own.table.cells import Column
from vfl_jax.data.own.table.files import listed
from vfl_jax.data.own.table.kinds import Categorical, ColumnReport, Kind, Numeric, Tags
from vfl_jax.data.own.table.numbers import Amounts, amounts, read_numbers, written_numbers
from vfl_jax.data.own.table.tags import encode_tags, looks_like_values, sparse_of
from vfl_jax.data.own.values import NOTHING, NUMBERS, TEXTS, TRUTH, WHOLE, as_floats, eps_of, kind_of, plain

MOST_CATEGORIES = 1000
"""A column without a declared kind may have so many categories; a column with more likely holds names or texts."""


def encode_party(
    columns: Sequence[tuple[Column, Kind | None]], is_train: np.ndarray, standardise: bool
) -> tuple[Any, tuple[str, ...], dict[str, ColumnReport]]:
    """Makes the features of one party.

    Features of numeric columns come first, then those of categories, then those of tags.

    Args:
      columns: the party's columns with their declared kinds; where the kind is None, it is inferred from the cells.
      is_train: bool[N]; means, deviations, categories and vocabularies come from these rows alone.
      standardise: whether numeric columns get mean 0 and standard deviation 1.

    Returns:
      the features, float32[N, F], as a SciPy sparse array where the party has tags; the names of the F features; and a
      report by column.

    Raises:
      ValueError: naming file, line and column, on cells that do not fit their kind; on a column whose kind cannot be
        inferred.
    """
    from scipy import sparse

    of_kind: dict[type, list[tuple[Column, Any]]] = {Numeric: [], Categorical: [], Tags: []}
    reports, names, blocks = {}, [], []
    for column, kind in columns:
        known = kind or _inferred(column)
        of_kind[type(known)].append((column, known))
    if of_kind[Numeric]:
        values, eps = [], []
        for column, kind in of_kind[Numeric]:
            numbers, reports[column.name] = _numbers(column, kind, is_train, standardise)
            values.append(numbers)
            eps.append(eps_of(column.cells.dtype))
            names.append(column.name)
        block = np.stack(values, axis=1)
        if standardise:
            block, is_constant = scaled(block, is_train, np.array(eps))
            for name, constant in zip(names, is_constant.tolist(), strict=True):
                reports[name] = dataclasses.replace(reports[name], is_constant=constant)
        elif lost := written_merged(block, lambda i: f"column {names[i]!r}"):
            table = of_kind[Numeric][0][0].table
            warnings.warn(f"{LOST} {table.where}, {'; '.join(lost)}. Say standardise=True.", stacklevel=3)
        blocks.append(block.astype(np.float32))
    declared = {column.name for column, kind in columns if kind is not None}
    for column, kind in of_kind[Categorical]:
        block, features, reports[column.name] = _categories(column, kind, is_train, column.name in declared)
        blocks.append(block)
        names += [f"{column.name}={feature}" for feature in features]
    for column, kind in of_kind[Tags]:
        block, features, reports[column.name] = encode_tags(column, kind, is_train)
        blocks.append(block)
        names += [f"{column.name}={feature}" for feature in features]

    if of_kind[Tags]:
        joined = sparse.hstack(blocks, format="csr")
    else:
        joined = np.hstack([block if isinstance(block, np.ndarray) else block.toarray() for block in blocks])
    return joined, tuple(names), {column.name: reports[column.name] for column, _ in columns}


def _inferred(column: Column) -> Kind:
    """Infers the kind of a column from its cells; refuses a column that may be misread."""
    cells = column.cells
    found = kind_of(cells)
    if found in (WHOLE, NUMBERS):
        return Numeric()
    if found in (TRUTH, NOTHING):
        return Categorical()
    if _may_be_written(column) and written_numbers(column) is not None:
        return Numeric()
    if found != TEXTS:
        raise Advised(
            f"{column.where} holds {found} values; expected numbers, texts or truth values. Convert it, say ",
            *(column.declared(Tags()), " for lists of texts, or leave it out: ", column.left_out, "."),
        )
    distinct = cells.dropna().unique()
    if separators := looks_like_values(distinct):
        tags = Tags(separator=separators[0], value_separator=separators[1])
        raise Advised(
            f"{column.where} holds lists of tags and values, such as {listed(distinct, 1)}. Say ",
            *(column.declared(tags), ", or ", column.declared(Categorical())),
            *(" where each text is a category; or leave it out: ", column.left_out, "."),
        )
    if found_amounts := amounts(distinct):
        raise _amounts(column, found_amounts, len(distinct))
    if (count := len(distinct)) > MOST_CATEGORIES:
        raise Advised(
            f"{column.where} holds {count} different texts; up to {MOST_CATEGORIES} are taken for categories. Leave it "
            "out: ",
            *(column.left_out, ", or say ", column.declared(Categorical(), Tags()), "."),
        )
    return Categorical()


def _amounts(column: Column, found: Amounts, count: int) -> ValueError:
    """Makes the error for a column whose texts are likely amounts, which only the user can decide."""
    units = " or ".join(repr(" … ".join(filter(None, unit))) for unit in found.units)
    in_one_unit = () if found.unit is None else (Numeric(unit=found.unit),)
    return Advised(
        f"{column.where} holds texts that are rather amounts, or numbered names, than categories: {len(found.texts)} "
        f"of {count} different ones are a number beside {units}, such as {listed(found.texts, 3)}. Say ",
        *(column.declared(*in_one_unit, Categorical()), " where each text is a category, "),
        *("" if in_one_unit else "write numbers in one unit, ", "or leave it out: ", column.left_out, "."),
    )


def _may_be_written(column: Column) -> bool:
    """Says whether a column holds texts, and nothing but texts and numbers."""
    types = set(map(type, column.cells.dropna()))
    return any(issubclass(t, str) for t in types) and all(issubclass(t, str | Real | Decimal) for t in types)


def _numbers(column: Column, kind: Numeric, is_train: np.ndarray, standardise: bool) -> tuple[np.ndarray, ColumnReport]:
    """Reads a numeric column as float64[N]; without ``standardise`` every number must fit float32."""
    cells, read_as = column.cells, None
    if kind_of(cells) in (WHOLE, NUMBERS, TRUTH, NOTHING):
        values = as_floats(cells).copy()
    elif _may_be_written(column):
        values, read_as = read_numbers(column, kind)
    else:
        raise Advised(
            f"{column.where} holds {kind_of(cells)} values; expected numbers. Convert it, as times to the seconds "
            "since one of them, or leave it out: ",
            *(column.left_out, "."),
        )
    is_missing = cells.isna().to_numpy()
    most = np.finfo(np.float64 if standardise else np.float32).max
    is_bad = ~is_missing & ~(np.abs(values) <= most)
    if is_bad.any():
        i = int(is_bad.argmax())
        expected = "a finite number" if standardise else "a finite number that float32 holds"
        raise Advised(
            f"{column.place(i)} holds {listed(cells[[i]])}; expected {expected}. Correct it, or leave the column out: ",
            *(column.left_out, "."),
        )
    is_known = is_train & ~is_missing
    fill = kind.fill
    if fill == "mean":
        fill = values[is_known].mean() if is_known.any() else None
    if fill is None:
        column.check_fillable(Numeric(fill="mean"))
    else:
        values[is_missing] = fill
    return values, ColumnReport(kind="numeric", num_features=1, num_filled=int(is_missing.sum()), read_as=read_as)


def _categories(
    column: Column, kind: Categorical, is_train: np.ndarray, is_declared: bool
) -> tuple[Any, list[Any], ColumnReport]:
    """Makes one feature per category of the training rows, as a sparse array, with their names and the report."""
    import pandas as pd

    cells = column.cells
    is_missing = cells.isna().to_numpy()
    if kind.fill is None:
        column.check_fillable(Categorical(fill="unknown"))
    if is_missing.any():
        values = np.full(len(cells), kind.fill, object)
        values[~is_missing] = plain(cells[~is_missing]).astype(str)
    else:
        values = plain(cells)
    categories = np.unique(values[is_train])
    codes = pd.Index(categories).get_indexer(values)
    is_new = codes[~is_train] < 0
    if not is_declared and is_new.sum() > max(4, len(is_new) / 2):
        raise Advised(
            f"{column.where} holds texts that are rather names, dates or numbers than categories: {is_new.sum()} of "
            f"{len(is_new)} test rows have one that no training row has, as {listed(values[~is_train][is_new], 1)}. "
            "Leave it out: ",
            *(column.left_out, ", or say ", column.declared(Categorical(), Tags(), Numeric()), "."),
        )
    report = ColumnReport(
        kind="categorical",
        num_features=len(categories),
        num_filled=int(is_missing.sum()),
        num_unknown=int((codes < 0).sum()),
    )
    return sparse_of(np.arange(len(codes)), codes, (len(codes), len(categories))), categories.tolist(), report

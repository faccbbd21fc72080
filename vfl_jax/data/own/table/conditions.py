"""Conditions on a column: which rows fulfil them."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from vfl_jax.core.checks import check_choice, is_number, shown
from vfl_jax.data.own.table.cells import Column
from vfl_jax.data.own.table.files import listed
from vfl_jax.data.own.table.kinds import Kind, Numeric, Tags
from vfl_jax.data.own.table.names import ColumnName, find
from vfl_jax.data.own.table.numbers import read_numbers, written_numbers
from vfl_jax.data.own.table.tags import tags_of
from vfl_jax.data.own.values import NUMBERS, TEXTS, TIMES, exact, kind_of, plain

Comparison = Literal["==", "<", ">", "has"]
COMPARISONS = {"==": operator.eq, "<": operator.lt, ">": operator.gt}
OTHER_OPERATORS = ("=", "<=", ">=", "!=", "<>", "in", "not in", "is")


class Where(NamedTuple):
    """Rows in which a column equals, is below or exceeds a value, or (``"has"``) carries a tag."""

    column: ColumnName
    comparison: Comparison
    value: Any


def is_condition(value: Any) -> bool:
    """Whether something is a condition, also where it is a plain tuple or list of a condition's parts."""
    if isinstance(value, Where):
        return True
    is_triple = isinstance(value, tuple | list) and len(value) == 3 and isinstance(value[1], str)
    return is_triple and (value[1] in COMPARISONS or value[1] == "has" or value[1] in OTHER_OPERATORS)


def condition_of(value: Any, argument: str) -> Where:
    """The condition that an argument is; ``ValueError`` where it is none, or compares with no or several values."""
    import pandas as pd

    if not is_condition(value):
        raise ValueError(f"{argument} is {shown(value)}; expected Where(column, comparison, value).")
    column, comparison, compared = value
    where = Where(tuple(column) if isinstance(column, list) else column, comparison, compared)
    check_choice(argument, Comparison, comparison=where.comparison)
    if (not isinstance(compared, str) and np.iterable(compared)) or compared is np.ma.masked or pd.isna(compared):
        raise ValueError(f"{argument} compares with {shown(compared)}; expected one value.")
    return where


def fulfilled(
    where: Where, argument: str, joined: Mapping[tuple[str, str], Column], kinds: Mapping[tuple[str, str], Kind]
) -> np.ndarray:
    """Which joined rows fulfil a condition, bool[N]; a missing cell never does.

    Texts that are numbers are compared as such with numbers; categories that pandas knows the order of by that order.
    """
    tables = {party: column.table for (party, _), column in joined.items()}
    place = find(tables, where.column, argument)
    column, kind = joined[place], kinds.get(place)
    result = np.zeros(len(column.rows), bool)
    if isinstance(kind, Tags) != (where.comparison == "has"):
        raise ValueError(
            f"{argument} compares {column.reference!r} by {where.comparison!r}; "
            "'has' is for columns of Tags(), and the only comparison for them."
        )
    if isinstance(kind, Tags):
        carried = tags_of(column, kind)
        values: Any = carried.tags[carried.numbers]
        result[carried.rows[values == where.value]] = True
    else:
        is_there = column.cells.notna().to_numpy()
        try:
            values, value = _comparable(column, kind, where, is_there)
        except TypeError as error:
            raise ValueError(f"{argument} compares {column.reference!r} with {where.value!r}: {error}.") from error
        try:
            result[is_there] = COMPARISONS[where.comparison](values, value)
        except TypeError as error:
            raise ValueError(
                f"{argument} compares {column.reference!r} with {where.value!r} ({type(value).__name__}); the column "
                f"holds {kind_of(column.cells)}, such as {listed(np.unique(values)[:2])}. Give a value of their kind."
            ) from error
    if not result.any():
        there = values if isinstance(kind, Tags) else plain(column.cells.dropna())
        raise ValueError(
            f"{argument}: no joined row has {column.reference!r} {where.comparison} {where.value!r}; "
            f"there are values such as {listed(np.unique(there), 5)}."
        )
    return result


def _comparable(column: Column, kind: Kind | None, where: Where, is_there: np.ndarray) -> tuple[Any, Any]:
    """The cells that are there and the value, so that both can be compared."""
    import pandas as pd

    cells, value = column.cells[is_there], where.value
    if isinstance(column.raw.dtype, pd.CategoricalDtype) and column.raw.cat.ordered and where.comparison != "==":
        order = list(column.raw.cat.categories)
        if value not in order:
            raise TypeError(f"its categories are, in their order, {listed(order)}")
        return column.raw[is_there].cat.codes.to_numpy(), order.index(value)
    if kind_of(cells) in (TIMES, "date"):
        try:
            return pd.to_datetime(cells), pd.Timestamp(value)
        except (TypeError, ValueError) as error:
            raise TypeError(f"it holds times, and that is none ({error})") from error
    if kind_of(cells) == TEXTS and is_number(value):
        reading = read_numbers(column, kind) if isinstance(kind, Numeric) else written_numbers(column)
        if reading is not None:
            return reading.values[is_there], value
    if kind_of(cells) == NUMBERS and is_number(value):
        return exact(cells), float(value)  # in the column's own dtype: 0.1 of float32 is 0.1
    return plain(cells), value

"""Conditions on a column, and the rows that fulfil them."""

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
    """A condition on the rows of joined tables; a plain tuple of the three parts means the same.

    Args:
      column: "party.column", or ("party", "column").
      comparison: "==", "<" or ">"; or "has" for a column of tags.
      value: the value that cells are compared with, or the tag.

    Example:
      >>> Where("bank.income", ">", 2000)
      Where(column='bank.income', comparison='>', value=2000)
    """

    column: ColumnName
    comparison: Comparison
    value: Any


def is_condition(value: Any) -> bool:
    """Says whether a value is a condition: a :class:`Where`, or a tuple or list of its three parts."""
    if isinstance(value, Where):
        return True
    is_triple = isinstance(value, tuple | list) and len(value) == 3 and isinstance(value[1], str)
    return is_triple and (value[1] in COMPARISONS or value[1] == "has" or value[1] in OTHER_OPERATORS)


def condition_of(value: Any, argument: str) -> Where:
    """Makes a condition of an argument.

    Args:
      value: a :class:`Where`, or a tuple or list of its three parts.
      argument: the name of the argument in messages.

    Raises:
      ValueError: on anything else; on an unknown comparison; where the condition compares with a missing value or with
        several values.
    """
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
    """Finds the joined rows that fulfil a condition.

    A missing cell never fulfils one. Texts that write numbers are compared with a number as numbers. Ordered
    categories of pandas are compared by their order.

    Args:
      where: the condition.
      argument: the name of the condition in messages.
      joined: the columns of the joined rows, by party and column.
      kinds: the declared kinds of columns, by party and column.

    Returns:
      bool[N].

    Raises:
      ValueError: on a column that does not exist; on a value that the cells cannot be compared with; on "has" without
        tags, or another comparison with tags; where no row fulfils the condition.
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
    """Brings the cells that are not missing and the value to a form in which they can be compared."""
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
        return exact(cells), float(value)  # The comparison is in the column's dtype, where float32's 0.1 equals 0.1.
    return plain(cells), value

"""A data set of one table, whose columns several parties hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data.own.table.conditions import Where
from vfl_jax.data.own.table.kinds import Categorical, Kind, Numeric
from vfl_jax.data.own.table.names import ColumnName
from vfl_jax.data.own.tables import load_tables


def load_one_table(
    rows: Mapping[str, np.ndarray],
    parties: Mapping[str, Sequence[str]],
    *,
    label: str,
    classes: Sequence[str],
    test: float | Collection[int],
    trigger: Where,
    name: str,
    seed: int = 0,
) -> VerticalData:
    """Makes a data set of one table by :func:`vfl_jax.load_tables`; the label holder has no features.

    Args:
      rows: the columns by name, [N]; whole numbers are standardised, a category of texts becomes a feature.
      parties: the names of each party's columns.
      label: the name of the column of classes.
      classes: the labels in the order of their class numbers.
      test: the share of rows to test on, drawn alike in all classes, or the numbers of the test rows.
      trigger: a condition on a column of a party that the rows with a natural trigger fulfil.
      name: the name of the data set.
      seed: the seed of the draw.

    Raises:
      ValueError: on a share outside 0 to 1.
    """
    ids = np.arange(len(rows[label]))
    tables: dict[str, dict[str, Any]] = {
        party: {"id": ids} | {column: rows[column] for column in columns} for party, columns in parties.items()
    }
    kinds: dict[ColumnName, Kind] = {
        (party, column): Numeric() if rows[column].dtype.kind == "i" else Categorical()
        for party, columns in parties.items()
        for column in columns
    }
    data, _ = load_tables(
        tables | {"label holder": {"id": ids, label: rows[label]}},
        id="id",
        label=("label holder", label),
        columns=kinds,
        test=test,
        seed=seed,
        classes=classes,
        trigger=trigger,
        name=name,
    )
    return data

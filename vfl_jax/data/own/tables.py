"""Your own tables: a file or data frame per party, joined on an id."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from vfl_jax.core.advice import Advised, Argument, parts_of
from vfl_jax.core.checks import shown
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data.own.arrays import from_arrays
from vfl_jax.data.own.splits import check_one_kind, encode_labels, split_rows
from vfl_jax.data.own.table.cells import Column
from vfl_jax.data.own.table.columns import encode_party
from vfl_jax.data.own.table.conditions import Where, condition_of, fulfilled, is_condition
from vfl_jax.data.own.table.files import Table, listed, read_table
from vfl_jax.data.own.table.join import join, listed_rows
from vfl_jax.data.own.table.kinds import ColumnReport, Kind, Tags
from vfl_jax.data.own.table.names import ColumnName, find, id_columns_of, listed_names, place_of
from vfl_jax.data.own.table.report import PartyReport, TablesReport
from vfl_jax.data.own.values import plain

if TYPE_CHECKING:
    import pandas as pd

Source: TypeAlias = "str | os.PathLike[str] | pd.DataFrame | Mapping[str, Any] | Any"
"""The path of a file, a data frame of pandas or Polars, an Arrow table, or a dict of columns."""


class LoadedTables(NamedTuple):
    """A data set and the report of its tables.

    Args:
      data: the data set.
      report: which rows were joined and lost, and how columns became features.
    """

    data: VerticalData
    report: TablesReport


def load_tables(
    tables: Mapping[str, Source],
    *,
    id: str | Mapping[str, str],
    label: ColumnName,
    columns: Mapping[ColumnName, Kind] | None = None,
    drop: Collection[ColumnName] = (),
    test: float | Where | Collection[Any] = 0.2,
    seed: int = 0,
    classes: Sequence[Any] | None = None,
    standardise: bool = True,
    trigger: Where | None = None,
    labels_apart: bool = False,
    name: str = "tables",
) -> LoadedTables:
    """Joins tables, one per party, on an id and makes features of their columns.

    The data set has the rows whose id is in every table, in the order of the labels' table. A numeric column becomes
    one feature, a categorical column one feature per category of the training rows, a column of tags one feature per
    tag. A party without tags has dense features, float32[N, F]. A party with tags has a bag of ids; a dense layer on
    the bag equals one on its multi-hot row.

    Args:
      tables: the table of every party: a file (``.csv``, ``.csv.gz``, ``.tsv``, ``.tsv.gz``, ``.parquet``), a data
        frame of pandas or Polars, an Arrow table, or a dict of columns.
      id: the column to join on, or a dict of one by party. Whole numbers of any size are compared exactly.
      label: the column of the classes, as "party.column" or ("party", "column"). Its party is the active one, if the
        party has features.
      columns: the kinds of columns. A column of numbers is ``Numeric`` by default, also one of texts that write numbers
        in only one way, as "28,7" or "45%". Other texts and truth values are ``Categorical``. Tags must be declared.
      drop: the columns that shall not be features.
      test: the share of rows to test on, drawn alike in all classes; or a condition that the test rows fulfil, whose
        column is then no feature; or the ids of the test rows.
      seed: the seed of that draw.
      classes: the labels in the order of their class numbers; without it, the distinct labels, sorted.
      standardise: whether numeric columns get mean 0 and standard deviation 1 over the training rows. A constant column
        becomes 0, and the report says so.
      trigger: a condition that the rows with a natural trigger fulfil; its column stays a feature.
      labels_apart: whether somebody without features holds the labels; no party is then the active one.
      name: the name of the data set.

    Returns:
      the data set, and a report to print.

    Raises:
      FileNotFoundError: where a file is missing.
      ValueError: naming file, line (of a text file, counted from 1) and column. Tables: one cannot be read, or a named
        column or party does not exist. Ids: one is missing, repeated, possibly rounded, or spelt differently in two
        tables; two tables share none. Cells: one is missing, infinite, or not a number in a numeric column; numbers can
        be read in several ways. Labels: one is missing or not in ``classes``; a class has no training rows. Splits: one
        is empty.

    Example:
      >>> bank = {"id": [1, 2, 3, 4], "income": [1200, 900, 3100, 2200], "repaid": ["no", "no", "yes", "yes"]}
      >>> shop = {"id": [4, 3, 2, 1], "buys": ["tea milk", "milk", "bread", "tea"]}
      >>> kinds = {"shop.buys": Tags(vocabulary=["bread", "milk", "tea"])}
      >>> tables = {"bank": bank, "shop": shop}
      >>> data, report = load_tables(tables, id="id", label="bank.repaid", columns=kinds, test=[2, 3])
      >>> print(report)
      4 rows joined: 2 to train on, 2 to test on; 0 and 0 of them carry the trigger
      classes: no (2 rows), yes (2 rows)
      bank: 4 rows read, 0 lost, 1 features
        income: numeric
      shop: 4 rows read, 0 lost, 3 features
        buys: tags, 3 tags
    """
    if not isinstance(tables, Mapping) or len({str(party) for party in tables}) < len(tables):
        raise ValueError(f"tables is {_short(tables)}; expected a dict of one table by party's name.")
    tables = {str(party): source for party, source in tables.items()}
    if columns is not None and not isinstance(columns, Mapping):
        raise ValueError(
            f"columns is {shown(columns)}; expected a dict of kinds by column, as {{'party.column': Tags()}}."
        )
    kinds = {place_of(tables, reference, "columns"): kind for reference, kind in (columns or {}).items()}
    if is_condition(test):
        test = condition_of(test, "test")
    trigger = None if trigger is None else condition_of(trigger, "trigger")
    for (party, column), kind in kinds.items():
        if not isinstance(kind, Kind):
            raise ValueError(f"columns gives '{party}.{column}' {kind!r}; expected Numeric(), Categorical() or Tags().")
    read = {
        party: read_table(party, source, [c for (p, c), kind in kinds.items() if p == party and isinstance(kind, Tags)])
        for party, source in tables.items()
    }
    for place in kinds:
        find(read, place, "columns")
    id_columns = id_columns_of(read, id)
    label_party, label_column = find(read, label, "label")
    taken = {
        "id": set(id_columns.items()),
        "label": {(label_party, label_column)},
        "drop": {find(read, reference, "drop") for reference in listed_names(drop, "drop")},
        "test": {find(read, test.column, "test")} if isinstance(test, Where) else set(),
    }
    for argument, places in taken.items():
        for party, column in places & set(kinds):
            raise Advised(
                *(Argument("columns"), f" has '{party}.{column}', which ", Argument(argument)),
                " takes from the features; leave one out.",
            )

    ids, rows = join(read, id_columns, label_party)
    joined = {
        (party, column): Column(table=table, name=column, rows=rows[party])
        for party, table in read.items()
        for column in table.frame.columns
    }
    label_cells = joined[label_party, label_column]
    labels = _labels(label_cells, ids.index, classes)
    with _naming_tables(read, len(labels)):
        codes, known = encode_labels(labels, classes, label_cells.where)
    test_ids_lost = 0
    if isinstance(test, Where):
        test = fulfilled(test, "test", joined, kinds)
    elif not isinstance(test, float | np.floating):
        test, test_ids_lost = listed_rows(test, ids)
    with _naming_tables(read, len(labels)):
        is_test = split_rows(test, codes, seed, known)
    has_trigger = None if trigger is None else fulfilled(trigger, "trigger", joined, kinds)

    features, feature_names, reports = {}, [], {}
    for party, table in read.items():
        kept = [
            (column, kinds.get(place))
            for place, column in joined.items()
            if place[0] == party and not any(place in places for places in taken.values())
        ]
        names: tuple[str, ...] = ()
        of_columns: dict[str, ColumnReport] = {}
        if kept:
            features[party], names, of_columns = encode_party(kept, ~is_test, standardise)
            feature_names.append(names)
        elif party != label_party:
            raise ValueError(f"{table.where} has no features: all its columns are the id, dropped, or split by.")
        reports[party] = PartyReport(
            rows_read=len(table.frame), rows_kept=len(ids), num_features=len(names), columns=of_columns
        )
    data = from_arrays(
        features,
        labels,
        test=is_test,
        has_trigger=has_trigger,
        classes=known,
        active_party=label_party if label_party in features and not labels_apart else None,
        name=name,
        feature_names=feature_names,
    )
    report = TablesReport(
        parties=reports,
        train_rows=data.train.num_samples,
        test_rows=data.test.num_samples,
        test_ids_lost=test_ids_lost,
        train_triggered=int(data.train.has_trigger.sum()),
        test_triggered=int(data.test.has_trigger.sum()),
        classes=dict(zip(data.classes, np.bincount(codes, minlength=data.num_classes).tolist(), strict=True)),
    )
    return LoadedTables(data, report)


def _labels(column: Column, ids: pd.Index, classes: Sequence[Any] | None) -> np.ndarray:
    is_missing = column.cells.isna().to_numpy()
    if is_missing.any():
        column.check_filled(f"The first is that of id {listed(ids[is_missing][:1])}: every joined row needs a label.")
    check_one_kind(column.where, column.cells)
    labels = plain(column.cells)
    if classes is not None:
        for i, label in enumerate(labels.tolist()):
            if label not in classes:
                raise ValueError(f"{column.place(i)} holds {label!r}; classes are {listed(classes)}.")
    return labels


@contextlib.contextmanager
def _naming_tables(read: Mapping[str, Table], rows: int) -> Iterator[None]:
    """Adds the tables to an error about the joined rows: often one is damaged, and few of its ids are left."""
    try:
        yield
    except ValueError as error:
        of_parties = ", ".join(table.where for table in read.values())
        raise Advised(*parts_of(error), f" The tables ({of_parties}) have {rows} rows in common.") from error


def _short(values: Any) -> str:
    return f"of parties {listed(values)}" if isinstance(values, Mapping) else f"a {type(values).__name__}"

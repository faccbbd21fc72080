"""Your own tables: a file or data frame per party, joined on an id."""

from __future__ import annotations

import dataclasses
import operator
import os
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np

from vfl_jax.checks import check_choice
from vfl_jax.data.arrays import encode_labels, from_arrays, split_rows
from vfl_jax.data.table_cells import Column, plain
from vfl_jax.data.table_columns import ColumnReport, Kind, Tags, encode_party, tags_of
from vfl_jax.data.table_files import Table, listed, read_table
from vfl_jax.data.table_join import join
from vfl_jax.records import VerticalData

if TYPE_CHECKING:
    import pandas as pd

Source: TypeAlias = "str | os.PathLike[str] | pd.DataFrame"
ColumnName: TypeAlias = str | tuple[str, str]
"""``"party.column"``, or the two apart."""
Comparison = Literal["==", "<", ">", "has"]
COMPARISONS = {"==": operator.eq, "<": operator.lt, ">": operator.gt}


class Where(NamedTuple):
    """Rows in which a column equals, is below or exceeds a value, or (``"has"``) carries a tag."""

    column: ColumnName
    comparison: Comparison
    value: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartyReport:
    """What one party's table had, and what is left of it."""

    rows_read: int
    rows_kept: int
    num_features: int
    columns: dict[str, ColumnReport]

    @property
    def rows_lost(self) -> int:
        """Rows whose id another party lacks."""
        return self.rows_read - self.rows_kept


@dataclasses.dataclass(frozen=True, kw_only=True)
class TablesReport:
    """What was joined, what was lost, and what the columns became; ``print`` it."""

    parties: dict[str, PartyReport]
    train_rows: int
    test_rows: int
    test_ids_lost: int  # ids that were given to test on, and not joined
    train_triggered: int
    test_triggered: int
    classes: dict[str, int]  # rows of each

    def __str__(self) -> str:
        lines = [
            f"{self.train_rows + self.test_rows:,} rows joined: {self.train_rows:,} to train on, {self.test_rows:,} to "
            f"test on; {self.train_triggered:,} and {self.test_triggered:,} of them carry the trigger",
            "classes: " + ", ".join(f"{name} ({count:,} rows)" for name, count in self.classes.items()),
        ]
        if self.test_ids_lost:
            lines.append(f"{self.test_ids_lost:,} of the ids to test on were not joined")
        for name, party in self.parties.items():
            lines.append(
                f"{name}: {party.rows_read:,} rows read, {party.rows_lost:,} lost, {party.num_features} features"
            )
            alike: dict[str, list[str]] = {}
            for column, report in party.columns.items():
                alike.setdefault(str(report), []).append(column)
            lines += [f"  {', '.join(columns)}: {report}" for report, columns in alike.items()]
        return "\n".join(lines)


class LoadedTables(NamedTuple):
    """A data set and what became of the tables that it was made of."""

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
    """Joins tables, one per party, and makes features of their columns.

    Rows are those whose id all parties have, in the order of the labels' table. Numeric columns are one feature each,
    categorical ones a feature for each category of the training rows, tags one for each tag. Dense features come as
    float32[N, F]; a party with tags is a bag of ids, which equals the dense layer on its multi-hot row.

    Args:
      tables: by party, a file (``.csv``, ``.csv.gz``, ``.tsv``, ``.tsv.gz``, ``.parquet``) or a pandas ``DataFrame``.
      id: the column to join on; by party where its name differs.
      label: the column of the classes. Its party is the active one, if it has other columns.
      columns: kinds of columns. Without one, numbers are ``Numeric``, texts and truth values ``Categorical``; ``Tags``
        must be named.
      drop: columns that are no features.
      test: the share of rows to test on, drawn by ``seed`` and alike in all classes; or a condition that these rows
        fulfil, whose column is then no feature; or their ids.
      classes: the labels in the order of their class numbers; without it, those there are, sorted.
      standardise: numeric columns to mean 0 and standard deviation 1 over the training rows; constant ones to 0.
      trigger: rows that carry the trigger by nature; its column stays a feature.
      labels_apart: the labels are held by somebody without features: there is no active party among ``tables``.

    Raises:
      FileNotFoundError: where a file is not there.
      ValueError: naming file, line (of a text file, from 1, as editors count) and column, on tables that cannot be
        read; on ids that are missing, repeated, or never met in another table; on names of columns or parties that
        there are not; on cells that are missing, no numbers where numbers are expected, or infinite; on labels that
        are missing or not in ``classes``; on a class without training rows; on an empty split.
    """
    kinds = {_place(tables, reference, "columns"): kind for reference, kind in (columns or {}).items()}
    for (party, column), kind in kinds.items():
        if not isinstance(kind, Kind):
            raise ValueError(f"columns gives '{party}.{column}' {kind!r}; expected Numeric(), Categorical() or Tags().")
    read = {
        party: read_table(party, source, [c for (p, c), kind in kinds.items() if p == party and isinstance(kind, Tags)])
        for party, source in tables.items()
    }
    for place in kinds:
        _find(read, place, "columns")
    id_columns = _id_columns(read, id)
    label_party, label_column = _find(read, label, "label")
    taken = {
        "id": set(id_columns.items()),
        "label": {(label_party, label_column)},
        "drop": {_find(read, reference, "drop") for reference in drop},
        "test": {_find(read, test.column, "test")} if isinstance(test, Where) else set(),
    }
    for argument, places in taken.items():
        for party, column in places & set(kinds):
            raise ValueError(
                f"columns has '{party}.{column}', which {argument} takes from the features; leave one out."
            )

    ids, rows = join(read, id_columns, label_party)
    joined = {
        (party, column): Column(table=table, name=column, rows=rows[party])
        for party, table in read.items()
        for column in table.frame.columns
    }
    labels = _labels(joined[label_party, label_column], ids, classes)
    codes, known = encode_labels(labels, classes)
    test_ids_lost = 0
    if isinstance(test, Where):
        test = _fulfil(test, "test", joined, kinds)
    elif not isinstance(test, float):
        wanted, test = test, _listed_rows(test, ids)
        test_ids_lost = len(set(wanted)) - int(test.sum())
    is_test = split_rows(test, codes, seed)
    has_trigger = None if trigger is None else _fulfil(trigger, "trigger", joined, kinds)

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


def _place(parties: Collection[str], reference: ColumnName, argument: str) -> tuple[str, str]:
    """Party and column that a reference names; a party whose name has a point is known by its longest match."""
    if not isinstance(reference, str):
        party, column = reference
    else:
        party = max((party for party in parties if reference.startswith(f"{party}.")), key=len, default="")
        column = reference[len(party) + 1 :]
    if party not in parties:
        raise ValueError(
            f"{argument} names column {reference!r}; expected 'party.column' or ('party', 'column'), where the parties "
            f"are {listed(parties)}."
        )
    return party, column


def _find(tables: Mapping[str, Table], reference: ColumnName, argument: str) -> tuple[str, str]:
    party, column = _place(tables, reference, argument)
    if column not in (there := tables[party].frame.columns):
        raise ValueError(
            f"{tables[party].where} has no column {column!r}, which {argument} names; it has {listed(there)}."
        )
    return party, column


def _id_columns(tables: Mapping[str, Table], id: str | Mapping[str, str]) -> dict[str, str]:
    columns = dict.fromkeys(tables, id) if isinstance(id, str) else dict(id)
    if set(columns) != set(tables):
        raise ValueError(f"id names columns of {listed(columns)}; the parties are {listed(tables)}.")
    return dict(_find(tables, place, "id") for place in columns.items())


def _labels(column: Column, ids: pd.Index, classes: Sequence[Any] | None) -> np.ndarray:
    is_missing = column.cells.isna().to_numpy()
    if is_missing.any():
        column.check_filled(f"The first is that of id {listed(ids[is_missing][:1])}: every joined row needs a label.")
    labels = plain(column.cells)
    if classes is not None:
        for i, label in enumerate(labels.tolist()):
            if label not in classes:
                raise ValueError(f"{column.place(i)} holds {label!r}; classes are {listed(classes)}.")
    return labels


def _fulfil(
    where: Where, argument: str, joined: Mapping[tuple[str, str], Column], kinds: Mapping[tuple[str, str], Kind]
) -> np.ndarray:
    """Which joined rows fulfil a condition, bool[N]; a missing cell never does."""
    check_choice(argument, Comparison, comparison=where.comparison)
    tables = {party: column.table for (party, _), column in joined.items()}
    place = _find(tables, where.column, argument)
    column, kind = joined[place], kinds.get(place)
    result = np.zeros(len(column.rows), bool)
    if isinstance(kind, Tags) != (where.comparison == "has"):
        raise ValueError(
            f"{argument} compares {column.reference!r} by {where.comparison!r}; "
            "'has' is for columns of Tags(), and the only comparison for them."
        )
    if isinstance(kind, Tags):
        rows, numbers, values = tags_of(column, kind)
        result[rows[values[numbers] == where.value]] = True
    else:
        is_there = column.cells.notna().to_numpy()
        values = plain(column.cells[is_there])
        try:
            result[is_there] = COMPARISONS[where.comparison](values, where.value)
        except TypeError as error:
            raise ValueError(f"{argument} compares {column.reference!r} with {where.value!r}: {error}.") from error
    if not result.any():
        raise ValueError(
            f"{argument}: no joined row has {column.reference!r} {where.comparison} {where.value!r}; "
            f"there are values such as {listed(np.unique(values), 5)}."
        )
    return result


def _listed_rows(wanted: Collection[Any], ids: pd.Index) -> np.ndarray:
    """Which joined rows have one of the ids, bool[N]; ids that were not joined are passed over."""
    if isinstance(wanted, str) or not np.iterable(wanted):
        raise ValueError(f"test is {wanted!r}; expected a share such as 0.2, Where(column, comparison, value), or ids.")
    is_test = ids.isin(list(wanted))
    if not is_test.any():
        raise ValueError(
            f"test lists {len(wanted)} ids, such as {listed(wanted, 3)}, and none of them was joined; joined were ids "
            f"such as {listed(ids, 3)}."
        )
    return is_test

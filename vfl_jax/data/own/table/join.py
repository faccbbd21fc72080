"""The inner join of several tables on their ids."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.core.checks import shown
from vfl_jax.data.own.inputs import column_of
from vfl_jax.data.own.table.cells import Column
from vfl_jax.data.own.table.files import Table, listed
from vfl_jax.data.own.values import NUMBERS, TEXTS, TIMES, TRUTH, WHOLE, exact, kind_of, plain

if TYPE_CHECKING:
    import pandas as pd


class Ids:
    """Ids of one kind, in their own dtype, so that none is rounded.

    Args:
      index: the ids.
      kind: their kind, a word of :mod:`vfl_jax.data.own.values`.
    """

    def __init__(self, index: pd.Index, kind: str) -> None:
        self.index, self.kind = index, kind

    def __len__(self) -> int:
        return len(self.index)

    def find(self, others: Ids) -> np.ndarray:
        """Returns the place of each of ``others`` among these ids, int[M]; −1 where an id is not among them."""
        mine, wanted = self.index, others.index
        if mine.dtype != wanted.dtype:  # pandas would compare signed and unsigned numbers as floats.
            mine, wanted = mine.astype(object), wanted.astype(object)
        return np.asarray(mine.get_indexer(wanted))


def join(tables: Mapping[str, Table], id_columns: Mapping[str, str], first: str) -> tuple[Ids, dict[str, np.ndarray]]:
    """Joins tables on their ids.

    Args:
      tables: the table of every party.
      id_columns: the name of every party's id column.
      first: the party whose order the joined rows keep.

    Returns:
      the N ids that every table has, and their rows in every party's table, int[N].

    Raises:
      ValueError: naming the rows, on an id that is missing or repeated; on ids that floating numbers may have rounded;
        on ids of different kinds, as 7 and '7'; on ids that would meet but for leading zeros, blanks or case; where two
        tables share no id, or no id is in all tables.
    """
    ids = {party: _ids(table, id_columns[party]) for party, table in tables.items()}
    for party, of_party in ids.items():
        if of_party.kind != ids[first].kind:
            raise ValueError(
                f"{tables[first].where} has {_named(ids[first].kind)} for ids, such as {listed(ids[first].index[:1])}, "
                f"and {tables[party].where} has {_named(of_party.kind)}, such as {listed(of_party.index[:1])}. Write "
                "them alike in the files, or give data frames whose ids have one type."
            )
    places = {party: others.find(ids[first]) for party, others in ids.items()}
    for party, found in places.items():
        alike = _spelt_otherwise(ids[first], ids[party], found)
        if alike:
            raise ValueError(
                f"{tables[first].where} has id {alike[0]!r}, and {tables[party].where} has {alike[1]!r}: {alike[2]} "
                "ids would meet but for blanks, leading zeros, a '.0' or letters of another case. Write them alike."
            )
        if (found < 0).all():
            raise ValueError(
                f"{tables[first].where} and {tables[party].where} have no id in common: {listed(ids[first].index, 3)} "
                f"on one side, {listed(ids[party].index, 3)} on the other. Check that {id_columns[first]!r} and "
                f"{id_columns[party]!r} name the same entities, written alike."
            )
    is_joined = np.all([found >= 0 for found in places.values()], axis=0)
    if not is_joined.any():
        raise ValueError(f"no id is in the tables of all of {listed(tables)}, though each has some of {first!r}.")
    joined = Ids(ids[first].index[is_joined], ids[first].kind)
    return joined, {party: found[is_joined] for party, found in places.items()}


def listed_rows(wanted: Any, ids: Ids) -> tuple[np.ndarray, int]:
    """Finds the joined rows that a list of ids names.

    Args:
      wanted: the listed ids.
      ids: the N joined ids.

    Returns:
      which joined rows are listed, bool[N], and how many of the listed ids are not joined.

    Raises:
      ValueError: where ``wanted`` is not a list of ids, but for one a mask of rows; where none of them is joined, or
        some are joined in another spelling.
    """
    if isinstance(wanted, str | bytes) or not np.iterable(wanted):
        raise ValueError(
            f"test is {shown(wanted)}; expected a share such as 0.2, Where(column, comparison, value), or ids."
        )
    cells = column_of("test", wanted)
    if cells.isna().any():
        raise ValueError(f"test lists nothing in place {int(cells.isna().argmax())}; expected ids.")
    given = _exact_ids(cells, "test")
    is_mask = given.kind == TRUTH != ids.kind
    if is_mask or (given.kind == WHOLE and len(cells) > 2 and set(given.index.tolist()) <= {0, 1}):
        raise ValueError(
            f"test is a mask of {len(cells)} rows; expected ids, as rows of several tables have no common order. "
            "Give those of the marked rows: table['id'][mask]."
        )
    wanted_ids = Ids(given.index.unique(), given.kind)
    found = wanted_ids.find(ids) if wanted_ids.kind == ids.kind else np.full(len(ids.index), -1)
    if alike := _spelt_otherwise(wanted_ids, ids, ids.find(wanted_ids)):
        raise ValueError(
            f"test lists id {alike[0]!r}, and {alike[1]!r} was joined: {alike[2]} ids would meet but for how they are "
            "spelt. Write them alike."
        )
    is_test = found >= 0
    if not is_test.any() and {given.kind, ids.kind} == {TEXTS, WHOLE}:
        raise ValueError(
            f"test lists {given.kind} as ids, such as {listed(given.index[:1])}, and the ids that were joined are "
            f"{ids.kind}, such as {listed(ids.index[:1])}: of a text file 007 is read as 7. Give ids of their kind."
        )
    if not is_test.any():
        raise ValueError(
            f"test lists {len(cells)} ids, such as {listed(given.index, 3)}, and none of them was joined; joined were "
            f"ids such as {listed(ids.index, 3)}."
        )
    return is_test, len(wanted_ids.index) - int(is_test.sum())


def _ids(table: Table, name: str) -> Ids:
    """Reads the ids of a table; refuses missing and repeated ones."""
    column = Column(table=table, name=name, rows=np.arange(len(table.frame)))
    column.check_filled("Every row needs an id.")
    found = _exact_ids(column.cells, column.where)
    ids = found.index
    if ids.has_duplicates:
        again = int(ids.duplicated().argmax())
        before = int(np.argmax(ids == ids[again]))
        raise ValueError(
            f"{column.place(again)} holds id {listed(ids[[again]])} again, which {table.row(before)} has already; "
            f"{ids.duplicated().sum()} rows repeat an id. Keep one row per id."
        )
    return found


def _exact_ids(cells: pd.Series, where: str) -> Ids:
    """Makes ids of cells, none missing; refuses floating numbers that may be rounded, and a mix of kinds."""
    import pandas as pd

    kind = kind_of(cells)
    if kind == NUMBERS:
        values = exact(cells)
        largest = 2 ** (np.finfo(values.dtype).nmant + 1)
        if (is_rounded := ~(np.abs(values) < largest)).any():
            raise ValueError(
                f"{where} holds {values[is_rounded.argmax()]!s} as an id, a floating number: from {largest:,} on their "
                "neighbours are rounded to one. Read ids as whole numbers or texts, as by pandas.read_csv(path, "
                "dtype={'id': str})."
            )
        ids = plain(cells)
        return Ids(pd.Index(ids), WHOLE if ids.dtype.kind in "iu" else NUMBERS)
    if kind in (WHOLE, TRUTH):
        values = exact(cells)
        values = values if values.dtype == object or kind == TRUTH else _common(values)
        return Ids(pd.Index(values, dtype=values.dtype), kind)
    if kind not in (TEXTS, TIMES) and len(set(map(type, cells))) > 1:
        raise ValueError(
            f"{where} has ids of several kinds, such as {listed(cells, 3)}; make all of them whole "
            "numbers, or all texts."
        )
    return Ids(pd.Index(plain(cells), dtype=object), TEXTS)


def _common(values: np.ndarray) -> np.ndarray:
    return values if values.dtype == np.uint64 else values.astype(np.int64)


def _named(kind: str) -> str:
    return "numbers with a fraction" if kind == NUMBERS else kind


def _spelt_otherwise(first: Ids, others: Ids, found: np.ndarray) -> tuple[str, str, int] | None:
    """Finds a pair of ids that did not meet but would if spelt alike, and counts such pairs.

    Ids that differ in the case of letters count only where they outnumber the ids that met.
    """
    if first.kind != TEXTS or others.kind != TEXTS or (found >= 0).all():
        return None
    alone, others_alone = first.index[found < 0], others.index[first.find(others) < 0]
    for bare, least in ((_bare, 1), (lambda text: _bare(text).casefold(), (found >= 0).sum() + 1)):
        spelt = {bare(text): text for text in others_alone}
        pairs = [(text, spelt[bare(text)]) for text in alone if bare(text) in spelt]
        if len(pairs) >= least:
            return *pairs[0], len(pairs)
    return None


def _bare(text: str) -> str:
    """Strips invisible characters from a text, and idle zeros from a number."""
    text = unicodedata.normalize("NFKC", text).strip(string.whitespace + "\ufeff\u200b\u200c\u200d")
    return re.sub(r"^0+(?=\d)|\.0+$", "", text) if re.fullmatch(r"\d+(\.0+)?", text) else text

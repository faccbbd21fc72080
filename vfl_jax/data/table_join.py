"""The inner join of several tables on their ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.data.table_cells import Column, plain
from vfl_jax.data.table_files import Table, listed

if TYPE_CHECKING:
    import pandas as pd

KINDS = {"i": "whole numbers", "u": "whole numbers", "f": "numbers with a fraction", "b": "truth values", "O": "texts"}


def join(
    tables: Mapping[str, Table], id_columns: Mapping[str, str], first: str
) -> tuple[pd.Index, dict[str, np.ndarray]]:
    """The ids that all parties have, in the order of party ``first``, and the row of each in every party's table.

    Raises:
      ValueError: on ids that are missing or repeated, with their rows; that are of different kinds, as 7 and '7' are;
        or where two tables have none in common.
    """
    ids = {party: _ids(table, id_columns[party]) for party, table in tables.items()}
    kinds = {party: KINDS[of_party.to_numpy().dtype.kind] for party, of_party in ids.items()}
    for party, kind in kinds.items():
        if kind != kinds[first]:
            raise ValueError(
                f"{tables[first].where} has {kinds[first]} for ids, such as {listed(ids[first][:1])}, and "
                f"{tables[party].where} has {kind}, such as {listed(ids[party][:1])}. Write them alike in "
                "the files, or give data frames whose ids have one type."
            )
    places = {party: others.get_indexer(ids[first]) for party, others in ids.items()}
    for party, found in places.items():
        if (found < 0).all():
            raise ValueError(
                f"{tables[first].where} and {tables[party].where} have no id in common: {listed(ids[first], 3)} on one "
                f"side, {listed(ids[party], 3)} on the other. Check that {id_columns[first]!r} and "
                f"{id_columns[party]!r} name the same entities, written alike."
            )
    is_joined = np.all([found >= 0 for found in places.values()], axis=0)
    if not is_joined.any():
        raise ValueError(f"no id is in the tables of all of {listed(tables)}, though each has some of {first!r}.")
    return ids[first][is_joined], {party: found[is_joined] for party, found in places.items()}


def _ids(table: Table, name: str) -> pd.Index:
    import pandas as pd

    column = Column(table=table, name=name, rows=np.arange(len(table.frame)))
    column.check_filled("Every row needs an id.")
    ids = pd.Index(plain(column.cells))
    if ids.has_duplicates:
        again = int(ids.duplicated().argmax())
        before = int(ids.get_indexer_for([ids[again]])[0])
        raise ValueError(
            f"{column.place(again)} holds id {listed(ids[[again]])} again, which {table.row(before)} has already; "
            f"{ids.duplicated().sum()} rows repeat an id. Keep one row per id."
        )
    return ids

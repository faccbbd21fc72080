"""References of users to columns: "party.column", or ("party", "column")."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

from vfl_jax.core.advice import Advised, Argument, PythonOnly
from vfl_jax.core.checks import shown
from vfl_jax.data.own.table.files import Table, listed

ColumnName: TypeAlias = str | tuple[str, str]
"""``"party.column"`` or ``("party", "column")``."""


def place_of(parties: Collection[str], reference: Any, argument: str) -> tuple[str, str]:
    """Splits a reference into party and column; where names of parties contain points, the longest that fits counts.

    Args:
      parties: the names of the parties.
      reference: "party.column", or ("party", "column").
      argument: the name of the argument in messages.

    Raises:
      ValueError: on a reference of another form, or to an unknown party.
    """
    if isinstance(reference, str):
        party = max((party for party in parties if reference.startswith(f"{party}.")), key=len, default="")
        found = party, reference[len(party) + 1 :]
    else:
        is_pair = isinstance(reference, tuple) and len(reference) == 2
        found = (str(reference[0]), str(reference[1])) if is_pair else ("", "")
    if found[0] not in parties:
        raise Advised(
            *(Argument(argument), f" names column {shown(reference)}; expected 'party.column'"),
            *(PythonOnly(" or ('party', 'column')"), f", where the parties are {listed(parties)}."),
        )
    return found


def find(tables: Mapping[str, Table], reference: Any, argument: str) -> tuple[str, str]:
    """Splits a reference into party and column, and checks that the party's table has the column.

    Args:
      tables: the table of every party.
      reference: "party.column", or ("party", "column").
      argument: the name of the argument in messages.

    Raises:
      ValueError: on a reference of another form, or to an unknown party or column.
    """
    party, column = place_of(tables, reference, argument)
    if column not in (there := tables[party].frame.columns):
        raise Advised(
            f"{tables[party].where} has no column {column!r}, which ",
            *(Argument(argument), f" names; it has {listed(there)}."),
        )
    return party, column


def id_columns_of(tables: Mapping[str, Table], id: Any) -> dict[str, str]:
    """Returns the id column of every party.

    Args:
      tables: the table of every party.
      id: the name of one column for all parties, or a dict of one by party.

    Raises:
      ValueError: on a name that is not a text; on a dict of other parties; on a column that a table lacks.
    """
    columns = dict(id) if isinstance(id, Mapping) else dict.fromkeys(tables, id)
    for name in columns.values():
        if not isinstance(name, str):
            raise ValueError(
                f"id is {shown(name)}; expected the name of one column, or a dict of one by party. To join on several, "
                "make one of them in each table first, as table['a'].astype(str) + ' ' + table['b'].astype(str)."
            )
    if {str(party) for party in columns} != set(tables):
        raise ValueError(f"id names columns of {listed(columns)}; the parties are {listed(tables)}.")
    return dict(find(tables, place, "id") for place in columns.items())


def listed_names(names: Any, argument: str) -> list[Any]:
    """Makes a list of several references.

    Args:
      names: the references.
      argument: the name of the argument in messages.

    Raises:
      ValueError: on a single text, and on anything that is not a collection.
    """
    if isinstance(names, str | bytes) or not hasattr(names, "__iter__"):
        raise ValueError(f"{argument} is {shown(names)}; expected a list of columns, as [{names!r}].")
    return list(names)

"""The flags that name your own tables, shared by the subcommands that read them."""

from __future__ import annotations

import ast
import dataclasses
import functools
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vfl_jax.cli.calls import read_call
from vfl_jax.cli.table_file import read_table_file
from vfl_jax.cli.values import File, Repeated, Text

if TYPE_CHECKING:
    from vfl_jax.core.vertical_data import VerticalData
    from vfl_jax.data.own.tables import LoadedTables

TABLE = "PARTY=FILE, e.g. bank=a.csv"
KIND = "PARTY.COLUMN=KIND, e.g. bank.zip=Categorical or 'shop.buys=Tags(separator=\";\")'"
CONDITION = "PARTY.COLUMN==VALUE (or <, >, has), e.g. bank.job==student"


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnTables:
    """The flags of your own tables, one per party, joined on an id (:func:`vfl_jax.load_tables`)."""

    table: Repeated = ()
    """PARTY=FILE (.csv, .tsv, .parquet), e.g. bank=a.csv: the table of one of your parties. Repeat it for each."""
    id: Repeated = ()
    """COLUMN on which your tables are joined; PARTY=COLUMN for each, where the names differ."""
    label: Text = None
    """PARTY.COLUMN of the classes in your tables, e.g. bank.y; that party is the active one."""
    column: Repeated = ()
    """PARTY.COLUMN=KIND where a column is not what it looks like: Numeric, Categorical or Tags."""
    drop: Repeated = ()
    """PARTY.COLUMN that shall be no feature."""
    test: Text = None
    """Share of rows to test on, or a condition that they fulfil, e.g. bank.year>2019. Default: 0.2."""
    marked: Text = None
    """Condition that rows with a natural trigger fulfil, e.g. bank.job==student."""
    tables: File = None
    """TOML file that says the same: [table] bank = "a.csv", id = "id", label = "bank.y". Flags win."""

    @property
    def is_given(self) -> bool:
        """Whether any of the flags names a table."""
        return bool(self.table) or self.tables is not None

    @property
    def inputs(self) -> dict[str, Path]:
        """The files that the flags name, by the words for them in messages.

        Raises:
          ValueError, OSError: as :meth:`source` does.
        """
        flags = self if self.tables is None else _with_file(self, self.tables)
        files = {f"the table of {party!r}": Path(path) for party, path in _tables(flags).items()}
        return files | ({} if self.tables is None else {"the file that names your tables": self.tables})

    def source(self) -> Callable[[], LoadedTables]:
        """The function that loads the tables, here or at a worker.

        Raises:
          ValueError: naming the flag, where a text has another form, or a table, the id or the label lacks.
          OSError: where the TOML file cannot be read.

        Example:
          >>> flags = OwnTables(table=("bank=a.csv", "shop=b.csv"), id=("id",), label="bank.y")
          >>> flags.source().keywords["id"]
          'id'
        """
        from vfl_jax.data.own.tables import load_tables

        flags = self if self.tables is None else _with_file(self, self.tables)
        sources = _tables(flags)
        if len(sources) < 2:
            raise ValueError(f"--table names {len(sources)} of your parties; give one table for each, at least two.")
        if not flags.id or flags.label is None:
            lacking = "--id COLUMN, on which they are joined" if not flags.id else "--label PARTY.COLUMN, the classes"
            raise ValueError(f"--table needs {lacking}.")
        arguments: dict[str, Any] = {"id": _id(flags.id), "label": flags.label, "name": "+".join(sources)}
        if flags.column:
            arguments["columns"] = {c: _kind(text) for c, text in _pairs("--column", flags.column, KIND).items()}
        if flags.drop:
            arguments["drop"] = list(flags.drop)
        if flags.test is not None:
            arguments["test"] = _share(flags.test)
        if flags.marked is not None:
            arguments["trigger"] = condition("--marked", flags.marked)
        return functools.partial(load_tables, sources, **arguments)


def told(load: Callable[[], VerticalData | LoadedTables]) -> VerticalData | LoadedTables:
    """Loads data, and says on standard error how many rows of own tables were joined.

    Args:
      load: the function that loads them.
    """
    found = load()
    if (report := getattr(found, "report", None)) is not None:
        line = textwrap.fill(f"tables: {report.joined}", 79, subsequent_indent="  ", break_on_hyphens=False)
        print(line, file=sys.stderr, flush=True)
    return found


def condition(flag: str, text: str) -> tuple[str, str, Any]:
    """The three parts of a condition, as :func:`vfl_jax.load_tables` takes it.

    Args:
      flag: the flag that the text is given to, for messages.
      text: the text; its value is a number where it is written like one.

    Raises:
      ValueError: naming the flag, where the text has another form.

    Example:
      >>> condition("--marked", "bank.income>2000")
      ('bank.income', '>', 2000)
    """
    parts = re.fullmatch(r"([^<>=]+?)(?:\s*(==|<|>)\s*|\s+(has)\s+)([^<>=].*)", text.strip())
    if parts is None:
        raise ValueError(f"{flag} is {text!r}; it must be {CONDITION}.")
    column, comparison, has, value = parts.groups()
    return column.strip(), comparison or has, _literal(value)


def _share(text: str) -> float | tuple[str, str, Any]:
    """The share of test rows, or the condition that they fulfil."""
    try:
        return float(text)
    except ValueError:
        return condition("--test", text)


def _id(entries: Sequence[str]) -> str | dict[str, str]:
    """One column for all parties, or one for each."""
    if len(entries) == 1 and "=" not in entries[0]:
        return entries[0]
    return _pairs("--id", entries, "COLUMN, or PARTY=COLUMN for every party")


def _kind(text: str) -> Any:
    """The kind of a column."""
    from vfl_jax.data.own.table.kinds import Categorical, Numeric, Tags

    kinds: dict[str, Any] = {kind.__name__: kind for kind in (Numeric, Categorical, Tags)}
    name, arguments = read_call("--column", text)
    if name not in kinds:
        raise ValueError(f"--column has {text!r}; there are {', '.join(kinds)}.")
    try:
        return kinds[name](**arguments)
    except TypeError as error:
        known = ", ".join(field.name for field in dataclasses.fields(kinds[name]))
        raise ValueError(f"--column has {text!r}; {name} takes {known}.") from error


def _pairs(flag: str, entries: Sequence[str], form: str) -> dict[str, str]:
    """The texts before and behind the first "=" of every entry."""
    from vfl_jax.cli.flags import assignments

    return dict(assignments(flag, entries, form))


def _literal(text: str) -> Any:
    """The value of a text: a number, or a text in quotes or without."""
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def _tables(flags: OwnTables) -> dict[str, str]:
    """The file of every party."""
    return _pairs("--table", flags.table, TABLE)


def _with_file(flags: OwnTables, file: Path) -> OwnTables:
    """The flags, and what a TOML file says where they say nothing. Its tables lie beside it."""
    known = {field.name: field for field in dataclasses.fields(OwnTables) if field.name != "tables"}
    changes: dict[str, Any] = {"tables": None}
    for name, value in read_table_file(file, tuple(known)).items():
        if not getattr(flags, name):
            changes[name] = value
    return dataclasses.replace(flags, **changes)

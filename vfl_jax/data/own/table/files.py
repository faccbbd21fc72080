"""Tables of parties, from CSV, TSV and Parquet files or data frames; errors name the line."""

from __future__ import annotations

import csv
import dataclasses
import gzip
import os
import re
import warnings
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vfl_jax.core.advice import Advised, PythonOnly
from vfl_jax.core.checks import shown
from vfl_jax.core.packed import check_unpacked
from vfl_jax.data.own.inputs import frame_of
from vfl_jax.data.own.table.parquet import read_parquet

if TYPE_CHECKING:
    import pandas as pd

DELIMITERS = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t"}
PARQUET = ".parquet"
MISSING = ("", "NA", "N/A", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None")
"""The texts that mark a missing cell in a text file."""
WHOLE = re.compile(r"[-+]?\d+")
MOST_COLUMNS = 1 << 16
"""A text file may have so many columns, which take 15 seconds and half a GiB; pandas has its work with each."""
MOST_RECORD = 1 << 24
"""So many characters a row of a text file may have."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """One party's table.

    Args:
      party: the name of the party.
      where: the name of the table in messages.
      frame: the rows.
      path: the file, where the table is a text file.
    """

    party: str
    where: str
    frame: pd.DataFrame
    path: Path | None = None

    def row(self, i: int) -> str:
        """Names row i in messages: by its line in a text file, counted from 1, else by its number, from 0."""
        if self.path is None:
            return f"row {i} (counted from 0)"
        records = _records(self.path)
        next(records)  # The header is no row.
        return f"line {next(line for n, (line, _) in enumerate(records) if n == i)}"


def read_table(party: str, source: Any, text_columns: Iterable[str] = ()) -> Table:
    """Reads one party's table.

    Args:
      party: the name of the party.
      source: the path of a file, whose ending names its format; a data frame of pandas or Polars, an Arrow table, or a
        dict of columns.
      text_columns: columns of a text file whose cells stay texts: "7" is no number there, and "NA" is not missing.

    Raises:
      FileNotFoundError: where the file is missing.
      ValueError: naming the file and the line, on an unknown ending; on a damaged or empty file; on a header with an
        empty or repeated name, or with one column only (a wrong delimiter); on a line of another length than the
        header; on more than 65,536 columns or 16 Mi characters in a row of a text file; on a source of another kind.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(os.fsdecode(source))
        if "://" in os.fsdecode(source):
            raise ValueError(f"the table of {party!r} is at {source}; give pandas.read_csv or read_parquet of it.")
        if path.is_dir():
            raise ValueError(
                f"{path}, the table of {party!r}, is a folder; give a file, or a data frame of what it holds."
            )
        if not path.is_file():
            raise FileNotFoundError(f"{path}, the table of {party!r}, is not there. Check its path.")
        if path.name.lower().endswith(PARQUET):
            table = Table(party=party, where=str(path), frame=_with_index(str(path), read_parquet(path)))
        else:
            table = Table(party=party, where=str(path), frame=_read_text(path, set(text_columns)), path=path)
    else:
        where = f"the data frame of {party!r}"
        frame = frame_of(f"the table of {party!r}", source)
        if frame is None:
            raise ValueError(
                f"the table of {party!r} is a {type(source).__name__}; expected a path, a data frame of pandas or "
                "Polars, an Arrow table, or a dict of columns. An open file is read by pandas.read_csv, a lazy frame "
                "by collect() or compute(), an array by pandas.DataFrame(array, columns=[...])."
            )
        table = Table(party=party, where=where, frame=_with_index(where, frame))
    _check_names(table.where, list(table.frame.columns))
    if table.frame.empty:
        raise ValueError(f"{table.where} has a header and no rows; expected one row per entity.")
    return table


def listed(values: Iterable[Any], most: int = 20) -> str:
    """Lists values in a message: the first ``most``, and the count where there are more."""
    found = values.tolist() if hasattr(values, "tolist") else list(values)
    return ", ".join(map(shown, found[:most])) + (f", … ({len(found)} in all)" if len(found) > most else "")


def _with_index(where: str, frame: pd.DataFrame) -> pd.DataFrame:
    """Makes a column of a frame's index where the index has a name, and texts of the names of columns."""
    names = [name for name in frame.index.names if name is not None]
    for name in names:
        if name in frame.columns:  # set_index(..., drop=False) leaves the column.
            if not frame.index.get_level_values(name).equals(frame.set_index(name).index):
                raise ValueError(f"{where} has {name!r} as a column and, with other values, as its index; rename one.")
            frame = frame.drop(columns=name)
    return (frame.reset_index() if names else frame).rename(columns=str)


def _read_text(path: Path, text_columns: set[str]) -> pd.DataFrame:
    """Reads a text file by pandas' fast parser, and checks what the parser would not: short lines, for one."""
    import pandas as pd

    check_unpacked(path)
    try:
        header = next(_records(path), (1, []))[1]
        _check_header(path, header)
        _check_lengths(path, header, num_records=2)  # pandas would drop a last cell that the header alone lacks.
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)
                frame = pd.read_csv(
                    path,
                    sep=_delimiter(path),
                    index_col=False,
                    low_memory=False,
                    dtype=dict.fromkeys(text_columns.intersection(header), str),
                    keep_default_na=False,
                    na_values={name: MISSING for name in header if name not in text_columns},
                )
        except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
            _check_lengths(path, header)
            raise ValueError(f"{path} is not a table that can be read: {error}") from error
        for name in set(header) - text_columns:
            if isinstance(frame[name].dtype, pd.StringDtype) or frame[name].dtype == object:
                frame[name] = _whole_again(frame[name])
        last = frame.iloc[:, -1]
        if (last.isna() | (last == "")).any():  # A line that is too short ends so.
            _check_lengths(path, header)
        return frame
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text ({error}); save it as UTF-8.") from error
    except csv.Error as error:
        raise ValueError(f"{path} is not a table that can be read: {error}") from error


def _whole_again(cells: pd.Series) -> pd.Series:
    """Reads whole numbers that pandas leaves as texts: beyond 64 bits, or unsigned ones beside a gap or a sign."""
    import pandas as pd

    found = [None if pd.isna(cell) or cell in MISSING else cell for cell in cells]
    cells = pd.Series(found, cells.index, dtype=object)
    written = cells.dropna()
    if not len(written) or not all(type(cell) is int or WHOLE.fullmatch(str(cell)) for cell in written):
        return cells
    return pd.Series([None if cell is None else int(cell) for cell in found], cells.index, dtype=object)


def _delimiter(path: Path) -> str:
    for ending, delimiter in DELIMITERS.items():
        if path.name.lower().endswith(ending):
            return delimiter
    endings = ", ".join([*DELIMITERS, PARQUET])
    raise Advised(f"{path} must end in one of {endings}", PythonOnly("; or give a pandas DataFrame"), ".")


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields the line on which each record starts, from 1, and its cells; skips blank lines, as pandas does."""
    delimiter = _delimiter(path)
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        size = 0

        def lines() -> Iterator[str]:
            nonlocal size
            for text in iter(lambda: file.readline(MOST_RECORD + 1), ""):
                size += len(text)
                if size > MOST_RECORD:  # a packed file may hold a line that fills the memory
                    raise ValueError(f"{path} has more than {MOST_RECORD:,} characters in the row on line {line}.")
                yield text

        line = 1
        reader = csv.reader(lines(), delimiter=delimiter)
        for cells in reader:
            size = 0
            if len(cells) > 1 or (cells and cells[0].strip()):
                yield line, cells
            line = reader.line_num + 1


def _check_header(path: Path, header: list[str]) -> None:
    if not header:
        raise ValueError(f"{path} is empty; expected a header and rows.")
    if len(header) == 1:
        expected = _delimiter(path)
        likely = max(",;\t|", key=header[0].count)
        if not header[0].count(likely):
            raise ValueError(f"{path} has the one column {header[0]!r}; expected an id and at least one more.")
        raise Advised(
            f"{path} has one column, {header[0]!r}, when it is split at {expected!r}; its delimiter is likely "
            f"{likely!r}. Save it with {expected!r}",
            *(PythonOnly(f", or give pandas.read_csv(path, sep={likely!r})"), "."),
        )
    if len(header) > MOST_COLUMNS:
        raise Advised(
            f"{path} has {len(header):,} columns; a text file may have {MOST_COLUMNS:,}. Give a Parquet file",
            *(PythonOnly(", or pandas.read_csv of it"), "."),
        )
    _check_names(str(path), header)


def _check_names(where: str, names: list[str]) -> None:
    first: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if not name.strip():
            raise ValueError(f"{where} has no name for column {number} in its header; give it one.")
        if first.setdefault(name, number) < number:
            raise ValueError(f"{where} has column {name!r} twice, as columns {first[name]} and {number}; rename one.")


def _check_lengths(path: Path, header: list[str], num_records: int | None = None) -> None:
    for line, cells in islice(_records(path), num_records):
        if len(cells) != len(header):
            raise ValueError(
                f"{path} has {len(cells)} cells on line {line}; the header has {len(header)}. "
                "Correct the line: a cell that holds the delimiter needs quotes."
            )

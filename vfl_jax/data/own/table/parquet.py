"""Parquet files of tables, read under a bound: a column of equal cells takes next to no room in a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vfl_jax.core.damage import named
from vfl_jax.core.extras import extra
from vfl_jax.core.packed import most_bytes, too_large

if TYPE_CHECKING:
    import pandas as pd

SMALL = 1 << 31
"""The cells of any Parquet file may take so many bytes, 2 GiB, where texts count 8 each."""

INSTEAD = "give pandas.read_parquet of it"


def read_parquet(path: Path) -> pd.DataFrame:
    """Reads a Parquet file whose cells take no more memory than such a file may fill.

    Numbers may take 2 GiB, or a hundred times the file's size where that is more; all texts together 256 MiB, or a
    hundred times its size. Texts are counted before they are read.

    Args:
      path: the file.

    Raises:
      ValueError: naming the file, where it is no whole Parquet file, or holds more.
    """
    import pandas as pd

    with extra("parquet", f"{path} is a Parquet file, which"):
        import pyarrow
        import pyarrow.parquet as parquet
    with named(path, "is not a whole Parquet file", "fetch it again"):
        with parquet.ParquetFile(path) as file:
            said, texts = file.metadata, _texts(file)
            if _num_bytes(file) > (most := max(SMALL, most_bytes(path))):
                raise too_large(path, most, INSTEAD)
        if texts:
            with parquet.ParquetFile(path, read_dictionary=texts) as file:
                _check_texts(path, file, texts)
        frame = pd.read_parquet(path)
        if len(frame) != said.num_rows:
            raise ValueError(f"it says that it has {said.num_rows} rows, and has {len(frame)}")
        for name, column in frame.items():
            if isinstance(column.dtype, pd.StringDtype):  # bytes that are no text would raise later, without a place
                with named(path, f"is not a whole Parquet file: its column {name!r} is no text", "fetch it again"):
                    pyarrow.array(column).validate(full=True)
    return frame


def _num_bytes(file: Any) -> int:
    """How many bytes the cells take by what the file says, 8 for every text."""
    widths = [max(8, file.schema.column(place).length) for place in range(len(file.schema))]
    groups = (file.metadata.row_group(number) for number in range(file.metadata.num_row_groups))
    return sum(group.column(place).num_values * width for group in groups for place, width in enumerate(widths))


def _texts(file: Any) -> list[str]:
    """The columns of texts or bytes, also those within lists and records."""
    columns = (file.schema.column(place) for place in range(len(file.schema)))
    return [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]


def _check_texts(path: Path, file: Any, texts: list[str]) -> None:
    """Checks that the texts take no more bytes than they may; each is read once, however many cells hold it."""
    import pyarrow.compute as compute

    most, found = most_bytes(path), 0
    for batch in file.iter_batches(columns=texts):
        for leaf in (leaf for column in batch.columns for leaf in _leaves(column)):
            lengths = compute.binary_length(leaf.dictionary).take(leaf.indices)
            found += compute.sum(lengths).as_py() or 0
            if found > most:
                raise too_large(path, most, INSTEAD)


def _leaves(column: Any) -> Iterator[Any]:
    """The arrays within a column that hold no further ones."""
    from pyarrow import types

    if types.is_map(column.type):
        parts = [column.keys, column.items]
    elif types.is_struct(column.type):
        parts = column.flatten()
    elif types.is_nested(column.type):
        parts = [column.flatten()]
    else:
        yield column
        return
    for part in parts:
        yield from _leaves(part)

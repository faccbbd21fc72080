"""Columns and tables of any library as pandas series and data frames, and a check that their rows have one order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.core.checks import shown
from vfl_jax.core.extras import extra
from vfl_jax.data.own.values import canonical, from_arrow

if TYPE_CHECKING:
    import pandas as pd


def column_of(what: str, values: Any) -> pd.Series:
    """Makes a pandas series, indexed from 0, of one value per row.

    Args:
      what: the name of the values in messages.
      values: a list, a NumPy array, a masked array (masked entries are missing), or a series of any library.

    Raises:
      ValueError: where the values are not a sequence of single values.
    """
    import pandas as pd

    if isinstance(values, pd.Series):
        return canonical(values.reset_index(drop=True))
    if isinstance(values, pd.Index | pd.api.extensions.ExtensionArray):
        return canonical(pd.Series(values))
    if isinstance(values, np.ma.MaskedArray) and values.ndim == 1:
        items = values.data.astype(object)
        items[np.ma.getmaskarray(values)] = None
        return canonical(pd.Series(items, dtype=object))
    if _is_arrow(values) and (found := _arrow_column(values)) is not None:
        return canonical(found)
    if hasattr(values, "__array__"):
        array = np.asarray(values)
    elif isinstance(values, str | bytes | Mapping) or not np.iterable(values):
        raise ValueError(f"{what} is {shown(values)}; expected one value per row.")
    else:
        # The entries stay objects: NumPy would turn numbers beside texts into texts, and some integers into floats.
        entries = list(values)
        if any(np.ndim(entry) for entry in entries if not isinstance(entry, str)):
            raise ValueError(f"{what} has shape {_shape(entries)}; expected [N].")
        array = np.empty(len(entries), object)
        array[:] = entries
    if array.ndim != 1:
        raise ValueError(f"{what} has shape {array.shape}; expected [N].")
    return canonical(pd.Series(array))


def frame_of(where: str, values: Any) -> pd.DataFrame | None:
    """Makes a pandas data frame of a table.

    Args:
      where: the name of the table in messages.
      values: a pandas or Polars frame, an Arrow table, or a dict of columns.

    Returns:
      the data frame; None where ``values`` is none of these.

    Raises:
      ValueError: on columns of several lengths, or whose indexes differ; on a table that Arrow cannot read.
    """
    import pandas as pd

    if isinstance(values, pd.DataFrame):
        return values
    if isinstance(values, Mapping):
        check_one_order({f"{where}, column {name!r}": column for name, column in values.items()})
        columns = {str(name): column_of(f"{where}, column {name!r}", column) for name, column in values.items()}
        if len(lengths := {len(column) for column in columns.values()}) > 1 or len(columns) < len(values):
            raise ValueError(
                f"{where} has columns of {', '.join(map(str, sorted(lengths)))} rows; all must have as many, and names "
                "of their own."
            )
        return pd.DataFrame(columns)
    if not _is_arrow(values):
        return None
    with extra("parquet", f"{where} is a {_type(values)}, which"):
        import pyarrow as pa
    try:
        table = pa.table(values)
        found = [from_arrow(column) for column in table.columns]
    except (ValueError, TypeError, NotImplementedError, OSError) as error:
        raise ValueError(f"{where} is a {_type(values)} that Arrow cannot read as a table: {error}.") from error
    frame = pd.DataFrame(dict(enumerate(found)), index=pd.RangeIndex(table.num_rows))
    return frame.set_axis(table.column_names, axis=1)


def index_of(values: Any) -> pd.Index | None:
    """Returns the index of a pandas series or frame, or of an xarray array; None where the rows have no names."""
    import pandas as pd

    if isinstance(values, pd.Series | pd.DataFrame):
        return values.index
    indexes, dims = getattr(values, "indexes", None), getattr(values, "dims", None)
    return indexes.get(dims[0]) if isinstance(indexes, Mapping) and dims else None


def check_one_order(inputs: Mapping[str, Any]) -> None:
    """Checks that all inputs that have an index list the same rows in the same order.

    Args:
      inputs: the inputs, by their names in messages; of a dict of columns every column is an input.

    Raises:
      ValueError: naming the first row that differs between two inputs of one length.
    """
    first, expected = None, None
    for what, values in _with_columns(inputs):
        index = index_of(values)
        if index is None:
            continue
        if expected is None:
            first, expected = what, index
        elif len(index) == len(expected) and not index.equals(expected):
            row = next(i for i, (a, b) in enumerate(zip(index, expected, strict=True)) if a is not b and a != b)
            mine, other = index[[row]].tolist() + expected[[row]].tolist()
            raise ValueError(
                f"{what} has another index than {first}: its row {row} (counted from 0) is {mine!r}, not "
                f"{other!r}. Rows are paired by place: sort both alike, as by .loc[index], or give .to_numpy() "
                "of what has the right order already."
            )


def _with_columns(inputs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for what, values in inputs.items():
        if isinstance(values, Mapping):
            yield from _with_columns({f"{what}, column {name!r}": column for name, column in values.items()})
        else:
            yield what, values


def _is_arrow(values: Any) -> bool:
    has_arrow = hasattr(values, "__arrow_c_stream__") or hasattr(values, "__arrow_c_array__")
    return has_arrow and not hasattr(values, "dims")  # Arrow would make a long table of an xarray array.


def _arrow_column(values: Any) -> pd.Series | None:
    """Reads a series of another library by Arrow; None where pyarrow is missing, or the values are no column."""
    try:
        import pyarrow as pa

        found = pa.chunked_array(values) if hasattr(values, "__arrow_c_stream__") else pa.array(values)
        return None if pa.types.is_struct(found.type) else from_arrow(found)
    except (ImportError, ValueError, TypeError, NotImplementedError, OSError):
        return None


def _shape(items: list[Any]) -> tuple[int, ...] | str:
    try:
        return np.shape(items)
    except ValueError:
        return f"({len(items)}, …)"


def _type(values: Any) -> str:
    return f"{type(values).__module__.partition('.')[0]} {type(values).__name__}"

"""The kind of values in a column of any library: whole numbers, numbers, truth values, texts or times."""

from __future__ import annotations

import numbers
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    import pandas as pd

WHOLE, NUMBERS, TRUTH, TEXTS, TIMES, NOTHING = (
    "whole numbers",
    "numbers",
    "truth values",
    "texts",
    "datetime64",
    "nothing",
)


def canonical(cells: pd.Series) -> pd.Series:
    """Brings a column to one of few dtypes: numbers become numbers, and whole numbers stay exact.

    Numbers and truth values in Python objects are found, too. Categories and sparse values are written out. Integers
    beyond 64 bits stay Python's.

    Args:
      cells: a column of any dtype.
    """
    import pandas as pd

    if isinstance(cells.dtype, pd.SparseDtype):
        cells = cells.sparse.to_dense()
    if isinstance(cells.dtype, pd.ArrowDtype):
        cells = from_arrow(cells.array.__arrow_array__()).set_axis(cells.index)
    if isinstance(cells.dtype, pd.CategoricalDtype | pd.StringDtype):
        cells = cells.astype(object)
    return _of_objects(cells) if cells.dtype == object else cells


def from_arrow(values: Any) -> pd.Series:
    """Makes a pandas series of an Arrow array; whole numbers stay whole beside missing cells."""
    import pandas as pd
    import pyarrow as pa

    if pa.types.is_integer(values.type) or pa.types.is_boolean(values.type):
        name = "boolean" if pa.types.is_boolean(values.type) else str(values.type).replace("i", "I").replace("u", "U")
        return pd.Series(values.to_pandas(types_mapper={values.type: pd.api.types.pandas_dtype(name)}.get))
    if pa.types.is_floating(values.type) or pa.types.is_temporal(values.type):
        return pd.Series(values.to_pandas())
    return pd.Series(values.to_pylist(), dtype=object)


def _of_objects(cells: pd.Series) -> pd.Series:
    """Turns a column of Python objects into numbers or truth values where it holds nothing else."""
    import pandas as pd

    is_missing = cells.isna().to_numpy()
    found = cells.to_numpy()[~is_missing].tolist()
    types = set(map(type, found))
    if not types:
        return cells
    if types == {bytes}:  # Some files keep texts so.
        return cells.map(lambda text: text.decode(errors="backslashreplace"), na_action="ignore")
    if all(issubclass(t, bool | np.bool_) for t in types):
        return cells.astype("boolean")
    if any(issubclass(t, bool | np.bool_) or not issubclass(t, numbers.Real | Decimal) for t in types):
        return cells
    if all(_is_whole(value) for value in found):
        whole = [int(value) for value in found]
        fitting = [t for t in (np.int64, np.uint64) if np.iinfo(t).min <= min(whole) and max(whole) <= np.iinfo(t).max]
        if not fitting:
            written = np.full(len(cells), None, object)
            written[~is_missing] = whole
            return pd.Series(written, index=cells.index, dtype=object)
        exact = np.zeros(len(cells), fitting[0])
        exact[~is_missing] = whole
        return pd.Series(pd.arrays.IntegerArray(exact, is_missing), index=cells.index)
    floats = np.full(len(cells), np.nan)
    floats[~is_missing] = [_float(value) for value in found]
    return pd.Series(floats, index=cells.index)


def _is_whole(value: Any) -> bool:
    if isinstance(value, Decimal):
        return value.is_finite() and value == value.to_integral_value()
    return isinstance(value, int | np.integer)


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def kind_of(cells: pd.Series) -> str:
    """Names the kind of values in a canonical column: one of the words above, or pandas' own name of another kind."""
    from pandas.api import types

    dtype = cells.dtype
    if types.is_bool_dtype(dtype) and not types.is_object_dtype(dtype):
        return TRUTH
    if types.is_integer_dtype(dtype):
        return WHOLE
    if types.is_float_dtype(dtype):
        return NUMBERS
    if types.is_datetime64_any_dtype(dtype):
        return TIMES
    found = types.infer_dtype(cells, skipna=True)
    return {"string": TEXTS, "integer": WHOLE, "empty": NOTHING}.get(found, found)


def plain(cells: pd.Series) -> np.ndarray:
    """Returns cells in the form in which they are compared and named.

    Whole numbers lose their point, also where the dtype is of floats. Values of other kinds than numbers and truth
    values become texts.

    Args:
      cells: a canonical column without missing cells.
    """
    kind = kind_of(cells)
    if kind in (WHOLE, TRUTH):
        return exact(cells)
    if kind == NUMBERS:
        values = cells.to_numpy(np.float64)
        is_whole = (np.abs(values) < 2**53).all() and not (values % 1).any()
        return values.astype(np.int64) if is_whole else values
    if kind == TIMES:  # Each cell by itself, because pandas writes a day beside times in another way than beside days.
        return np.array([str(time).removesuffix(" 00:00:00") for time in cells], object)
    written: np.ndarray = cells.astype(object).map(str).to_numpy(object)
    return written


def exact(cells: pd.Series) -> np.ndarray:
    """Returns cells as a NumPy array in their own dtype, so that no number is rounded.

    Args:
      cells: a canonical column without missing cells.
    """
    kind = kind_of(cells)
    if kind == TRUTH:
        return np.asarray(cells.to_numpy(bool))
    if kind == WHOLE and cells.dtype != object:
        is_unsigned = np.dtype(getattr(cells.dtype, "numpy_dtype", cells.dtype)).kind == "u"
        values = cells.to_numpy(np.uint64 if is_unsigned else np.int64)
        return values.astype(np.int64) if is_unsigned and not (values > np.iinfo(np.int64).max).any() else values
    if kind == NUMBERS:
        return np.asarray(cells.to_numpy(getattr(cells.dtype, "numpy_dtype", cells.dtype)))
    return np.asarray(cells.to_numpy(None if kind == TIMES else object))


def as_floats(cells: pd.Series) -> np.ndarray:
    """Returns a canonical column of numbers, truth values or texts of numbers as float64[N]; missing cells are NaN.

    Raises:
      ValueError: on a text that ``float`` cannot read.
    """
    if cells.dtype == object:
        is_missing = cells.isna()
        return np.array([np.nan if gone else _float(value) for value, gone in zip(cells, is_missing, strict=True)])
    return np.asarray(cells.to_numpy(np.float64, na_value=np.nan))


def eps_of(dtype: Any) -> float:
    """Returns the eps of a floating dtype, the relative gap of two neighbouring numbers; float64's for other dtypes."""
    dtype = getattr(dtype, "numpy_dtype", dtype)
    is_float = isinstance(dtype, np.dtype) and jnp.issubdtype(dtype, jnp.floating)
    return float(jnp.finfo(dtype).eps) if is_float and dtype.itemsize <= 8 else float(np.finfo(np.float64).eps)

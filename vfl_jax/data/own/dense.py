"""One party's dense features, from an array or frame of any library, as an array of real numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.data.own.inputs import frame_of
from vfl_jax.data.own.values import NOTHING, NUMBERS, TEXTS, TRUTH, WHOLE, as_floats, canonical, eps_of, kind_of

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Dense:
    """Dense features before the cast to float32; all numbers are finite.

    Args:
      values: real numbers, [N, ...].
      eps: the eps of the dtype that the user gave; float64[F] where the columns of a frame have several dtypes.
      names: the names of a frame's columns.
    """

    values: np.ndarray
    eps: float | np.ndarray
    names: tuple[str, ...] | None = None

    def name(self, *place: int) -> str:
        """Names one feature in messages; ``place`` is its index within a row."""
        written = ", ".join(map(str, place))
        return f"column {written} ({self.names[place[0]]!r})" if self.names is not None else f"column {written}"

    def columns(self, block: np.ndarray) -> Dense:
        """Takes some columns, int[·], of features [N, F]."""
        eps = self.eps[block] if isinstance(self.eps, np.ndarray) else self.eps
        return Dense(self.values[:, block], eps, self.names and tuple(self.names[i] for i in block))

    def as_float32(self) -> np.ndarray:
        """Casts to float32[N, ...]; a number beyond float32 becomes infinite, without a warning."""
        with np.errstate(over="ignore"):
            return self.values.astype(np.float32)


def dense_of(where: str, values: Any) -> Dense:
    """Reads the numbers of an array, a frame or nested lists, [N, ...].

    Args:
      where: the name of the values in messages.
      values: an array or nested lists of numbers, [N, ...], or a data frame of numbers.

    Raises:
      ValueError: naming row and column, on a value that is missing, masked, infinite or no real number; on fewer than
        two dimensions; on no rows or no columns.
    """
    try:
        frame = frame_of(where, values)
    except ValueError:
        if not hasattr(values, "__array__"):
            raise
        frame = None  # The values may still be an array: a library may need another one to give a table.
    dense = _of_array(where, values) if frame is None else _of_frame(where, frame)
    array = dense.values
    if array.ndim < 2 or not array[:1].size:
        raise ValueError(f"{where} has shape {array.shape}; expected [N, F].")
    check_finite(where, array, dense.name)
    return dense


def check_finite(where: str, array: np.ndarray, name: Callable[..., str]) -> None:
    """Checks that all numbers of an array are finite.

    Args:
      where: the name of the array in messages.
      array: float[N, ...].
      name: names a feature in messages by its index within a row, as :meth:`Dense.name` does.

    Raises:
      ValueError: naming the first row and column that holds another number.
    """
    if not np.isfinite(array).all():
        row, *place = np.argwhere(~np.isfinite(array))[0].tolist()
        raise ValueError(f"{where} is missing, not finite, or beyond float32 in row {row}, {name(*place)}.")


def _of_frame(where: str, frame: pd.DataFrame) -> Dense:
    columns = [canonical(frame.iloc[:, i]) for i in range(frame.shape[1])]
    names = tuple(map(str, frame.columns))
    for name, cells in zip(names, columns, strict=True):
        if (kind := kind_of(cells)) not in (WHOLE, NUMBERS, TRUTH, TEXTS, NOTHING) or _no_number(cells) is not None:
            raise ValueError(
                f"{where} has values that are no numbers ({kind}) in column {name!r}, such as {_no_number(cells)!r}; "
                "convert them, or join tables by load_tables, which knows categories and numbers in texts."
            )
    dtypes = {cells.dtype for cells in columns}
    if len(dtypes) == 1 and isinstance(dtype := dtypes.pop(), np.dtype) and dtype.kind in "fiub":
        return Dense(np.stack([cells.to_numpy() for cells in columns], axis=1), eps_of(dtype), names)
    values = np.zeros((len(frame), len(columns)))
    for i, cells in enumerate(columns):
        values[:, i] = as_floats(cells)
    return Dense(values, np.array([eps_of(cells.dtype) for cells in columns]), names)


def _of_array(where: str, values: Any) -> Dense:
    if isinstance(values, list | tuple) and any(np.ma.is_masked(row) for row in values):
        values = np.ma.array([np.ma.filled(np.ma.asarray(row, np.float64), np.nan) for row in values])
    array = None
    try:
        array = np.ma.asarray(values) if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
        if array.dtype.kind in "mM" or (array.dtype == object and any(map(_is_time, array.ravel()))):
            raise TypeError("dates or durations")  # NumPy would turn them into a count of some unit.
        if array.dtype.kind == "c" or (array.dtype == object and any(isinstance(x, complex) for x in array.ravel())):
            raise TypeError("complex numbers")
        eps = eps_of(array.dtype)
        if np.ma.is_masked(array):
            array = np.ma.filled(array.astype(np.float64), np.nan)
        array = np.asarray(array)
        if array.dtype.kind not in "fiub":
            with np.errstate(over="ignore"):
                array = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise ValueError(f"{where} has values that are no numbers ({error}){_first(array)}.") from error
    return Dense(array, eps)


def _no_number(cells: Any) -> Any:
    """Finds the first cell that is not a number and that ``float`` cannot read; None where every cell is fine."""
    for cell in cells[cells.notna()] if kind_of(cells) not in (WHOLE, NUMBERS, TRUTH) else ():
        try:
            float(cell)
        except (TypeError, ValueError):
            return cell
    return None


def _first(array: np.ndarray | None) -> str:
    """Says in which row and column an array of texts or objects has its first entry that is not a number."""
    if array is None or array.ndim < 2 or array.dtype.kind not in "OUS":
        return ""
    for place in np.ndindex(array.shape):
        try:
            float(array[place])
        except (TypeError, ValueError, OverflowError):
            return f" in row {place[0]}, column {', '.join(map(str, place[1:]))}"
    return ""


def _is_time(value: Any) -> bool:
    import datetime

    return isinstance(value, datetime.date | datetime.time | datetime.timedelta | np.datetime64 | np.timedelta64)

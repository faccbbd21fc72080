"""Standardisation of columns, and the search for columns that are constant or that float32 merges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vfl_jax.data.own.values import eps_of

FAR = 1000
"""From so many deviations on, a column is shifted by one of its values first: sums of large numbers would round."""

EXTREME = 400
"""Beyond 2 to the power of plus or minus this, numbers are scaled first: float64 cannot hold their squares."""
LOST = "As float32, fewer than half of the distinct numbers of some columns stay apart:"
"""The beginning of a warning about such columns."""
SAMPLE = 1000
"""So many rows are searched first for numbers that float32 merges."""


def scaled(
    features: np.ndarray, is_train: np.ndarray, eps: float | np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Scales columns to mean 0 and standard deviation 1 over the training rows, and constant columns to 0.

    A column counts as constant where its deviation is at most 8 ``eps`` times its mean, because rounding alone may
    leave that much.

    Args:
      features: real numbers, [N, ...], of any dtype; they are shifted and scaled as float64.
      is_train: bool[N].
      eps: the eps of the dtype that the numbers came in, or float64[F] of every column; without it, that of
        ``features``.

    Returns:
      the scaled features, float32[N, ...], and which columns are constant, bool[...].
    """
    values = _of_ordinary_size(np.asarray(features, np.float64), is_train)
    mean, deviation = _moments(values, is_train)
    is_far = np.abs(mean) > FAR * deviation
    if is_far.any():
        offset = np.where(is_far, values[is_train.argmax()], 0)
        values = values - offset
        near_mean, near_deviation = _moments(values, is_train)
        size = np.abs(near_mean + offset)
        mean, deviation = np.where(is_far, near_mean, mean), np.where(is_far, near_deviation, deviation)
    else:
        size = np.abs(mean)
    is_constant = deviation <= 8 * (eps_of(features.dtype) if eps is None else eps) * size
    with np.errstate(over="ignore"):  # A test row may exceed float32; the caller checks that numbers are finite.
        result = np.where(is_constant, 0, (values - mean) / np.where(is_constant, 1, deviation)).astype(np.float32)
    return result, is_constant


def _of_ordinary_size(values: np.ndarray, is_train: np.ndarray) -> np.ndarray:
    """Divides every column with an extreme training row by a power of two near it, which rounds nothing."""
    largest = np.abs(values[is_train]).max(axis=0)
    exponent = np.frexp(largest)[1]
    exponent = np.where(np.abs(exponent) > EXTREME, exponent, 0)
    if not exponent.any():
        return values
    with np.errstate(over="ignore"):  # A test row may exceed float64 after that.
        return np.asarray(np.ldexp(values, -exponent))


def merged(features: np.ndarray) -> list[tuple[tuple[int, ...], int, int]]:
    """Finds the columns of which float32 keeps fewer than half of the distinct numbers apart.

    Args:
      features: real numbers, [N, ...].

    Returns:
      of each such column: its index within a row, the count of its distinct numbers, and their count as float32.
    """
    if np.can_cast(features.dtype, np.float32):
        return []
    flat = features.reshape(len(features), -1)
    first = flat[:SAMPLE]
    found = []
    # The first rows serve as the sample, not scattered ones: in a sorted column the nearest numbers are neighbours.
    for i in np.flatnonzero(_distinct(first.astype(np.float32)) < _distinct(first)).tolist():
        column = flat[:, i]
        before, after = len(np.unique(column)), len(np.unique(column.astype(np.float32)))
        if after < before / 2:
            found.append((tuple(map(int, np.unravel_index(i, features.shape[1:]))), before, after))
    return found


def written_merged(features: np.ndarray, name: Callable[..., str]) -> list[str]:
    """Says in words what :func:`merged` finds: at most five columns, then the number of others.

    Args:
      features: real numbers, [N, ...].
      name: names a column by its index within a row.
    """
    found = merged(features)
    texts = [f"{name(*place)}, {after:,} of {before:,}" for place, before, after in found[:5]]
    return texts + [f"{len(found) - 5} more"] * (len(found) > 5)


def _distinct(values: np.ndarray) -> np.ndarray:
    """Counts the distinct numbers of each column of [N, F], int[F]."""
    ordered = np.sort(values, axis=0)
    return 1 + np.count_nonzero(ordered[1:] != ordered[:-1], axis=0)


def _moments(values: np.ndarray, is_train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return values[is_train].mean(axis=0), values[is_train].std(axis=0)

"""Columns to mean 0 and standard deviation 1; which of them are constant, and which float32 cannot tell apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vfl_jax.data.own.values import eps_of

FAR = 1000
"""So many deviations from 0 a column's mean is taken about one of its values: sums of large numbers would round it."""

EXTREME = 400
"""Beyond 2 to the power of so much, or its negative, numbers are scaled first: float64 cannot hold their squares."""
LOST = "As float32, fewer than half of the distinct numbers of some columns stay apart:"
"""How a warning of such columns begins."""
SAMPLE = 1000
"""So many rows are looked at first for numbers that are one as float32."""


def scaled(
    features: np.ndarray, is_train: np.ndarray, eps: float | np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Columns to mean 0 and standard deviation 1 over the training rows, constant ones to 0; and which are constant.

    A column is constant where its deviation is at most 8 ``eps`` times its mean: what rounding leaves is no deviation.

    Args:
      features: real numbers [N, ...] of any dtype; they are shifted and scaled as float64.
      is_train: bool[N].
      eps: of the dtype that the numbers came in, for each column where they differ; without it that of ``features``.

    Returns:
      float32[N, ...], and bool[...].
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
    with np.errstate(over="ignore"):  # a test row may be beyond float32; whoever asks for finite numbers finds it
        result = np.where(is_constant, 0, (values - mean) / np.where(is_constant, 1, deviation)).astype(np.float32)
    return result, is_constant


def _of_ordinary_size(values: np.ndarray, is_train: np.ndarray) -> np.ndarray:
    """Columns whose largest training row is extreme, divided by a power of two near it, which rounds nothing."""
    largest = np.abs(values[is_train]).max(axis=0)
    exponent = np.frexp(largest)[1]
    exponent = np.where(np.abs(exponent) > EXTREME, exponent, 0)
    if not exponent.any():
        return values
    with np.errstate(over="ignore"):  # as below
        return np.asarray(np.ldexp(values, -exponent))


def merged(features: np.ndarray) -> list[tuple[tuple[int, ...], int, int]]:
    """Columns of an array, [N, ...], of whose distinct numbers less than half are left as float32.

    Returns:
      the place of each column, how many distinct numbers it has, and how many are left.
    """
    if np.can_cast(features.dtype, np.float32):
        return []
    flat = features.reshape(len(features), -1)
    first = flat[:SAMPLE]
    found = []
    # Neighbouring rows, because those of a sorted column are the next to each other.
    for i in np.flatnonzero(_distinct(first.astype(np.float32)) < _distinct(first)).tolist():
        column = flat[:, i]
        before, after = len(np.unique(column)), len(np.unique(column.astype(np.float32)))
        if after < before / 2:
            found.append((tuple(map(int, np.unravel_index(i, features.shape[1:]))), before, after))
    return found


def written_merged(features: np.ndarray, name: Callable[..., str]) -> list[str]:
    """What :func:`merged` finds, in words: at most five columns, then how many more."""
    found = merged(features)
    texts = [f"{name(*place)}, {after:,} of {before:,}" for place, before, after in found[:5]]
    return texts + [f"{len(found) - 5} more"] * (len(found) > 5)


def _distinct(values: np.ndarray) -> np.ndarray:
    """How many distinct numbers each column has."""
    ordered = np.sort(values, axis=0)
    return 1 + np.count_nonzero(ordered[1:] != ordered[:-1], axis=0)


def _moments(values: np.ndarray, is_train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return values[is_train].mean(axis=0), values[is_train].std(axis=0)

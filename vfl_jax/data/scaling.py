"""Columns to mean 0 and standard deviation 1, and which of them are constant."""

from __future__ import annotations

import numpy as np

from vfl_jax.data.values import eps_of

FAR = 1000
"""So many deviations from 0 a column's mean is taken about one of its values: sums of large numbers would round it."""


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
    values = np.asarray(features, np.float64)
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


def _moments(values: np.ndarray, is_train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return values[is_train].mean(axis=0), values[is_train].std(axis=0)

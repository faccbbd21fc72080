"""Pixels as they lie in files, and as models read them."""

from __future__ import annotations

import dataclasses

import numpy as np

from vfl_jax.core.vertical_data import Rows, VerticalData


def in_unit_range(data: VerticalData) -> VerticalData:
    """Divides pixels by 255. Only what parties hold becomes floats, which takes less memory than whole images do.

    Args:
      data: a data set whose features are uint8.

    Returns:
      the data set with features float32 in [0, 1].
    """
    return dataclasses.replace(data, train=_scaled(data.train), test=_scaled(data.test))


def _scaled(rows: Rows) -> Rows:
    features = tuple(np.divide(pixels, np.float32(255), dtype=np.float32) for pixels in rows.features)
    return dataclasses.replace(rows, features=features)

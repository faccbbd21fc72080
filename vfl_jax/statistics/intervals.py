"""Intervals over seeds, and differences of the same seed.

Outcomes over seeds can be two-peaked, so medians and shares stand in front and single seeds
stay visible; a bare mean hides both peaks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.statistics.references import honest

if TYPE_CHECKING:
    import xarray as xr


def interval(
    values: Any, statistic: Callable[..., Any] = np.median, level: float = 0.95, resamples: int = 2000
) -> tuple[float, float]:
    """Bootstrap percentile interval of a statistic over seeds, float[S]; the resampling is fixed.

    Undefined values (NaN) are left out. One value or equal values have an interval of width 0; none
    have (NaN, NaN).
    """
    from scipy.stats import bootstrap

    values = np.asarray(values, float).ravel()
    values = values[~np.isnan(values)]
    if values.size == 0:
        return float("nan"), float("nan")
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    found = bootstrap(
        (values,),
        statistic,
        confidence_level=level,
        n_resamples=resamples,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def share_interval(count: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson interval of a share, e.g. of the seeds that count as a success."""
    from scipy.stats import binomtest

    found = binomtest(count, total).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)


def summarize(array: xr.DataArray, level: float = 0.95) -> xr.Dataset:
    """Median and interval over ``seed``: variables ``median``, ``low`` and ``high``."""
    import xarray as xr

    low_high = np.apply_along_axis(interval, -1, array.transpose(..., "seed").values, np.median, level)
    rest = array.transpose(..., "seed").isel(seed=0, drop=True)
    return xr.Dataset(
        {
            "median": array.median("seed"),
            "low": rest.copy(data=low_high[..., 0]),
            "high": rest.copy(data=low_high[..., 1]),
        }
    )


def paired_difference(dataset: xr.Dataset, name: str) -> xr.DataArray:
    """A variable minus that of the honest run of the same seed (and other settings)."""
    return dataset[name] - honest(dataset)[name]

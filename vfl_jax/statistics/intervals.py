"""Intervals over seeds, and differences of the same seed.

Outcomes over seeds can have two peaks, and a bare mean hides both. So medians and shares stand in front, and figures
show single seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.core.checks import check_unmasked, is_whole, shown
from vfl_jax.statistics.checked import check_level, check_results, check_variable
from vfl_jax.statistics.references import honest

if TYPE_CHECKING:
    import xarray as xr


def interval(
    values: Any, statistic: Callable[..., Any] = np.median, level: float = 0.95, resamples: int = 2000
) -> tuple[float, float]:
    """The bootstrap percentile interval of a statistic over seeds.

    The resampling is fixed: equal values have equal intervals.

    Of few seeds the interval is too narrow. The table says how often the one of level 0.95 held the true value:

    =======================  ====  ====  ====  ====  ====
    seeds                    2     3     5     10    20
    =======================  ====  ====  ====  ====  ====
    median, normal values    0.50  0.75  0.94  0.94  0.94
    mean, normal values      0.50  0.75  0.84  0.90  0.92
    mean, log-normal values  0.43  0.64  0.72  0.81  0.85
    =======================  ====  ====  ====  ====  ====

    So a median takes at least 5 seeds. A mean takes more than 20 where values are skewed.

    Equal values show no spread. Their interval has no width, and says nothing of rarer outcomes: ten seeds without a
    backdoor leave room for one in four trainings. Of a share take :func:`share_interval`.

    Args:
      values: float[S], one value per seed. Undefined ones (NaN) do not count.
      statistic: the function whose interval this is, such as ``numpy.median``.
      level: the confidence level, between 0 and 1.
      resamples: the number of bootstrap samples.

    Returns:
      Both ends. Without a defined value they are NaN; where all values are equal, both ends are this value.

    Raises:
      ValueError: where ``level`` does not lie between 0 and 1, or ``values`` has masked ones.

    Example:
      >>> import vfl_jax as vfl
      >>> vfl.statistics.interval([0.95, 0.95, 0.95])
      (0.95, 0.95)
      >>> low, high = vfl.statistics.interval([0.1, 0.2, 0.9, 0.95])
      >>> low <= 0.55 <= high  # the median
      True
    """
    from scipy.stats import bootstrap

    check_level(level)
    check_unmasked(values=values)
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


def t_interval(values: Any, level: float = 0.95) -> tuple[float, float]:
    """Student's interval of a mean over seeds, which is as wide as few seeds ask for: 12.7 standard errors of two.

    It decides where :func:`interval`, which is too narrow at few seeds, only shows. Of normal values it holds the true
    mean as often as ``level`` says, at any number of seeds.

    Args:
      values: float[S], one value per seed. Undefined ones (NaN) do not count.
      level: the confidence level, between 0 and 1.

    Returns:
      Both ends; NaN with fewer than two values. Where all values are equal, both ends are this value.

    Raises:
      ValueError: where ``level`` does not lie between 0 and 1, or ``values`` has masked ones.

    Example:
      >>> low, high = t_interval([0.1, 0.2])
      >>> print(f"{low:.2f} to {high:.2f}")
      -0.49 to 0.79
    """
    from scipy.stats import t

    check_level(level)
    check_unmasked(values=values)
    values = np.asarray(values, float).ravel()
    values = values[~np.isnan(values)]
    if values.size < 2:
        return float("nan"), float("nan")
    half = t.ppf((1.0 + level) / 2.0, values.size - 1) * values.std(ddof=1) / np.sqrt(values.size)
    return float(values.mean() - half), float(values.mean() + half)


def share_interval(count: int, total: int, level: float = 0.95) -> tuple[float, float]:
    """The Wilson interval of a share, such as the share of successful seeds.

    Args:
      count: how many count, from 0 to ``total``.
      total: of how many, at least 1.
      level: the confidence level, between 0 and 1.

    Returns:
      Both ends, from 0 to 1.

    Raises:
      ValueError: where ``count`` or ``total`` is no such number, or ``level`` does not lie between 0 and 1.

    Example:
      >>> import vfl_jax as vfl
      >>> low, high = vfl.statistics.share_interval(18, 20)
      >>> print(f"{low:.2f} to {high:.2f}")
      0.70 to 0.97
    """
    from scipy.stats import binomtest

    check_level(level)
    if not is_whole(total) or total < 1:
        raise ValueError(f"total is {shown(total)}; it must be a whole number of at least 1.")
    if not is_whole(count) or not 0 <= count <= total:
        raise ValueError(f"count is {shown(count)}; it must be a whole number from 0 to total, which is {total}.")
    found = binomtest(int(count), int(total)).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)


def summarize(array: xr.DataArray, level: float = 0.95) -> xr.Dataset:
    """The median over seeds and the ends of its bootstrap interval.

    Args:
      array: values with the dimension ``seed``.
      level: the confidence level, between 0 and 1.

    Returns:
      The variables ``median``, ``low`` and ``high``, without the dimension ``seed``.

    Raises:
      ValueError: where ``array`` has no seed, or ``level`` does not lie between 0 and 1.

    Example:
      >>> import vfl_jax as vfl
      >>> import xarray as xr
      >>> accuracy = xr.DataArray([[0.9, 0.8], [0.9, 0.7], [0.9, 0.9]], dims=("seed", "epoch"))
      >>> vfl.statistics.summarize(accuracy)["median"].values.tolist()
      [0.9, 0.8]
    """
    import xarray as xr

    check_level(level)
    if not isinstance(array, xr.DataArray) or not dict(zip(array.dims, array.shape, strict=True)).get("seed"):
        raise ValueError(f"array is {shown(array)}; it must be an xarray.DataArray with at least one seed.")
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
    """A variable of every run minus the same variable of the honest run of its seed and settings.

    Args:
      dataset: labelled results of ``sweep``, honest runs among them.
      name: the variable, such as "main_task_accuracy".

    Raises:
      ValueError: where ``dataset`` does not hold the variable.
      NoHonestRuns: where the results have no honest run.
    """
    check_results("dataset", dataset)
    check_variable("name", name, dataset, "dataset")
    return dataset[name] - honest(dataset)[name]

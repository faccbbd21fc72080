"""Statistics over seeds: intervals, paired differences, and what counts as a success.

Outcomes over seeds can be two-peaked, so medians and shares stand in front and single seeds
stay visible; a bare mean hides both peaks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

BACKDOOR_ABOVE = 0.5
MAIN_LOSS_AT_MOST = 0.02


class NoHonestRuns(ValueError):
    """There is nothing to compare attacked runs with."""


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


def honest(dataset: xr.Dataset) -> xr.Dataset:
    """The runs in which no attack is enabled, selected from a sweep over ``*.enabled``; that dimension is gone.

    A zipped axis may have several honest points that differ in more than attacks, a defense say. There every point
    gets the honest runs of its own settings, and the dimension stays whole; a single honest point is that of all.

    Raises:
      NoHonestRuns: when the sweep has none.
      ValueError: when it has several on a zipped axis and none of them fits a point.
    """
    switches: dict[Any, list[np.ndarray]] = {}
    for name, coordinate in dataset.coords.items():
        if str(name).endswith("enabled") and coordinate.ndim == 1:
            switches.setdefault(coordinate.dims[0], []).append(coordinate.values == 0)
    is_honest = {dimension: np.all(masks, axis=0) for dimension, masks in switches.items()}
    if not is_honest or not all(mask.any() for mask in is_honest.values()):
        raise NoHonestRuns("The results have no honest runs: sweep 'attack.enabled' over 0 and 1.")
    for dimension, mask in is_honest.items():
        dataset = _honest_along(dataset, dimension, np.flatnonzero(mask))
    return dataset


def _honest_along(dataset: xr.Dataset, dimension: Any, found: np.ndarray) -> xr.Dataset:
    """Along one axis whose points at ``found`` are honest."""
    along = [name for name, coordinate in dataset.coords.items() if coordinate.dims == (dimension,)]
    of_attacks = [name for name in along if str(name).partition(".")[0] in ("attack", "attacks", "active_attack")]
    others = [name for name in along if name not in of_attacks]
    settings = np.stack([dataset[name].values for name in others] or [np.zeros(dataset.sizes[dimension])], -1)
    if (settings[found] == settings[found[0]]).all():
        return dataset.isel({dimension: int(found[0])}, drop=True)
    fits = (settings[:, None] == settings[found]).all(-1)
    if not fits.any(-1).all():
        first = dict(zip(others, settings[np.argmin(fits.any(-1))].tolist(), strict=True))
        raise ValueError(f"No honest run on the zipped axis {dimension!r} has {first}, as an attacked one has.")
    return dataset.drop_vars(of_attacks).isel({dimension: found[fits.argmax(-1)]})


def paired_difference(dataset: xr.Dataset, name: str) -> xr.DataArray:
    """A variable minus that of the honest run of the same seed (and other settings)."""
    return dataset[name] - honest(dataset)[name]


def outcomes(dataset: xr.Dataset, main: str = "main_task_accuracy") -> xr.Dataset:
    """Which replicas count as what, bool, at every epoch.

    ``main`` names the main accuracy; take "main_clean" where so many test rows carry the trigger that a backdoor
    alone costs 0.02 of the accuracy over all rows.

    ``is_collapsed``: main accuracy is more than 0.02 below the honest run of the same seed, or not finite.
    ``is_success``: not collapsed, and backdoor accuracy above 0.5. A model that always says τ has backdoor accuracy
    1.00, so collapsed seeds are counted apart.
    """
    import xarray as xr

    loss_of_main = -paired_difference(dataset, main)
    is_collapsed = ~((loss_of_main <= MAIN_LOSS_AT_MOST + 1e-7) & dataset["is_finite"])
    is_success = ~is_collapsed & (dataset["backdoor_accuracy"] > BACKDOOR_ABOVE)
    return xr.Dataset({"is_success": is_success, "is_collapsed": is_collapsed})

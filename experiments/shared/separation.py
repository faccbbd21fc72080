"""How well one number of every seed tells two groups of seeds apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from vfl_jax.reports import UNDEFINED


def area(high: Any, low: Any, axis: int = -1) -> Any:
    """Area under the ROC curve: how often a member of ``high`` exceeds one of ``low``, ties counted half.

    0.5 is chance, 1 is complete separation, 0 the same the other way round.
    """
    high, low = (
        np.moveaxis(np.asarray(high), axis, -1)[..., :, None],
        np.moveaxis(np.asarray(low), axis, -1)[..., None, :],
    )
    return ((high > low) + 0.5 * (high == low)).mean(axis=(-2, -1))


def area_with_interval(high: Any, low: Any, paired: bool = False) -> str:
    """``0.87 [0.74, 0.97]``: the area and its 95 % bootstrap interval; both groups are drawn anew, each from itself.

    Fewer than two members in a group have no interval, none no area.

    Args:
      paired: both groups are of the same seeds in the same order, which are drawn anew together.
    """
    from scipy.stats import bootstrap

    high, low = np.asarray(high, float), np.asarray(low, float)
    if not high.size or not low.size:
        return UNDEFINED
    found = f"{area(high, low):z.2f}"
    if min(high.size, low.size) < 2:
        return found
    drawn = bootstrap(
        (high, low),
        area,
        n_resamples=2000,
        batch=200,
        paired=paired,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return f"{found} [{drawn.confidence_interval.low:z.2f}, {drawn.confidence_interval.high:z.2f}]"

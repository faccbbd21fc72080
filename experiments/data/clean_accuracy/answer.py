"""The answer of the page and its figure: honest training beside other models, and whether backdoors come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from experiments.data.clean_accuracy.baseline import Facts
from experiments.data.clean_accuracy.data_sets import DATA_SETS
from vfl_jax import plots
from vfl_jax.core.words import counted
from vfl_jax.presets import HeadName
from vfl_jax.statistics import interval

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from vfl_jax.reports import Row

Honest = Mapping[tuple[str, HeadName], "xr.DataArray"]
"""Main accuracy of the honest runs at the last epoch, by seed, of a data set under a head."""
LOGISTIC, TREES = "logistic_regression", "boosted_trees"


def answer(found: Mapping[str, Facts], honest: Honest, attacked: list[Row]) -> str:
    """On how many data sets honest training is better or worse than logistic regression, and where backdoors come.

    Better is: with each head the whole interval of the median lies above. A backdoor comes where more than half of the
    seeds are successes.

    Args:
      found: by data set, what stands beside the runs.
      honest: main accuracy of the honest runs.
      attacked: the rows of the table of backdoors.
    """
    sides = {name: _side(found[name][LOGISTIC], [honest[name, head] for head in heads_of(honest)]) for name in found}
    above, below = (sum(side == sign for side in sides.values()) for sign in (1, -1))
    comes = [row for row in attacked if _is_mostly_won(row["success"])]
    where = "; ".join(f"{row['data set']}, {row['head']} head" for row in comes)
    backdoors = (
        f" Gradient replacement plants the backdoor of a natural trigger on more than half of the seeds in "
        f"{len(comes)} of {counted(len(attacked), 'setting')}{f' ({where})' if where else ''}."
    )
    return (
        f"**Honest vertical training is more accurate than logistic regression on all features in one place on {above} "
        f"of {counted(len(found), 'data set')}, less accurate on {below}.**{backdoors if attacked else ''}\n"
    )


def figure(found: Mapping[str, Facts], honest: Honest) -> Figure:
    """How far honest training is from logistic regression, by data set; bars are 95 % intervals of the median.

    Args:
      found, honest: as for :func:`answer`.
    """
    picture, ((panel,),) = plots.grid_of_panels(1, 1, size=(7.6, 0.32 * len(found) + 1.2))
    names = list(found)
    points = {name: 100 * found[name][LOGISTIC] for name in names}
    panel.axvline(0, color=plots.COLORS[7], linewidth=1, label="logistic regression, all features")
    for i, head in enumerate(heads_of(honest)):
        values = {name: 100 * honest[name, head].values.astype(float) - points[name] for name in names}
        medians = np.array([np.median(values[name]) for name in names])
        reach = np.abs(np.array([interval(values[name]) for name in names]) - medians[:, None]).T
        places, color = np.arange(len(names)) + 0.16 * (2 * i - 1), plots.COLORS[i]
        panel.errorbar(medians, places, xerr=reach, fmt="o", markersize=4, color=color, label=f"vertical, {head} head")
    trees = {name: 100 * found[name][TREES] - points[name] for name in names if TREES in found[name]}
    panel.plot(
        list(trees.values()),
        [names.index(name) for name in trees],
        "D",
        color=plots.COLORS[3],
        label="boosted trees (two classes)",
    )
    panel.set_yticks(range(len(names)), [DATA_SETS[name].title for name in names])
    panel.invert_yaxis()
    panel.set_xlabel("test accuracy above logistic regression, percentage points")
    panel.grid(axis="x", alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return picture


def heads_of(honest: Honest) -> list[HeadName]:
    """The heads that were trained, in order."""
    return list(dict.fromkeys(head for _, head in honest))


def _side(other: float, heads: list[xr.DataArray]) -> int:
    """1 where the intervals of all heads lie above another model's accuracy, −1 where they lie below, else 0."""
    ends = [interval(values.astype(float)) for values in heads]
    if all(low > other for low, _ in ends):
        return 1
    return -1 if all(high < other for _, high in ends) else 0


def _is_mostly_won(count: str) -> bool:
    """Whether a cell such as ``8/10`` is more than one half; a dash is not."""
    won, slash, of = count.partition("/")
    return bool(slash) and 2 * int(won) > int(of)

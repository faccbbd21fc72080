"""Section 6.1: a clean validation set does not reveal the backdoor. Compares saved runs; has none of its own."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.liu2020.claims_without_a_figure.cases import HEADS, TASKS
from experiments.liu2020.claims_without_a_figure.results import Found
from experiments.shared.cases import GAMMA, PRESETS
from experiments.shared.outcomes import Point, data_name, share
from experiments.shared.panels import add_legend
from experiments.shared.readme import add_picture, section
from experiments.shared.separation import UNDEFINED, area_with_interval
from vfl_jax import plots
from vfl_jax.reports import Row, median_with_interval, to_markdown

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

ROWS = {"main_clean": "untriggered rows", "main_task_accuracy": "all rows"}
"""What a validator may have: rows without the trigger, or rows of which some carry it, as the paper's test set."""
TICKS = (-1, -0.5, -0.1, -0.05, -0.01, -0.005, 0, 0.005, 0.01)
"""Of the figure, whose axis is linear up to the last and logarithmic beyond."""
TEXT = f"""\
The paper (6.1, 7.2): validation is not effective "when the adversarial model performs well on both the original and
the backdoor task". Honest against attacked runs of the experiments gamma and head at γ = {GAMMA}, paired by seed,
at the last epoch. *attacked − honest*: the mean with its 95 % t interval, the median with its bootstrap interval, and
the p-value of Wilcoxon's signed-rank test; these say whether there is a difference. Of *all rows* some carry the
trigger, and a backdoor that works costs their accuracy; the claim is about *untriggered rows*.

What a validator could see is another question, as he has one model and one set. *two standard errors*: the sampling
error of an accuracy on a set of the test set's size; beside it the seeds that lose more than that. *spread of honest
runs*: their standard deviation over seeds. *told apart*: how often an attacked run is below an honest one, over all
pairs of seeds (0.5: not told apart, 1: always), with its bootstrap interval.
"""


def validation(folder: Path, found: Found) -> str | None:
    """The section, or None where nothing was trained."""
    runs = compared(found)
    if not runs:
        return None
    caption = "clean accuracy of honest and attacked runs, every seed a line"
    rows = [validation_row(name, point, variable) for name, point in runs.items() for variable in ROWS]
    picture = add_picture(folder, "validation", figure(runs), caption)
    return section("Clean validation (section 6.1)", TEXT, picture, to_markdown(rows))


def compared(found: Found) -> dict[str, Point]:
    """Honest and attacked runs at the paper's γ, by what they are."""
    points = {
        f"{preset}, {task}, {head} head": found.published(task, head, preset)
        for head, task, preset in itertools.product(HEADS, TASKS, PRESETS)
    }
    return {name: point for name, point in points.items() if point is not None}


def validation_row(name: str, point: Point, variable: str) -> Row:
    """Is there a difference, and could it be seen?"""
    honest, attacked = _last(point.honest, variable), _last(point.attacked, variable)
    difference = attacked - honest
    error = standard_error(point, variable)
    return {
        "runs": name,
        "data": data_name(point.attacked),
        "accuracy on": ROWS[variable],
        "honest": median_with_interval(honest),
        "attacked − honest, mean": mean_with_interval(difference),
        "median": median_with_interval(difference),
        "Wilcoxon": signed_rank(difference),
        "two standard errors": f"{2 * error:z.4f}",
        "seeds that lose more": share(-difference > 2 * error),
        "spread of honest runs": f"{np.std(honest, ddof=1):z.4f}" if honest.size > 1 else UNDEFINED,
        "told apart": area_with_interval(honest, attacked, paired=True),
    }


def standard_error(point: Point, variable: str) -> float:
    """Of the accuracy of an honest model on as many rows as the test set has of this kind."""
    accuracy = float(_last(point.honest, variable).median())
    return float(np.sqrt(accuracy * (1 - accuracy) / int(_last(point.honest, f"{variable}_count").max())))


def mean_with_interval(values: xr.DataArray) -> str:
    """``-0.0061 [-0.0070, -0.0052]``, by Student's t; a dash for the interval of a single seed."""
    from scipy.stats import sem, t

    mean = float(values.mean())
    if values.size < 2:
        return f"{mean:z.4f} {UNDEFINED}"
    reach = t.ppf(0.975, values.size - 1) * sem(values)
    return f"{mean:z.4f} [{mean - reach:z.4f}, {mean + reach:z.4f}]"


def signed_rank(values: xr.DataArray) -> str:
    """The p-value that differences lie about zero; a dash where all are zero."""
    from scipy.stats import wilcoxon

    return f"p = {wilcoxon(values).pvalue:.2g}" if values.any() else UNDEFINED


def figure(runs: dict[str, Point]) -> Figure:
    """A panel per run: every seed a line from its honest to its attacked run; the band is the sampling error."""
    columns = min(4, len(runs))
    picture, panels = plots.grid_of_panels(-(-len(runs) // columns), columns)
    for panel, (name, point) in zip(panels.flat, runs.items(), strict=False):
        honest, attacked = (_last(part, "main_clean") for part in (point.honest, point.attacked))
        both, reach = np.array([honest, attacked]) - float(honest.median()), 2 * standard_error(point, "main_clean")
        panel.axhspan(-reach, reach, color="0.85", linewidth=0, label="± two standard errors of the set")
        panel.plot([0, 1], both, "o-", color=plots.COLORS[0], alpha=0.5, linewidth=0.8, markersize=4)
        medians = np.median(both, axis=1)
        panel.plot([0, 1], medians, "_", color="black", markersize=24, markeredgewidth=2, label="median")
        panel.axhline(-TICKS[-1], color="0.4", linestyle=":", linewidth=1)
        panel.set_xticks([0, 1], ["honest", f"attacked, γ = {GAMMA}"])
        panel.set_yscale("symlog", linthresh=TICKS[-1], linscale=2)
        panel.set_yticks(TICKS, [f"{tick:g}" for tick in TICKS])
        panel.set(
            title=name,
            xlim=(-0.4, 1.4),
            ylim=(-1, TICKS[-1]),
            ylabel=f"accuracy minus honest median\n(logarithmic below {-TICKS[-1]:g})",
        )
        panel.grid(axis="y", alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels.flat[len(runs) :]:
        panel.remove()
    add_legend(picture)
    return picture


def _last(part: xr.Dataset, variable: str) -> xr.DataArray:
    return part[variable].isel(epoch=-1).astype(float)

"""The answer of the page and its figure: honest training beside the paper's, statistics beside the real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments.data.nus_wide_twin.compare import Line
from experiments.shared.outcomes import TABLE_2, rounded_up
from vfl_jax import plots

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Runs = Mapping[tuple[str, str], "xr.DataArray"]
"""Main accuracy of honest runs at the last epoch, by seed, of a preset under a head."""
AREAS = "images predict a tag, area under the curve"
"""The group of statistics in which the twin is farthest from the real set."""


def answer(runs: Runs, lines: Sequence[Line]) -> str:
    """How far honest training is from the paper, and how far areas under the curve are from real images.

    Args:
      runs: the honest runs.
      lines: the statistics; none where they were not computed.
    """
    paper = TABLE_2["nus_wide"]
    most = max(100 * abs(float(values.median()) - paper[head]) for (_, head), values in runs.items())
    areas = [(line.twin[0], line.calibrated[0]) for line in lines if line.group == AREAS and line.calibrated]
    apart = max((abs(twin - real) for twin, real in areas), default=0.0)
    beside = (
        f" From its images {len(areas)} frequent tags are told with areas under the curve that differ by up to "
        f"{apart:z.2f} from those of real images."
    )
    return (
        f"**The twin is not NUS-WIDE; honest models on it come within {rounded_up(most):z.1f} percentage points of the "
        f"paper's main accuracy, for which one factor was set by hand.**{beside if areas else ''}\n"
    )


def figure(runs: Runs, lines: Sequence[Line]) -> Figure:
    """Left honest runs beside the paper's accuracy, right every single statistic between 0 and 1, twin against real.

    Args:
      runs, lines: as for :func:`answer`.
    """
    picture, panels = plots.grid_of_panels(1, 2, size=(4.6, 3.6))
    _draw_runs(panels[0, 0], runs)
    _draw_lines(panels[0, 1], lines)
    for panel in panels[0]:
        panel.spines[["top", "right"]].set_visible(False)
    return picture


def _draw_runs(panel: Axes, runs: Runs) -> None:
    """Every seed a dot, the paper's number a line."""
    for place, ((_, head), values) in enumerate(runs.items()):
        spread = place + np.linspace(-0.2, 0.2, values.size)
        panel.plot(
            spread,
            values.values.ravel(),
            "o",
            color=plots.COLORS[0],
            markersize=4,
            alpha=0.6,
            label=_once("a seed", place),
        )
        paper = TABLE_2["nus_wide"][head]
        panel.hlines(paper, place - 0.35, place + 0.35, plots.COLORS[1], "dashed", label=_once("the paper", place))
    panel.set_xticks(range(len(runs)), [f"{preset}\n{head} head" for preset, head in runs], fontsize="x-small")
    panel.set(ylabel="main accuracy, honest", ylim=(0.85, 0.92))
    panel.grid(axis="y", alpha=0.25)
    panel.legend(frameon=False, loc="upper left", ncols=2)


def _draw_lines(panel: Axes, lines: Sequence[Line]) -> None:
    """Every single number between 0 and 1 of both sets, by what it is."""
    kinds = {"tags": "o", "image": "s", "variance": "^", "two": "D"}
    labels = {"tags": "tags", "image": "images", "variance": "principal components", "two": "person or not"}
    for (kind, mark), color in zip(kinds.items(), plots.COLORS, strict=False):
        of_kind = [line for line in lines if _kind(line) == kind and len(line.twin) == 1]
        pairs = [(real[0], line.twin[0]) for line in of_kind if (real := line.calibrated or line.measured)]
        inside = np.array([pair for pair in pairs if min(pair) >= 0 and max(pair) <= 1])
        if len(inside):
            panel.plot(*inside.T, mark, color=color, markersize=4, alpha=0.75, label=labels[kind])
    panel.plot([0, 1], [0, 1], color=plots.COLORS[7], linewidth=0.8, zorder=0)
    panel.set(xlabel="real images and tags", ylabel="the twin", title="statistics between 0 and 1")
    panel.set_aspect("equal")
    panel.legend(frameon=False, loc="lower right", fontsize="small")


def _kind(line: Line) -> str:
    """The first word of its group that says what it is of."""
    words = line.group.replace("mean frequency of tags", "tags").replace("images", "image").split()
    return words[0]


def _once(label: str, place: int) -> str:
    """A label in the legend, once; what begins with an underscore is not in it."""
    return f"_{label}" if place else label

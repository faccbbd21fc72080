"""Figures of experiments: attacked and honest points of a sweep in one panel."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from experiments.shared.outcomes import Point
from vfl_jax import plots
from vfl_jax.core.atomic import write_atomically
from vfl_jax.reports import UNDEFINED
from vfl_jax.statistics import interval
from vfl_jax.statistics.judging import NONE
from vfl_jax.statistics.judging import NOT_JUDGED as NO_OUTCOMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


OUTCOMES = {"success": plots.COLORS[2], "neither": plots.COLORS[0], "collapsed": plots.COLORS[1]}
"""The colour of a seed."""
NOT_JUDGED = {"not judged": plots.COLORS[6]}
"""And of one whose honest run says nothing."""


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a PNG, whole or not at all."""
    write_atomically(path, functools.partial(figure.savefig, format="png"))


def draw_points(
    panel: Axes,
    found: Sequence[Point | None],
    settings: Sequence[str],
    name: str,
    label: str,
    place: int = 0,
    of: int = 1,
) -> None:
    """Last-epoch values of attacked points, and dashed the honest runs at the same settings.

    Args:
      found: one per setting, None where there are no results.
      settings: what stands below each point.
      place: which of the ``of`` lines of a panel this is; it settles its colour and shift.
    """
    known = {i: point for i, point in enumerate(found) if point is not None}
    attacked, honest = (
        xr.concat([part[name].isel(epoch=-1).drop_vars(_scalars(part)) for part in parts], "point")
        .assign_coords(point=list(known))
        .reindex(point=range(len(found)))
        for parts in ([p.attacked for p in known.values()], [p.honest for p in known.values()])
    )
    shift = 0.18 * (place - (of - 1) / 2)
    plots.draw_against(panel, attacked, settings, name, honest, label, plots.COLORS[place], shift)


def draw_outcomes(panel: Axes, found: Sequence[Point], settings: Sequence[str], axis: str = "") -> None:
    """Backdoor accuracy at the last epoch: every seed a dot in the colour of its outcome, and how many succeeded.

    Args:
      settings: what stands below each point, over the successes among seeds that are judged; a dash where none is.
      axis: what the settings are.
    """
    ticks, shown = list[str](), dict(OUTCOMES)
    for place, (setting, point) in enumerate(zip(settings, found, strict=True)):
        attacked, clean, counted = (part.isel(epoch=-1) for part in point)
        values, seeds = attacked.backdoor_accuracy.astype(float), attacked.sizes["seed"]
        colors = outcome_colors(counted.outcome)
        shown |= NOT_JUDGED if not point.judged().all() else {}
        spread = place + 0.6 * (np.arange(seeds) - (seeds - 1) / 2) / seeds
        panel.scatter(spread, values, s=11, alpha=0.6, linewidths=0, color=colors)
        median = float(values.median())
        reach = np.abs(np.array(interval(values)) - median)
        panel.errorbar(place, median, reach[:, None], fmt="_", color="black", ms=14, capsize=4)
        panel.hlines(float(clean.backdoor_accuracy.median()), place - 0.4, place + 0.4, "black", "dashed", linewidth=1)
        judged = int(point.judged().sum())
        won = f"{int(counted.is_success.sum())}/{judged}" if judged else UNDEFINED
        ticks.append(f"{setting}\n{won}")
    for name, color in shown.items():
        panel.scatter([], [], color=color, label=name)
    panel.errorbar([], [], [], fmt="_", color="black", ms=14, capsize=4, label="median, 95 % interval")
    panel.plot([], [], "k--", linewidth=1, label="clean floor, median")
    panel.set_xticks(np.arange(len(ticks)), ticks)
    panel.set_xlabel(f"{axis}{'; ' if axis else ''}last line: successes of judged seeds")
    panel.set(ylim=(-0.02, 1.02), xlim=(-0.6, len(ticks) - 0.4), ylabel="backdoor accuracy")
    panel.grid(axis="y", alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)


def outcome_colors(outcome: xr.DataArray) -> list[str]:
    """The colour of every seed."""
    return [(OUTCOMES | NOT_JUDGED)[said_of(str(name))] for name in outcome.values]


def said_of(outcome: str) -> str:
    """The label of an outcome in figures."""
    return "not judged" if outcome in NO_OUTCOMES else "neither" if outcome == NONE else outcome


def _scalars(part: xr.Dataset) -> list[str]:
    return [str(coordinate) for coordinate, values in part.coords.items() if values.ndim == 0]

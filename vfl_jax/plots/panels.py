"""What figures are made of: panels with curves, with values against settings, with maps of two settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.statistics.intervals import summarize

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LABELS = {
    "main_task_accuracy": "main-task accuracy",
    "main_clean": "main-task accuracy, untriggered rows",
    "backdoor_accuracy": "backdoor accuracy",
    "attack_success_rate": "attack success rate",
    "loss": "training loss",
    "train_accuracy": "training accuracy",
}
COLORS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#BBBBBB", "#222222")
"""Tol's bright palette, distinct under the common kinds of colour blindness."""
CHARACTER = 0.085
"""About the width of a letter, in inches."""
MOST_WRITTEN = 14
"""In so many columns of a map its numbers can still be read."""


def grid_of_panels(
    rows: int, columns: int, title: str | None = None, size: tuple[float, float] = (5.2, 3.8)
) -> tuple[Figure, np.ndarray]:
    """An empty figure and its panels, [rows, columns]; made without pyplot: no global state, no display needed.

    Args:
      size: width and height of one panel, in inches.
    """
    from matplotlib.figure import Figure

    whole = size[0] * columns, size[1] * rows
    figure = Figure(figsize=whole, layout="constrained", dpi=150 if rows == 1 else 110)
    if title:
        figure.suptitle(title)
    return figure, figure.subplots(rows, columns, squeeze=False)


def draw_curves(panel: Axes, runs: Mapping[str, xr.DataArray], name: str) -> None:
    """Curves over epochs: thin lines are seeds, the thick line their median, the band its 95 % interval.

    Args:
      runs: label to values with the dimensions ``seed`` and ``epoch``.
    """
    for i, (label, array) in enumerate(runs.items()):
        color, values = COLORS[i % len(COLORS)], array.transpose("seed", "epoch")
        epochs = values["epoch"].values
        panel.plot(epochs, values.values.T, color=color, linewidth=0.5, alpha=0.35)
        summary = summarize(values)
        panel.plot(epochs, summary["median"], color=color, linewidth=2.2, label=label)
        panel.fill_between(epochs, summary["low"], summary["high"], color=color, alpha=0.2, linewidth=0)
    panel.set_xlabel("epoch")
    _finish(panel, name)


def draw_against(
    panel: Axes,
    values: xr.DataArray,
    settings: Sequence[str],
    name: str,
    floor: xr.DataArray | None = None,
    label: str | None = None,
    color: str = COLORS[0],
    shift: float = 0.0,
) -> None:
    """Values against settings at even distances: dots are seeds, the line their median, the bar its 95 % interval.

    Args:
      values: one row per setting and one column per ``seed``.
      floor: the honest runs, with a row per setting or none; their median over seeds is the dashed line.
      label: of the line, where one panel has several.
      shift: to the right, so that lines of one panel do not hide each other.
    """
    places = np.arange(len(settings)) + shift
    spread = np.linspace(-0.12, 0.12, values.sizes["seed"]) * (1 if label is None else 0.6)
    panel.scatter(places[:, None] + spread[None], values, s=9, color=color, alpha=0.45, linewidths=0)
    summary = summarize(values)
    median, low, high = (summary[of].values for of in ("median", "low", "high"))
    panel.errorbar(
        places, median, np.stack([median - low, high - median]), color=color, linewidth=2, capsize=4, label=label
    )
    if floor is not None:
        dashed, honest = (COLORS[7], "honest runs, median") if label is None else (color, f"{label}, honest")
        draw_floor(panel, floor, places, honest, dashed)
    panel.set_xticks(np.arange(len(settings)), list(settings))
    _finish(panel, name)


def draw_floor(panel: Axes, floor: xr.DataArray, places: np.ndarray, label: str, color: str = COLORS[7]) -> None:
    """The dashed line of honest runs: their median over seeds, at every place or the same at all."""
    level = np.broadcast_to(floor.median("seed"), places.shape)
    panel.plot(places, level, color=color, linestyle="--", linewidth=1, label=label)


def draw_map(panel: Axes, values: Any, rows: Sequence[str], columns: Sequence[str], name: str) -> None:
    """A map of medians over two settings, from 0 to 1 in colours and, where there is room, in numbers.

    Args:
      values: float[rows, columns]; NaN is a dash.
    """
    values = np.asarray(values, float)
    panel.imshow(values, vmin=0, vmax=1, cmap="cividis", aspect="auto")
    panel.set_facecolor(COLORS[6])
    if len(columns) <= MOST_WRITTEN:
        for (row, column), value in np.ndenumerate(values):
            text, color = ("–", "black") if np.isnan(value) else (f"{value:.2f}", "white" if value < 0.5 else "black")
            panel.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    panel.set_yticks(np.arange(len(rows)), list(rows), fontsize=8)
    panel.set_xticks(np.arange(len(columns)), list(columns), fontsize=8)
    slant_ticks(panel)
    panel.set_title(LABELS.get(name, name), fontsize=10)
    panel.spines[:].set_visible(False)
    panel.tick_params(length=0)


def slant_ticks(panel: Axes) -> None:
    """Sets the words below a panel at an angle where they would run into each other."""
    labels = panel.get_xticklabels()
    widest = max((len(line) for label in labels for line in label.get_text().split("\n")), default=0)
    if (widest + 1) * CHARACTER * len(labels) > panel.bbox.width / panel.figure.dpi:
        for label in labels:
            label.set(rotation=45, ha="right", rotation_mode="anchor")


def _finish(panel: Axes, name: str) -> None:
    panel.set_ylabel(LABELS.get(name, name))
    if name not in ("loss", "test_loss"):
        panel.set_ylim(-0.02, 1.02)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)

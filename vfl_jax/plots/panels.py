"""Single panels of figures: curves, values against settings, and maps of two settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.core.extras import extra
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
    "full_attack_success": "attack success, all rows",
    "full_recovered_utility": "recovered utility",
    "full_detection_auc": "detection AUC, all rows",
    "detection_auc": "detection AUC",
    "balanced_accuracy": "balanced accuracy",
    "loss": "training loss",
    "train_accuracy": "training accuracy",
}
"""The words of an axis by its variable."""
COLORS = ("#4477AA", "#EE6677", "#228833", "#CCBB44", "#66CCEE", "#AA3377", "#BBBBBB", "#222222")
"""Tol's bright palette, distinct under the common kinds of colour blindness."""
CHARACTER = 0.085
"""The width of a letter, in inches, roughly."""
MOST_WRITTEN = 14
"""The numbers of a map are legible in at most this many columns."""


def grid_of_panels(
    rows: int, columns: int, title: str | None = None, size: tuple[float, float] = (5.2, 3.8)
) -> tuple[Figure, np.ndarray]:
    """An empty figure and its panels. It needs no pyplot: no global state, and no display.

    A notebook shows the figure, once, where a cell ends with it.

    Args:
      rows, columns: how many panels there are, downwards and to the right.
      title: the text above the figure.
      size: the width and height of one panel, in inches.

    Returns:
      The figure, and its panels as an array [rows, columns].

    Example:
      >>> import vfl_jax as vfl
      >>> figure, panels = vfl.plots.grid_of_panels(1, 2)
      >>> panels.shape
      (1, 2)
    """
    with extra("plots", "A figure"):
        from vfl_jax.plots.shown import ShownFigure

    whole = size[0] * columns, size[1] * rows
    figure = ShownFigure(figsize=whole, layout="constrained", dpi=150 if rows == 1 else 110)
    if title:
        figure.suptitle(title)
    return figure, figure.subplots(rows, columns, squeeze=False)


def draw_curves(panel: Axes, runs: Mapping[str, xr.DataArray], name: str) -> None:
    """Draws curves over epochs: thin lines are seeds, the thick line is their median, the band is its 95 % interval.

    Epochs at which no seed has a value, such as those that were not evaluated, are left out of a curve.

    Args:
      panel: where to draw, axes of Matplotlib.
      runs: values with the dimensions ``seed`` and ``epoch``, by their label in the legend.
      name: the variable, for the words of the vertical axis.
    """
    for i, (label, array) in enumerate(runs.items()):
        color, values = COLORS[i % len(COLORS)], array.transpose("seed", "epoch")
        is_there = values.notnull().any("seed").values
        values = values.isel(epoch=is_there) if is_there.any() else values
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
    """Draws values against settings: dots are seeds, the line is their median, the bars are its 95 % intervals.

    Args:
      panel: where to draw, axes of Matplotlib.
      values: one row per setting and one column per ``seed``.
      settings: the words of every setting. They lie at even distances.
      name: the variable, for the words of the vertical axis.
      floor: the honest runs, with a row per setting or with the dimension ``seed`` alone. The dashed line is their
        median over seeds.
      label: the label of the line, where one panel has several.
      color: that of dots and line.
      shift: how far to the right the line lies, in distances between settings, so that no line hides another.
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
    """Draws the dashed line of honest runs, their median over seeds.

    Args:
      panel: where to draw, axes of Matplotlib.
      floor: the honest runs, with the dimension ``seed`` and maybe a row per place.
      places: float[n], where the settings lie on the horizontal axis.
      label: the label of the line in the legend.
      color: that of the line.
    """
    level = np.broadcast_to(floor.median("seed"), places.shape)
    panel.plot(places, level, color=color, linestyle="--", linewidth=1, label=label)


def draw_map(panel: Axes, values: Any, rows: Sequence[str], columns: Sequence[str], name: str) -> None:
    """Draws a map of medians over two settings, from 0 to 1, in colours. Where there is room, it has numbers, too.

    Args:
      panel: where to draw, axes of Matplotlib.
      values: float[rows, columns]; NaN is a dash.
      rows, columns: the labels of both sides.
      name: the variable, for the title of the panel.
    """
    values = np.asarray(values, float)
    panel.imshow(values, vmin=0, vmax=1, cmap="cividis", aspect="auto")
    panel.set_facecolor(COLORS[6])
    if len(columns) <= MOST_WRITTEN:
        for (row, column), value in np.ndenumerate(values):
            text, color = ("–", "black") if np.isnan(value) else (f"{value:z.2f}", "white" if value < 0.5 else "black")
            panel.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    panel.set_yticks(np.arange(len(rows)), list(rows), fontsize=8)
    panel.set_xticks(np.arange(len(columns)), list(columns), fontsize=8)
    slant_ticks(panel)
    panel.set_title(LABELS.get(name, name), fontsize=10)
    panel.spines[:].set_visible(False)
    panel.tick_params(length=0)


def slant_ticks(panel: Axes) -> None:
    """Slants the words below a panel where they would overlap.

    Args:
      panel: axes of Matplotlib, whose ticks are set.
    """
    labels = panel.get_xticklabels()
    widest = max((len(line) for label in labels for line in label.get_text().split("\n")), default=0)
    if (widest + 1) * CHARACTER * len(labels) > panel.bbox.width / panel.figure.dpi:
        for label in labels:
            label.set(rotation=45, ha="right", rotation_mode="anchor")


def _finish(panel: Axes, name: str) -> None:
    """Gives a panel the words and the range of its vertical axis, and a grid."""
    panel.set_ylabel(LABELS.get(name, name))
    if name not in ("loss", "test_loss"):
        panel.set_ylim(-0.02, 1.02)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)

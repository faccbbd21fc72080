"""Figures of labelled results: every seed visible, the median and its interval over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.statistics import summarize

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


def curves(
    runs: Mapping[str, xr.Dataset],
    names: tuple[str, ...] = ("main_task_accuracy", "backdoor_accuracy"),
    title: str | None = None,
) -> Figure:
    """Curves over epochs, one panel per variable; see :func:`draw_curves`.

    Args:
      runs: label to results with the dimensions ``seed`` and ``epoch`` only.
    """
    figure, panels = grid_of_panels(1, len(names), title)
    for panel, name in zip(panels[0], names, strict=True):
        draw_curves(panel, {label: dataset[name] for label, dataset in runs.items()}, name)
    panels[0, 0].legend(frameon=False)
    return figure


def against(
    dataset: xr.Dataset,
    setting: str,
    names: tuple[str, ...] = ("main_task_accuracy", "backdoor_accuracy"),
    floor: xr.Dataset | None = None,
    title: str | None = None,
) -> Figure:
    """Final-epoch values against a swept setting, one panel per variable; see :func:`draw_against`.

    Args:
      dataset: results whose dimensions are the setting's, ``seed`` and ``epoch``.
      setting: the swept path on the horizontal axis, at even distances.
      floor: results of the honest runs, at every value of the setting or at none in particular; their median
        over seeds is the dashed line.
    """
    figure, panels = grid_of_panels(1, len(names), title)
    (dimension,) = dataset[setting].dims
    for panel, name in zip(panels[0], names, strict=True):
        values = dataset[name].isel(epoch=-1).transpose(dimension, "seed")
        below = None if floor is None else floor[name].isel(epoch=-1)
        draw_against(panel, values, [f"{value:g}" for value in dataset[setting].values], name, floor=below)
        panel.set_xlabel(setting)
        if floor is not None:
            panel.legend(frameon=False)
    return figure


def grid_of_panels(rows: int, columns: int, title: str | None = None) -> tuple[Figure, np.ndarray]:
    """An empty figure and its panels, [rows, columns]; made without pyplot: no global state, no display needed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * columns, 3.8 * rows), layout="constrained", dpi=150 if rows == 1 else 110)
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
    reach = np.stack([summary["median"] - summary["low"], summary["high"] - summary["median"]])
    panel.errorbar(places, summary["median"], reach, color=color, linewidth=2, capsize=4, label=label)
    if floor is not None:
        level = np.broadcast_to(floor.median("seed"), places.shape)
        dashed = COLORS[7] if label is None else color
        honest = "honest runs, median" if label is None else f"{label}, honest"
        panel.plot(places, level, color=dashed, linestyle="--", linewidth=1, label=honest)
    panel.set_xticks(np.arange(len(settings)), list(settings))
    _finish(panel, name)


def overview(dataset: xr.Dataset) -> Figure:
    """The figure that suits a sweep: against its one swept setting, or curves of its grid points.

    At most eight grid points get a curve of their own, evenly taken from the grid.
    """

    dimensions = [d for d in dataset["main_task_accuracy"].dims if d not in ("seed", "epoch")]
    if len(dimensions) == 1 and dimensions[0] in dataset.coords and dataset.sizes[dimensions[0]] > 1:
        return against(dataset, str(dimensions[0]))
    places = list(np.ndindex(*(dataset.sizes[d] for d in dimensions)))
    shown = [places[i] for i in np.unique(np.linspace(0, len(places) - 1, min(8, len(places))).astype(int))]
    runs: dict[str, xr.Dataset] = {}
    for place in shown:
        point = dataset.isel(dict(zip(dimensions, place, strict=True)))
        settings = (f"{n} {c.item():g}" for n, c in point.coords.items() if c.ndim == 0 and n not in ("epoch", "seed"))
        runs[", ".join(settings) or "run"] = point
    return curves(runs)


def _finish(panel: Axes, name: str) -> None:
    panel.set_ylabel(LABELS.get(name, name))
    if name not in ("loss", "test_loss"):
        panel.set_ylim(-0.02, 1.02)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)

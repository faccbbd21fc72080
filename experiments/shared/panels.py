"""Figures of whole experiments: a row of panels per title, with main accuracy on the left and backdoor on the right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from experiments.shared.figures import draw_points
from experiments.shared.outcomes import Point
from vfl_jax import plots

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

MAIN_AND_BACKDOOR = ("main_task_accuracy", "backdoor_accuracy")


def figure_over_epochs(rows: Mapping[str, Mapping[str, xr.Dataset]]) -> Figure:
    """Accuracies per epoch: thin lines are seeds, thick ones their median, bands its 95 % interval.

    Args:
      rows: title to the runs of a row by their label, in the same order in every row.
    """
    figure, panels = plots.grid_of_panels(len(rows), 2)
    for line_of_panels, (title, runs) in zip(panels, rows.items(), strict=True):
        for panel, name in zip(line_of_panels, MAIN_AND_BACKDOOR, strict=True):
            plots.draw_curves(panel, {label: run[name] for label, run in runs.items()}, name)
            panel.set_title(title)
    add_legend(figure, columns=len(next(iter(rows.values()))))
    return figure


def figure_against(rows: Mapping[str, Mapping[str, Mapping[float, Point]]], setting: str) -> Figure:
    """Accuracies at the last epoch against a setting: dots are seeds, bars 95 % intervals of the median, dashed the
    honest runs.

    Args:
      rows: title to the lines of a row by their label; a line is points by the value of the setting.
    """
    figure, panels = plots.grid_of_panels(len(rows), 2)
    labels = list(dict.fromkeys(label for lines in rows.values() for label in lines))
    for line_of_panels, (title, lines) in zip(panels, rows.items(), strict=True):
        values = sorted({value for found in lines.values() for value in found})
        for panel, name in zip(line_of_panels, MAIN_AND_BACKDOOR, strict=True):
            for label, found in lines.items():
                points, settings = [found.get(value) for value in values], [f"{value:g}" for value in values]
                draw_points(panel, points, settings, name, label, labels.index(label), len(labels))
            panel.set(title=title, xlabel=setting)
    add_legend(figure)
    return figure


def add_legend(figure: Figure, columns: int = 2) -> None:
    """One legend for all panels, below them."""
    labelled = {
        label: handle for panel in figure.axes for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    labels = sorted(labelled, key=lambda label: label.endswith(", honest"))
    handles = [labelled[label] for label in labels]
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)

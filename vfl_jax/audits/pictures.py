"""The picture of an audit: what every defense costs, leaves to be read, and leaves to be planted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vfl_jax.audits.findings import Findings, Range
from vfl_jax.plots.panels import COLORS, grid_of_panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def picture(found: Findings) -> Figure:
    """Returns three panels that share their rows, the defenses: the honest model, labels read, rows led to the class.

    Dots are medians (of attacks means) over seeds, bars are 95 % intervals, dashed lines are guessing, and what is
    named without joint training.

    Args:
      found: what the audit found.
    """
    names = [defense.name for defense in found.defended]
    has_attacks = any(defense.planted is not None for defense in found.defended)
    columns = 3 if has_attacks else 2
    figure, panels = grid_of_panels(1, columns)
    figure.set_size_inches(3.0 + 2.4 * columns, 1.1 + 0.24 * len(names))
    spared = [i == 0 or found.spares(defense) is True for i, defense in enumerate(found.defended)]
    of_model = [d.auc if d.auc is not None else d.accuracy for d in found.defended]
    is_of_two = found.undefended.auc is not None
    _draw(panels[0, 0], of_model, spared, 0)
    _line(panels[0, 0], 0.5 if is_of_two else found.majority, "guessing" if is_of_two else "most frequent class")
    panels[0, 0].set_title("honest model, " + ("AUC" if is_of_two else "accuracy"), fontsize=9)
    _draw(panels[0, 1], [d.read for d in found.defended], spared, 1)
    _line(panels[0, 1], found.floor_read.value, "no joint training")
    panels[0, 1].set_title("labels read by the best reader", fontsize=9)
    if has_attacks:
        _draw(panels[0, 2], [d.planted for d in found.defended], spared, 5)
        floors = [d.floor if d.planted is not None else np.nan for d in found.defended]
        panels[0, 2].plot(floors, range(len(names)), "|", color=COLORS[7], label="honest models")
        panels[0, 2].set_title(f"attacked rows led to “{found.wanted}”"[:44], fontsize=9)
    for panel in panels[0]:
        panel.set_yticks(range(len(names)), names if panel is panels[0, 0] else [""] * len(names), fontsize=8)
        panel.set_ylim(len(names) - 0.5, -0.5)
        panel.set_xlim(-0.03, 1.03)
        panel.set_xticks([0.0, 0.5, 1.0])
        panel.tick_params(labelsize=8, length=0)
        panel.grid(axis="x", color=COLORS[6], linewidth=0.4)
        panel.set_axisbelow(True)
        panel.spines[["top", "right", "left"]].set_visible(False)
        if panel.get_legend_handles_labels()[1]:
            panel.legend(fontsize=7, loc="lower left", bbox_to_anchor=(0.0, -0.02), frameon=False)
    return figure


def _draw(panel: Any, values: Sequence[Range | None], spared: Sequence[bool], color: int) -> None:
    """Draws a dot and a bar per defense; those that do not spare the model are hollow."""
    for place, (value, is_spared) in enumerate(zip(values, spared, strict=True)):
        if value is None or np.isnan(value.value):
            continue
        panel.plot([value.low, value.high], [place, place], color=COLORS[color], linewidth=1.2)
        face = COLORS[color] if is_spared else "white"
        panel.plot([value.value], [place], "o", color=COLORS[color], markerfacecolor=face, markersize=5)


def _line(panel: Any, value: float, label: str) -> None:
    panel.axvline(value, color=COLORS[7], linestyle="--", linewidth=0.9, label=label)

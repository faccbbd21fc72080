"""Figure 1: digits over two parties, as they are and with the trigger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import jax
import numpy as np

from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.plots import COLORS
from vfl_jax.replica.draws import draw
from vfl_jax.scenario import Scenario

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DIGITS = (1, 2, 3, 4, 5, 7, 9)
NAMES = ("party A", "party B\n(malicious)")
PARTY_COLORS, RING = COLORS[:2], COLORS[2]
GAP = 2.5
"""Between the blocks of the parties, in pixels."""
STEP_RIGHT, STEP_DOWN = 36.0, 40.0
"""From one digit to the next, and from the honest ones down to the poisoned ones."""


def figure_1(scenario: Scenario, data: VerticalData, digits: Sequence[int] = DIGITS) -> Figure:
    """A poisoned training row of each digit: above before the trigger is stamped on it, below after.

    Args:
      data: images cut by rows over two parties.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.35 * len(digits) + 2, 3.8), layout="constrained", dpi=150)
    panel = figure.subplots()
    poisoned = np.asarray(draw(scenario, data, jax.random.key(0)).poison_ids)
    bottom = 0.0
    for line, text in enumerate(("as it is", "with the trigger")):
        top = line * STEP_DOWN
        for column, digit in enumerate(digits):
            row = int(poisoned[data.train.labels[poisoned] == digit][0])
            bottom = _draw_image(panel, scenario, data, row, line == 1, column * STEP_RIGHT, top)
        _name_parties(panel, data, top)
        panel.text(-40, (top + bottom) / 2, text, rotation=90, ha="center", va="center", weight="bold")
    for column, digit in enumerate(digits):
        middle = column * STEP_RIGHT + data.train.features[0].shape[2] / 2
        panel.text(middle, -3, f"label {digit}", ha="center", va="bottom")
        wanted = f"label {digit}, wanted {scenario.poison.target_class}"
        panel.text(middle, bottom + 4, wanted, ha="center", va="top", color=PARTY_COLORS[1])
    panel.set(xlim=(-43, STEP_RIGHT * len(digits)), ylim=(bottom + 10, -9), aspect="equal")
    panel.axis("off")
    return figure


def _draw_image(
    panel: Axes, scenario: Scenario, data: VerticalData, row: int, is_poisoned: bool, left: float, top: float
) -> float:
    """Every party's block of one row, and a ring around the trigger; returns where the last block ends."""
    from matplotlib.patches import Circle, Rectangle

    trigger = scenario.poison.trigger
    bottom = top
    for features, mask, color in zip(data.train.features, trigger.masks(data), PARTY_COLORS, strict=True):
        block = np.asarray(trigger.stamp(mask, features[row][None], np.array([is_poisoned])))[0]
        height, width = block.shape
        top, bottom = bottom, bottom + height
        panel.imshow(block, cmap="gray_r", vmin=0, vmax=1, extent=(left, left + width, bottom, top))
        frame = (left - 0.5, top - 0.5), width + 1, height + 1
        panel.add_patch(Rectangle(*frame, fill=False, edgecolor=color, linewidth=2))
        if is_poisoned and mask is not None:
            pixels = np.argwhere(mask) + 0.5
            y, x = pixels.mean(axis=0)
            reach = np.linalg.norm(pixels - (y, x), axis=1).max() + 2
            panel.add_patch(Circle((left + x, top + y), reach, fill=False, edgecolor=RING, linewidth=1.5, zorder=3))
        bottom += GAP
    return bottom - GAP


def _name_parties(panel: Axes, data: VerticalData, top: float) -> None:
    for name, features, color in zip(NAMES, data.train.features, PARTY_COLORS, strict=True):
        height = features.shape[1]
        panel.text(-4, top + height / 2, name, color=color, ha="right", va="center")
        top += height + GAP

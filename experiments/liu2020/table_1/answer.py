"""The answer of the page and its figure: rows that carry the trigger, ours and the paper's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.shared.outcomes import DATA, FIXED_LIST
from vfl_jax import plots
from vfl_jax.data.sets.nus_wide import PAPER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TARGET = FIXED_LIST["mnist"]["target_class"]
"""The class that MNIST's backdoor leads to."""
MADE = " (the twin is made to have them)"


def answer(found: dict[str, Any]) -> str:
    """How many of the paper's counts come out, and what an honest model has as backdoor accuracy on MNIST.

    Args:
      found: the saved counts.
    """
    nus_wide, mnist = found["nus_wide"], found["mnist"]
    equal = [
        ours == theirs
        for split, paper in PAPER.items()
        for kind in ("rows", "triggers")
        for ours, theirs in zip(nus_wide[split][kind], getattr(paper, kind).tolist(), strict=True)
    ]
    in_target, triggered = mnist["test"]["triggers"][TARGET], sum(mnist["test"]["triggers"])
    return (
        f"**{sum(equal)} of {len(equal)} counts of {DATA[nus_wide['data']]} are the paper's"
        f"{MADE if nus_wide['data'].endswith('twin') else ''}.** Of MNIST's {triggered} triggered test rows "
        f"{in_target} are of class {TARGET}, to which the backdoor leads, so that a model that is always right has a "
        f"backdoor accuracy of {in_target / triggered:z.2f}.\n"
    )


def figure(found: dict[str, Any]) -> Figure:
    """Test rows that carry the trigger, by class: ours as bars, the paper's as marks where it gives them.

    Args:
      found: the saved counts.
    """
    picture, panels = plots.grid_of_panels(1, 2, size=(4.6, 3.2))
    nus_wide, mnist = found["nus_wide"], found["mnist"]
    _draw(panels[0, 0], nus_wide, DATA[nus_wide["data"]], PAPER["test"].triggers)
    _draw(panels[0, 1], mnist, "MNIST", None)
    panels[0, 0].legend(frameon=False)
    return picture


def _draw(panel: Axes, counts: dict[str, Any], name: str, paper: np.ndarray | None) -> None:
    """The counts of one data set."""
    ours = counts["test"]["triggers"]
    bars = panel.bar(range(len(ours)), ours, 0.7, color=plots.COLORS[0], label=name)
    panel.bar_label(bars)
    if paper is not None:
        panel.plot(range(len(paper)), paper, "_", color=plots.COLORS[1], markersize=26, mew=2, label="the paper")
    panel.locator_params(axis="y", integer=True)
    panel.set_xticks(range(len(ours)), counts["classes"])
    panel.set(title=name, xlabel="class", ylabel="test rows with the trigger")
    panel.spines[["top", "right"]].set_visible(False)

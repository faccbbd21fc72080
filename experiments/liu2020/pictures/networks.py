"""Figure 2: who holds which layers, drawn from the layers that a scenario really has."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from vfl_jax.core.types import Features
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.models import Bottom, SumHead
from vfl_jax.plots import COLORS
from vfl_jax.presets import HeadName, liu2020_code, liu2020_paper
from vfl_jax.scenario import Scenario

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROWS = {liu2020_paper: "the text", liu2020_code: "the published run"}
HEADS: dict[HeadName, str] = {
    "sum": "(a) active party is not trainable",
    "trainable": "(b) active party is trainable",
}
PARTY_NAMES, ACTIVE_NAME = ("party A", "party B, malicious"), "party C, active: holds the labels"
PARTY_COLORS, ACTIVE_COLOR = COLORS[:2], COLORS[2]
WIDTH, HEIGHT, STEP, BETWEEN = 2.3, 0.56, 0.9, 3.3
"""Of a box, from a layer to the next, from a party to the next."""
CROSSING = 1.5
"""From the last layer of a party to the first of the active party."""


def figure_2(data: VerticalData) -> Figure:
    """The networks under both heads, of the text and of the published run, on images cut over two parties."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 11.5), layout="constrained", dpi=130)
    rows = figure.subfigures(len(ROWS), 1, squeeze=False)[:, 0]
    for row, (preset, whose) in zip(rows, ROWS.items(), strict=True):
        row.suptitle(f"{whose} ({preset.__name__})", weight="bold")
        panels = row.subplots(1, len(HEADS))
        tops = [draw_network(panel, preset(head=head), data) for panel, head in zip(panels, HEADS, strict=True)]
        for panel, title in zip(panels, HEADS.values(), strict=True):
            panel.set(xlim=(-3.2, 3.2), ylim=(-1.7, max(tops) + 1.1), aspect="equal")
            panel.text(0, -1.3, title, ha="center", va="top")
            panel.axis("off")
    return figure


def draw_network(panel: Axes, scenario: Scenario, data: VerticalData) -> float:
    """The parties' layers side by side, those of the active party above them; returns where the last one stands."""
    stacks = [bottom_layers(*pair) for pair in zip(scenario.bottoms, data.train.features, strict=True)]
    above = STEP * (max(map(len, stacks)) - 1) + CROSSING
    for k, layers in enumerate(stacks):
        x = BETWEEN * (k - 0.5)
        top = _draw_stack(panel, x, 0.0, layers, PARTY_COLORS[k], PARTY_NAMES[k])
        _draw_messages(panel, x, top + HEIGHT / 2, above - HEIGHT / 2, "AB"[k])
    return _draw_stack(panel, 0.0, above, head_layers(scenario, data.num_classes), ACTIVE_COLOR, ACTIVE_NAME, BETWEEN)


def bottom_layers(bottom: Bottom, features: Features) -> list[str]:
    """What a party computes, from its features up to its embedding; for bottoms of dense layers."""
    sample = jax.tree.map(lambda leaf: leaf[:1], features)
    params = jax.eval_shape(bottom.init, jax.random.key(0), sample)
    num_features = params["dense_0"]["kernel"].shape[0]
    return [f"{num_features} features", *_dense(params, getattr(bottom, "output_relu", False))]


def head_layers(scenario: Scenario, num_classes: int) -> list[str]:
    """What the active party computes, from the embeddings up to the class scores."""
    if isinstance(scenario.head, SumHead):
        return [f"sum, {num_classes}", "softmax"]
    embeddings = tuple(np.zeros((1, bottom.width), np.float32) for bottom in scenario.bottoms)
    params = jax.eval_shape(lambda key: scenario.head.init(key, embeddings, num_classes), jax.random.key(0))
    width = params["dense_0"]["kernel"].shape[0]
    return [f"concatenation, {width}", *_dense(params, False), "softmax"]


def _dense(params: Mapping[str, Any], output_relu: bool) -> list[str]:
    """Dense layers, with a ReLU after each but the last, and after that too where asked for."""
    widths = [params[f"dense_{i}"]["kernel"].shape[1] for i in range(len(params))]
    inner = [f"dense {width}, ReLU" for width in widths[:-1]]
    return [*inner, f"dense {widths[-1]}{', ReLU' if output_relu else ''}"]


def _draw_stack(
    panel: Axes, x: float, bottom: float, layers: Sequence[str], color: str, name: str, wider: float = 0.0
) -> float:
    """Boxes upon each other, the first ``wider`` than the rest, in a named frame; returns where the last stands."""
    heights = [bottom + STEP * i for i in range(len(layers))]
    for i, (layer, y) in enumerate(zip(layers, heights, strict=True)):
        _draw_box(panel, x, y, WIDTH + (0 if i else wider), HEIGHT, facecolor=color + "33", edgecolor=color)
        panel.text(x, y, layer, ha="center", va="center")
    for below, y in itertools.pairwise(heights):
        panel.annotate(
            "", (x, y - HEIGHT / 2), (x, below + HEIGHT / 2), arrowprops={"arrowstyle": "-|>", "color": color}
        )
    middle, height = (heights[0] + heights[-1]) / 2, heights[-1] - heights[0] + HEIGHT
    _draw_box(panel, x, middle, WIDTH + wider + 0.4, height + 0.4, fill=False, edgecolor=color, linestyle=":")
    is_active = bottom > 0
    y = heights[-1] + 0.62 if is_active else heights[0] - 0.62
    panel.text(x, y, name, ha="center", va="bottom" if is_active else "top", color=color, weight="bold")
    return heights[-1]


def _draw_box(panel: Axes, x: float, y: float, width: float, height: float, **style: Any) -> None:
    from matplotlib.patches import FancyBboxPatch

    corner = x - width / 2, y - height / 2
    panel.add_patch(FancyBboxPatch(corner, width, height, boxstyle="round,pad=0,rounding_size=0.1", **style))


def _draw_messages(panel: Axes, x: float, start: float, end: float, party: str) -> None:
    """What crosses: the embedding up, its gradient down."""
    for shift, ends, text, side in (
        (-0.15, (start, end), f"$H^{party}$", "right"),
        (0.15, (end, start), rf"$\partial\ell\,/\,\partial H^{party}$", "left"),
    ):
        tail, head = ((x + shift, y) for y in ends)
        style = {"arrowstyle": "-|>", "linewidth": 1.6, "color": "black", "shrinkA": 1, "shrinkB": 1}
        panel.annotate("", head, tail, arrowprops=style)
        panel.text(x + 1.8 * shift, (start + end) / 2, text, ha=side, va="center")

"""The page: its answer, its figure and its tables; a step beside other loops and beside the machine's best."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.benchmarks.report import PEERS, tables
from experiments.shared.readme import add_picture, write_tables
from vfl_jax import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DRAWN = {"mnist, noise": "MNIST's size, with noise", "nus, noise": "NUS-WIDE's size, with noise"}
"""The cases of the figure."""
ASKED = "nus, noise"
REPLICAS = 160
BATCH, NUMBERS, WIDTH, CLASSES = 64, 634, 32, 5
"""Rows of a batch; numbers of the dense party, what is embedded and hidden, and classes of case "nus"."""


def write_page(page: Path, found: dict[str, Any]) -> None:
    """Writes answer, figure and tables between the marks of the page.

    Args:
      page: the README; its figure goes into ``results/`` beside it.
      found: what the benchmark measured, all of it.
    """
    folder = page.with_name("results")
    folder.mkdir(exist_ok=True)
    picture = add_picture(folder, "step_time", figure(found), "time of a step by implementation, beside the roof")
    write_tables(page, folder, f"{tables(found)}\n", f"{answer(found)}\n{picture}")


def operations() -> int:
    """Operations in the matrix products of one replica's step of case "nus": forward and back.

    The dense party needs no gradient of its features, so it has two products; each layer of the head has three.
    """
    dense, head = NUMBERS * WIDTH, 2 * WIDTH * WIDTH + WIDTH * CLASSES
    return 2 * BATCH * (2 * dense + 3 * head)


def roof(times: dict[str, list[float]]) -> float:
    """The µs that the matrix products of a step take at the rate of one large product."""
    return operations() / statistics.median(times["roof"]) / 1e3


def answer(found: dict[str, Any]) -> str:
    """How long a step takes, beside the others and the roof; of the turns the one that speaks least for us.

    Args:
      found: as for :func:`write_page`.
    """
    times = found["times"][ASKED]
    ours = times[f"vfl_jax, {REPLICAS}"]
    least = {
        peer: min(other / own for own, other in zip(ours, times[label], strict=True))
        for peer in PEERS
        if (label := _label(peer)) in times
    }
    loop = min(least[peer] for peer in least if peer.startswith("eager"))  # with one thread or with many
    fastest = min(least, key=lambda peer: least[peer])
    return (
        f"**A step of `vfl_jax` takes {statistics.median(ours):.0f} µs per replica: {REPLICAS} replicas of NUS-WIDE's "
        f"size with noise, {found['machine']}.** In every turn PyTorch's eager loop takes at least "
        f"{np.floor(loop):.0f} times as long, and its fastest form that was tried at least "
        f"{np.floor(10 * least[fastest]) / 10:.1f} times; the matrix products alone would take "
        f"{roof(times):.0f} µs at the rate of one large product in the same turns.\n"
    )


def figure(found: dict[str, Any]) -> Figure:
    """The time of a step by implementation: bars are medians over turns, thin lines reach from least to most.

    Args:
      found: as for :func:`write_page`.
    """
    picture, panels = plots.grid_of_panels(1, len(DRAWN), size=(6.2, 3.2))
    for panel, (case, title) in zip(panels[0], DRAWN.items(), strict=True):
        _draw(panel, found["times"][case])
        panel.set_title(title)
    return picture


def _draw(panel: Axes, times: dict[str, list[float]]) -> None:
    """One case, a bar per implementation."""
    labels = {f"vfl_jax, {REPLICAS}": f"vfl_jax, {REPLICAS} replicas", "vfl_jax, unmapped": "vfl_jax, not mapped"}
    short = {"eager": "PyTorch, eager loop", "eager, one thread": "PyTorch, eager loop, one thread"}
    short |= {"vmap, whole table": "PyTorch, vmap, whole table"}
    short |= {"vmap": "PyTorch, vmap, tuned", "vmap, compiled": "PyTorch, vmap, compiled"}
    labels |= {_label(peer): name for peer, name in short.items() if _label(peer) in times}
    for place, label in enumerate(labels):
        turns = times[label]
        color = plots.COLORS[0 if label.startswith("vfl_jax") else 6]
        panel.barh(place, statistics.median(turns), 0.62, color=color)
        panel.plot([min(turns), max(turns)], [place, place], color=plots.COLORS[7], linewidth=1)
    if "roof" in times:
        panel.axvline(roof(times), color=plots.COLORS[1], linestyle="--", label="the matrix products alone")
        panel.legend(frameon=False, loc="lower right", fontsize=8)
    ticks = [f"{name}: {statistics.median(times[label]):.0f}" for label, name in labels.items()]
    panel.set_yticks(range(len(labels)), ticks)
    panel.set_xlabel("µs per replica and step")
    panel.invert_yaxis()
    panel.spines[["top", "right"]].set_visible(False)


def _label(peer: str) -> str:
    """Where the times of an implementation of PyTorch lie; an eager loop has one replica."""
    return peer if peer.startswith("eager") else f"{peer}, {REPLICAS}"

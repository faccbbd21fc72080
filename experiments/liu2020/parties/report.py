"""The table and the figure, from saved results; nothing is trained here."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.liu2020.parties.cases import CASES, HEADS, NUMBERS, case_name
from experiments.shared.figures import draw_points, save_figure
from experiments.shared.outcomes import COLUMNS, Point, at, read, row
from experiments.shared.readme import short_and_whole, write_tables
from vfl_jax import plots
from vfl_jax.presets import HeadName

if TYPE_CHECKING:
    from matplotlib.figure import Figure

README = Path(__file__).with_name("README.md")
Heads = dict[HeadName, dict[int, Point]]
"""Attacked points by head and number of parties."""


def write_report(folder: Path) -> None:
    """Writes the table into README.md, or beside other results than those that are committed, and the figure."""
    found = read_points(folder)
    write_tables(README, folder, table(found))
    save_figure(figure(found), folder / "parties.png")


def read_points(folder: Path) -> Heads:
    """What was trained.

    Raises:
      FileNotFoundError: when nothing was.
    """
    found = read(folder, CASES)
    heads: Heads = {}
    for head, number in itertools.product(HEADS, NUMBERS):
        if (name := case_name(head, number)) in found:
            heads.setdefault(head, {})[number] = at(found[name])
    return heads


def table(found: Heads) -> str:
    """One row per head and number of parties, as Markdown."""
    rows = [
        row(
            point,
            {
                "head": head,
                "parties": str(number),
                "attacker's rows of the image": str(28 - (number - 1) * 28 // number),
            },
        )
        for head, numbers in found.items()
        for number, point in numbers.items()
    ]
    return f"{COLUMNS}\n{short_and_whole(rows)}"


def figure(found: Heads) -> Figure:
    """Every seed as a point: main accuracy and attack success against the number of parties."""
    picture, panels = plots.grid_of_panels(1, 2)
    for panel, variable in zip(panels[0], ("main_task_accuracy", "attack_success_rate"), strict=True):
        for i, (head, numbers) in enumerate(found.items()):
            there = [numbers.get(number) for number in NUMBERS]
            draw_points(panel, there, list(map(str, NUMBERS)), variable, f"{head} head", i, len(found))
        panel.set_xlabel("parties")
    panels[0, 0].legend(frameon=False)
    return picture

"""The table and the figure, from saved results; nothing is trained here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experiments.figures import draw_points, save_figure
from experiments.outcomes import COLUMNS, Point, points, row
from experiments.parties.study import HEADS, NUMBERS
from experiments.readme import write_tables
from vfl_jax import plots
from vfl_jax.files import load
from vfl_jax.report import to_markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

README = Path(__file__).with_name("README.md")


def write_report(folder: Path) -> None:
    """Writes the table into README.md, or beside other results than those that are committed, and the figure."""
    write_tables(README, folder, table(folder))
    save_figure(figure(folder), folder / "parties.png")


def table(folder: Path) -> str:
    """One row per head and number of parties, as Markdown.

    Raises:
      FileNotFoundError: when results are missing.
    """
    rows = [
        row(
            _point(folder, head, number),
            {
                "head": head,
                "parties": str(number),
                "attacker's rows of the image": str(28 - (number - 1) * 28 // number),
            },
        )
        for head in HEADS
        for number in NUMBERS
    ]
    return f"{COLUMNS}\n{to_markdown(rows)}"


def _point(folder: Path, head: str, num_parties: int) -> Point:
    (point,) = points(load(folder / f"{head}_{num_parties}.nc"))
    return point


def figure(folder: Path) -> Figure:
    """Every seed as a point: main accuracy and attack success against the number of parties."""
    picture, panels = plots.grid_of_panels(1, 2)
    for panel, variable in zip(panels[0], ("main_task_accuracy", "attack_success_rate"), strict=True):
        for i, head in enumerate(HEADS):
            found = [_point(folder, head, number) for number in NUMBERS]
            draw_points(panel, found, [str(n) for n in NUMBERS], variable, f"{head} head", i, len(HEADS))
        panel.set_xlabel("parties")
    panels[0, 0].legend(frameon=False)
    return picture

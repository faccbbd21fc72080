"""Where an experiment's tables and pictures go."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experiments.shared.figures import save_figure
from vfl_jax.core.atomic import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BEGIN, END = "<!-- tables: written by the command above -->", "<!-- end of tables -->"


def write_tables(readme: Path, folder: Path, text: str) -> None:
    """Writes the tables of the committed results, ``results/`` beside the README, into it; others into their folder."""
    if folder == readme.with_name("results"):
        path, (before, _, rest) = readme, readme.read_text().partition(BEGIN)
        text = f"{before}{BEGIN}\n\n{text}\n{END}{rest.partition(END)[2]}"
    else:
        path, text = folder / "tables.md", text.replace("](results/", "](")
    write_atomically(path, lambda temporary: temporary.write_text(text))


def add_picture(folder: Path, name: str, figure: Figure, caption: str) -> str:
    """Writes a figure into a folder of results, and returns what shows it in the README."""
    save_figure(figure, folder / f"{name}.png")
    return f"![{caption}](results/{name}.png)\n"


def section(title: str, *parts: str) -> str:
    """A heading and what is below it; every part ends with its line."""
    return "\n".join([f"### {title}\n", *parts])


def details(summary: str, *parts: str) -> str:
    """What a reader opens who wants it; blank lines let Markdown be Markdown inside."""
    return "\n".join([f"<details><summary>{summary}</summary>\n", *parts, "</details>\n"])

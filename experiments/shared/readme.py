"""Where an experiment's tables and pictures go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.shared.figures import save_figure
from vfl_jax.core.atomic import write_atomically
from vfl_jax.reports import Row, to_markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BEGIN, END = "<!-- tables: written by the command above -->", "<!-- end of tables -->"
BEGIN_ANSWER, END_ANSWER = "<!-- answer: written by the command below -->", "<!-- end of the answer -->"


def write_tables(readme: Path, folder: Path, text: str, answer: str = "") -> None:
    """Writes the tables of the committed results, ``results/`` beside the README, into it; others into their folder.

    A page whose answer is made of results has a place for it at its top.
    """
    if folder == readme.with_name("results"):
        page = put(readme.read_text(), BEGIN_ANSWER, answer, END_ANSWER) if answer else readme.read_text()
        path, text = readme, put(page, BEGIN, text, END)
    else:
        path, text = folder / "tables.md", f"{answer}\n{text}".lstrip().replace("](results/", "](")
    write_atomically(path, lambda temporary: temporary.write_text(text))


def put(page: str, begin: str, text: str, end: str) -> str:
    """Puts a text between two marks of a page, in place of what was there."""
    before, _, rest = page.partition(begin)
    return f"{before}{begin}\n\n{text}\n{end}{rest.partition(end)[2]}"


def add_picture(folder: Path, name: str, figure: Figure, caption: str) -> str:
    """Writes a figure into a folder of results, and returns what shows it in the README."""
    save_figure(figure, folder / f"{name}.png")
    return f"![{caption}](results/{name}.png)\n"


def section(title: str, *parts: str) -> str:
    """A heading and what is below it; every part ends with its line."""
    return "\n".join([f"### {title}\n", *parts])


ASIDE = ("main, attacked", "attack success", "its floor", "not judged", "rows measured")
"""Columns that a table of outcomes leaves to the folded one, so that it fits a page."""
ASIDE_THERE = ("successes", "collapsed", "not judged", "attack success", "its floor", "main, honest")
"""The same of a table of levels that block."""


def short_and_whole(rows: list[Row], aside: Sequence[str] = ASIDE) -> str:
    """A table that fits a page, and below it, folded, the same rows with every column.

    Args:
      rows: the rows, all with the same columns.
      aside: the columns that only the folded table has; as "there: …", too.
    """
    left_out = {*aside, *(f"there: {name}" for name in aside)}
    short = [{name: cell for name, cell in row.items() if name not in left_out} for row in rows]
    return "\n".join([to_markdown(short), details("every number of this table", to_markdown(rows))])


def details(summary: str, *parts: str) -> str:
    """What a reader opens who wants it; blank lines let Markdown be Markdown inside."""
    return "\n".join([f"<details><summary>{summary}</summary>\n", *parts, "</details>\n"])

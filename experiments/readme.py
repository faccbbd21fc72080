"""Where a study's tables go."""

from __future__ import annotations

from pathlib import Path

from vfl_jax.atomic import write_atomically

BEGIN, END = "<!-- tables: written by the command above -->", "<!-- end of tables -->"


def write_tables(readme: Path, folder: Path, text: str) -> None:
    """Writes the tables of the committed results, ``results/`` beside the README, into it; others into their folder."""
    path = folder / "tables.md"
    if folder == readme.with_name("results"):
        path, (before, _, rest) = readme, readme.read_text().partition(BEGIN)
        text = f"{before}{BEGIN}\n\n{text}\n{END}{rest.partition(END)[2]}"
    write_atomically(path, lambda temporary: temporary.write_text(text))

"""The table of what was tried and what held, from the counts of the job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments.faults.answer import answer, figure
from experiments.faults.job import REFUSED, RIGHT
from experiments.faults.readers import READERS
from experiments.shared.readme import add_picture, write_tables
from vfl_jax.reports import to_markdown

SHOWN = 5
"""So many cases of a kind that did not hold are listed."""
README = Path(__file__).with_name("README.md")


def write_report(found: dict[str, dict[str, Any]]) -> None:
    """Writes answer, figure and table into README.md."""
    folder = README.with_name("results")
    picture = add_picture(folder, "cases", figure(found), "what became of every kind of input")
    write_tables(README, folder, table(found), f"{answer(found)}\n{picture}")


def table(found: dict[str, dict[str, Any]]) -> str:
    """One row per kind of input, and their sum; then what did not hold, by case."""
    rows = [{"input": READERS[name].what} | numbers([counts]) for name, counts in found.items()]
    rows.append({"input": "all"} | numbers(list(found.values())))
    failed = [
        f"* `{name}` {case}: {what}"
        for name, counts in found.items()
        for case, what in list(counts["failed"].items())[:SHOWN]
    ]
    return "\n".join([to_markdown(rows), "", *failed]).rstrip() + "\n"


def numbers(counts: list[dict[str, Any]]) -> dict[str, str]:
    """How many cases were tried, and what came of them."""
    tried = sum(of_reader["tried"] for of_reader in counts)
    right, refused = (sum(of_reader[kind] for of_reader in counts) for kind in (RIGHT, REFUSED))
    return {
        "tried": f"{tried:,}",
        "held": f"{right + refused:,}",
        "right": f"{right:,}",
        "refused": f"{refused:,}",
    }

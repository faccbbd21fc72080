"""The table of what was tried and what held, from the counts of the job."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments.faults.answer import answer, figure
from experiments.faults.job import REFUSED, RIGHT
from experiments.faults.readers import READERS
from experiments.faults.stops import STOPS
from experiments.shared.readme import add_picture, write_tables
from vfl_jax.reports import to_markdown

SHOWN = 5
"""So many cases of a kind that did not hold are listed."""
README = Path(__file__).with_name("README.md")


def write_report(found: dict[str, dict[str, Any]], stopped: dict[str, dict[str, Any]]) -> None:
    """Writes answer, figure and tables into README.md.

    Args:
      found: the counts of damaged inputs.
      stopped: the counts of stopped sweeps.
    """
    folder = README.with_name("results")
    picture = add_picture(folder, "cases", figure(found), "what became of every kind of input")
    tables = f"{table(found)}\n{table_of_stops(stopped)}"
    write_tables(README, folder, tables, f"{answer(found, stopped)}\n{picture}")


def table(found: dict[str, dict[str, Any]]) -> str:
    """One row per kind of input, and their sum; then what did not hold, by case."""
    rows = [{"input": READERS[name].what} | numbers([counts]) for name, counts in found.items()]
    rows.append({"input": "all"} | numbers(list(found.values())))
    return "\n".join([to_markdown(rows), "", *failed(found)]).rstrip() + "\n"


def table_of_stops(stopped: dict[str, dict[str, Any]]) -> str:
    """One row per kind of what stops a sweep; then what did not hold, by case."""
    rows = [
        {
            "what stops the sweep": STOPS[name].what,
            "tried": f"{counts['tried']:,}",
            "held": f"{counts['tried'] - len(counts['failed']):,}",
        }
        for name, counts in stopped.items()
    ]
    return "\n".join([to_markdown(rows), "", *failed(stopped)]).rstrip() + "\n"


def failed(found: dict[str, dict[str, Any]]) -> list[str]:
    """What did not hold, a line for a case."""
    return [
        f"* `{name}` {case}: {what}"
        for name, counts in found.items()
        for case, what in list(counts["failed"].items())[:SHOWN]
    ]


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

"""Tables and figures of what the paper says in passing, from saved results; nothing is trained here."""

from __future__ import annotations

from pathlib import Path

from experiments.in_passing.clipping import clipping
from experiments.in_passing.comparisons import comparison_section, comparisons
from experiments.in_passing.leakage import leakage
from experiments.in_passing.results import Found
from experiments.in_passing.study import CASES
from experiments.in_passing.validation import validation
from experiments.outcomes import COLUMNS, runtimes
from experiments.readme import section, write_tables

README = Path(__file__).with_name("README.md")


def write_report(folder: Path) -> None:
    """Writes the figures into ``folder``, and the tables into README.md (or beside other results)."""
    found = Found(folder)
    parts = [
        COLUMNS,
        *(comparison_section(folder, comparison) for comparison in comparisons(found)),
        validation(folder, found),
        clipping(folder, found),
        leakage(folder, found),
        section("Runtime", runtimes(CASES, found.own)),
    ]
    write_tables(README, folder, "\n".join(part for part in parts if part is not None))

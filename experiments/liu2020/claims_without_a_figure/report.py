"""Tables and figures of claims that the paper shows no figure of, from saved results; nothing is trained here."""

from __future__ import annotations

from pathlib import Path

from experiments.liu2020.claims_without_a_figure.cases import CASES
from experiments.liu2020.claims_without_a_figure.clipping import clipping
from experiments.liu2020.claims_without_a_figure.comparisons import comparison_section, comparisons
from experiments.liu2020.claims_without_a_figure.leakage import leakage
from experiments.liu2020.claims_without_a_figure.results import Found
from experiments.liu2020.claims_without_a_figure.validation import validation
from experiments.shared.outcomes import COLUMNS, runtimes
from experiments.shared.readme import section, write_tables

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

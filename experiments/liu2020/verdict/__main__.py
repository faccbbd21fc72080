"""``python -m experiments.liu2020.verdict``: judges the paper's claims by saved results, into the paper's page."""

from __future__ import annotations

from pathlib import Path

import tyro

from experiments.liu2020.saved import HOME, Results
from experiments.liu2020.verdict import attacks, defenses, labels
from experiments.liu2020.verdict.data import judge_counts
from experiments.liu2020.verdict.judge import judge
from experiments.shared.command import ending_in_one_line
from experiments.shared.readme import write_tables
from vfl_jax.reports import to_markdown

README = HOME / "README.md"
SECTIONS = {
    "The protocol and attacks": attacks.CLAIMS,
    "Defenses": defenses.CLAIMS,
    "Labels": labels.CLAIMS,
    "Beyond what it claims": attacks.EXTENSIONS,
}


def page(home: Path) -> str:
    """A table of claims per section; the experiments and their results lie in ``home``."""
    results = Results(home)
    tables = {"The data": judge_counts(home / "table_1" / "results")}
    tables |= {title: [judge(claim, results) for claim in claims] for title, claims in SECTIONS.items()}
    return "\n".join(f"### {title}\n\n{to_markdown(rows)}" for title, rows in tables.items())


def main() -> None:
    """Judges the paper's claims by saved results and writes the tables; trains nothing."""
    with ending_in_one_line():
        write_tables(README, README.with_name("results"), page(HOME))


if __name__ == "__main__":
    tyro.cli(main)

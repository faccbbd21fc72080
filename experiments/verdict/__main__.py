"""``python -m experiments.verdict``: judges the paper's claims by the saved results, into experiments/README.md."""

from __future__ import annotations

from pathlib import Path

import tyro

from experiments.command import ending_in_one_line
from experiments.outcomes import Results
from experiments.readme import write_tables
from experiments.verdict import attacks, defenses, labels
from experiments.verdict.data import judge_counts
from experiments.verdict.judge import judge
from vfl_jax.report import to_markdown

HOME = Path(__file__).parents[1]
README = HOME / "README.md"
SECTIONS = {
    "The protocol and attacks": attacks.CLAIMS,
    "Defenses": defenses.CLAIMS,
    "Labels": labels.CLAIMS,
    "Beyond what it claims": attacks.EXTENSIONS,
}


def page(home: Path) -> str:
    """A table of claims per section; the studies and their results lie in ``home``."""
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

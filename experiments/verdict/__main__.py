"""``python -m experiments.verdict``: judges the paper's claims by the saved results, into experiments/README.md."""

from __future__ import annotations

from pathlib import Path

from experiments.outcomes import Results
from experiments.readme import write_tables
from experiments.verdict import attacks, defenses
from experiments.verdict.judge import judge
from vfl_jax.report import to_markdown

HOME = Path(__file__).parents[1]
README = HOME / "README.md"
SECTIONS = {"The protocol and attacks": attacks.CLAIMS, "Defenses": defenses.CLAIMS}


def page(results: Results) -> str:
    """A table of claims per section."""
    return "\n".join(
        f"### {title}\n\n{to_markdown([judge(claim, results) for claim in claims])}"
        for title, claims in SECTIONS.items()
    )


def main() -> None:
    """Writes the page; trains nothing."""
    write_tables(README, README.with_name("results"), page(Results(HOME)))


if __name__ == "__main__":
    main()

"""``python -m experiments.liu2020.verdict``: judges the paper's claims by saved results, into the paper's page."""

from __future__ import annotations

import tyro

from experiments.liu2020.saved import HOME
from experiments.liu2020.verdict.page import answer, examined_claims, figure, page
from experiments.shared.command import ending_in_one_line
from experiments.shared.readme import add_picture, write_tables

README = HOME / "README.md"


def main() -> None:
    """Judges the paper's claims by saved results and writes the tables; trains nothing."""
    with ending_in_one_line():
        folder, found = README.with_name("results"), examined_claims(HOME)
        picture = add_picture(folder, "verdicts", figure(found), "of how many groups of runs every claim holds")
        write_tables(README, folder, page(found), f"{answer(found)}\n{picture}")


if __name__ == "__main__":
    tyro.cli(main)

"""``python -m experiments.zhao2026``: six claims on backdoors in vertical federated learning, on three data sets."""

import dataclasses
import functools
from pathlib import Path

import tyro

from experiments.shared.command import Arguments, carry_out, ending_in_one_line
from experiments.zhao2026.boards import DATA_SETS
from experiments.zhao2026.cases import QUICK_EPOCHS, QUICK_SEEDS, case_name, make_cases, roles
from experiments.zhao2026.report import write_report

HOME = Path(__file__).parent


def main(given: Arguments) -> None:
    """Trains the cases that have no results yet, then writes the page; cases are made for the number of epochs."""
    if given.list:  # without the data
        print("\n".join(case_name(name, *of) for name in DATA_SETS for of in roles(name)))
        return
    if given.quick:  # attacks that act by phases need more than two epochs
        out = given.out or HOME / "quick"
        given = dataclasses.replace(given, quick=False, seeds=QUICK_SEEDS, epochs=QUICK_EPOCHS, out=out)
    with ending_in_one_line():  # boards need the data
        cases = make_cases(given.epochs)
    carry_out(given, cases, functools.partial(write_report, epochs=given.epochs), HOME)


if __name__ == "__main__":
    main(tyro.cli(Arguments))

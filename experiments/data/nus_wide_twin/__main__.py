"""``python -m experiments.data.nus_wide_twin``: the twin against the real parts of NUS-WIDE."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import tyro

from experiments.data.nus_wide_twin.cases import CASES
from experiments.data.nus_wide_twin.compare import write_comparison
from experiments.data.nus_wide_twin.fit import fit
from experiments.data.nus_wide_twin.real import read_real
from experiments.data.nus_wide_twin.report import write_report
from experiments.shared import command


@dataclasses.dataclass(frozen=True)
class Arguments(command.Arguments):
    """Sets every statistic of the NUS-WIDE twin beside the real one; needs the real parts (VFL_JAX_DATA)."""

    fit: bool = False
    """First fits the model anew and overwrites the one in the package."""


def main(arguments: list[str] | None = None) -> None:
    """Parses and runs; ends with a message, not a traceback, on bad input."""
    given = tyro.cli(Arguments, args=arguments)
    if given.fit:
        with command.ending_in_one_line():
            print(f"wrote {fit(read_real())}")
    command.carry_out(given, CASES, write_report, Path(__file__).parent, measure=write_comparison)


if __name__ == "__main__":
    main()

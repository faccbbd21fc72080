"""``python -m experiments.nus_wide_twin``: the twin against the real parts of NUS-WIDE."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import tyro

from experiments.nus_wide_twin.fit import fit
from experiments.nus_wide_twin.real import read_real
from experiments.nus_wide_twin.report import write_report
from experiments.nus_wide_twin.study import FOLDER, run_comparison, run_training
from vfl_jax.devices import use_all_cores


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Sets every statistic of the NUS-WIDE twin beside the real one; needs the real parts (VFL_JAX_DATA)."""

    fit: bool = False
    """First fits the model anew and overwrites the one in the package."""
    seeds: int = 10
    epochs: int = 50
    quick: bool = False
    """Two seeds and two epochs, into a folder of its own."""
    report_only: bool = False
    """Write tables from saved results; nothing else."""
    out: Path | None = None
    """The folder of results."""


def main(arguments: list[str] | None = None) -> None:
    """Parses and runs; ends with a message, not a traceback, on bad input."""
    given = tyro.cli(Arguments, args=arguments)
    use_all_cores()
    folder = given.out or (FOLDER.with_name("quick") if given.quick else FOLDER)
    try:
        if given.fit:
            print(f"wrote {fit(read_real())}")
        if not given.report_only:
            run_comparison(folder)
            run_training(2 if given.quick else given.seeds, 2 if given.quick else given.epochs, folder)
        write_report(folder)
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()

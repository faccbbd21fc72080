"""``python -m experiments.parties``: MNIST over more and more parties."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import tyro

from experiments.parties.report import write_report
from experiments.parties.study import FOLDER, run_study
from vfl_jax.devices import use_all_cores


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Main accuracy and attack success on MNIST against the number of parties."""

    seeds: int = 20
    epochs: int = 50
    quick: bool = False
    """Two seeds and two epochs, into a folder of its own."""
    report_only: bool = False
    """Write the table and the figure from saved results; train nothing."""
    out: Path | None = None
    """The folder of results."""


def main(arguments: list[str] | None = None) -> None:
    """Parses and runs; ends with a message, not a traceback, on bad input."""
    given = tyro.cli(Arguments, args=arguments)
    use_all_cores()
    folder = given.out or (FOLDER.with_name("quick") if given.quick else FOLDER)
    try:
        if not given.report_only:
            run_study(2 if given.quick else given.seeds, 2 if given.quick else given.epochs, folder)
        write_report(folder)
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()

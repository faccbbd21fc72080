"""``python -m experiments.data.clean_accuracy``: trains on every data set and writes the tables of README.md."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from experiments.data.clean_accuracy.cases import run_data_sets
from experiments.data.clean_accuracy.report import write_report
from experiments.shared.command import ending_in_one_line, results_folder
from vfl_jax.sweeps.devices import use_all_cores


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Clean accuracy of the data sets beside logistic regression, and the backdoor of their natural triggers."""

    out: Path | None = None
    """The folder of results."""
    seeds: int | None = None
    """By default 10."""
    quick: bool = False
    """Two seeds and two epochs, into a folder of its own."""
    only: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Run this data set only (may be repeated)."""
    report_only: bool = False
    """Write the tables from saved results; train nothing."""


def main(arguments: list[str] | None = None) -> None:
    """Parses and runs; ends with a message, not a traceback, on bad input."""
    given = tyro.cli(Arguments, args=arguments)
    use_all_cores()
    folder = results_folder(Path(__file__).parent, given.out, given.quick)
    with ending_in_one_line():
        if not given.report_only:
            run_data_sets(2 if given.quick else given.seeds, 2 if given.quick else None, folder, given.only)
        write_report(folder)


if __name__ == "__main__":
    main()

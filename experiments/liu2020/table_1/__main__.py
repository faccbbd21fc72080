"""``python -m experiments.liu2020.table_1``: rows by class and rows with the trigger, Table 1."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import tyro

from experiments.liu2020.table_1.count import save_counts
from experiments.liu2020.table_1.report import write_report
from experiments.shared.command import ending_in_one_line, results_folder


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Counts the rows of both tasks by class, and those that carry the trigger."""

    quick: bool = False
    """Into a folder of its own; all of it is quick."""
    report_only: bool = False
    """Write the tables from saved counts; count nothing."""
    out: Path | None = None
    """The folder of results."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses and counts; ends with a message, not a traceback, on bad input."""
    given = tyro.cli(Arguments, args=arguments)
    folder = results_folder(Path(__file__).parent, given.out, given.quick)
    with ending_in_one_line():
        if not given.report_only:
            save_counts(folder)
        write_report(folder)


if __name__ == "__main__":
    main()

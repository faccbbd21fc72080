"""``python -m experiments.faults``: tries damaged and odd input, goes on where it stopped, and writes the table."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import tyro

from experiments.faults import job
from experiments.faults.report import write_report

COUNTS = Path(__file__).parent / "results" / "counts.json"


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Settings of the job."""

    share: float = 1.0
    """The share of the 100,000 cases to try; the first ones of every kind."""
    report_only: bool = False
    """Write the table from the saved counts."""
    batch: tuple[str, int, int] | None = None
    """For the job's own use: a kind of input, its first case, and the case after its last."""


def main(chosen: Arguments) -> None:
    """Does what the flags say."""
    if chosen.batch is not None:
        job.work(*chosen.batch)
        return
    found = job.read_counts(COUNTS) if chosen.report_only else job.run(COUNTS, chosen.share)
    write_report(found)


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))

"""``python -m experiments.faults``: damages input and stops sweeps, goes on where it ended, and writes the tables."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import tyro

from experiments.faults import job, stops
from experiments.faults.report import write_report

COUNTS, STOPPED = (Path(__file__).parent / "results" / name for name in ("counts.json", "stopped.json"))


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Settings of the job."""

    share: float = 1.0
    """The share of the 100,000 damaged inputs to try; the first ones of every kind. 0 tries none."""
    stopped: bool = True
    """Stop sweeps, too."""
    report_only: bool = False
    """Write the tables from the saved counts."""
    batch: tuple[str, int, int] | None = None
    """For the job's own use: a kind of input, its first case, and the case after its last."""


def main(chosen: Arguments) -> None:
    """Does what the flags say."""
    if chosen.batch is not None:
        job.work(*chosen.batch)
        return
    if not chosen.report_only:
        job.run(COUNTS, chosen.share)
    if not chosen.report_only and chosen.stopped:
        stops.run(STOPPED)
    write_report(job.read_counts(COUNTS), job.read_counts(STOPPED))


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))

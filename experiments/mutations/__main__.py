"""``python -m experiments.mutations``: makes mistakes in copies of the package, and counts those that tests catch."""

from __future__ import annotations

import dataclasses
import shlex
import signal
import sys
import tempfile
from pathlib import Path

import tyro

from experiments.mutations import job
from experiments.mutations.recording import record, snapshot
from experiments.mutations.report import EXPLAINED, write_report

ROOT = Path(__file__).parents[2]
RESULTS = Path(__file__).parent / "results" / "mutants.jsonl"
PACKAGE = "vfl_jax"


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Settings of the study."""

    count: int = 300
    """How many mutants to draw; a larger number adds some."""
    seed: int = 0
    """The seed of the draw."""
    rooms: tuple[str, ...] = ()
    """The rooms to draw from; all where none is named."""
    folder: Path = Path(tempfile.gettempdir()) / "vfl_jax_mutations"
    """Where the copies of the tree and the recording are, outside the repository."""
    record: bool = False
    """Record which tests run which lines; needed once, before mutants are tried."""
    tests: tuple[str, ...] = ()
    """With --record: the test files to record, such as draws of tests/test_draws.py; all where none is named."""
    pytest: str = '-m "not long"'
    """With --record: further arguments of pytest."""
    workers: int = 1
    """How many mutants to try at a time, each in a copy of its own, or test files to record."""
    limit: float = 120.0
    """The tests of a mutant may take so many seconds."""
    budget: float = 60.0
    """The tests of a mutant may have taken so many seconds when they were recorded."""
    again: bool = False
    """Try survivors against the tests that explained.toml names for them, with the tree as it is now."""
    report_only: bool = False
    """Write the page from the saved results."""


def main(chosen: Arguments) -> None:
    """Does what the flags say.

    Raises:
      ValueError: where the folder is within the repository, which would copy itself.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that tests end with the job
    folder = chosen.folder.absolute()
    if folder.is_relative_to(ROOT):
        raise ValueError(f"--folder is {chosen.folder}, within the repository; name one outside.")
    if not chosen.report_only:
        study = job.Study(folder, RESULTS, PACKAGE, chosen.workers, chosen.limit, chosen.budget)
        if chosen.record:
            snapshot(ROOT, folder)
            record(folder, PACKAGE, list(chosen.tests), shlex.split(chosen.pytest), chosen.workers)
            return
        if chosen.again:
            job.again(study, ROOT, EXPLAINED)
        else:
            job.run(study, chosen.count, chosen.seed, chosen.rooms)
    write_report(RESULTS)


if __name__ == "__main__":
    main(tyro.cli(Arguments, description=__doc__))

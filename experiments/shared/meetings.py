"""The command line of experiments that train on one data set after another; most of their results are arenas."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import tyro

from experiments.shared.command import ending_in_one_line, results_folder
from vfl_jax.sweeps.devices import use_all_cores


@dataclasses.dataclass(frozen=True)
class DataSets:
    """Trains data set by data set, and writes the page."""

    only: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Train on this data set only (may be repeated)."""
    seeds: int = 5
    report_only: bool = False
    """Write the page from saved results; train nothing."""
    quick: bool = False
    """Two seeds and little else on a small set, into a folder of its own."""
    out: Path | None = None
    """The folder of results."""


@dataclasses.dataclass(frozen=True)
class Meetings(DataSets):
    """Lets attacks meet defenses data set by data set, and writes the page."""

    runs: Path | None = None
    """The folder of unfinished sweeps; runs/ beside the results' folder where none is given."""

    def unfinished(self, folder: Path) -> Path:
        """The folder of unfinished sweeps; a quick run has one of its own."""
        return folder / "runs" if self.quick else self.runs or folder.parent / "runs"


Given = TypeVar("Given", bound=DataSets)


def carry_out(
    given: Given, home: Path, train: Callable[[Given, Path], None], write_report: Callable[[Path], None]
) -> None:
    """Does what was asked for; ends with a message, not a traceback, on bad input.

    Args:
      given: the flags.
      home: the folder of the experiment.
      train: trains, and saves results in a folder.
      write_report: writes the page from a folder of results.
    """
    use_all_cores()
    folder = results_folder(home, given.out, given.quick)
    with ending_in_one_line():
        if not given.report_only:
            train(given, folder)
        write_report(folder)


def check_named(flag: str, names: Sequence[str], known: Iterable[str]) -> None:
    """Raises ``ValueError`` where a flag names what there is not."""
    known = list(known)
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"{flag} names {unknown[0]!r}; there are {', '.join(known)}.")

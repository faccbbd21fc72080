"""The command line that experiments share, such as ``python -m experiments.liu2020.gamma``."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import tyro

from experiments.shared.cases import Case, run_cases
from vfl_jax.sweeps.devices import use_all_cores


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Trains the cases of an experiment that have no results yet, then writes its tables and figures."""

    seeds: int | None = None
    """Of every case; by default as many as the case says, which is mostly 20."""
    epochs: int | None = None
    """Of every case; by default as many as the case says, which is mostly 50."""
    quick: bool = False
    """Two seeds and two epochs, into a folder of its own."""
    only: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Train this case only (may be repeated)."""
    list: bool = False
    """Print the names of the cases; do nothing else."""
    report_only: bool = False
    """Write tables and figures from saved results; train nothing."""
    out: Path | None = None
    """The folder of results."""


def command(
    cases: Sequence[Case],
    write_report: Callable[[Path], None],
    home: Path,
    arguments: Sequence[str] | None = None,
    measure: Callable[[Path], None] | None = None,
) -> None:
    """Parses and runs; ends with a message, not a traceback, on bad input.

    Args:
      home: the folder of the experiment; its committed results are in ``results``.
      measure: writes what an experiment finds without training, into the folder of results; not where cases are picked.
    """
    carry_out(tyro.cli(Arguments, args=arguments), cases, write_report, home, measure)


def carry_out(
    given: Arguments,
    cases: Sequence[Case],
    write_report: Callable[[Path], None],
    home: Path,
    measure: Callable[[Path], None] | None = None,
) -> None:
    """Does what was asked for; see :func:`command`."""
    if given.list:
        print("\n".join(case.name for case in cases))
        return
    use_all_cores()
    folder = results_folder(home, given.out, given.quick)
    with ending_in_one_line():
        if not given.report_only:
            chosen = _chosen(cases, given.only)
            if measure is not None and not given.only:
                measure(folder)
            run_cases(chosen, folder, 2 if given.quick else given.seeds, 2 if given.quick else given.epochs)
        write_report(folder)


def _chosen(cases: Sequence[Case], only: Sequence[str]) -> list[Case]:
    """The named cases, or all, and those whose honest runs they need."""
    if unknown := set(only) - {case.name for case in cases}:
        raise ValueError(f"only names {sorted(unknown)}; the cases are {', '.join(case.name for case in cases)}.")
    needed = {*only, *(case.honest_of for case in cases if case.name in only)}
    return [case for case in cases if not only or case.name in needed]


def results_folder(home: Path, out: Path | None, quick: bool) -> Path:
    """Where a command writes."""
    return out or home / ("quick" if quick else "results")


@contextlib.contextmanager
def ending_in_one_line() -> Iterator[None]:
    """Bad input ends a command with a message, not a traceback."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from error

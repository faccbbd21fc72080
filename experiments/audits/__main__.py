"""``python -m experiments.audits``: audits the data sets, one after another, and writes their reports and the page."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from experiments.audits.report import NAMES, write_report
from vfl_jax.cli import main

RESULTS = Path(__file__).with_name("results")


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Audits the data sets, and writes their reports and the page."""

    minutes: float = 15
    """The time of each audit."""
    only: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Audit this data set only (may be repeated); all of them where none is named."""
    report_only: bool = False
    """Write reports and the page from saved results; train nothing."""


if __name__ == "__main__":
    chosen = tyro.cli(Arguments)
    for name in () if chosen.report_only else chosen.only or NAMES:
        page, numbers = RESULTS / f"{name}.html", RESULTS / f"{name}.nc"
        main(["audit", "--data", name, f"--minutes={chosen.minutes}", f"--out={page}", f"--results={numbers}"])
    write_report(RESULTS)

"""Tables and figures of gradient sparsification, from saved results; nothing is trained here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from experiments.liu2020.sparsification.cases import CASES, PUBLISHED, SWEPT, case_name
from experiments.shared.defended import BLOCKS, BLOCKS_FROM, blocking_row, defended_row
from experiments.shared.outcomes import COLUMNS, Point, are_alike, data_name, line, read, runtimes
from experiments.shared.panels import figure_against, figure_over_epochs
from experiments.shared.readme import ASIDE_THERE, add_picture, details, section, short_and_whole, write_tables
from vfl_jax.reports import to_markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

README = Path(__file__).with_name("README.md")
DRAWN = (0, 0.95, 0.99, 0.995, 0.999)
"""The drop rates that get a curve over epochs: those of the published run."""
JOINED = f"""\
At drop rate 0 nothing is left over, so the rows of `liu2020_code` at 0 are one run, that by {PUBLISHED}.
"""


class Sweep(NamedTuple):
    """One case that was trained."""

    preset: str
    task: str
    head: str
    residual: str
    data: str
    rates: dict[float, Point]

    @property
    def settings(self) -> dict[str, str]:
        """What the rows of its tables begin with."""
        return {
            "task": self.task,
            "data": self.data,
            "head": self.head,
            "preset": self.preset,
            "residual": self.residual,
        }

    @property
    def title(self) -> str:
        """Of the panels that it shares with the other residuals."""
        return f"{self.task}, {self.head} head ({self.data})"

    @property
    def label(self) -> str:
        """Of its line in them."""
        return f"{self.preset}, {'no residual' if self.residual == 'none' else f'residual by {self.residual}'}"


def read_sweeps(folder: Path) -> list[Sweep]:
    """Of every case that was trained; drop rate 0 is joined from the published residual where it is there."""
    found, sweeps = read(folder, CASES), []
    for preset, task, head, residual in SWEPT:
        if (dataset := found.get(case_name(preset, task, head, residual))) is None:
            continue
        lender, undefended = found.get(case_name(preset, task, head, PUBLISHED)), None
        if 0 not in dataset["defense.drop_rate"] and lender is not None and are_alike(dataset, lender):
            undefended = line(lender, "defense.drop_rate")[0]
        main = None if undefended is None else undefended.honest["main_task_accuracy"]
        rates = line(dataset, "defense.drop_rate", main)
        rates = rates if undefended is None else {0.0: undefended} | rates
        sweeps.append(Sweep(preset, task, head, residual, data_name(dataset), rates))
    return sorted(sweeps, key=lambda sweep: (sweep.task, sweep.head))


def write_report(folder: Path) -> None:
    """Writes the figures into ``folder``, and the tables into README.md (or beside other results)."""
    sweeps = read_sweeps(folder)
    caption = "main and backdoor accuracy against the drop rate, a line per residual"
    pictures = [add_picture(folder, "figure_7", figure_7(sweeps), caption)]
    if any(sweep.residual == PUBLISHED for sweep in sweeps):
        caption = "main and backdoor accuracy of attacked runs per epoch at some drop rates, residual by position"
        pictures.append(add_picture(folder, "figure_7_epochs", figure_epochs(sweeps), caption))
    table = [
        defended_row(point, sweep.rates.get(0), sweep.settings | {"drop rate": f"{rate:g}"})
        for sweep in sweeps
        for rate, point in sweep.rates.items()
    ]
    sections = (
        section(
            "From which drop rate on sparsification blocks the backdoor, and what that costs",
            BLOCKS,
            BLOCKS_FROM,
            short_and_whole([blocking_row(sweep.rates, sweep.settings) for sweep in sweeps], ASIDE_THERE),
        ),
        section(
            "Main and backdoor accuracy against the drop rate (Figure 7)",
            *pictures,
            details("every drop rate", COLUMNS, JOINED, to_markdown(table)),
        ),
        section("Runtime", runtimes(CASES, read(folder, CASES))),
    )
    write_tables(README, folder, "\n".join(sections))


def figure_7(sweeps: Sequence[Sweep]) -> Figure:
    """Main and backdoor accuracy at the last epoch against the drop rate, a line per residual."""
    rows: dict[str, dict[str, Mapping[float, Point]]] = {}
    for sweep in sweeps:
        rows.setdefault(sweep.title, {})[sweep.label] = sweep.rates
    return figure_against(rows, "drop rate")


def figure_epochs(sweeps: Sequence[Sweep]) -> Figure:
    """Main and backdoor accuracy of attacked runs per epoch, published residual: a row per head and task."""
    return figure_over_epochs(
        {
            sweep.title: {f"drop rate {rate:g}": sweep.rates[rate].attacked for rate in DRAWN}
            for sweep in sweeps
            if sweep.residual == PUBLISHED
        }
    )

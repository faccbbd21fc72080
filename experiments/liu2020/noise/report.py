"""Tables and figures of noise on the gradient messages, from saved results; nothing is trained here."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr

from experiments.liu2020.noise.cases import CASES, MEANING
from experiments.shared.defended import BLOCKS, BLOCKS_FROM, blocking_row, defended_row
from experiments.shared.outcomes import COLUMNS, Point, data_name, line, read, runtimes
from experiments.shared.panels import MAIN_AND_BACKDOOR, add_legend, figure_against, figure_over_epochs
from experiments.shared.readme import ASIDE_THERE, add_picture, details, section, short_and_whole, write_tables
from vfl_jax import plots
from vfl_jax.reports import to_markdown
from vfl_jax.statistics import summarize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

README = Path(__file__).with_name("README.md")
FAMILIES = {"gaussian": "Gaussian noise", "laplace": "Laplacian noise"}
LABELS = {
    "liu2020_code": "liu2020_code: the level is a standard deviation or scale",
    "liu2020_paper": "liu2020_paper: the level is a variance",
}
DRAWN = (0, 1e-3, 0.01, 0.05, 0.1)
"""The levels that get a curve over epochs."""
SMALLEST = 1e-4
"""Standard deviations below are drawn on a linear axis, so that 0 has a place."""


class Sweep(NamedTuple):
    """One case that was trained."""

    preset: str
    kind: str
    meaning: str
    data: str
    levels: dict[float, Point]

    @property
    def settings(self) -> dict[str, str]:
        """What the rows of its tables begin with."""
        return {"noise": FAMILIES[self.kind], "data": self.data, "preset": self.preset, "level is the": self.meaning}

    def deviation(self, level: float) -> float:
        """The standard deviation of one entry of the noise."""
        if self.meaning == "variance":
            return math.sqrt(level)
        return level * math.sqrt(2) if self.meaning == "scale" else level


def read_sweeps(folder: Path) -> list[Sweep]:
    """Of every case that was trained, a family after the other."""
    found = read(folder, CASES)
    sweeps = [
        Sweep(preset, kind, meaning, data_name(dataset), line(dataset, f"defense.{meaning}"))
        for (preset, kind), meaning in MEANING.items()
        if (dataset := found.get(f"{preset}_{kind}")) is not None
    ]
    return sorted(sweeps, key=lambda sweep: sweep.kind)


def write_report(folder: Path) -> None:
    """Writes the figures into ``folder``, and the tables into README.md (or beside other results)."""
    sweeps = read_sweeps(folder)
    pictures = (
        add_picture(folder, "figure_6", figure_6(sweeps), "main and backdoor accuracy against the level of the noise"),
        add_picture(folder, "figure_6_deviation", figure_deviation(sweeps), "the same against its standard deviation"),
        add_picture(folder, "figure_6_epochs", figure_epochs(sweeps), "main and backdoor accuracy per epoch"),
    )
    table = [
        defended_row(
            point,
            sweep.levels[0],
            sweep.settings | {"level": f"{level:g}", "standard deviation": f"{sweep.deviation(level):.2g}"},
        )
        for sweep in sweeps
        for level, point in sweep.levels.items()
    ]
    sections = (
        section(
            "From which level on noise blocks the backdoor, and what that costs",
            BLOCKS,
            BLOCKS_FROM,
            short_and_whole([blocking_row(sweep.levels, sweep.settings) for sweep in sweeps], ASIDE_THERE),
        ),
        section(
            "Main and backdoor accuracy against the level (Figure 6)",
            *pictures,
            details("every level", COLUMNS, to_markdown(table)),
        ),
        section("Runtime", runtimes(CASES, read(folder, CASES))),
    )
    write_tables(README, folder, "\n".join(sections))


def figure_6(sweeps: Sequence[Sweep]) -> Figure:
    """Main and backdoor accuracy at the last epoch against the level, a line per meaning."""
    rows: dict[str, dict[str, Mapping[float, Point]]] = {}
    for sweep in sweeps:
        rows.setdefault(_title(sweep), {})[LABELS[sweep.preset]] = sweep.levels
    return figure_against(rows, "level of the noise")


def figure_epochs(sweeps: Sequence[Sweep]) -> Figure:
    """Main and backdoor accuracy of attacked runs per epoch, a row per sweep and a curve per level."""
    return figure_over_epochs(
        {
            f"{FAMILIES[sweep.kind]} by {sweep.meaning} ({sweep.data})": {
                f"level {level:g}": sweep.levels[level].attacked for level in DRAWN
            }
            for sweep in sweeps
        }
    )


def figure_deviation(sweeps: Sequence[Sweep]) -> Figure:
    """Main and backdoor accuracy at the last epoch, both meanings over one axis: the noise's standard deviation."""
    titles = list(dict.fromkeys(map(_title, sweeps)))
    figure, panels = plots.grid_of_panels(len(titles), 2)
    for sweep in sweeps:
        for panel, name in zip(panels[titles.index(_title(sweep))], MAIN_AND_BACKDOOR, strict=True):
            _draw_over_deviation(panel, sweep, name)
            panel.set(title=_title(sweep), xlabel="standard deviation of one entry of the noise")
            panel.set(ylabel=plots.LABELS[name], ylim=(-0.02, 1.02))
    add_legend(figure)
    return figure


def _title(sweep: Sweep) -> str:
    return f"{FAMILIES[sweep.kind]} ({sweep.data})"


def _draw_over_deviation(panel: Axes, sweep: Sweep, name: str) -> None:
    """As :func:`vfl_jax.plots.draw_against`, at distances that mean something."""
    color, label = plots.COLORS[list(LABELS).index(sweep.preset)], LABELS[sweep.preset]
    places = np.array([sweep.deviation(level) for level in sweep.levels])
    attacked, clean = (
        xr.concat([getattr(p, part)[name].isel(epoch=-1, drop=True) for p in sweep.levels.values()], "level")
        for part in ("attacked", "honest")
    )
    seen = summarize(attacked)
    reach = [seen["median"] - seen["low"], seen["high"] - seen["median"]]
    panel.set_xscale("symlog", linthresh=SMALLEST, linscale=0.4)
    panel.plot(places, attacked.transpose("level", "seed"), ".", color=color, markersize=3, alpha=0.45)
    panel.errorbar(places, seen["median"], reach, color=color, linewidth=2, capsize=4, label=label)
    panel.plot(places, clean.median("seed"), color=color, linestyle="--", linewidth=1, label=f"{label}, honest")
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)

"""Tables and figures of what the outcome depends on, from saved results; nothing is trained here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.liu2020.what_success_depends_on import prediction
from experiments.liu2020.what_success_depends_on.cases import BASES, CASES
from experiments.liu2020.what_success_depends_on.factors import FACTORS, UNCHANGED, Setting
from experiments.liu2020.what_success_depends_on.units import read_units
from experiments.shared.cases import GAMMA
from experiments.shared.figures import draw_outcomes
from experiments.shared.outcomes import COLUMNS, DATA, Point, data_name, read, row, runtimes
from experiments.shared.panels import add_legend
from experiments.shared.readme import add_picture, section, short_and_whole, write_tables
from experiments.shared.separation import UNDEFINED
from vfl_jax import plots
from vfl_jax.reports import Row, median_with_interval

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

README = Path(__file__).with_name("README.md")
AGAINST = """
*minus the unchanged*: the difference to the first row, of the same seeds, which share their initial weights; *won,
lost*: how many of them succeed here and not there, and the other way round.
"""
Found = Mapping[str, "xr.Dataset"]


def write_report(folder: Path) -> None:
    """Writes the figures into ``folder``, and the tables into README.md (or beside other results)."""
    found, parts = read(folder, CASES), []
    for name, base in BASES.items():
        if rows := table(found, name):
            caption = "backdoor accuracy by factor, every seed a point"
            picture = add_picture(folder, name, figure(found, name), caption)
            title = f"{base.preset}, {DATA[base.task]}, {base.head} head, γ = {GAMMA}"
            parts.append(section(title, picture, short_and_whole(rows)))
    if parts:
        parts = [f"{COLUMNS}{AGAINST}", *parts]
    if (measured := read_units(folder)) and (groups := prediction.related(found, measured)):
        parts.append(prediction.section_of(folder, groups))
    write_tables(README, folder, "\n".join([*parts, section("Runtime", runtimes(CASES, found))]))


def table(found: Found, base: str) -> list[Row]:
    """A row per setting of which there are results, the base case first."""
    unchanged = Setting("")
    first, rows = unchanged.find(found, base), []
    for factor, settings in {BASES[base].run: (unchanged,), **FACTORS[base]}.items():
        for setting in settings:
            point = setting.find(found, base)
            if point is None or (setting.case == UNCHANGED and setting != unchanged):
                continue
            settings_of = {
                "factor": factor,
                "setting": setting.label,
                "data": data_name(found[f"{setting.case}_{base}"]),
            }
            rows.append(row(point, settings_of) | _against(None if setting == unchanged else first, point))
    return rows


def _against(first: Point | None, point: Point) -> Row:
    """The difference to the base case's backdoor, paired by seed, and how many successes come and go."""
    columns = ("backdoor, minus the unchanged", "successes won, lost")
    if first is None:
        return dict.fromkeys(columns, UNDEFINED)
    seeds = np.intersect1d(point.attacked.seed, first.attacked.seed)
    here, there = (p.attacked.backdoor_accuracy.isel(epoch=-1).sel(seed=seeds) for p in (point, first))
    won, kept = (p.counted.is_success.isel(epoch=-1).sel(seed=seeds) for p in (point, first))
    changes = f"+{int((won & ~kept).sum())}, −{int((kept & ~won).sum())} of {len(seeds)}"
    return dict(zip(columns, (median_with_interval(here - there), changes), strict=True))


def figure(found: Found, base: str) -> Figure:
    """A panel per factor: every seed a dot, in the order of its settings."""
    panels_of: dict[str, list[tuple[Setting, Point]]] = {}
    for factor, settings in FACTORS[base].items():
        drawn = [(setting, point) for setting in settings if (point := setting.find(found, base)) is not None]
        if any(setting.case != UNCHANGED for setting, _ in drawn):
            panels_of[factor] = drawn
    if not panels_of:
        panels_of[BASES[base].run] = [(Setting(""), point) for point in [Setting("").find(found, base)] if point]
    columns = min(2, len(panels_of))
    picture, panels = plots.grid_of_panels(-(-len(panels_of) // columns), columns)
    for panel, (factor, drawn) in zip(panels.flat, panels_of.items(), strict=False):
        draw_outcomes(panel, [point for _, point in drawn], [setting.label.replace(", ", "\n") for setting, _ in drawn])
        panel.set_title(factor)
    for panel in panels.flat[len(panels_of) :]:
        panel.remove()
    add_legend(picture, columns=5)
    return picture

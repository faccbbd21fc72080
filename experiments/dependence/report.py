"""Tables and figures of what the outcome depends on, from saved results; nothing is trained here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.dependence import prediction
from experiments.dependence.factors import PUBLISHED, Setting, factors
from experiments.dependence.study import CASES, HEADS
from experiments.dependence.units import read_units
from experiments.figures import draw_outcomes
from experiments.outcomes import COLUMNS, DATA, Point, data_name, read, row, runtimes
from experiments.panels import add_legend
from experiments.readme import add_picture, section, write_tables
from experiments.separation import UNDEFINED
from vfl_jax import plots
from vfl_jax.presets import Task
from vfl_jax.report import Row, median_with_interval, to_markdown

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

README = Path(__file__).with_name("README.md")
AGAINST = """
*minus the published*: of the same seeds, which share their initial weights; *won, lost*: how many of them succeed here
and not in the published run, and the other way round.
"""
Found = Mapping[str, "xr.Dataset"]


def write_report(folder: Path) -> None:
    """Writes the figures into ``folder``, and the tables into README.md (or beside other results)."""
    found, parts = read(folder, CASES), []
    for task in HEADS:
        if rows := table(found, task):
            caption = "backdoor accuracy by factor, every seed a point"
            picture = add_picture(folder, task, figure(found, task), caption)
            parts.append(section(f"{DATA[task]}, {HEADS[task]} head, γ = 10", picture, to_markdown(rows)))
    if parts:
        parts = [f"{COLUMNS}{AGAINST}", *parts]
    if (measured := read_units(folder)) and (groups := prediction.related(found, measured)):
        parts.append(prediction.section_of(folder, groups))
    write_tables(README, folder, "\n".join([*parts, section("Runtime", runtimes(CASES, found))]))


def table(found: Found, task: Task) -> list[Row]:
    """A row per setting of which there are results, the published run first."""
    published = Setting("", PUBLISHED)
    base, rows = published.find(found, task), []
    for factor, settings in {"the published run": (published,), **factors(task)}.items():
        for setting in settings:
            point = setting.find(found, task)
            if point is None or (setting.case == PUBLISHED and setting != published):
                continue
            settings_of = {
                "factor": factor,
                "setting": setting.label,
                "data": data_name(found[f"{setting.case}_{task}"]),
            }
            rows.append(row(point, settings_of) | _against(None if setting == published else base, point))
    return rows


def _against(base: Point | None, point: Point) -> Row:
    """The difference to the published run's backdoor, paired by seed, and how many successes come and go."""
    columns = ("backdoor, minus the published", "successes won, lost")
    if base is None:
        return dict.fromkeys(columns, UNDEFINED)
    seeds = np.intersect1d(point.attacked.seed, base.attacked.seed)
    here, there = (p.attacked.backdoor_accuracy.isel(epoch=-1).sel(seed=seeds) for p in (point, base))
    won, kept = (p.counted.is_success.isel(epoch=-1).sel(seed=seeds) for p in (point, base))
    changes = f"+{int((won & ~kept).sum())}, −{int((kept & ~won).sum())} of {len(seeds)}"
    return dict(zip(columns, (median_with_interval(here - there), changes), strict=True))


def figure(found: Found, task: Task) -> Figure:
    """A panel per factor: every seed a dot, in the order of its settings."""
    panels_of: dict[str, list[tuple[Setting, Point]]] = {}
    for factor, settings in factors(task).items():
        drawn = [(setting, point) for setting in settings if (point := setting.find(found, task)) is not None]
        if any(setting.case != PUBLISHED for setting, _ in drawn):
            panels_of[factor] = drawn
    if not panels_of:
        panels_of["the published run"] = [
            (Setting(""), point) for point in [Setting(PUBLISHED).find(found, task)] if point
        ]
    columns = min(2, len(panels_of))
    picture, panels = plots.grid_of_panels(-(-len(panels_of) // columns), columns)
    for panel, (factor, drawn) in zip(panels.flat, panels_of.items(), strict=False):
        draw_outcomes(panel, [point for _, point in drawn], [setting.label.replace(", ", "\n") for setting, _ in drawn])
        panel.set_title(factor)
    for panel in panels.flat[len(panels_of) :]:
        panel.remove()
    add_legend(picture, columns=5)
    return picture

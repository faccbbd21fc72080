"""Section 6.3: clipping is not as effective as noise. The bound alone, beside noise where that was trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr

from experiments.liu2020.claims_without_a_figure.cases import WHERE_IT_WORKS
from experiments.liu2020.claims_without_a_figure.results import Found
from experiments.liu2020.noise.cases import MEANING
from experiments.shared.defended import CHANGE, WITH_BACKDOOR, change_of_main, defended_row
from experiments.shared.figures import draw_outcomes
from experiments.shared.outcomes import Point, data_name, line
from experiments.shared.panels import add_legend
from experiments.shared.readme import add_picture, details, section
from vfl_jax import plots
from vfl_jax.presets import HeadName, Task
from vfl_jax.reports import to_markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEXT = f"""\
The paper (6.3): "we found that clipping is not as effective as adding noise"; it gives no numbers. Here the row of a
sample in a message is scaled down to a norm of at most the bound; ∞ is no defense. Beside it noise alone, of the same
preset and with its meaning of the level, from the experiment noise. *{CHANGE}*: what a setting
changes of the honest runs' main accuracy, paired by seed. Successes and collapsed seeds are counted against the honest
runs of the same setting; *{WITH_BACKDOOR}*: seeds whose backdoor accuracy is above 0.5 and at least 0.25 above that of
the honest run, also where they collapse. All are shares of the seeds that are judged. Laplacian noise is in the table
alone.
"""

WORDS = {"stddev": "standard deviation"}
"""Of a level, where its field's name is short."""


class Line(NamedTuple):
    """A defense at several levels; the first is none."""

    preset: str
    task: Task
    head: HeadName
    defense: str
    levels: dict[float, Point]
    axis: str  # what the levels are

    @property
    def title(self) -> str:
        return f"{self.preset}, {self.task}, {self.head} head: {self.defense}"

    @property
    def undefended(self) -> Point:
        return next(iter(self.levels.values()))


def clipping(folder: Path, found: Found) -> str | None:
    """The section, or None where nothing was trained."""
    lines = clipped(found)
    if not lines:
        return None
    lines += [noise for noise in noised(found) if (noise.preset, noise.task) in {(of.preset, of.task) for of in lines}]
    rows = [
        defended_row(
            point, of.undefended, {"runs": of.title, "data": data_name(point.attacked), "level": _level(level)}
        )
        for of in lines
        for level, point in of.levels.items()
    ]
    caption = "what a defense changes of the honest runs, and the backdoor accuracy, every seed a point"
    picture = add_picture(folder, "clipping", figure([of for of in lines if not of.defense.startswith("Lap")]), caption)
    return section(
        "Clipping and noise (section 6.3)", TEXT, picture, details("every bound and level", to_markdown(rows))
    )


def clipped(found: Found) -> list[Line]:
    """Bounds, from none to the smallest."""
    return [
        Line(preset, task, head, "clipping", line(dataset, "defense.bound"), "bound of a row's norm")
        for preset, task, head in WHERE_IT_WORKS
        if (dataset := found.own.get(f"{preset}_clipping_{task}_{head}")) is not None
    ]


def noised(found: Found) -> list[Line]:
    """Noise levels, from none to the largest, on NUS-WIDE."""
    names = {"gaussian": "Gaussian noise", "laplace": "Laplacian noise"}
    return [
        Line(
            preset,
            "nus_wide",
            "trainable",
            f"{names[kind]}, {meaning}",
            line(dataset, f"defense.{meaning}"),
            WORDS.get(meaning, meaning),
        )
        for (preset, kind), meaning in MEANING.items()
        if (dataset := found.other(f"noise/{preset}_{kind}")) is not None
    ]


def _level(level: float) -> str:
    return "∞" if np.isinf(level) else f"{level:g}"


def figure(lines: list[Line]) -> Figure:
    """A row of panels per defense: what it costs the honest runs, and the backdoor of the attacked ones."""
    picture, panels = plots.grid_of_panels(len(lines), 2, None, (5.2, 3.1))
    changes = [
        xr.concat([change_of_main(point, of.undefended) for point in of.levels.values()], "level", coords="minimal")
        for of in lines
    ]
    lowest = min(float(change.min()) for change in changes)
    for (left, right), of, change in zip(panels, lines, changes, strict=True):
        settings = [_level(level) for level in of.levels]
        plots.draw_against(left, change.transpose("level", "seed"), settings, "honest, defended − undefended")
        left.set_ylim(1.1 * lowest - 0.02, 0.05)
        left.set_xlabel(of.axis)
        draw_outcomes(right, list(of.levels.values()), settings, of.axis)
        for panel in (left, right):
            panel.set_title(of.title.replace(": ", "\n"))
            panel.tick_params(axis="x", labelsize=8)
    add_legend(picture, columns=5)
    return picture

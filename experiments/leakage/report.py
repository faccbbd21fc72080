"""What every reader reads under every defense, from saved results; nothing is trained here."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from experiments.leakage.answer import answer
from experiments.leakage.cases import CASES, DEFENSES, NONE, TASKS
from experiments.shared.cases import HEADS
from experiments.shared.outcomes import read, runtimes
from experiments.shared.panels import add_legend
from experiments.shared.readme import add_picture, details, section, write_tables
from vfl_jax import plots
from vfl_jax.reports import UNDEFINED, Row, median_with_interval, to_markdown

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

README = Path(__file__).with_name("README.md")
ALONE, COMPLETION = "alone", "completion"
SILENT = (ALONE, "cluster_embeddings", "spectral", COMPLETION)
"""The readers that use the own model and no message but those that trained it."""
TEXT = """\
*Read* is the share of all training rows whose labels a reader names correctly; rows it was granted do not count. Of two
classes, where whoever always names the larger one is mostly right, it is the area under the ROC curve. The first number
is the best reader's median over seeds, chosen by that median, with its name; then the best of those that use no
message; in brackets what the defense changes of the main accuracy, paired by seed, of 1: −0.010 is a cost of one
percentage point. Where it says *diverged*, most trainings did not end with finite numbers; the figure leaves them out.
"""


class Reading(NamedTuple):
    """What was read under one setting of a defense; arrays by seed."""

    defense: str  # its name
    level: str  # its number, in words
    right: dict[str, np.ndarray]  # float[S] by reader, of all rows
    area: dict[str, np.ndarray]  # float[S] by reader, of two classes
    main: np.ndarray  # float[S], main accuracy

    @property
    def title(self) -> str:
        """Words for a row."""
        return f"{self.defense.replace('_', ' ')} {self.level}".strip()

    @property
    def told(self) -> dict[str, np.ndarray]:
        """What readers are compared by: the area of two classes, the share of more."""
        return self.area or self.right

    @property
    def is_ruined(self) -> bool:
        """Whether most trainings diverged: such a model is none, and reads nothing by itself."""
        return bool(np.isnan(self.best(silent=True)[1]))

    def best(self, silent: bool) -> tuple[str, float]:
        """(the reader that reads most, its median); of those that use messages, or of those that do not."""
        able = {name: float(np.median(v)) for name, v in self.told.items() if (name in SILENT) == silent}
        name = max(able, key=lambda reader: able[reader])
        return name, able[name]


Place = tuple[str, str]
"""Task and head."""


def readings(name: str, dataset: xr.Dataset) -> Iterator[Reading]:
    """Every grid point of a case."""
    last = dataset.isel(epoch=-1)
    dims = [str(d) for d in last["main_task_accuracy"].dims if d != "seed"]
    for place in itertools.product(*(range(last.sizes[d]) for d in dims)):
        here = last.isel(dict(zip(dims, place, strict=True)))
        level = ", ".join(f"{float(here[d]):g}" for d in dims)
        accuracy, rate, area = (_by_reader(here, of) for of in ("accuracy", "rate", "auc"))
        right = {reader: np.nan_to_num(accuracy[reader]) * rate[reader] for reader in accuracy}
        yield Reading(name, level, right, area, here["main_task_accuracy"].values)


def _by_reader(here: xr.Dataset, of: str) -> dict[str, np.ndarray]:
    """The values of a metric by its ending; model completion has none."""
    start = f"label_inference_{of}"
    names = [name for name in map(str, here) if name.startswith(start) and not name.endswith("_count")]
    return {name.removeprefix(start).removeprefix("_") or COMPLETION: here[name].values for name in names}


def all_readings(folder: Path) -> dict[Place, list[Reading]]:
    """By task and head, of every case that was trained."""
    found = read(folder, CASES)
    groups: dict[Place, list[Reading]] = {}
    for task, head in itertools.product(TASKS, HEADS):
        here = [
            reading
            for name in (NONE, *DEFENSES)
            if (dataset := found.get(f"{task}_{head}_{name}")) is not None
            for reading in readings(name, dataset)
        ]
        if here:
            groups[task, head] = here
    return groups


def write_report(folder: Path) -> None:
    """Writes the figure into ``folder``, and the tables into README.md (or beside other results)."""
    groups = all_readings(folder)
    picture = add_picture(
        folder, "leakage", figure(groups), "what messages tell beyond the own model, against what defenses cost"
    )
    parts = [TEXT, to_markdown(headline(groups))]
    for (task, head), found in groups.items():
        place = f"{TASKS[task].title}, {head} head"
        parts.append(details(f"{place}: every reader, shares of rows", to_markdown(table(found, "right"))))
        if TASKS[task].num_classes == 2:
            parts.append(details(f"{place}: areas under the curve", to_markdown(table(found, "area"))))
    sections = section("Who reads what", *parts), section("Runtime", runtimes(CASES, read(folder, CASES)))
    said = answer(groups, len(read(folder, CASES)))
    write_tables(README, folder, "\n".join(sections), f"{said}\n{picture}")


def change(reading: Reading, found: list[Reading]) -> np.ndarray | None:
    """What a defense changes of the main accuracy, by seed; None where the undefended runs are not the same seeds'."""
    plain = next((other.main for other in found if other.defense == NONE), None)
    return None if plain is None or plain.shape != reading.main.shape else reading.main - plain


def headline(groups: Mapping[Place, list[Reading]]) -> list[Row]:
    """A row per setting of a defense, a column per task and head."""
    columns = {place: {reading.title: reading for reading in found} for place, found in groups.items()}
    titles = list(dict.fromkeys(title for found in columns.values() for title in found))
    return [
        {"defense": title}
        | {
            f"{TASKS[task].title}, {head}": headline_cell(found[title], groups[task, head]) if title in found else "–"
            for (task, head), found in columns.items()
        }
        for title in titles
    ]


def headline_cell(reading: Reading, found: list[Reading]) -> str:
    """Who reads most, who does so without messages, and the price."""
    (loud, most), (_, floor) = reading.best(silent=False), reading.best(silent=True)
    cost = change(reading, found)
    price = "" if cost is None or reading.defense == NONE else f" ({np.median(cost):+z.3f})"
    quiet = "diverged" if np.isnan(floor) else f"without {floor:z.3f}"  # a model that is not finite reads nothing
    return f"{most:z.3f} {loud}, {quiet}{price}"


def table(found: list[Reading], of: str) -> list[Row]:
    """A row per setting of a defense, a column per reader."""
    readers = list(dict.fromkeys(reader for reading in found for reader in getattr(reading, of)))
    return [
        {"defense": reading.title, "main accuracy": median_with_interval(reading.main)}
        | {reader: _shown(getattr(reading, of).get(reader)) for reader in readers}
        for reading in found
    ]


def _shown(values: np.ndarray | None) -> str:
    return UNDEFINED if values is None or np.isnan(values).all() else median_with_interval(values)


def figure(groups: Mapping[Place, list[Reading]]) -> Figure:
    """A panel per task and head: what the best reader of messages reads beyond the best that uses none, against the
    change of main accuracy; a point per setting. What the own model knows differs by setting, so 0 is the line.

    A setting at which most trainings diverged has no point.
    """
    columns = min(2, len(groups))
    picture, panels = plots.grid_of_panels(-(-len(groups) // columns), columns)
    names, markers = [NONE, *DEFENSES], "os^Dv<>Pp*XhHd"
    for panel, ((task, head), found) in zip(panels.flat, groups.items(), strict=False):
        for i, name in enumerate(names):
            settings = [
                (cost, one)
                for one in found
                if one.defense == name and (cost := change(one, found)) is not None and not one.is_ruined
            ]
            if settings:
                across = [float(np.median(cost)) for cost, _ in settings]
                up = [one.best(silent=False)[1] - one.best(silent=True)[1] for _, one in settings]
                style = {"color": plots.COLORS[i % len(plots.COLORS)], "marker": markers[i], "markersize": 5}
                panel.plot(across, up, linewidth=0.8, label=name.replace("_", " "), **style)
        panel.axhline(0.0, color="black", linestyle="--", linewidth=1, label="messages tell nothing more")
        panel.set(title=f"{TASKS[task].title}, {head} head", ylim=(-0.05, None))
        panel.set(xlabel="change of the main accuracy", ylabel="read beyond the own model")
        panel.locator_params(axis="x", nbins=5)
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels.flat[len(groups) :]:
        panel.remove()
    add_legend(picture, columns=2 * columns)  # what fits below so many panels
    return picture

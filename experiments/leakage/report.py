"""What every reader reads under every defense, from saved results; nothing is trained here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.leakage import completion, one_batch
from experiments.leakage.answer import answer
from experiments.leakage.cases import CASES, DEFENSES, NONE, TASKS
from experiments.leakage.readings import Place, Reading, all_readings, change, cost, spared
from experiments.shared.outcomes import read, runtimes
from experiments.shared.panels import add_legend
from experiments.shared.readme import add_picture, details, section, write_tables
from vfl_jax import plots
from vfl_jax.reports import UNDEFINED, Row, median_with_interval, to_markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

README = Path(__file__).with_name("README.md")
TEXT = """\
*Read* is the share of all training rows whose labels a reader names correctly; rows it was granted do not count. Of two
classes, where whoever always names the larger one is mostly right, it is the area under the ROC curve. The first number
is the best reader's median over seeds, chosen by that median, with its name; then the best of those that use no
message; in brackets what the defense changes of the main accuracy, paired by seed, of 1: −0.010 is a cost of one
percentage point. Where it says *diverged*, most trainings did not end with finite numbers.

A reader of messages *reads more* where the t interval of the paired difference is above zero, both readers chosen by
the other seeds. Where nobody knows more, this rule still calls a reader better in 7 of 100 settings
(`experiments.leakage.chance`). A defense *spares the model* where it costs at most ten percentage points and leaves
half of what honest runs know beyond the most frequent class; the figure draws no other.
"""
NAMES_ALL = 0.995
"""A reader that names so large a share of the rows names all, but for those that a seed gives no message."""
LEAVING_OUT = """\
Of the labels that a reader names, the share that is right; then the share of rows that it names. Medians over seeds, of
settings that spare the model and at which some reader names less than 99.5 % of the rows.
"""


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
        if leaving_out := leaving_rows_out(found):
            parts.append(details(f"{place}: readers that leave rows out", LEAVING_OUT, to_markdown(leaving_out)))
        if TASKS[task].num_classes == 2:
            parts.append(details(f"{place}: areas under the curve", to_markdown(table(found, "area"))))
    sections = [section("Who reads what", *parts)]
    if completed := completion.rows(folder):
        sections.append(
            section("Completion at full length, and malicious SGD", completion.NOTE, to_markdown(completed))
        )
    if inverted := one_batch.rows(folder):
        sections.append(section("One batch, without messages per row", one_batch.NOTE, to_markdown(inverted)))
    cases = (*CASES, *completion.CASES)
    sections.append(section("Runtime", runtimes(cases, read(folder, cases))))
    said = answer(groups, len(read(folder, CASES)))
    write_tables(README, folder, "\n".join(sections), f"{said}\n{picture}")


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


def leaving_rows_out(found: list[Reading]) -> list[Row]:
    """A row per setting at which some reader does not name every row, a column per such reader.

    Settings that do not spare the model are left out.

    Args:
      found: the readings of one task and head.
    """
    there = [*(reading for reading in found if reading.defense == NONE), *spared(found)]
    quiet = {reading.title: _who_leaves_rows_out(reading) for reading in there}
    readers = dict.fromkeys(reader for of_setting in quiet.values() for reader in of_setting)
    return [
        {"defense": reading.title} | {reader: _of_the_named(reading, reader) for reader in readers}
        for reading in there
        if quiet[reading.title]
    ]


def _who_leaves_rows_out(reading: Reading) -> list[str]:
    return [reader for reader, share in reading.named.items() if np.median(share) < NAMES_ALL]


def _of_the_named(reading: Reading, reader: str) -> str:
    """How many labels are right of those that a reader names, and how many rows these are."""
    if reader not in reading.named:
        return UNDEFINED
    share = float(np.nanmedian(reading.named[reader]))
    with np.errstate(invalid="ignore"):
        right = reading.right[reader] / reading.named[reader]
    return f"{np.nanmedian(right):z.3f} of {share:z.3f}" if share > 0 else "names none"


def _shown(values: np.ndarray | None) -> str:
    return UNDEFINED if values is None or np.isnan(values).all() else median_with_interval(values)


def figure(groups: Mapping[Place, list[Reading]]) -> Figure:
    """A panel per task and head: what the best reader of messages reads beyond the best that uses none, against the
    change of main accuracy; a point per setting. What the own model knows differs by setting, so 0 is the line.

    A setting that does not spare the model has no point.
    """
    columns = min(2, len(groups))
    picture, panels = plots.grid_of_panels(-(-len(groups) // columns), columns)
    names, markers = [NONE, *DEFENSES], "os^Dv<>Pp*XhHd8.+x1234"
    for panel, ((task, head), found) in zip(panels.flat, groups.items(), strict=False):
        drawn = [*(one for one in found if one.defense == NONE), *spared(found)]
        for i, name in enumerate(names):
            settings = [(cost(one, found), one) for one in drawn if one.defense == name]
            if settings:
                across = [-price for price, _ in settings]
                up = [one.best(silent=False)[1] - one.best(silent=True)[1] for _, one in settings]
                style = {
                    "color": plots.COLORS[i % len(plots.COLORS)],
                    "marker": markers[i % len(markers)],
                    "markersize": 5,
                }
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

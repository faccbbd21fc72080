"""Section 8: a trainable active party alleviates the leakage of label information. What every reader reads."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from experiments.liu2020.claims_without_a_figure.cases import HEADS, LISTENED, TASKS
from experiments.liu2020.claims_without_a_figure.results import Found
from experiments.shared.cases import PRESETS
from experiments.shared.defended import CHANGE
from experiments.shared.outcomes import data_name
from experiments.shared.panels import add_legend
from experiments.shared.readme import add_picture, details, section
from experiments.shared.separation import UNDEFINED
from vfl_jax import plots
from vfl_jax.core.files import load
from vfl_jax.data.sets.nus_wide import PAPER
from vfl_jax.presets import Task
from vfl_jax.reports import Row, median_with_interval, to_markdown

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LARGEST_CLASS: dict[Task, float] = {
    "mnist": 6742 / 60_000,
    "nus_wide": float(PAPER["train"].rows.max() / PAPER["train"].rows.sum()),
}
"""The share of its training rows: so many are right who always guess it."""
WAYS = {"": "last message", "_sum": "sum", "_fading": "fading sum"}
"""How the label is read off the signs of 50 epochs' messages, by the ending of its variable."""
ALONE = "features alone"
"""How readers are called that use no message."""
KNOWN = {"no label known": 0, "1 of each class known": 1, "4 of each class known": 4}
"""How many labels a reader may know."""
HEADLINE = 1
"""So many it knows in the figure and in the verdict."""
TEXT = """\
The paper (8): a trainable active party "can alleviate the leakage of label information"; it gives no numbers. Here a
party follows the protocol, keeps its messages (it holds the lower half of the image, or the tags) and reads the label
of every training row. *Right* is the share of all training rows whose label it reads correctly. *0.86 of 0.79* means
that 0.86 of the rows that were read are right, and that 0.79 of all rows were read.

* *last message*, *sum*, *fading sum*, of 50 epochs: the most negative entry (5.3) of a row's last message that has one,
  of the sum of all, or of the sum in which the k-th counts 1/√k.
* *signs*: the most negative entry of the first epoch's messages. All readers below have those messages alone: one epoch
  in liu2020_code, five in liu2020_paper, where batches are drawn at random, so that one leaves out more than a third of
  the rows.
* *messages, 1 known* (or 4): one row of every class is known; each row gets the label of the known row whose message
  points most nearly the same way.
* *and features*: messages are first regressed on the party's own features (ridge), so that each row is told what rows
  like it are told.
* *without messages*: what somebody reaches who knows as many labels and hears nothing, by guessing the largest class or
  by giving each row the label of the known row with the most similar features. What is read beyond it, messages leak.

Known rows are drawn by the seed, and do not count. Bottoms have one output per class under both heads, as signs need.

The first table has the best reader who knows at most one row of every class, in the median, and in brackets the price:
what the defense changes of the honest runs' main accuracy after 50 epochs. *finite*: so many of those runs end with a
finite loss, where not all do; readers of the first epochs are not touched by it.
"""
OWN = """\
*own bottoms* are those of the preset under its trainable head, with 32 outputs: there nobody reads signs.
"""


class Reading(NamedTuple):
    """What one reader reads under one defense; arrays by seed."""

    accuracy: np.ndarray  # float[S]  among the rows read
    rate: np.ndarray  # float[S]  of rows read

    @property
    def right(self) -> np.ndarray:
        """Of all rows, float[S]."""
        return np.nan_to_num(self.accuracy * self.rate)

    def shown(self) -> str:
        """Both numbers where they differ from one, in the median over seeds."""
        rate = float(np.median(self.rate))
        if rate == 0:
            return "silent"
        if rate > 0.995:
            return f"{np.median(self.right):z.3f}"
        return f"{np.nanmedian(self.accuracy):z.3f} of {rate:z.2f}"


Readings = dict[str, dict[str, Reading]]
"""By defense and reader."""


class Runs(NamedTuple):
    """What was listened to."""

    preset: str
    task: Task
    head: str  # in words
    data: str  # its name in words

    @property
    def place(self) -> tuple[str, Task, str]:
        """What prices are kept by."""
        return self.preset, self.task, self.head


def leakage(folder: Path, found: Found) -> str | None:
    """The section, or None where nothing was trained."""
    groups = all_readings(folder, found)
    if not groups:
        return None
    labels = {key: f"{key.preset}, {key.data}, {key.head}" for key in groups}
    prices = all_prices(found)
    headline = [
        {"runs": labels[key]} | headline_row(key.task, defenses, prices.get(key.place, {}))
        for key, defenses in groups.items()
    ]
    short = [
        {"runs": labels[key]} | short_row(key.task, defenses, name) | price_cells(prices.get(key.place, {}).get(name))
        for key, defenses in groups.items()
        for name in defenses
    ]
    readers = list(dict.fromkeys(r for defenses in groups.values() for read in defenses.values() for r in read))
    whole = [
        {"runs": labels[key], "defense": name} | {r: read[r].shown() if r in read else UNDEFINED for r in readers}
        for key, defenses in groups.items()
        for name, read in defenses.items()
    ]
    caption = "share of labels read by the best reader who knows at most one row of every class, every seed a point"
    picture = add_picture(folder, "leakage", figure(groups, prices), caption)
    return section(
        "Leaked labels (section 8)",
        TEXT + (OWN if any("own bottoms" in runs.head for runs in groups) else ""),
        picture,
        to_markdown(headline),
        details("the best readers by how many labels they know, with intervals", to_markdown(short)),
        details("every reader, medians over seeds", to_markdown(whole)),
    )


class Price(NamedTuple):
    """What a defense does to the honest runs of the label cases, at the last epoch; arrays by seed."""

    main: np.ndarray  # float[S]
    change: np.ndarray  # float[S]  against no defense, paired by seed
    is_finite: np.ndarray  # bool[S]

    def shown(self) -> str:
        """``-0.085``, and how many runs are finite where not all are."""
        finite = int(self.is_finite.sum())
        some = "" if finite == self.is_finite.size else f", {finite}/{self.is_finite.size} finite"
        return f"{np.median(self.change):+z.3f}{some}"


Place = tuple[str, Task, str]
"""Preset, task, head in words."""


def all_prices(found: Found) -> dict[Place, dict[str, Price]]:
    """By place and defense; the presets' own bottoms were not trained for 50 epochs."""
    prices = {}
    for preset, task, head in itertools.product(PRESETS, TASKS, HEADS):
        if (trained := found.own.get(f"{preset}_labels_{task}_{head}")) is not None:
            last = {name: _honest(trained, name) for name in LISTENED}
            plain = last["none"]["main_task_accuracy"].values
            prices[preset, task, f"{head} head"] = {
                name: Price(
                    runs["main_task_accuracy"].values,
                    runs["main_task_accuracy"].values - plain,
                    runs["is_finite"].values.astype(bool),
                )
                for name, runs in last.items()
            }
    return prices


def price_cells(price: Price | None) -> Row:
    """Honest accuracy under a defense, and what the defense changes of it."""
    if price is None:
        return {"main, honest": UNDEFINED, CHANGE: UNDEFINED, "finite": UNDEFINED}
    return {
        "main, honest": median_with_interval(price.main),
        CHANGE: median_with_interval(price.change),
        "finite": f"{int(price.is_finite.sum())}/{price.is_finite.size}",
    }


def headline_row(task: Task, defenses: Readings, prices: Mapping[str, Price]) -> Row:
    """What the best reader with few labels reads under every defense, with the price in brackets."""
    row = {"without messages": f"{without_messages(task, defenses['none'], HEADLINE):z.3f}"}
    for name, read in defenses.items():
        best = best_reader(read, HEADLINE)
        price = "" if name == "none" or name not in prices else f" ({prices[name].shown()})"
        row[name] = UNDEFINED if best is None else f"{np.median(read[best].right):z.3f}{price}"
    return row


def all_readings(folder: Path, found: Found) -> dict[Runs, Readings]:
    """By preset, task and head what was read; of 50 epochs and of the first alone, as far as both were run."""
    groups: dict[Runs, Readings] = {}
    for preset, task, head in itertools.product(PRESETS, TASKS, (*HEADS, "trainable_own")):
        trained = found.own.get(f"{preset}_labels_{task}_{head}")
        path = folder / f"{preset}_listened_{task}_{head}.nc"
        heard = load(path) if path.is_file() else None
        readings = {name: of_signs(trained, name) | of_kept(heard, name) for name in LISTENED}
        if all(readings.values()):
            words = f"{head.removesuffix('_own')} head{', own bottoms' if head == 'trainable_own' else ''}"
            one = next(dataset for dataset in (trained, heard) if dataset is not None)
            groups[Runs(preset, task, words, data_name(one))] = readings
    return groups


def of_signs(trained: xr.Dataset | None, defense: str) -> dict[str, Reading]:
    """What an honest party reads off the signs at the last epoch."""
    if trained is None:
        return {}
    here = _honest(trained, defense)
    return {
        f"{name}, {int(trained['epoch'][-1])} epochs": Reading(
            here[f"label_inference_accuracy{way}"].values, here[f"label_inference_rate{way}"].values
        )
        for way, name in WAYS.items()
        if f"label_inference_rate{way}" in trained
    }


def _honest(trained: xr.Dataset, defense: str) -> xr.Dataset:
    """The honest runs under a defense, at the last epoch."""
    (dimension,) = trained["attack.enabled"].dims
    honest = np.flatnonzero(trained["attack.enabled"] == 0)
    return trained.isel({dimension: honest[list(LISTENED).index(defense)], "epoch": -1})


def of_kept(heard: xr.Dataset | None, defense: str) -> dict[str, Reading]:
    """What every reader reads off the messages that were kept."""
    if heard is None:
        return {}
    here = heard.sel(defense=defense)
    return {
        str(reader): Reading(here["accuracy"].sel(reader=reader).values, here["rate"].sel(reader=reader).values)
        for reader in here["reader"].values
    }


def num_known(reader: str) -> int:
    """How many rows of every class a reader knows."""
    return int(reader.split(", ")[1].split()[0]) if reader.endswith(" known") else 0


def best_reader(read: Mapping[str, Reading], known: int) -> str | None:
    """Of the readers of messages that know no more labels the one that reads most, in the median.

    None where none was run that knows as many: others would stand for it, and seem the best there is.
    """
    able = [name for name in read if not name.startswith(ALONE) and num_known(name) <= known]
    if known not in map(num_known, able):
        return None
    return max(able, key=lambda name: float(np.median(read[name].right)))


def without_messages(task: Task, read: Mapping[str, Reading], known: int) -> float:
    """What those reach who know as many labels and hear nothing, in the median."""
    alone = [r for name, r in read.items() if name.startswith(ALONE) and num_known(name) <= known]
    return max(LARGEST_CLASS[task], *(float(np.median(reading.right)) for reading in alone), 0.0)


def short_row(task: Task, defenses: Readings, defense: str) -> Row:
    """The best reader under one defense, by how many labels it knows."""
    read, cells = defenses[defense], {}
    for title, known in KNOWN.items():
        best = best_reader(read, known)
        cells[title] = UNDEFINED if best is None else f"{median_with_interval(read[best].right)}: {best}"
        cells[f"without messages, {known}"] = f"{without_messages(task, read, known):z.3f}"
    return {"defense": defense} | cells


def figure(groups: Mapping[Runs, Readings], prices: Mapping[Place, Mapping[str, Price]]) -> Figure:
    """A panel per preset and task: what the best reader with few labels reads by defense and head; bars are medians.

    Below every defense stands what it changes of the honest runs' main accuracy, under the sum and the trainable head.
    """
    panels_of = list(dict.fromkeys((runs.preset, runs.task, runs.data) for runs in groups))
    heads = list(dict.fromkeys(runs.head for runs in groups))
    columns = min(2, len(panels_of))
    picture, panels = plots.grid_of_panels(-(-len(panels_of) // columns), columns)
    for panel, (preset, task, data) in zip(panels.flat, panels_of, strict=False):
        lines = {head: groups[runs] for head in heads if (runs := Runs(preset, task, head, data)) in groups}
        for head, defenses in lines.items():
            if all(best_reader(read, HEADLINE) for read in defenses.values()):
                best = [read[best_reader(read, HEADLINE) or ""].right for read in defenses.values()]
                _draw(panel, best, head, heads)
        floors = [max(without_messages(task, of[name], HEADLINE) for of in lines.values()) for name in LISTENED]
        panel.plot(range(len(floors)), floors, color="black", linestyle="--", linewidth=1, label="without messages")
        here = [prices[place] for head in HEADS if (place := (preset, task, f"{head} head")) in prices]
        costs = ["\n".join(f"{np.median(of[name].change):+z.3f}" for of in here) for name in LISTENED]
        ticks = [f"{_broken(name)}\n{cost}" for name, cost in zip(LISTENED, costs, strict=True)]
        panel.set_xticks(range(len(LISTENED)), ticks, fontsize=8)
        epochs = "the first" if preset == "liu2020_code" else "the first five"
        panel.set_xlabel(
            f"last lines: change of honest accuracy, {' and '.join(HEADS)} head\n"
            f"readers of signs had 50 epochs, with features or known rows {epochs}",
            fontsize=8,
        )
        panel.set(title=f"{preset}, {data}", ylim=(-0.02, 1.02), ylabel="labels read correctly")
        panel.grid(axis="y", alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels.flat[len(panels_of) :]:
        panel.remove()
    add_legend(picture, columns=4)
    return picture


def _draw(panel: Axes, values: Sequence[np.ndarray], head: str, heads: Sequence[str]) -> None:
    """Every seed a point, the median a bar, one place per defense."""
    i = heads.index(head)
    at, color = np.arange(len(values)) + 0.26 * (i - (len(heads) - 1) / 2), plots.COLORS[i]
    for place, seeds in zip(at, values, strict=True):
        panel.scatter(place + np.linspace(-0.08, 0.08, len(seeds)), seeds, s=7, alpha=0.5, linewidths=0, color=color)
    medians = [np.median(seeds) for seeds in values]
    panel.plot(at, medians, "_", color=color, markersize=12, markeredgewidth=2, label=head)


def _broken(defense: str) -> str:
    """Narrow enough for an axis, of three lines."""
    broken = defense.replace("sparsification", "sparsi-\nfication").replace(" ", "\n")
    return broken + "\n" * (2 - broken.count("\n"))

"""Section 8: a trainable active party alleviates the leakage of label information."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from experiments.cases import PRESETS
from experiments.in_passing.results import Found
from experiments.in_passing.study import HEADS, LISTENED, TASKS
from experiments.outcomes import data_name
from experiments.panels import add_legend
from experiments.readme import add_picture, section
from experiments.separation import UNDEFINED
from vfl_jax import plots
from vfl_jax.data.nus_wide import PAPER
from vfl_jax.presets import HeadName, Task
from vfl_jax.report import Row, median_with_interval, to_markdown

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

INFERRED = "label_inference_accuracy"
LARGEST_CLASS: dict[Task, float] = {
    "mnist": 6742 / 60_000,
    "nus_wide": float(PAPER["train"].rows.max() / PAPER["train"].rows.sum()),
}
"""The share of its training rows: so many are right who always guess it."""
TEXT = """\
The paper (8): a trainable active party "can alleviate the leakage of label information"; it gives no numbers. A party
that follows the protocol takes the smallest entry of a row of its messages for the label (5.3: the only negative one),
and is right on this share of the training rows, each judged by its last message. Embeddings have one output per class
under both heads, as the rule needs, and the bottoms of a seed start with the same parameters. *largest class*: its
share of the training rows, which guessing it always reaches. *main*: accuracy of these honest runs on all test rows.
"""


def leakage(folder: Path, found: Found) -> str | None:
    """The section, or None where nothing was trained."""
    groups = {
        (preset, task): heads
        for preset, task in itertools.product(PRESETS, TASKS)
        if (heads := listened(found, preset, task))
    }
    if not groups:
        return None
    rows = [
        {"preset": preset} | leakage_row(task, heads, place, name)
        for (preset, task), heads in groups.items()
        for place, name in enumerate(LISTENED)
    ]
    caption = "share of labels read off the messages, every seed a point"
    picture = add_picture(folder, "leakage", figure(groups), caption)
    return section("Leaked labels (section 8)", TEXT, picture, to_markdown(rows))


def listened(found: Found, preset: str, task: Task) -> dict[HeadName, xr.Dataset]:
    """By head the honest runs at the last epoch, with the defenses, in the order of ``LISTENED``, in front."""
    heads: dict[HeadName, xr.Dataset] = {}
    for head in HEADS:
        if (dataset := found.own.get(f"{preset}_labels_{task}_{head}")) is not None:
            (dimension,) = dataset["attack.enabled"].dims
            honest = dataset.isel({dimension: np.flatnonzero(dataset["attack.enabled"] == 0), "epoch": -1})
            heads[head] = honest.rename({dimension: "defense"}).transpose("defense", "seed", ...)
    return heads


def leakage_row(task: Task, heads: Mapping[HeadName, xr.Dataset], place: int, defense: str) -> Row:
    """What is read under both heads with one defense."""
    runs = {head: dataset.isel(defense=place) for head, dataset in heads.items()}
    inferred = {head: median_with_interval(part[INFERRED]) for head, part in runs.items()}
    main = {head: median_with_interval(part["main_task_accuracy"]) for head, part in runs.items()}
    is_whole = len(runs) == len(HEADS)
    return {
        "task": task,
        "data": data_name(next(iter(heads.values()))),
        "defense": defense,
        "sum head": inferred.get("sum", UNDEFINED),
        "trainable head": inferred.get("trainable", UNDEFINED),
        "sum − trainable, paired by seed": median_with_interval(runs["sum"][INFERRED] - runs["trainable"][INFERRED])
        if is_whole
        else UNDEFINED,
        "largest class": f"{LARGEST_CLASS[task]:.3f}",
        "main, sum head": main.get("sum", UNDEFINED),
        "main, trainable head": main.get("trainable", UNDEFINED),
    }


def figure(groups: Mapping[tuple[str, Task], Mapping[HeadName, xr.Dataset]]) -> Figure:
    """A panel per preset and task: what is read under every defense, by head; bars are medians."""
    columns = min(2, len(groups))
    picture, panels = plots.grid_of_panels(-(-len(groups) // columns), columns)
    places = np.arange(len(LISTENED))
    for panel, ((preset, task), heads) in zip(panels.flat, groups.items(), strict=False):
        for head, dataset in heads.items():
            i, inferred = HEADS.index(head), dataset[INFERRED]
            at, color = places + 0.36 * (i - 0.5), plots.COLORS[i]
            spread = np.linspace(-0.1, 0.1, inferred.sizes["seed"])
            panel.scatter(at[:, None] + spread, inferred, s=9, alpha=0.5, linewidths=0, color=color)
            medians = inferred.median("seed")
            panel.plot(at, medians, "_", color=color, markersize=16, markeredgewidth=2, label=f"{head} head")
        panel.axhline(LARGEST_CLASS[task], color="black", linestyle="--", linewidth=1, label="largest class")
        panel.set_xticks(places, [_broken(name) for name in LISTENED], fontsize=8)
        panel.set(title=f"{preset}, {task} ({data_name(next(iter(heads.values())))})", ylim=(-0.02, 1.02))
        panel.set_ylabel("labels read correctly")
        panel.grid(axis="y", alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels.flat[len(groups) :]:
        panel.remove()
    add_legend(picture, columns=3)
    return picture


def _broken(defense: str) -> str:
    """Narrow enough for an axis."""
    return defense.replace("sparsification", "sparsi-\nfication").replace(" ", "\n")

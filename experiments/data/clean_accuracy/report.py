"""Tables, answer and figure from saved results; nothing is trained here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.data.clean_accuracy.answer import answer, figure
from experiments.data.clean_accuracy.baseline import Facts
from experiments.data.clean_accuracy.cases import HEADS
from experiments.data.clean_accuracy.data_sets import DATA_SETS
from experiments.data.clean_accuracy.stamped import stamped_rows
from experiments.shared.readme import add_picture, write_tables
from vfl_jax.core.files import load
from vfl_jax.reports import (
    Row,
    count_text,
    interval_text,
    median_with_interval,
    not_judged_text,
    rows_text,
    to_markdown,
)
from vfl_jax.statistics import honest
from vfl_jax.statistics.judging import COLLAPSED, SUCCESS
from vfl_jax.statistics.summaries import summary

if TYPE_CHECKING:
    import xarray as xr

ACCURACY = "main_task_accuracy"
README = Path(__file__).with_name("README.md")


def write_report(folder: Path) -> None:
    """Writes the figure into ``folder``, the answer and the tables into README.md (or beside other results)."""
    text, found = tables(folder), facts_of(folder)
    honest_runs = {(name, head): _honest(folder, name, head, ACCURACY) for name in found for head in HEADS}
    picture = add_picture(folder, "accuracy", figure(found, honest_runs), "honest accuracy above logistic regression")
    write_tables(README, folder, text, f"{answer(found, honest_runs, backdoors(folder, found))}\n{picture}")


def facts_of(folder: Path) -> dict[str, Facts]:
    """What stands beside the runs, of the data sets that have results in a folder."""
    return {name: json.loads(path.read_text()) for name in DATA_SETS if (path := folder / f"{name}.json").is_file()}


def tables(folder: Path) -> str:
    """All tables, of the data sets that have results in a folder."""
    found = facts_of(folder)
    if not found:
        raise FileNotFoundError(f"{folder} has no results; run the experiment first.")
    text = f"### Honest training\n\n{to_markdown([clean(folder, name, known) for name, known in found.items()])}"
    if two := [two_classes(folder, name, known) for name, known in found.items() if "boosted_trees" in known]:
        text += f"\n### Two classes, beside boosted trees\n\n{to_markdown(two)}"
    if attacked := backdoors(folder, found):
        text += f"\n### The backdoor of natural triggers\n\n{to_markdown(attacked)}"
    if stamped := stamped_rows(folder):
        text += f"\n### The backdoor of stamped triggers\n\n{to_markdown(stamped)}"
    return text


def clean(folder: Path, name: str, known: Facts) -> Row:
    """One data set: its size, honest training with both heads, and what stands beside it."""
    return {
        "data set": DATA_SETS[name].title,
        "rows, train / test": " / ".join(f"{count:,}" for count in known["rows"]),
        "parties": str(len(known["parties"])),
        "features": " + ".join(f"{count:,}" for count in known["features"]),
        "classes": str(known["classes"]),
        "with trigger, train / test": " / ".join(map(str, known["triggers"])) if any(known["triggers"]) else "–",
        "most frequent class": f"{known['majority']:z.3f}",
        "logistic regression": f"{known['logistic_regression']:z.3f}",
        **{f"vertical, {head} head": median_with_interval(_honest(folder, name, head, ACCURACY)) for head in HEADS},
    }


def two_classes(folder: Path, name: str, known: Facts) -> Row:
    """One data set of two classes: accuracy and AUC of honest training with both heads, and of two other models."""
    row: Row = {"data set": DATA_SETS[name].title}
    for what, ending, metric in (("accuracy", "", ACCURACY), ("AUC", "_auc", "test_auc")):
        row |= {f"{what}, logistic regression": f"{known[f'logistic_regression{ending}']:z.3f}"}
        row |= {f"{what}, boosted trees": f"{known[f'boosted_trees{ending}']:z.3f}"}
        row |= {f"{what}, {head} head": median_with_interval(_honest(folder, name, head, metric)) for head in HEADS}
    return row


def backdoors(folder: Path, found: Mapping[str, Facts]) -> list[Row]:
    """A row per data set with a natural trigger and head."""
    return [
        backdoor(folder, name, head, known["majority"])
        for name, known in found.items()
        if any(known["triggers"])
        for head in HEADS
    ]


def backdoor(folder: Path, name: str, head: str, majority: float) -> Row:
    """One data set and head: the attacked runs beside the honest ones of the same seeds.

    Args:
      majority: the share of the most frequent class, for results that do not say it.
    """
    dataset = load(folder / f"{name}_{head}.nc")
    said = "test_majority" in json.loads(dataset.attrs["rows"])
    numbers = summary(dataset, "main_clean", test_majority=None if said else majority).loc[1].to_dict()
    is_finite = dataset.is_finite.isel(epoch=-1).sel({"attack.enabled": 1})
    return {
        "data set": DATA_SETS[name].title,
        "head": head,
        "main, honest": interval_text(numbers, "main_clean_honest"),
        "main, attacked": interval_text(numbers, "main_clean"),
        "attack success": interval_text(numbers, "attack_success_rate"),
        "clean floor": interval_text(numbers, "attack_success_rate_honest"),
        "measured on rows": rows_text(numbers),
        "success": count_text(numbers, SUCCESS),
        "collapsed": count_text(numbers, COLLAPSED),
        "not judged": not_judged_text(numbers),
        "not finite": f"{int((~is_finite).sum())}/{is_finite.size}",
    }


def _honest(folder: Path, name: str, head: str, metric: str) -> xr.DataArray:
    """A metric of the honest runs at the last epoch, by seed."""
    last = load(folder / f"{name}_{head}.nc").isel(epoch=-1)
    return (honest(last) if "attack.enabled" in last.dims else last)[metric]

"""Tables from saved results; nothing is trained here."""

from __future__ import annotations

import json
from pathlib import Path

from experiments.clean_accuracy.baseline import Facts
from experiments.clean_accuracy.data_sets import DATA_SETS
from experiments.clean_accuracy.study import HEADS
from experiments.readme import write_tables
from vfl_jax.files import load
from vfl_jax.report import Row, median_with_interval, to_markdown
from vfl_jax.statistics import honest, outcomes

README = Path(__file__).with_name("README.md")


def write_report(folder: Path) -> None:
    """Writes the tables into README.md, or beside other results than those that are committed."""
    write_tables(README, folder, tables(folder))


def tables(folder: Path) -> str:
    """Both tables, of the data sets that have results in a folder."""
    found = {name: json.loads(path.read_text()) for name in DATA_SETS if (path := folder / f"{name}.json").is_file()}
    if not found:
        raise FileNotFoundError(f"{folder} has no results; run the study first.")
    text = f"### Honest training\n\n{to_markdown([clean(folder, name, known) for name, known in found.items()])}"
    if attacked := [backdoor(folder, name, head) for name in found if any(found[name]["triggers"]) for head in HEADS]:
        text += f"\n### The backdoor of natural triggers\n\n{to_markdown(attacked)}"
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
        "most frequent class": f"{known['majority']:.3f}",
        "logistic regression": f"{known['logistic_regression']:.3f}",
        **{f"vertical, {head} head": median_with_interval(_honest_accuracy(folder, name, head)) for head in HEADS},
    }


def backdoor(folder: Path, name: str, head: str) -> Row:
    """One data set and head: the attacked runs beside the honest ones of the same seeds."""
    last = load(folder / f"{name}_{head}.nc").isel(epoch=-1)
    floor, attacked = honest(last), last.sel({"attack.enabled": 1})
    counted = outcomes(last, "main_clean").sel({"attack.enabled": 1})
    return {
        "data set": DATA_SETS[name].title,
        "head": head,
        "main, honest": median_with_interval(floor.main_clean),
        "main, attacked": median_with_interval(attacked.main_clean),
        "attack success": median_with_interval(attacked.attack_success_rate),
        "clean floor": median_with_interval(floor.attack_success_rate),
        "measured on rows": f"{int(attacked.attack_success_rate_count.values.flat[0])}",
        "success": f"{int(counted.is_success.sum())}/{counted.sizes['seed']}",
        "collapsed": f"{int(counted.is_collapsed.sum())}/{counted.sizes['seed']}",
        "not finite": f"{int((~attacked.is_finite).sum())}/{counted.sizes['seed']}",
    }


def _honest_accuracy(folder: Path, name: str, head: str) -> object:
    last = load(folder / f"{name}_{head}.nc").isel(epoch=-1)
    return (honest(last) if "attack.enabled" in last.dims else last).main_task_accuracy

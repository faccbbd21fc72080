"""Every data set: honest and attacked over seeds with both heads, and what that is compared with."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from experiments.data.clean_accuracy.baseline import facts
from experiments.data.clean_accuracy.data_sets import DATA_SETS
from experiments.data.clean_accuracy.stamped import run_stamped
from experiments.shared.cases import HEADS, HONEST_AND_ATTACKED, Case, run_cases
from vfl_jax.core.atomic import write_atomically
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.presets import HeadName

SEEDS = 10


def case(name: str, head: HeadName, data: VerticalData) -> Case:
    """Of a data set under a head; honest where no row carries a trigger."""
    data_set = DATA_SETS[name]
    return Case(
        name=f"{name}_{head}",
        title=f"{data_set.title}, {head} head",
        task=None,
        scenario=data_set.scenario(data, head),
        over=HONEST_AND_ATTACKED if data.train.has_trigger.any() else {},
        seeds=SEEDS,
        epochs=data_set.epochs,
        load=lambda: data,
    )


def run_data_sets(seeds: int | None, epochs: int | None, folder: Path, only: tuple[str, ...]) -> None:
    """Runs every data set (or those named); saves ``<name>.json``, ``<name>_<head>.nc`` and ``<name>_stamped.nc``."""
    if unknown := set(only) - DATA_SETS.keys():
        raise ValueError(f"only names {sorted(unknown)}; the data sets are {', '.join(DATA_SETS)}.")
    for name in only or DATA_SETS:
        data = DATA_SETS[name].load()
        run_cases([case(name, head, data) for head in HEADS], folder, seeds, epochs)
        run_stamped(name, data, HEADS, seeds or SEEDS, epochs, folder)
        text = json.dumps(facts(data), indent=1) + "\n"
        write_atomically(folder / f"{name}.json", functools.partial(Path.write_text, data=text))

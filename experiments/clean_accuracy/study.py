"""Every data set: honest and attacked over seeds with both heads, and what that is compared with."""

from __future__ import annotations

import functools
import json
import time
from pathlib import Path

from experiments.clean_accuracy.baseline import facts
from experiments.clean_accuracy.data_sets import DATA_SETS
from vfl_jax.atomic import write_atomically
from vfl_jax.files import save
from vfl_jax.grid import Over
from vfl_jax.presets import HeadName
from vfl_jax.sweep import sweep

FOLDER = Path(__file__).parent / "results"
HEADS: tuple[HeadName, ...] = ("sum", "trainable")
OFF_AND_ON: Over = {"attack.enabled": [0, 1]}
KEPT = [
    "main_task_accuracy",
    "main_clean",
    "backdoor_accuracy",
    "attack_success_rate",
    "attack_success_rate_count",
    "is_finite",
]


def run_study(seeds: int, epochs: int | None, folder: Path, only: tuple[str, ...]) -> None:
    """Runs every data set (or those named) and saves ``<folder>/<name>.json`` and, per head, ``<name>_<head>.nc``.

    Only the last epoch of a run is kept.
    """
    if unknown := set(only) - DATA_SETS.keys():
        raise ValueError(f"only names {sorted(unknown)}; the data sets are {', '.join(DATA_SETS)}.")
    for name, data_set in DATA_SETS.items():
        if only and name not in only:
            continue
        started, data = time.perf_counter(), data_set.load()
        over = OFF_AND_ON if data.train.has_trigger.any() else {}
        for head in HEADS:
            scenario = data_set.scenario(data, head)
            dataset = sweep(scenario, data, over, seeds=seeds, epochs=epochs or data_set.epochs, progress=False)
            save(dataset[KEPT].isel(epoch=[-1]), folder / f"{name}_{head}.nc")
        text = json.dumps(facts(data), indent=1) + "\n"
        write_atomically(folder / f"{name}.json", functools.partial(Path.write_text, data=text))
        print(f"{data_set.title}: {seeds} seeds, {time.perf_counter() - started:.0f} s", flush=True)

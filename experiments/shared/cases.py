"""What a case is, and how it is trained and kept: one sweep, kept as one small file. An experiment has several."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vfl_jax.core.files import load, save
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data import load_mnist, load_nus_wide, load_nus_wide_twin
from vfl_jax.defenses.sparsification import Residual
from vfl_jax.presets import HeadName, Task, liu2020_code, liu2020_paper
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps.grid import Over, parse
from vfl_jax.sweeps.sweep import sweep

if TYPE_CHECKING:
    import xarray as xr

EPOCHS, SEEDS = 50, 20
"""Of every experiment on the paper, unless a case says otherwise."""
GAMMA = 10
"""The amplify ratio that the paper settles on, and that of the presets."""
PRESETS = {"liu2020_code": liu2020_code, "liu2020_paper": liu2020_paper}
"""Side by side wherever they differ."""
HEADS: tuple[HeadName, ...] = ("sum", "trainable")
RESIDUAL: dict[str, Residual] = {"liu2020_code": "position", "liu2020_paper": "sample"}
"""What becomes of what sparsification drops: the text's "accumulates the rest" is said of the gradient of a sample."""
HONEST_AND_ATTACKED: Over = {"attack.enabled": [0, 1]}
KEPT = (
    *("main_task_accuracy", "main_clean", "backdoor_accuracy", "attack_success_rate"),
    *("test_auc", "loss", "is_finite"),
)
"""The metrics that are kept at every epoch, beside what was read of labels; of the class scores, the last epoch is."""
READ = "label_inference_"


@dataclasses.dataclass(frozen=True)
class Case:
    """One sweep of an experiment, saved as ``<name>.nc``.

    ``honest_of`` names the case whose honest runs belong to this one too, where both differ in nothing that an honest
    run depends on; its own grid then has no honest point. ``load`` gives the data, where they are not the task's as
    they are. ``evaluate_every`` is that of ``sweep``. ``kept`` names the metrics that are kept, as far as there are
    any.
    """

    name: str
    title: str
    task: Task | None
    scenario: Scenario
    over: Over = dataclasses.field(default_factory=lambda: HONEST_AND_ATTACKED)
    seeds: int = SEEDS
    epochs: int = EPOCHS
    honest_of: str | None = None
    load: Callable[[], VerticalData] | None = None
    evaluate_every: int | None = None
    kept: tuple[str, ...] = KEPT

    def data(self) -> VerticalData:
        """What it is trained and tested on."""
        if self.load is not None:
            return self.load()
        assert self.task is not None, f"case {self.name} has neither a task nor data"
        return load_task(self.task)


@functools.cache
def load_task(task: Task) -> VerticalData:
    """The data of one of the paper's two experiments, at full size.

    NUS-WIDE is read from its original files where the data folder (``VFL_JAX_DATA``) has them, and is its synthetic
    twin elsewhere; results say which in their attribute ``data``.
    """
    if task == "mnist":
        return load_mnist()
    files = Path(os.environ.get("VFL_JAX_DATA") or ".", "nus_wide", "Low_Level_Features")
    return load_nus_wide() if files.is_dir() else load_nus_wide_twin()


def run_cases(cases: Iterable[Case], folder: Path, seeds: int | None = None, epochs: int | None = None) -> None:
    """Trains every case of which ``folder`` has no such results yet, and saves what is kept of it.

    A case that was stopped half-way goes on from ``<folder>/runs/<case>``.

    Args:
      seeds, epochs: of every case; by default as many as it says.

    Raises:
      ValueError: when ``folder`` has results of the same sweep with more seeds or epochs, which would be lost.
    """
    for case in cases:
        path, data = folder / f"{case.name}.nc", case.data()
        count, length = seeds or case.seeds, epochs or case.epochs
        size = _trained_size(path, case, data)
        if size == (count, length):
            print(f"{path} is there; remove it to train again.", flush=True)
            continue
        if size is not None and (size[0] > count or size[1] > length):
            raise ValueError(
                f"{path} has {size[0]} seeds and {size[1]} epochs, more than the {count} and {length} to be trained; "
                "write into another folder (--out), or remove it."
            )
        print(f"{case.title}: {count} seeds, {parse(case.scenario, case.over).size} grid points", flush=True)
        unfinished = folder / "runs" / case.name
        results = sweep(
            case.scenario, data, case.over, count, length, evaluate_every=case.evaluate_every, folder=unfinished
        )
        save(kept(results, case.kept), path)
        shutil.rmtree(unfinished)


def kept(dataset: xr.Dataset, metrics: tuple[str, ...] = KEPT) -> xr.Dataset:
    """What is committed of a case's results: these metrics, all that readers tell, and the last class scores."""
    read = [name for name in map(str, dataset) if name.startswith(READ) and not name.endswith("_count")]
    names = [name for name in metrics if name in dataset]
    counts = [f"{name}_count" for name in names if f"{name}_count" in dataset]
    small = dataset[names + read + counts].assign(class_score=dataset["class_score"].isel(epoch=-1, drop=True))
    small.encoding = {"run": dataset.encoding.get("run")}  # without row ids
    return small


def _trained_size(path: Path, case: Case, data: VerticalData) -> tuple[int, int] | None:
    """How many seeds and epochs a file has of this sweep, None where it is of another or not there."""
    if not path.is_file():
        return None
    found = load(path)
    wanted = {name: values for name, (_, values) in parse(case.scenario, case.over).coordinates().items()}
    is_same = (
        found.attrs["scenario"] == case.scenario.to_json()
        and json.loads(found.attrs["data"])["fingerprint"] == data.fingerprint()
        and np.array_equal(found["seed"], np.arange(found.sizes["seed"]))
        and all(name in found.coords and np.array_equal(found[name], values) for name, values in wanted.items())
    )
    return (found.sizes["seed"], int(found["epoch"][-1])) if is_same else None

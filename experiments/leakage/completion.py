"""Completion for as long as published code trains, by a party that trains honestly and by one with malicious SGD."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.leakage.cases import EPOCHS, NUM_KNOWN, OPTIMIZER, SEEDS, Task, trained_together
from experiments.leakage.cases import TASKS as LARGE
from experiments.shared.cases import HEADS, Case
from experiments.shared.outcomes import read
from vfl_jax.attacks import PassiveModelCompletion
from vfl_jax.data import load_bank_marketing, load_handwritten
from vfl_jax.models.malicious_sgd import MaliciousSGD
from vfl_jax.presets import HeadName
from vfl_jax.reports import Row, median_with_interval
from vfl_jax.scenario import Scenario
from vfl_jax.statistics.intervals import t_interval

if TYPE_CHECKING:
    import xarray as xr

NUM_STEPS = 20 * 1024


TASKS = {
    "handwritten": Task("handwritten", functools.cache(load_handwritten), 10, num_parties=6),
    "bank_marketing": Task("bank marketing", functools.cache(load_bank_marketing), 2),
    "default_credit": LARGE["default_credit"],
}
"""Three sets on which so many steps take minutes."""
TRAINS = ((0.0, 0.0), (OPTIMIZER.learning_rate, 0.0), (OPTIMIZER.learning_rate, 1.0))
"""The party's learning rate and the boost of its steps: its model stays as it was drawn; honest; malicious SGD."""
TITLES = ("untrained", "honest", "malicious SGD")
NOTE = f"""\
The last party knows {NUM_KNOWN} rows of every class, and completes its own model after training by {NUM_STEPS:,}
steps, 20 passes of 1,024; published code takes 5 to 25. Under *untrained* its model stayed as it was drawn, so that
what it reads is told by its own features and the known rows alone. *Malicious SGD* takes longer steps where a gradient
keeps its sign, so that the head relies on this party. Shares of the training rows whose labels were not granted, or of
two classes the area under the ROC curve; medians over {SEEDS} seeds with 95 % bootstrap intervals, then mean
differences paired by seed with t intervals. No defense; {EPOCHS} epochs. What differs from the source: the model after
the last step counts, not the best one by the true labels, and known rows are not guessed.
"""


def scenario(task: str, head: HeadName) -> Scenario:
    """Parties that train honestly; the last one completes its model, and may take longer steps.

    Args:
      task: the name of the data set.
      head: the name of the head.
    """
    optimizer = MaliciousSGD(kind="momentum", learning_rate=OPTIMIZER.learning_rate)
    return trained_together(TASKS[task], head, PassiveModelCompletion(num_steps=NUM_STEPS), optimizer)


def axes(task: str) -> dict[Any, Any]:
    """The grid: how the last party trains.

    Args:
      task: the name of the data set.
    """
    own = f"optimizers.{TASKS[task].num_parties - 1}"
    return {(f"{own}.learning_rate", f"{own}.boost"): list(TRAINS)}


CASES = tuple(
    Case(
        name=f"completion_{task}_{head}",
        title=f"completion, {TASKS[task].title}, {head} head",
        task=None,
        scenario=scenario(task, head),
        over=axes(task),
        seeds=SEEDS,
        epochs=EPOCHS,
        load=TASKS[task].load,
        evaluate_every=EPOCHS,
    )
    for task in TASKS
    for head in HEADS
)


def rows(folder: Path) -> list[Row]:
    """What completion reads, a row per data set and head; none where no case is trained.

    Args:
      folder: the folder of results.
    """
    is_trained = any((folder / f"{case.name}.nc").is_file() for case in CASES)
    found = read(folder, CASES) if is_trained else {}
    return [
        {"data": TASKS[task].title, "head": head, **_told(found[name], TASKS[task].num_classes)}
        for task in TASKS
        for head in HEADS
        if (name := f"completion_{task}_{head}") in found
    ]


def _told(dataset: xr.Dataset, num_classes: int) -> Row:
    """What is read of training rows under every way of training, and what differs between two, paired by seed."""
    last = dataset.isel(epoch=-1)
    (axis,) = (dim for dim in map(str, last["main_task_accuracy"].dims) if dim != "seed")
    metric = "label_inference_auc" if num_classes == 2 else "label_inference_accuracy"
    untrained, honest, malicious = (last[metric].isel({axis: place}).values for place in range(len(TRAINS)))
    _, main, main_malicious = (last["main_task_accuracy"].isel({axis: place}).values for place in range(len(TRAINS)))
    told: Row = {"of": "AUC" if num_classes == 2 else "share"}
    shown = zip(TITLES, (untrained, honest, malicious), strict=True)
    return (
        told
        | {title: median_with_interval(values) for title, values in shown}
        | {
            "honest beyond untrained": mean_with_t_interval(honest - untrained),
            "malicious beyond honest": mean_with_t_interval(malicious - honest),
            "main accuracy, malicious beyond honest": mean_with_t_interval(main_malicious - main),
        }
    )


def mean_with_t_interval(differences: np.ndarray) -> str:
    """A mean over seeds with its t interval, as a table has it.

    Args:
      differences: float[S].
    """
    low, high = t_interval(differences)
    return f"{differences.mean():+z.3f} [{low:+z.3f}, {high:+z.3f}]"

"""Labels of one batch from the gradient of a party's own parameters, where no message per row is to be had."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.leakage.completion import TASKS, scenario
from experiments.shared.cases import HEADS
from vfl_jax import infer_batch_labels, replica
from vfl_jax.core.atomic import write_atomically
from vfl_jax.presets import HeadName
from vfl_jax.reports import Row

SIZES = (4, 16, 64)
SEEDS, BATCHES = 5, 20
FILE = "one_batch.json"
NOTE = f"""\
`infer_batch_labels` gets one gradient, the mean over the batch, as where sums are computed under encryption: what a
row is told is not in it. The batch is drawn before the first step, when gradients are largest; 100 steps. Mean share of
labels that are named correctly over {SEEDS} seeds of {BATCHES} batches each, with the least and the largest seed. The
party believes in the true head. Under the trainable one the head that it learns along may name classes as it likes.
*Most frequent*: what naming the most frequent class would give.
"""


def measure(folder: Path) -> None:
    """Infers the labels of all batches, and saves the shares by data set, head and size of a batch.

    Args:
      folder: the folder of results; where it has them, nothing is done.
    """
    path = folder / FILE
    if path.is_file():
        return
    places = [(head, size) for head in HEADS for size in SIZES]
    found = {
        task: {"majority": _majority(task)}
        | {f"{head}_{size}": [_share(task, head, size, seed) for seed in range(SEEDS)] for head, size in places}
        for task in TASKS
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda new: new.write_text(json.dumps(found, indent=1) + "\n"))


def _majority(task: str) -> float:
    """The share of the most frequent class among the training rows."""
    labels = np.asarray(TASKS[task].load().train.labels)
    return float(np.bincount(labels).max() / len(labels))


def _share(task: str, head: HeadName, size: int, seed: int) -> float:
    """The share of labels that are read in batches of a seed."""
    data, study = TASKS[task].load(), scenario(task, head)
    made = replica.prepare(study, data, jax.random.key(seed))
    state = replica.init(made)
    draws = np.random.default_rng(seed)
    ids = np.stack([draws.choice(data.train.num_samples, size, replace=False) for _ in range(BATCHES)])
    labels = jnp.asarray(np.asarray(data.train.labels)[ids])
    features = tuple(jnp.asarray(np.asarray(of_party)[ids]) for of_party in data.train.features)
    keys = jax.random.split(jax.random.key(seed + 1_000), BATCHES)
    guesses = _guessed(task, head)(keys, state.params, state.head_params, features, labels)
    return float((guesses == labels).mean())


@functools.cache
def _guessed(task: str, head: HeadName) -> Any:
    """The compiled function that guesses the labels of several batches."""
    study, num_classes = scenario(task, head), TASKS[task].num_classes
    last = TASKS[task].num_parties - 1

    def guessed(key: Any, params: Any, head_params: Any, features: Any, labels: Any) -> Any:
        def own(mine: Any, x: Any) -> Any:
            return study.bottoms[last].apply(mine, x)

        def loss(mine: Any) -> Any:
            others = [study.bottoms[k].apply(params[k], features[k]) for k in range(last)]
            logits = study.head.apply(head_params, (*others, own(mine, features[last])), num_classes)
            return -(jax.nn.one_hot(labels, num_classes) * jax.nn.log_softmax(logits)).sum(axis=-1).mean()

        gradient = jax.grad(loss)(params[last])
        found = infer_batch_labels(key, own, params[last], features[last], gradient, num_classes, head=head)
        return found.labels

    return jax.jit(jax.vmap(guessed, in_axes=(0, None, None, 0, 0)))


def rows(folder: Path) -> list[Row]:
    """The shares, a row per data set and head, a column per size of a batch; none where nothing is saved.

    Args:
      folder: the folder of results.
    """
    path = folder / FILE
    if not path.is_file():
        return []
    return [
        {"data": TASKS[task].title, "head": head}
        | {f"batch of {size}": _shown(of_task[name]) for size in SIZES if (name := f"{head}_{size}") in of_task}
        | {"most frequent": f"{of_task['majority']:z.3f}"}
        for task, of_task in json.loads(path.read_text()).items()
        for head in HEADS
    ]


def _shown(shares: Sequence[float]) -> str:
    """The mean over seeds, with the least and the largest."""
    return f"{np.mean(shares):z.3f} ({min(shares):z.3f} to {max(shares):z.3f})"

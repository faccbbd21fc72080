"""Rows by class and how many of them carry the trigger, of both tasks: Table 1."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.shared.cases import load_task
from vfl_jax.core.atomic import write_atomically
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data import table_1
from vfl_jax.data.sets.location import data_folder
from vfl_jax.data.sets.nus_wide import CONCEPTS, PAPER, Counts, count, select
from vfl_jax.presets import liu2020_code
from vfl_jax.replica.draws import draw, poison_count

FILE = "table_1.json"
REAL_LABELS = "nus_wide/labels81.npz"
"""The labels of all images of NUS-WIDE, packed as bits: ``concepts``, ``train_packed`` and ``test_packed``."""


def save_counts(folder: Path) -> None:
    """Counts the data of both tasks, and the real labels where they are, and writes it into ``folder``."""
    nus_wide, mnist = load_task("nus_wide"), load_task("mnist")
    found = {"nus_wide": _plain(nus_wide, table_1(nus_wide)), "mnist": _plain(mnist, stamped(mnist))}
    if labels := real_labels():
        found["real_labels"] = {split: rows.tolist() for split, rows in labels.items()}
    text = json.dumps(found, indent=1) + "\n"
    write_atomically(folder / FILE, lambda temporary: temporary.write_text(text))


def stamped(data: VerticalData) -> dict[str, Counts]:
    """Table 1 of images that get the trigger stamped on: the one list of ``liu2020_code``, the same for all seeds."""
    plan = liu2020_code().poison
    drawn = draw(liu2020_code(), data, jax.random.key(0))
    ranks = {"train": (drawn.poison_rank, plan.rate), "test": (drawn.test_poison_rank, plan.test_rate)}
    rows = {"train": data.train, "test": data.test}
    return {
        split: count(rows[split].labels, rank < poison_count(rate, len(rank)), data.num_classes)
        for split, (rank, rate) in ranks.items()
    }


def real_labels() -> dict[str, np.ndarray] | None:
    """Rows by class of the five-class task made from the real labels, where the data folder has all of those."""
    folder = data_folder(None)
    if folder is None or not (folder / REAL_LABELS).is_file():
        return None
    file = np.load(folder / REAL_LABELS, allow_pickle=False)
    columns = [file["concepts"].tolist().index(concept) for concept in CONCEPTS]
    counts = {}
    for split, paper in PAPER.items():
        labels = np.unpackbits(file[f"{split}_packed"], axis=1)[:, columns].astype(bool)
        _, y = select(labels, int(paper.rows.sum()))
        counts[split] = np.bincount(y, minlength=len(CONCEPTS))
    return counts


def _plain(data: VerticalData, counts: dict[str, Counts]) -> dict[str, Any]:
    """As JSON has it."""
    lists = {split: {key: part.tolist() for key, part in found._asdict().items()} for split, found in counts.items()}
    return {"data": data.name, "classes": data.classes, **lists}

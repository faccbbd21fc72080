"""What the paper claims of labels that messages leak."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from experiments.liu2020.claims_without_a_figure.cases import TASKS
from experiments.liu2020.claims_without_a_figure.leakage import (
    HEADLINE,
    best_reader,
    of_kept,
    of_signs,
    without_messages,
)
from experiments.liu2020.verdict.judge import Claim, Finding
from experiments.shared.cases import PRESETS
from experiments.shared.outcomes import DATA, data_name
from vfl_jax.presets import Task
from vfl_jax.reports import median_with_interval

if TYPE_CHECKING:
    import xarray as xr

UNDEFENDED = "none"
HIDDEN = 0.5
"""A head alleviates where it hides so large a share of what leaks under the sum head beyond what needs no messages."""


def _reveals(dataset: xr.Dataset) -> Finding:
    """The method of section 5.3: the last message."""
    right = next(iter(of_signs(dataset, UNDEFENDED).values())).right
    return Finding(float(np.median(right)), f"labels read correctly {median_with_interval(right)}")


def _leaks_fewer(trainable: xr.Dataset, fixed: xr.Dataset, *heard: xr.Dataset) -> Finding:
    """The best reader with few labels, under both heads, without a defense."""
    read = [
        of_signs(trained, UNDEFENDED) | of_kept(listened, UNDEFENDED)
        for trained, listened in zip((trainable, fixed), heard, strict=True)
    ]
    names = [best_reader(readings, HEADLINE) or "" for readings in read]
    right = [readings[name].right for readings, name in zip(read, names, strict=True)]
    task: Task = "mnist" if data_name(heard[0]) == DATA["mnist"] else "nus_wide"
    floor = without_messages(task, read[0], HEADLINE)
    hidden = (right[1] - right[0]) / (right[1] - floor)
    is_hidden = hidden >= HIDDEN
    return Finding(
        float(is_hidden.mean()),
        f"hidden on {int(is_hidden.sum())}/{is_hidden.size} seeds; labels read {median_with_interval(right[0])} "
        f"({names[0]}), under the sum head {median_with_interval(right[1])}, without messages {floor:z.3f}",
    )


def _heads(kind: str, preset: str, task: str) -> tuple[str, str]:
    return (
        f"claims_without_a_figure/{preset}_{kind}_{task}_trainable",
        f"claims_without_a_figure/{preset}_{kind}_{task}_sum",
    )


CLAIMS = (
    Claim(
        "section 5.3",
        "The signs of the gradients reveal the labels, where the active party is not trainable",
        "an honest party that listens, sum head; each row's last message that has a negative entry",
        {
            f"{task}, {preset}": (f"claims_without_a_figure/{preset}_labels_{task}_sum",)
            for preset in PRESETS
            for task in TASKS
        },
        _reveals,
    ),
    Claim(
        "section 8",
        "A trainable active party alleviates the leakage of label information",
        "an honest party that listens, both heads, embeddings of one output per class, no defense; the best of all "
        f"readers that know at most {HEADLINE} row of every class; alleviated: at least {HIDDEN:.0%} of what is read "
        "under the sum head, beyond what needs no messages, is hidden",
        {f"{task}, {preset}": _heads("labels", preset, task) for preset in PRESETS for task in TASKS},
        _leaks_fewer,
        {f"{task}, {preset}": _heads("listened", preset, task) for preset in PRESETS for task in TASKS},
    ),
)

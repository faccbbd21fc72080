"""What the paper claims of labels that messages leak."""

from __future__ import annotations

from collections.abc import Callable
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


def _hides(known: int) -> Callable[..., Finding]:
    """Looks at the best reader who knows at most so many rows of every class, under both heads, without a defense."""

    def look(trainable: xr.Dataset, fixed: xr.Dataset, *heard: xr.Dataset) -> Finding:
        read = [
            of_signs(trained, UNDEFENDED) | of_kept(listened, UNDEFENDED)
            for trained, listened in zip((trainable, fixed), heard, strict=True)
        ]
        names = [best_reader(readings, known) or "" for readings in read]
        right = [readings[name].right for readings, name in zip(read, names, strict=True)]
        task: Task = "mnist" if data_name(heard[0]) == DATA["mnist"] else "nus_wide"
        floor = without_messages(task, read[0], known)
        hidden = hidden_share(right[0], right[1], floor)
        if hidden is None:
            return Finding(None, f"the sum head shows no more than is read without messages, {floor:z.3f}")
        is_hidden = hidden >= HIDDEN
        return Finding(
            float(is_hidden.mean()),
            f"at least {HIDDEN:.0%} hidden on {int(is_hidden.sum())}/{is_hidden.size} seeds, in the median "
            f"{float(np.median(hidden)):.0%}; labels read {median_with_interval(right[0])} ({names[0]}), "
            f"under the sum head {median_with_interval(right[1])}, without messages {floor:z.3f}",
        )

    return look


def hidden_share(trainable: np.ndarray, fixed: np.ndarray, floor: float) -> np.ndarray | None:
    """Which share of what leaks under the sum head a trainable head hides, by seed, in [0, 1].

    Args:
      trainable, fixed: float[S], the share of labels read under the trainable and the sum head.
      floor: the share that is read without messages.

    Returns:
      float[S], 0 at a seed with nothing to hide; None where the median seed has nothing to hide.
    """
    leaks = fixed - floor
    if not np.median(leaks) > 0:
        return None
    return np.clip(np.where(leaks > 0, fixed - trainable, 0.0) / np.where(leaks > 0, leaks, 1.0), 0.0, 1.0)


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
    *(
        Claim(
            where,
            text,
            "an honest party that listens, both heads, embeddings of one output per class, no defense; the best of all "
            f"readers that know {who}; alleviated: at least {HIDDEN:.0%} of what is read under the sum head, beyond "
            "what needs no messages, is hidden",
            {f"{task}, {preset}": _heads("labels", preset, task) for preset in PRESETS for task in TASKS},
            _hides(known),
            {f"{task}, {preset}": _heads("listened", preset, task) for preset in PRESETS for task in TASKS},
        )
        for where, text, who, known in (
            (
                "section 5.3",
                "A trainable active party hides the labels from a party that knows none",
                "no label",
                0,
            ),
            (
                "section 8",
                "A trainable active party alleviates the leakage of labels, also to who knows a row of every class",
                f"at most {HEADLINE} row of every class",
                HEADLINE,
            ),
        )
    ),
)

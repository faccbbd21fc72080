"""What every implementation of a benchmark case is given: NumPy arrays on the host."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np

Case: TypeAlias = Literal["mnist", "nus"]
Layers: TypeAlias = tuple[np.ndarray, ...]
"""Kernel [in, out] and bias of each dense layer, in turn."""
LEARNING_RATE = 0.01
NUM_TAGS = 1000


@dataclasses.dataclass(frozen=True)
class Problem:
    """A data set, an attacker's rows and initial parameters; with stacked parameters, [R, ...], R replicas of it.

    "mnist": features float32[N, 392] of both parties, stamped already; two layers each; the sum head.
    "nus": features float32[N, 634] of party 0, and party 1's tags as ids, int64[N, 6], distinct in a row, with
    −1 in places that are not used; one layer each; a head of two. Party 1 attacks.
    """

    case: Case
    train: tuple[np.ndarray, np.ndarray]
    labels: np.ndarray  # int64[N]
    is_poison: np.ndarray  # bool[N]
    target_row: int
    batch_size: int
    bottoms: tuple[Layers, Layers]
    head: Layers  # () where the embeddings are summed
    blur_stddev: float = 0.0  # of "nus"; "mnist" sends zeros

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches only."""
        return len(self.labels) // self.batch_size

    def replica(self, number: int) -> Problem:
        """One replica of a problem with stacked parameters."""
        first, second, head = (tuple(leaf[number] for leaf in party) for party in (*self.bottoms, self.head))
        return dataclasses.replace(self, bottoms=(first, second), head=head)


def layers(params: Mapping[str, Mapping[str, Any]]) -> Layers:
    """The arrays of a dense stack of ``vfl_jax.models``."""
    return tuple(
        np.asarray(params[f"dense_{i}"][leaf], np.float32) for i in range(len(params)) for leaf in ("kernel", "bias")
    )

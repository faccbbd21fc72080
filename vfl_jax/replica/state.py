"""What flows through a step of one replica: a batch, the state, what a reader is told, the random streams."""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.struct
import jax

from vfl_jax.core.types import Array, Key, Params, State
from vfl_jax.core.vertical_data import Rows


@flax.struct.dataclass
class Batch:
    """Rows of one step, before the trigger is stamped."""

    sample_ids: jax.Array  # int32[B]
    roles: jax.Array  # int32[B]
    poison_rank: jax.Array  # int32[B]  place of each row in its seed's order of poisoning
    rows: Rows  # leaves [B, ...]


@flax.struct.dataclass
class TrainState:
    """Everything the next step needs; the step number itself belongs to the loop."""

    params: tuple[Params, ...]
    head_params: Params
    opt_states: tuple[Any, ...]
    head_opt_state: Any
    attack_states: tuple[State, ...]
    active_attack_state: State
    defense_state: State


@flax.struct.dataclass
class StepInfo:
    """What a reader is told of one step."""

    loss: Array  # float32[]  the batch loss on what the active party received, regulariser excluded
    num_correct: Array  # int32[]  rows of the batch whose top logit is the true label
    is_finite: Array  # bool[]  loss and every gradient message are finite


class Streams(NamedTuple):
    """Named random streams of one seed: a draw more in one moves no number in another."""

    init: Key
    batches: Key
    poison: Key
    targets: Key
    attack: Key
    active_attack: Key
    defense: Key
    inference: Key

    @classmethod
    def of(cls, key: Key) -> Streams:
        return cls(*(jax.random.fold_in(key, i) for i in range(len(cls._fields))))

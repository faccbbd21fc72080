"""The things that flow through a step of one replica: a batch, the state, the facts for a reader, random streams."""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.struct
import jax

from vfl_jax.core.types import Array, Key, Params, State
from vfl_jax.core.vertical_data import Rows


@flax.struct.dataclass
class Batch:
    """The rows of one step, before the trigger is stamped.

    Args:
      sample_ids: int32[B], the numbers of the rows in the training set.
      roles: int32[B], ORDINARY but for the rows of an appended pair.
      poison_rank: int32[B], the place of each row in the seed's order of poisoning.
      rows: features and labels, leaves [B, ...].
    """

    sample_ids: jax.Array
    roles: jax.Array
    poison_rank: jax.Array
    rows: Rows


@flax.struct.dataclass
class TrainState:
    """The state of a replica between two steps; the number of the step belongs to the loop.

    Args:
      params: the parameters of the K bottom models.
      head_params: the parameters of the head.
      opt_states: the states of the K parties' optimizers.
      head_opt_state: the state of the head's optimizer.
      attack_states: the states of the K parties' methods.
      active_attack_state: the state of the active party's attack.
      defense_state: the state of the defense.
      model_states: what the K bottom models hold beside parameters, such as running means.
      method_params: the own parameters of the active party's attack and of its defense.
      method_opt_states: the states of their optimizers.
    """

    params: tuple[Params, ...]
    head_params: Params
    opt_states: tuple[Any, ...]
    head_opt_state: Any
    attack_states: tuple[State, ...]
    active_attack_state: State
    defense_state: State
    model_states: tuple[State, ...]
    method_params: tuple[Params, Params]
    method_opt_states: tuple[Any, Any]


@flax.struct.dataclass
class StepInfo:
    """The facts of one step for a reader.

    Args:
      loss: float32[], the batch loss on the messages that the active party received, with the penalty of methods but
        without that on the parameters of models.
      penalty: float32[], the penalty of methods (``on_embed``); None where no method has one.
      num_correct: int32[], the number of rows whose largest logit is that of the true label.
      is_finite: bool[], whether the loss and every gradient message are finite.
    """

    loss: Array
    penalty: Array | None
    num_correct: Array
    is_finite: Array


class Streams(NamedTuple):
    """The random streams of one seed, by name; one more draw in a stream changes no number in another."""

    init: Key
    batches: Key
    poison: Key
    targets: Key
    attack: Key
    active_attack: Key
    defense: Key
    inference: Key
    models: Key

    @classmethod
    def of(cls, key: Key) -> Streams:
        """Returns the streams of a seed's key."""
        return cls(*(jax.random.fold_in(key, i) for i in range(len(cls._fields))))

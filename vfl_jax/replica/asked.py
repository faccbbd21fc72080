"""Rows that a user asks about after training: what they become in the models and inference hooks of one replica."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.types import Array
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.replica import capabilities, phases
from vfl_jax.replica.blocks import in_order
from vfl_jax.replica.draws import Draws, poison_count
from vfl_jax.replica.inference import infer
from vfl_jax.replica.preparation import Inputs
from vfl_jax.replica.state import Streams, TrainState
from vfl_jax.scenario import Scenario

What = Literal["logits", "sent"]
"""The part of an answer: the logits, or the messages that the parties send."""


@flax.struct.dataclass
class Asked:
    """R rows in blocks.

    Args:
      features: the features of every party, leaves [blocks, R', ...].
      places: int32[blocks, R'], the number of each row among the R; R for rows that fill up the last block.
      first: int32[], the number that hooks' keys give to the first row.
      is_attacked: bool[R], the rows that attackers are to attack, which carry the attack trigger; None for test rows
        of which the seed's draw says it, as in the first pass of evaluation.
      num_rows: R; static.
    """

    features: Any
    places: Array
    first: Array
    is_attacked: Array | None
    num_rows: int = flax.struct.field(pytree_node=False)


def ask(
    shapes: Shapes,
    inputs: Inputs,
    scenario: Scenario,
    draws: Draws,
    state: TrainState,
    epoch: Array,
    asked: Asked,
    what: What,
    over_grid: Callable[..., Any] = phases.identity,
) -> tuple[Any, Array]:
    """Takes rows through the models and the inference hooks of one seed.

    Args:
      shapes: the sizes that the protocol makes public.
      inputs: the data on the device.
      scenario: the scenario, with numbers cast to their dtypes; with a grid, numbers [G].
      draws: the draws of the seed.
      state: the state after training; with a grid, leaves [G, ...].
      epoch: int32[], the number of the epoch whose evaluation gives the draws of hooks.
      asked: the rows.
      what: the part of the answer; static.
      over_grid: maps a function of (scenario, state, …) over grid points; by default there is no grid.

    Returns:
      (the logits, float32[R, C], or the messages of K parties, float32[R, E] each; which rows are attacked, bool[R]).
    """
    key = jax.random.fold_in(Streams.of(draws.key).inference, epoch)
    features, places = in_order(scenario, key, asked.features, asked.places, asked.num_rows)

    def at_point(scenario: Scenario, state: TrainState) -> tuple[Any, Array]:
        knowledge = phases.grant(shapes, inputs, scenario, draws)

        def one(block: tuple[Any, jax.Array]) -> tuple[Any, Array]:
            rows, here = block
            is_valid = here < asked.num_rows
            rows, is_attacked = _attacked(inputs, scenario, draws, asked, rows, here, is_valid)
            ids = here + asked.first
            found = infer(shapes, scenario, state, rows, key, knowledge, ids, is_valid, is_attacked)
            return getattr(found, what), is_attacked

        def as_asked(leaf: jax.Array) -> jax.Array:
            empty = jnp.zeros((asked.num_rows, *leaf.shape[2:]), leaf.dtype)
            return empty.at[places.reshape(-1)].set(leaf.reshape(-1, *leaf.shape[2:]), mode="drop")

        return jax.tree.map(as_asked, jax.lax.map(one, (features, places)))

    return over_grid(at_point, returns_state=False)(scenario, state)


def _attacked(
    inputs: Inputs, scenario: Scenario, draws: Draws, asked: Asked, rows: Any, places: Array, is_valid: Array
) -> tuple[tuple[Any, ...], Array]:
    """Returns (the features of a block, stamped where they are attacked; which rows are attacked, bool[R'])."""
    if asked.is_attacked is None:
        last = np.iinfo(np.int32).max
        rank = jnp.asarray(draws.test_poison_rank).at[places].get(mode="fill", fill_value=last)
        is_attacked = is_valid & (rank < poison_count(scenario.poison.test_rate, asked.num_rows))
        trigger = scenario.poison.trigger
        return tuple(trigger.stamp(m, x, is_attacked) for m, x in zip(inputs.masks, rows, strict=True)), is_attacked
    is_attacked = jnp.asarray(is_valid & jnp.asarray(asked.is_attacked).at[places].get(mode="fill", fill_value=False))
    stamps = [capabilities.own_stamp(scenario, inputs, k) for k in range(len(rows))]
    stamped = [x if stamp is None else stamp(x, is_attacked) for stamp, x in zip(stamps, rows, strict=True)]
    return tuple(stamped), is_attacked

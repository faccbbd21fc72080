"""The phases of one replica in pure functions: an epoch of training, and what happens between two.

A sweep maps them over grid points and seeds. The grid enters by ``over_grid``, inside the scan over steps. So a program
gathers batches and draws noise once for all grid points.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import chex
import jax
import jax.numpy as jnp

from vfl_jax.core.types import Array
from vfl_jax.core.vertical_data import Rows
from vfl_jax.protocol.knowledge import Knowledge, Shapes
from vfl_jax.replica import epochs
from vfl_jax.replica.draws import Draws, epoch_ids, poison_count
from vfl_jax.replica.keys import Keys
from vfl_jax.replica.metrics import Metric
from vfl_jax.replica.preparation import Inputs
from vfl_jax.replica.state import Batch, Streams, TrainState
from vfl_jax.replica.stepping import Clock, step
from vfl_jax.scenario import Scenario


def grant(shapes: Shapes, inputs: Inputs, scenario: Scenario, draws: Draws) -> Knowledge:
    """Returns the knowledge that the scenario grants attackers; it is an argument of their hooks, never state.

    Args:
      shapes: the sizes that the protocol makes public.
      inputs: the data on the device.
      scenario: the scenario, with numbers cast to their dtypes.
      draws: the draws of the seed.
    """
    return Knowledge(
        target_class=jnp.int32(scenario.poison.target_class),
        is_poison=jnp.less(draws.poison_rank, poison_count(scenario.poison.rate, shapes.num_samples)),
        known_labels=jnp.asarray(draws.known_labels),
        blur=None if inputs.blur is None else jnp.asarray(inputs.blur),
        by_role=scenario.poison.mode == "appended_pair",
    )


def identity(function: Callable[..., Any], **_: Any) -> Callable[..., Any]:
    """Returns the function itself, where there is no grid."""
    return function


LEFT_OUT = "rows_left_out"
"""The name, beside the metrics of training, of the number of training rows that no step of the epoch used, int32[]."""


def train_epoch(
    shapes: Shapes,
    inputs: Inputs,
    scenario: Scenario,
    draws: Draws,
    state: TrainState,
    epoch: jax.Array,
    over_grid: Callable[..., Any] = identity,
) -> tuple[TrainState, dict[str, Any], Array]:
    """Trains one seed for an epoch.

    Args:
      shapes: the sizes that the protocol makes public.
      inputs: the data on the device.
      scenario: the scenario, with numbers cast to their dtypes; with a grid, numbers [G].
      draws: the draws of the seed.
      state: the state before the epoch; with a grid, leaves [G, ...].
      epoch: int32[], counted from 0.
      over_grid: maps a function of (scenario, state, …) over grid points; by default there is no grid.

    Returns:
      (the new state; the metrics of training and ``LEFT_OUT``, by name; is_finite, bool[]: whether every loss and
      message of the epoch, and the parameters at its end, are finite).
    """
    streams = Streams.of(draws.key)
    ids, roles = epoch_ids(scenario, draws, epoch)
    num_steps = ids.shape[0]
    chex.assert_shape([ids, roles], (None, shapes.batch_rows))

    # What no step changes is computed here, for all steps: in a step each would be a kernel of its own on a GPU.
    settled = scenario.at(epoch, inputs.decays)
    numbers = epoch * num_steps + jnp.arange(num_steps, dtype=jnp.int32)
    keys = jax.vmap(lambda number: Keys.at(streams, number, len(shapes.widths)))(numbers)
    keys = jax.tree.map(jax.random.key_data, keys)
    labels, has_trigger = (jnp.asarray(leaf)[ids] for leaf in (inputs.train.labels, inputs.train.has_trigger))
    rows = Rows(features=(), labels=labels, has_trigger=has_trigger)  # features of all steps would take much memory
    batches = Batch(sample_ids=ids, roles=roles, poison_rank=jnp.asarray(draws.poison_rank)[ids], rows=rows)

    def one_step(scenario: Scenario, state: TrainState, batch: Batch, clock: Clock, keys: Keys) -> Any:
        knowledge = grant(shapes, inputs, scenario, draws)
        return step(shapes, inputs, scenario, state, batch, clock, keys, knowledge)

    mapped_step = over_grid(one_step, returns_state=True)

    def body(state: TrainState, slot: tuple[Batch, jax.Array, Keys]) -> tuple[TrainState, jax.Array]:
        batch, number, keys = slot
        keys = jax.tree.map(functools.partial(jax.random.wrap_key_data, impl=jax.random.key_impl(draws.key)), keys)
        features = jax.tree.map(lambda leaf: leaf[batch.sample_ids], inputs.train.features)
        batch = dataclasses.replace(batch, rows=dataclasses.replace(batch.rows, features=features))
        state, info = mapped_step(settled, state, batch, Clock(epoch=epoch, step=number), keys)
        facts = (info.loss, info.num_correct, info.is_finite, *(() if info.penalty is None else (info.penalty,)))
        return state, jnp.stack([fact.astype(info.loss.dtype) for fact in facts])

    state, facts = jax.lax.scan(body, state, (batches, numbers, keys))
    loss, num_correct, is_finite, *penalty = jnp.moveaxis(facts, 1, 0)
    steps, rows_used = jnp.float32(num_steps), jnp.float32(num_steps * shapes.batch_rows)
    metrics = {
        "loss": Metric(loss.sum(axis=0), steps),
        "train_accuracy": Metric(num_correct.astype(jnp.int32).sum(axis=0).astype(jnp.float32), rows_used),
    }
    if penalty:
        metrics["penalty"] = Metric(penalty[0].sum(axis=0), steps)
    ends_finite = over_grid(_has_finite_params, returns_state=False)(scenario, state)
    was_used = jnp.zeros(shapes.num_samples, bool).at[ids].set(True)
    found = metrics | {LEFT_OUT: jnp.sum(~was_used, dtype=jnp.int32)}
    return state, found, (is_finite > 0).all(axis=0) & ends_finite


def between_epochs(
    shapes: Shapes,
    inputs: Inputs,
    scenario: Scenario,
    draws: Draws,
    state: TrainState,
    epoch: jax.Array,
    num_epochs: jax.Array,
    due: frozenset[tuple[int, ...]],
    over_grid: Callable[..., Any] = identity,
) -> tuple[TrainState, Array]:
    """Lets the methods of one seed act between two epochs (``on_epoch``).

    Args:
      shapes: the sizes that the protocol makes public.
      inputs: the data on the device.
      scenario: the scenario, with numbers cast to their dtypes; with a grid, numbers [G].
      draws: the draws of the seed.
      state: the state that the epoch left; with a grid, leaves [G, ...].
      epoch: int32[], the number of finished epochs.
      num_epochs: int32[], the number of epochs of the whole training.
      due: the ``at_epochs`` of methods that name this epoch (:meth:`Scenario.due`); static.
      over_grid: maps a function of (scenario, state, …) over grid points; by default there is no grid.

    Returns:
      (the new state; whether the parameters are finite, bool[]).
    """
    streams = Streams.of(draws.key)

    def act(scenario: Scenario, state: TrainState) -> tuple[TrainState, Array]:
        knowledge = grant(shapes, inputs, scenario, draws)
        state = epochs.act(shapes, inputs, scenario, state, epoch, num_epochs, due, streams, knowledge)
        return state, _has_finite_params(scenario, state)

    return over_grid(act, returns_state=True)(scenario, state)


def _has_finite_params(_: Scenario, state: TrainState) -> Array:
    """Whether all parameters are finite, bool[]."""
    leaves = jax.tree.leaves((state.params, state.head_params, state.method_params))
    return jnp.array([jnp.isfinite(leaf).all() for leaf in leaves], bool).all()

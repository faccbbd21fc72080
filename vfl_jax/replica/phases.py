"""The phases of one replica in pure functions: the initial state, an epoch of training, what happens between two.

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
import numpy as np

from vfl_jax.core.types import Array
from vfl_jax.core.vertical_data import Rows
from vfl_jax.protocol import own_params
from vfl_jax.protocol.knowledge import Knowledge, Shapes
from vfl_jax.protocol.mistakes import call
from vfl_jax.replica import epochs
from vfl_jax.replica.draws import Draws, Given, epoch_ids, poison_count
from vfl_jax.replica.keys import Keys, party_key
from vfl_jax.replica.metrics import Metric
from vfl_jax.replica.preparation import Inputs
from vfl_jax.replica.state import Batch, Streams, TrainState
from vfl_jax.replica.stepping import Clock, step
from vfl_jax.scenario import Scenario

BEFORE_TRAINING = np.uint32(2**32 - 1)
"""The step number in the keys of ``init``; no step has this number."""

OWN_PARAMS = np.uint32(2**32 - 2)
"""The step number in the keys of methods' own parameters; no step has this number."""


def init(shapes: Shapes, inputs: Inputs, scenario: Scenario, draws: Draws, given: Given = Given()) -> TrainState:
    """Returns the state of one replica before its first step; its parameters depend on the seed alone.

    Args:
      shapes: the sizes that the protocol makes public.
      inputs: the data on the device.
      scenario: the scenario, with numbers cast to their dtypes.
      draws: the draws of the seed.
      given: parameters that are not drawn.

    Raises:
      ValueError: where given parameters have another structure or other shapes than the models.
    """
    streams = Streams.of(draws.key)
    sample = jax.tree.map(lambda leaf: leaf[:1], inputs.train.features)
    num_parties = len(shapes.widths)
    keys = [jax.random.fold_in(streams.init, k) for k in range(num_parties)]
    models = [bottom.init_with_state(keys[k], sample[k]) for k, bottom in enumerate(scenario.bottoms)]
    params = tuple(drawn for drawn, _ in models)
    embeddings = tuple(jnp.zeros((1, width)) for width in shapes.widths)
    head_params = scenario.head.init(jax.random.fold_in(streams.init, num_parties), embeddings, shapes.num_classes)
    params = _given_params("given.params", given.params, params)
    head_params = _given_params("given.head_params", given.head_params, head_params)

    first = jnp.int32(0)
    sides = (scenario.active_attack, streams.active_attack), (scenario.defense, streams.defense)
    default = scenario.head_optimizer
    own = [own_params.init(m, jax.random.fold_in(stream, OWN_PARAMS), shapes, default) for m, stream in sides]
    return TrainState(
        params=params,
        head_params=head_params,
        opt_states=tuple(o.build(first).init(p) for o, p in zip(scenario.optimizers, params, strict=True)),
        head_opt_state=scenario.head_optimizer.build(first).init(head_params),
        attack_states=tuple(
            call(attack, "init_with_params", party_key(streams.attack, BEFORE_TRAINING, k), shapes, k, params[k])
            for k, attack in enumerate(scenario.attacks)
        ),
        active_attack_state=call(
            scenario.active_attack, "init", jax.random.fold_in(streams.active_attack, BEFORE_TRAINING), shapes
        ),
        defense_state=call(scenario.defense, "init", jax.random.fold_in(streams.defense, BEFORE_TRAINING), shapes),
        model_states=tuple(held for _, held in models),
        method_params=(own[0][0], own[1][0]),
        method_opt_states=(own[0][1], own[1][1]),
    )


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


def _given_params(name: str, given: Any, drawn: Any) -> Any:
    """Returns the given parameters, or else the drawn ones, after a check of structure and shapes."""
    if given is None:
        return drawn
    found, expected = (
        {jax.tree_util.keystr(p): np.shape(leaf) for p, leaf in jax.tree_util.tree_leaves_with_path(tree)}
        for tree in (given, drawn)
    )
    if found != expected:
        differing = sorted(k for k in found.keys() | expected.keys() if found.get(k) != expected.get(k))
        where = differing[0]
        raise ValueError(
            f"{name}{where} has shape {found.get(where)}; the scenario's models have {expected.get(where)} there."
        )
    return jax.tree.map(lambda leaf, like: jnp.asarray(leaf, like.dtype), given, drawn)

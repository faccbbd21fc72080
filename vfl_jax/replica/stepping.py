"""One step of the protocol: local forward passes, the active party's loss, the way back to every party.

Without attacks and defenses a step equals ``jax.grad`` of the joint model, followed by every party's own optimizer:
Algorithm 1 and equations 1 to 5 of Liu, Yi, Chen 2020 (arXiv:2007.03608).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.types import Array, Key, Params, State
from vfl_jax.protocol import local
from vfl_jax.protocol.hooks import run_hook
from vfl_jax.protocol.views import NOTHING, ActiveView, Knowledge, PartyView, Shapes
from vfl_jax.replica.draws import poison_count
from vfl_jax.replica.state import Batch, StepInfo, Streams, TrainState
from vfl_jax.scenario import Scenario

FEATURES, UPLOAD, DOWNLOAD, LABELS, RECEIVE, SEND = range(6)
"""The number of a hook in its keys."""


class Clock(NamedTuple):
    """The time of a step; all grid points share it, so they share draws.

    Args:
      epoch: int32[], counted from 0.
      step: int32[], the number of steps before this one, since the start.
    """

    epoch: jax.Array
    step: jax.Array


def step(
    shapes: Shapes,
    masks: tuple[Array | None, ...],
    rowwise: tuple[bool, ...],
    scenario: Scenario,
    state: TrainState,
    batch: Batch,
    clock: Clock,
    streams: Streams,
    knowledge: Knowledge = NOTHING,
) -> tuple[TrainState, StepInfo]:
    """Takes one training step of one replica; pure.

    Args:
      shapes: the sizes that the protocol makes public; static.
      masks: the places of the trigger, bool[F] or None per party.
      rowwise: whether the step updates only the rows of a party's table that the batch looks up, per party; static. It
        saves time and changes no result.
      scenario: the scenario, with numbers cast to their dtypes.
      state: the state before the step.
      batch: B rows of every party, not stamped yet.
      clock: the time of the step.
      streams: the seed's random streams.
      knowledge: the attackers' knowledge; no defense sees it. None where nobody attacks.

    Returns:
      (the new state, the facts of the step for a reader).

    Raises:
      AssertionError: where a hook or model returns an array of another shape.
    """
    parties = range(len(shapes.widths))
    is_poisoned = batch.poison_rank < poison_count(scenario.poison.rate, shapes.num_samples)
    features = tuple(
        scenario.poison.trigger.stamp(mask, x, is_poisoned) for mask, x in zip(masks, batch.rows.features, strict=True)
    )

    # Every party runs its model forward, sends a message, and keeps the way back through its true embedding.
    attack_states, views, sent, pullbacks = list(state.attack_states), [], [], []
    for k in parties:
        view = PartyView(
            sample_ids=batch.sample_ids,
            roles=batch.roles,
            features=features[k],
            params=state.params[k],
            step=clock.step,
            knowledge=knowledge,
        )
        attack = scenario.attacks[k]
        key = party_key(streams.attack, clock.step, k)
        key_features, key_upload = (jax.random.fold_in(key, hook) for hook in (FEATURES, UPLOAD))
        x, attack_states[k] = run_hook(attack, "on_features", key_features, attack_states[k], view, features[k])
        embedding, pullback = local.forward(scenario.bottoms[k], state.params[k], x, rowwise[k])
        chex.assert_shape(embedding, (shapes.batch_rows, shapes.widths[k]))
        message, attack_states[k] = run_hook(attack, "on_upload", key_upload, attack_states[k], view, embedding)
        views.append(view)
        sent.append(message)
        pullbacks.append(pullback)

    # The active party changes what it received, computes the loss, and sends the gradients back.
    active_view = ActiveView(
        sample_ids=batch.sample_ids,
        roles=batch.roles,
        labels=jnp.asarray(batch.rows.labels),
        step=clock.step,
        knowledge=knowledge,
    )
    at_active = functools.partial(_at_active, scenario, clock, streams, active_view)
    states = state.active_attack_state, state.defense_state
    crossing, states = at_active("on_receive", RECEIVE, states, tuple(sent[k] for k in shapes.crossing))
    received = with_crossing(shapes, sent, crossing)
    one_hot = jax.nn.one_hot(batch.rows.labels, shapes.num_classes)
    targets, states = at_active("on_labels", LABELS, states, one_hot)

    def loss_of(head_params: Params, embeddings: tuple[Array, ...]) -> tuple[Array, Array]:
        logits = scenario.head.apply(head_params, embeddings, shapes.num_classes)
        return scenario.loss(logits, targets), logits

    loss, head_pullback, logits = jax.vjp(loss_of, state.head_params, received, has_aux=True)
    chex.assert_shape(logits, (shapes.batch_rows, shapes.num_classes))
    head_gradient, gradients = head_pullback(jnp.ones_like(loss))
    crossing, states = at_active("on_send", SEND, states, tuple(gradients[k] for k in shapes.crossing))
    messages = with_crossing(shapes, gradients, crossing)

    # Every party changes the gradient it received, and updates its own model.
    params, opt_states = list(state.params), list(state.opt_states)
    for k in parties:
        key = jax.random.fold_in(party_key(streams.attack, clock.step, k), DOWNLOAD)
        attack, state_here = scenario.attacks[k], attack_states[k]
        used, attack_states[k] = run_hook(attack, "on_download", key, state_here, views[k], messages[k])
        chex.assert_equal_shape([used, messages[k]])
        params[k], opt_states[k] = local.update(
            scenario.optimizers[k],
            scenario.regularizer,
            clock.epoch,
            pullbacks[k](used),
            state.params[k],
            state.opt_states[k],
        )
    head_params, head_opt_state = local.update(
        scenario.head_optimizer,
        scenario.regularizer,
        clock.epoch,
        head_gradient,
        state.head_params,
        state.head_opt_state,
    )

    new_state = TrainState(
        params=tuple(params),
        head_params=head_params,
        opt_states=tuple(opt_states),
        head_opt_state=head_opt_state,
        attack_states=tuple(attack_states),
        active_attack_state=states[0],
        defense_state=states[1],
    )
    info = StepInfo(
        loss=loss,
        num_correct=jnp.sum(predicted_class(logits) == batch.rows.labels, dtype=jnp.int32),
        is_finite=jnp.isfinite(loss) & jnp.stack([jnp.isfinite(m).all() for m in messages]).all(),
    )
    return new_state, info


def _at_active(
    scenario: Scenario,
    clock: Clock,
    streams: Streams,
    view: ActiveView,
    hook: str,
    hook_number: int,
    states: tuple[State, State],
    value: Any,
) -> tuple[Any, tuple[State, State]]:
    """Calls one hook of the active party's attack, then of its defense; returns (value, states)."""
    sides = (scenario.active_attack, streams.active_attack), (scenario.defense, streams.defense)
    after = []
    for (transform, stream), state in zip(sides, states, strict=True):
        key = jax.random.fold_in(jax.random.fold_in(stream, clock.step), hook_number)
        value, state = run_hook(transform, hook, key, state, view, value)
        after.append(state)
    return value, (after[0], after[1])


def predicted_class(logits: Array) -> Array:
    """Returns the predicted classes, int32[B]: the first class with the largest logit, −1 where a logit is NaN.

    Args:
      logits: float32[B, C].
    """
    is_defined = ~jnp.isnan(logits).any(axis=-1)
    return jnp.where(is_defined, jnp.argmax(logits, axis=-1).astype(jnp.int32), -1)


def party_key(stream: Key, step: Array | np.uint32, party: int) -> Key:
    """Returns the key of one party at one step of a stream."""
    return jax.random.fold_in(jax.random.fold_in(stream, step), party)


def with_crossing(shapes: Shapes, everyone: Sequence[Array], crossing: Sequence[Array]) -> tuple[Array, ...]:
    """Returns the messages of all K parties.

    Args:
      shapes: the sizes that the protocol makes public.
      everyone: a message per party, before the hooks.
      crossing: the messages of the parties in ``shapes.crossing``, after the hooks.

    Raises:
      AssertionError: where a hook changed the shape of a message.
    """
    merged = list(everyone)
    for k, message in zip(shapes.crossing, crossing, strict=True):
        chex.assert_equal_shape([message, everyone[k]])
        merged[k] = message
    return tuple(merged)

"""One step of the protocol: local forward passes, active loss, joint vector-Jacobian product.

With no transforms a step equals ``jax.grad`` of the joint model followed by every party's own
optimizer (Algorithm 1 and equations 1 to 5 of Liu, Yi, Chen 2020).
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
"""Which hook a key is for."""


class Clock(NamedTuple):
    """When a step happens; shared by every grid point, so that draws are too."""

    epoch: jax.Array  # int32[]
    step: jax.Array  # int32[]  since the start


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
      shapes: the static facts of the protocol.
      masks: where the trigger lies in each party's features, bool[F] or None.
      rowwise: whether a party's table is updated only in the rows that its batch looks up; static, and only faster.
      scenario: with numbers cast to their dtypes (scalars).
      batch: B rows of every party, not stamped yet.
      knowledge: what attackers were granted; no defense sees it. None where nobody attacks.
    """
    parties = range(len(shapes.widths))
    is_poisoned = batch.poison_rank < poison_count(scenario.poison.rate, shapes.num_samples)
    features = tuple(
        scenario.poison.trigger.stamp(mask, x, is_poisoned) for mask, x in zip(masks, batch.rows.features, strict=True)
    )

    # Every party: its own forward pass, what it sends, and the way back through its true embedding.
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

    # Active party: what it takes from the messages, its loss, its own gradient and every message back.
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

    # Every party: what it makes of its message, its own update.
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
    """One hook at the active party, of its attack and then of its defense: (value, states)."""
    sides = (scenario.active_attack, streams.active_attack), (scenario.defense, streams.defense)
    after = []
    for (transform, stream), state in zip(sides, states, strict=True):
        key = jax.random.fold_in(jax.random.fold_in(stream, clock.step), hook_number)
        value, state = run_hook(transform, hook, key, state, view, value)
        after.append(state)
    return value, (after[0], after[1])


def predicted_class(logits: Array) -> Array:
    """The first of the classes with the largest logit, int32[B]; −1, no class, where a logit is NaN."""
    is_defined = ~jnp.isnan(logits).any(axis=-1)
    return jnp.where(is_defined, jnp.argmax(logits, axis=-1).astype(jnp.int32), -1)


def party_key(stream: Key, step: Array | np.uint32, party: int) -> Key:
    return jax.random.fold_in(jax.random.fold_in(stream, step), party)


def with_crossing(shapes: Shapes, everyone: Sequence[Array], crossing: Sequence[Array]) -> tuple[Array, ...]:
    """The messages of all K parties, those that cross as the hooks left them."""
    merged = list(everyone)
    for k, message in zip(shapes.crossing, crossing, strict=True):
        chex.assert_equal_shape([message, everyone[k]])
        merged[k] = message
    return tuple(merged)

"""One step of the protocol: local forward passes, active loss, joint vector-Jacobian product.

With no transforms a step equals ``jax.grad`` of the joint model followed by every party's own
optimizer (Algorithm 1 and equations 1 to 5 of Liu, Yi, Chen 2020).
"""

from __future__ import annotations

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.types import Array, Key, Params
from vfl_jax.protocol import local
from vfl_jax.protocol.hooks import run_hook
from vfl_jax.protocol.views import ActiveView, Knowledge, PartyView, Shapes
from vfl_jax.replica.draws import poison_count
from vfl_jax.replica.state import Batch, StepInfo, Streams, TrainState
from vfl_jax.scenario import Scenario

FEATURES, UPLOAD, DOWNLOAD, LABELS, RECEIVE, SEND = range(6)
"""Which hook a key is for."""


class Clock(NamedTuple):
    """When a step happens; shared by every grid point, so that draws are too."""

    epoch: Array  # int32[]
    step: Array  # int32[]  since the start


def step(
    shapes: Shapes,
    masks: tuple[Array | None, ...],
    scenario: Scenario,
    state: TrainState,
    batch: Batch,
    clock: Clock,
    streams: Streams,
    knowledge: Knowledge | None = None,
) -> tuple[TrainState, StepInfo]:
    """Takes one training step of one replica; pure.

    Args:
      shapes: the static facts of the protocol.
      masks: where the trigger lies in each party's features, bool[F] or None.
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
        embedding, pullback = local.forward(scenario.bottoms[k], state.params[k], x, shapes.rowwise[k])
        chex.assert_shape(embedding, (shapes.batch_rows, shapes.widths[k]))
        message, attack_states[k] = run_hook(attack, "on_upload", key_upload, attack_states[k], view, embedding)
        views.append(view)
        sent.append(message)
        pullbacks.append(pullback)

    # Active party: what it takes from the messages, its loss, its own gradient and every message back.
    active = Active(shapes, scenario, clock, streams, batch, state, knowledge)
    received = active.receive(tuple(sent))
    targets = active.targets()

    def loss_of(head_params: Params, embeddings: tuple[Array, ...]) -> tuple[Array, Array]:
        logits = scenario.head.apply(head_params, embeddings, shapes.num_classes)
        return scenario.loss(logits, targets), logits

    loss, head_pullback, logits = jax.vjp(loss_of, state.head_params, received, has_aux=True)
    chex.assert_shape(logits, (shapes.batch_rows, shapes.num_classes))
    head_gradient, gradients = head_pullback(jnp.ones_like(loss))
    messages = active.send(gradients)

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
        active_attack_state=active.attack_state,
        defense_state=active.defense_state,
    )
    info = StepInfo(
        loss=loss,
        num_correct=jnp.sum(predicted_class(logits) == batch.rows.labels, dtype=jnp.int32),
        is_finite=jnp.isfinite(loss) & jnp.stack([jnp.isfinite(m).all() for m in messages]).all(),
    )
    return new_state, info


class Active:
    """The active party's side of one step: its attack's hooks, then its defense's, on what crosses."""

    def __init__(
        self,
        shapes: Shapes,
        scenario: Scenario,
        clock: Clock,
        streams: Streams,
        batch: Batch,
        state: TrainState,
        knowledge: Knowledge | None,
    ) -> None:
        self.shapes, self.batch = shapes, batch
        self.view = ActiveView(
            sample_ids=batch.sample_ids,
            roles=batch.roles,
            labels=batch.rows.labels,
            step=clock.step,
            knowledge=knowledge,
        )
        self.transforms = (scenario.active_attack, scenario.defense)
        self.keys = tuple(jax.random.fold_in(s, clock.step) for s in (streams.active_attack, streams.defense))
        self.states = [state.active_attack_state, state.defense_state]

    @property
    def attack_state(self):
        return self.states[0]

    @property
    def defense_state(self):
        return self.states[1]

    def _apply(self, hook: str, hook_number: int, value):
        for i, transform in enumerate(self.transforms):
            key = jax.random.fold_in(self.keys[i], hook_number)
            value, self.states[i] = run_hook(transform, hook, key, self.states[i], self.view, value)
        return value

    def targets(self) -> Array:
        """The class distributions the loss is told, float32[B, C]."""
        return self._apply("on_labels", LABELS, jax.nn.one_hot(self.batch.rows.labels, self.shapes.num_classes))

    def receive(self, sent: tuple[Array, ...]) -> tuple[Array, ...]:
        """All K embeddings, those that crossed through the hooks."""
        crossing = self._apply("on_receive", RECEIVE, tuple(sent[k] for k in self.shapes.crossing))
        return with_crossing(sent, crossing, self.shapes.crossing)

    def send(self, gradients: tuple[Array, ...]) -> tuple[Array, ...]:
        """All K gradient messages, those that cross through the hooks."""
        crossing = self._apply("on_send", SEND, tuple(gradients[k] for k in self.shapes.crossing))
        return with_crossing(gradients, crossing, self.shapes.crossing)


def predicted_class(logits: Array) -> Array:
    """The first of the classes with the largest logit, int32[B]; −1, no class, where a logit is NaN."""
    is_defined = ~jnp.isnan(logits).any(axis=-1)
    return jnp.where(is_defined, jnp.argmax(logits, axis=-1).astype(jnp.int32), -1)


def party_key(stream: Key, step: Array | np.uint32, party: int) -> Key:
    return jax.random.fold_in(jax.random.fold_in(stream, step), party)


def with_crossing(
    everyone: tuple[Array, ...], crossing: tuple[Array, ...], places: tuple[int, ...]
) -> tuple[Array, ...]:
    merged = list(everyone)
    for k, message in zip(places, crossing, strict=True):
        chex.assert_equal_shape([message, everyone[k]])
        merged[k] = message
    return tuple(merged)

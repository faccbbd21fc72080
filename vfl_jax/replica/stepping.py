"""One step of the protocol: local forward passes, the active party's loss, the way back to every party.

Without attacks and defenses a step equals ``jax.grad`` of the joint model, followed by every party's own optimizer:
Algorithm 1 and equations 1 to 5 of Liu, Yi, Chen 2020 (arXiv:2007.03608).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from vfl_jax.core.types import Array, Key, Params, State
from vfl_jax.models import Head, Loss, Optimizer
from vfl_jax.protocol import local, own_params
from vfl_jax.protocol.hooks import run_embed_hook, run_hook
from vfl_jax.protocol.knowledge import ORDINARY, Knowledge, Shapes
from vfl_jax.protocol.methods import changes
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.views import ActiveView, EmbedView, Messages, PartyView
from vfl_jax.replica import capabilities
from vfl_jax.replica.draws import poison_count
from vfl_jax.replica.keys import DOWNLOAD, EMBED, FEATURES, LABELS, RECEIVE, SEND, UPLOAD, Keys
from vfl_jax.replica.preparation import Inputs
from vfl_jax.replica.state import Batch, StepInfo, TrainState
from vfl_jax.scenario import Scenario


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
    inputs: Inputs,
    scenario: Scenario,
    state: TrainState,
    batch: Batch,
    clock: Clock,
    keys: Keys,
    knowledge: Knowledge,
) -> tuple[TrainState, StepInfo]:
    """Takes one training step of one replica; pure.

    Args:
      shapes: the sizes that the protocol makes public; static.
      inputs: the data on the device.
      scenario: the scenario, with numbers cast to their dtypes.
      state: the state before the step.
      batch: B rows of every party, not stamped yet.
      clock: the time of the step.
      keys: the keys of its draws.
      knowledge: the attackers' knowledge; no defense sees it.

    Returns:
      (the new state, the facts of the step for a reader).

    Raises:
      AssertionError: where a hook or model returns an array of another shape.
    """
    parties = range(len(shapes.widths))
    is_poisoned = batch.poison_rank < poison_count(scenario.poison.rate, shapes.num_samples)
    features = tuple(
        scenario.poison.trigger.stamp(mask, x, is_poisoned)
        for mask, x in zip(inputs.masks, batch.rows.features, strict=True)
    )

    # Every party runs its model forward, sends a message, and keeps the way back through its true embedding.
    attack_states, model_states, views, sent, pullbacks = list(state.attack_states), [], [], [], []
    for k in parties:
        bottom, params, model_state = scenario.bottoms[k], state.params[k], state.model_states[k]
        view = PartyView(
            sample_ids=batch.sample_ids,
            roles=batch.roles,
            features=features[k],
            params=params,
            step=clock.step,
            knowledge=capabilities.of_party(scenario, knowledge, k),
            epoch=clock.epoch,
            forward=capabilities.forward_of(bottom, params, model_state),
            pull_back=capabilities.pull_back_of(bottom, params, model_state, features[k]),
            rows=capabilities.own_rows(scenario, inputs, knowledge, k),
            stamp=capabilities.own_stamp(scenario, inputs, k),
        )
        attack = scenario.attacks[k]
        keys_here = keys.attack[k]
        x, attack_states[k] = run_hook(attack, "on_features", keys_here[FEATURES], attack_states[k], view, features[k])
        view = dataclasses.replace(view, pull_back=capabilities.pull_back_of(bottom, params, model_state, x))
        embedding, model_state, pullback = local.forward(
            bottom, params, model_state, keys.models[k], x, inputs.rowwise[k]
        )
        chex.assert_shape(embedding, (shapes.batch_rows, shapes.widths[k]))
        message, attack_states[k] = run_hook(attack, "on_upload", keys_here[UPLOAD], attack_states[k], view, embedding)
        model_states.append(model_state)
        views.append(view)
        sent.append(message)
        pullbacks.append(pullback)

    # The active party changes what it received, computes the loss, and sends the gradients back.
    sides, labels = _Sides.of(scenario, keys), jnp.asarray(batch.rows.labels)
    inside = EmbedView(batch.sample_ids, labels, knowledge=knowledge, roles=batch.roles)
    loss_of = functools.partial(_loss, scenario.head, scenario.loss, sides, shapes, inside)
    learnt = state.head_params, state.method_params
    # A defense could open the functions of its view, so its loss holds nothing of an attack.
    inside = EmbedView(batch.sample_ids, labels, roles=jnp.full_like(batch.roles, ORDINARY))
    defended = functools.partial(_loss, scenario.head, scenario.loss, sides.defense_alone(), shapes, inside)
    known_to_defense = state.head_params, ((), state.method_params[1])
    active_view = ActiveView(
        sample_ids=batch.sample_ids,
        roles=batch.roles,
        labels=labels,
        step=clock.step,
        knowledge=knowledge,
        epoch=clock.epoch,
        logits=capabilities.logits_of(scenario.head, state.head_params, shapes.num_classes),
    )

    def views_at(embeddings: tuple[jax.Array, ...]) -> tuple[ActiveView, ActiveView]:
        """The views of the attack and of the defense."""
        losses = (loss_of, learnt), (defended, known_to_defense)
        both = (capabilities.gradients_of(loss, shapes.crossing, params, embeddings) for loss, params in losses)
        first, second = (
            dataclasses.replace(active_view, embeddings=embeddings, gradients=gradients) for gradients in both
        )
        return first, second

    states = state.active_attack_state, state.defense_state
    messages_in = tuple(sent[k] for k in shapes.crossing)
    crossing, states = sides.run("on_receive", RECEIVE, states, views_at(tuple(sent)), messages_in)
    received = with_crossing(shapes, sent, crossing)
    active_views = views_at(received)
    one_hot = jax.nn.one_hot(batch.rows.labels, shapes.num_classes)
    targets, states = sides.run("on_labels", LABELS, states, active_views, one_hot)
    loss, head_pullback, (logits, penalty) = jax.vjp(
        functools.partial(loss_of, targets), *learnt, received, has_aux=True
    )
    chex.assert_shape(logits, (shapes.batch_rows, shapes.num_classes))
    head_gradient, method_gradients, gradients = head_pullback(jnp.ones_like(loss))
    messages_out = tuple(gradients[k] for k in shapes.crossing)
    crossing, states = sides.run("on_send", SEND, states, active_views, messages_out)
    messages = with_crossing(shapes, gradients, crossing)

    # Every party changes the gradient it received, and updates its own model.
    new_params, opt_states = list(state.params), list(state.opt_states)
    for k in parties:
        attack, key = scenario.attacks[k], keys.attack[k][DOWNLOAD]
        used, attack_states[k] = run_hook(attack, "on_download", key, attack_states[k], views[k], messages[k])
        chex.assert_equal_shape([used, messages[k]])
        new_params[k], opt_states[k] = local.update(
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
    method_params, method_opt_states = sides.update(
        scenario.head_optimizer, clock.epoch, method_gradients, state.method_params, state.method_opt_states
    )

    new_state = TrainState(
        params=tuple(new_params),
        head_params=head_params,
        opt_states=tuple(opt_states),
        head_opt_state=head_opt_state,
        attack_states=tuple(attack_states),
        active_attack_state=states[0],
        defense_state=states[1],
        model_states=tuple(model_states),
        method_params=method_params,
        method_opt_states=method_opt_states,
    )
    info = StepInfo(
        loss=loss,
        penalty=penalty,
        num_correct=jnp.sum(predicted_class(logits) == batch.rows.labels, dtype=jnp.int32),
        is_finite=jnp.isfinite(loss) & all_finite(messages),
    )
    return new_state, info


class _Sides(NamedTuple):
    """The two methods of the active party at one step, each with its keys: first its attack, then its defense."""

    attack: tuple[Any, dict[int, Key]]
    defense: tuple[Any, dict[int, Key]]

    @classmethod
    def of(cls, scenario: Scenario, keys: Keys) -> _Sides:
        """Returns the methods of a scenario with their keys at this step."""
        return cls((scenario.active_attack, keys.active_attack), (scenario.defense, keys.defense))

    def run(
        self, hook: str, hook_number: int, states: tuple[State, State], views: tuple[ActiveView, ActiveView], value: Any
    ) -> tuple[Any, tuple[State, State]]:
        """Calls one hook of both, each with its own view; returns (value, states)."""
        after = []
        for (transform, keys), state, view in zip(self, states, views, strict=True):
            value, state = run_hook(transform, hook, keys[hook_number], state, view, value)
            after.append(state)
        return value, (after[0], after[1])

    def defense_alone(self) -> _Sides:
        """Returns the same without the attack."""
        return self._replace(attack=(ActiveTransform(), self.defense[1]))

    def embed(self, params: tuple[Params, Params], view: EmbedView, embeddings: Messages) -> tuple[Messages, Any]:
        """Calls ``on_embed`` of both; returns (embeddings, the penalty or None where no method has one)."""
        penalty = None
        for (transform, keys), own in zip(self, params, strict=True):
            if changes(transform, "on_embed"):
                key = jax.random.clone(keys[EMBED])  # all losses of a step have the same draws
                embeddings, more = run_embed_hook(transform, own, key, view, embeddings)
                penalty = more if penalty is None else penalty + more
        return embeddings, penalty

    def update(self, default: Optimizer, epoch: Array, gradients: Any, params: Any, opt_states: Any) -> tuple[Any, Any]:
        """Trains the own parameters of both; returns (parameters, optimizer states)."""
        methods = zip(self, gradients, params, opt_states, strict=True)
        pairs = [own_params.update(transform, default, epoch, g, p, s) for (transform, _), g, p, s in methods]
        return tuple(p for p, _ in pairs), tuple(s for _, s in pairs)


def _loss(
    head: Head,
    loss: Loss,
    sides: _Sides,
    shapes: Shapes,
    view: EmbedView,
    targets: Array,
    head_params: Params,
    method_params: tuple[Params, Params],
    received: tuple[Array, ...],
) -> tuple[Array, tuple[Array, Array | None]]:
    """Computes the active party's loss; returns (loss, (logits, penalty))."""
    crossing, penalty = sides.embed(method_params, view, tuple(jnp.asarray(received[k]) for k in shapes.crossing))
    embeddings = with_crossing(shapes, received, crossing)
    logits = head.apply(head_params, embeddings, shapes.num_classes)
    value = loss(logits, targets)
    return value if penalty is None else value + penalty, (logits, penalty)


def predicted_class(logits: Array) -> Array:
    """Returns the predicted classes, int32[B]: the first class with the largest logit, −1 where a logit is NaN.

    Args:
      logits: float32[B, C].
    """
    is_defined = ~jnp.isnan(logits).any(axis=-1)
    return jnp.where(is_defined, jnp.argmax(logits, axis=-1).astype(jnp.int32), -1)


def all_finite(arrays: Sequence[Array]) -> Array:
    """Whether all entries of some arrays are finite, bool[]; arrays of one shape are looked at together."""
    by_shape: dict[tuple[int, ...], Array] = {}
    for array in arrays:
        found = jnp.isfinite(array)
        by_shape[array.shape] = by_shape[array.shape] & found if array.shape in by_shape else found
    return jnp.stack([found.all() for found in by_shape.values()]).all()


def with_crossing(shapes: Shapes, everyone: Sequence[Any], crossing: Sequence[Any]) -> tuple[jax.Array, ...]:
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

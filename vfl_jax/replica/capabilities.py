"""The functions of views. Each closes over what its party owns, and over nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.types import Array, Features, Params, State
from vfl_jax.models import Bottom, Head
from vfl_jax.protocol.knowledge import Knowledge
from vfl_jax.protocol.local import embed
from vfl_jax.protocol.triggers import Trigger
from vfl_jax.replica.preparation import Inputs
from vfl_jax.scenario import Scenario


def forward_of(bottom: Bottom, params: Params, model_state: State) -> Callable[..., jax.Array]:
    """Returns ``forward(features, params=...)`` of a party's own model.

    Args:
      bottom: the party's model.
      params: its parameters.
      model_state: what it holds beside parameters.
    """
    own = params

    def forward(features: Features, params: Params = own) -> jax.Array:
        return jnp.asarray(embed(bottom, params, model_state, features))

    return forward


def pull_back_of(bottom: Bottom, params: Params, model_state: State, features: Features) -> Callable[[jax.Array], Any]:
    """Returns ``pull_back(gradient)`` of a party's own model, to the rows that it was fed.

    Args:
      bottom: the party's model.
      params: its parameters.
      model_state: what it holds beside parameters.
      features: the rows, leaves [B, ...].
    """

    def pull_back(gradient: jax.Array) -> Features:
        if isinstance(features, BagOfIds):
            raise ValueError("view.pull_back leads back to numbers; bags of ids have none to change.")
        _, back = jax.vjp(lambda x: embed(bottom, params, model_state, x), features)
        return back(gradient)[0]

    return pull_back


def rows_of(
    trigger: Trigger, mask: Array | None, is_poison: Array | None, table: Features
) -> Callable[[jax.Array], Any]:
    """Returns ``rows(ids)`` of a party's own training table.

    Args:
      trigger: the mark of poison rows.
      mask: the entries that it changes of this party's features, bool[F]; None where it changes none.
      is_poison: bool[N], the rows that carry it; not needed where ``mask`` is None.
      table: the party's training features, leaves [N, ...].
    """
    if mask is None:
        return lambda ids: _take(table, ids)
    return lambda ids: trigger.stamp(mask, _take(table, ids), is_poison[ids])  # type: ignore[index]


def stamp_of(trigger: Trigger, mask: Array | None) -> Callable[[Features, jax.Array], Features]:
    """Returns ``stamp(features, is_marked)`` of the attack trigger.

    Args:
      trigger: the attack trigger.
      mask: the entries that it changes of this party's features, bool[F]; None where it changes none.
    """
    return lambda features, is_marked: trigger.stamp(mask, features, is_marked)


def logits_of(head: Head, params: Params, num_classes: int) -> Callable[..., jax.Array]:
    """Returns ``logits(embeddings, params=...)`` of the head alone.

    Args:
      head: the active party's model.
      params: its parameters.
      num_classes: C.
    """
    own = params

    def logits(embeddings: tuple[jax.Array, ...], params: Params = own) -> jax.Array:
        return jnp.asarray(head.apply(params, tuple(embeddings), num_classes))

    return logits


def gradients_of(
    loss_of: Callable[..., Any], crossing: tuple[int, ...], params: Any, embeddings: tuple[Array, ...]
) -> Callable[[jax.Array], tuple[jax.Array, ...]]:
    """Returns ``gradients(targets)``: the messages that would go out had the targets been these.

    Args:
      loss_of: the active party's loss, ``loss_of(targets, *params, embeddings)``, whose first result is the loss.
      crossing: the parties that get messages.
      params: the active party's parameters, in a tuple.
      embeddings: K arrays, float32[B, E], at which the gradients are taken.
    """

    def gradients(targets: jax.Array) -> tuple[jax.Array, ...]:
        loss, back = jax.vjp(lambda received: loss_of(targets, *params, received)[0], embeddings)
        found = back(jnp.ones_like(loss))[0]
        return tuple(found[k] for k in crossing)

    return gradients


def of_party(scenario: Scenario, knowledge: Knowledge, party: int) -> Knowledge:
    """Returns the knowledge of one party's attack, with the class that this party wants.

    Args:
      scenario: the scenario.
      knowledge: the knowledge that all attackers share; None where nobody attacks.
      party: the number of the party.
    """
    if knowledge is None or not scenario.poison.party_targets:
        return knowledge
    return dataclasses.replace(knowledge, target_class=jnp.int32(scenario.poison.party_targets[party]))


def own_rows(scenario: Scenario, inputs: Inputs, knowledge: Knowledge, party: int) -> Callable[[jax.Array], Any]:
    """Returns the function that reads one party's own training table, stamped like the batches.

    Args:
      scenario: the scenario, with numbers cast to their dtypes.
      inputs: the data on the device.
      knowledge: the attackers' knowledge, of which only the rows that carry the trigger are used.
      party: the number of the party.
    """
    is_poison = None if knowledge is None else knowledge.is_poison
    table = inputs.train.features[party]
    return rows_of(scenario.poison.trigger, inputs.masks[party], is_poison, table)


def own_stamp(scenario: Scenario, inputs: Inputs, party: int) -> Callable[[Any, jax.Array], Any] | None:
    """Returns the function that stamps the attack trigger on one party's features.

    None where the scenario has no such trigger, and where its trigger changes nobody's features.

    Args:
      scenario: the scenario, with numbers cast to their dtypes.
      inputs: the data on the device.
      party: the number of the party.
    """
    trigger, masks = scenario.attack_trigger, inputs.attack_masks or ()
    if trigger is None or all(mask is None for mask in masks):
        return None
    return stamp_of(trigger, masks[party])


def _take(table: Features, ids: Array) -> Features:
    """Returns rows of a table, leaves [N, ...], by their numbers."""
    return jax.tree.map(lambda leaf: leaf[ids], table)

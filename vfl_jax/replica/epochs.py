"""What methods do between two epochs of one replica."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.protocol.hooks import run_epoch_hook
from vfl_jax.protocol.knowledge import Knowledge, Shapes
from vfl_jax.protocol.methods import acts
from vfl_jax.protocol.views import ActiveEpochView, PartyEpochView
from vfl_jax.replica import capabilities
from vfl_jax.replica.keys import party_key
from vfl_jax.replica.preparation import Inputs
from vfl_jax.replica.state import Streams, TrainState
from vfl_jax.scenario import Scenario

BETWEEN_EPOCHS = np.uint32(2**32 - 3)
"""The step number in the keys of ``on_epoch``; no step has this number."""


def act(
    shapes: Shapes,
    inputs: Inputs,
    scenario: Scenario,
    state: TrainState,
    epoch: jax.Array,
    num_epochs: jax.Array,
    due: frozenset[tuple[int, ...]],
    streams: Streams,
    knowledge: Knowledge,
) -> TrainState:
    """Calls ``on_epoch`` of all methods that act now: first the parties', then the active party's attack and defense.

    Args:
      shapes: the sizes that the protocol makes public; static.
      inputs: the data on the device.
      scenario: the scenario, with numbers cast to their dtypes.
      state: the state that the epoch left.
      epoch: int32[], the number of finished epochs.
      num_epochs: int32[], the number of epochs of the whole training.
      due: the ``at_epochs`` of methods that name this epoch; static.
      streams: the seed's random streams.
      knowledge: the attackers' knowledge; no defense sees it.

    Returns:
      the new state.
    """
    params, attack_states = list(state.params), list(state.attack_states)
    for k, attack in enumerate(scenario.attacks):
        if not acts(attack, due):
            continue
        view = PartyEpochView(
            epoch=epoch,
            num_epochs=num_epochs,
            sample_ids=jnp.arange(shapes.num_samples, dtype=jnp.int32),
            knowledge=capabilities.of_party(scenario, knowledge, k),
            forward=capabilities.forward_of(scenario.bottoms[k], params[k], state.model_states[k]),
            rows=capabilities.own_rows(scenario, inputs, knowledge, k),
            stamp=capabilities.own_stamp(scenario, inputs, k),
            due=due,
        )
        key = jax.random.fold_in(party_key(streams.attack, BETWEEN_EPOCHS, k), epoch)
        params[k], attack_states[k] = run_epoch_hook(attack, key, attack_states[k], view, params[k])

    head_params, states = state.head_params, [state.active_attack_state, state.defense_state]
    sides = (scenario.active_attack, streams.active_attack), (scenario.defense, streams.defense)
    for side, (transform, stream) in enumerate(sides):
        if not acts(transform, due):
            continue
        active_view = ActiveEpochView(
            epoch=epoch,
            num_epochs=num_epochs,
            labels=jnp.asarray(inputs.train.labels),
            knowledge=knowledge,
            logits=capabilities.logits_of(scenario.head, state.head_params, shapes.num_classes),
            due=due,
        )
        key = jax.random.fold_in(jax.random.fold_in(stream, BETWEEN_EPOCHS), epoch)
        head_params, states[side] = run_epoch_hook(transform, key, states[side], active_view, head_params)
    return dataclasses.replace(
        state,
        params=tuple(params),
        head_params=head_params,
        attack_states=tuple(attack_states),
        active_attack_state=states[0],
        defense_state=states[1],
    )

"""What evaluation reads of a scenario and a state: sweeps that differ elsewhere alone share its programs."""

from __future__ import annotations

import dataclasses
from typing import Any

from vfl_jax.core.types import State
from vfl_jax.protocol.methods import Chain, changes, is_attack, methods
from vfl_jax.protocol.transforms import ActiveAttack, ActiveTransform, Attack, PartyTransform
from vfl_jax.replica.state import TrainState
from vfl_jax.scenario import Scenario

HOOKS = (
    *("infer_features", "infer_upload", "infer_labels", "infer_suspicion", "infer_receive", "infer_logits"),
    *("on_embed", "report"),
)
"""The hooks of methods that evaluation calls."""


def evaluated(scenario: Scenario, state: TrainState) -> tuple[Scenario, TrainState]:
    """Returns the scenario and the state without what no evaluation reads.

    These are the states of optimizers, and every method that has no hook of evaluation: in its place stands the base
    class, which changes nothing and has no state. An attack's switch stays.

    Args:
      scenario: the scenario; with a grid, its swept numbers are arrays [G].
      state: the state to evaluate, or its shapes.
    """
    parties = [_evaluated(*pair, PartyTransform()) for pair in zip(scenario.attacks, state.attack_states, strict=True)]
    active_attack, active_state = _evaluated(scenario.active_attack, state.active_attack_state, ActiveTransform())
    defense, defense_state = _evaluated(scenario.defense, state.defense_state, ActiveTransform())
    lean = dataclasses.replace(
        without_optimizers(state),
        attack_states=tuple(own for _, own in parties),
        active_attack_state=active_state,
        defense_state=defense_state,
    )
    attacks = tuple(attack for attack, _ in parties)
    return scenario.replace(attacks=attacks, active_attack=active_attack, defense=defense), lean


def without_optimizers(state: TrainState) -> TrainState:
    """Returns the state without the states of optimizers, which nothing needs after the last step."""
    return dataclasses.replace(state, opt_states=(), head_opt_state=(), method_opt_states=((), ()))


def _evaluated(transform: Any, state: State, neutral: Any) -> tuple[Any, State]:
    """Returns the method and its state, or else what changes nothing in its place; of a chain, part by part."""
    is_read = any(changes(transform, hook) for hook in HOOKS)
    is_read |= any(method.inference_batch != 1 for method in methods(transform))  # settles the order of test rows
    if not is_read and not is_attack(transform):
        return neutral, ()
    if isinstance(transform, Chain):
        parts = [_evaluated(*pair, neutral) for pair in zip(transform.parts, state, strict=True)]
        chain: Any = transform
        return chain.replace(parts=tuple(part for part, _ in parts)), tuple(own for _, own in parts)
    if is_read:
        return transform, state
    return (Attack if isinstance(neutral, PartyTransform) else ActiveAttack)(enabled=transform.enabled), ()

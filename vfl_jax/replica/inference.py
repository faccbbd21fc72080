"""The logits of test rows, through the inference hooks of all methods."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from vfl_jax.core.types import Array, Features, Key, State
from vfl_jax.protocol.hooks import run_infer_hook
from vfl_jax.protocol.transforms import changes
from vfl_jax.protocol.views import NOTHING, ActiveInferView, Knowledge, PartyInferView, Shapes
from vfl_jax.replica.state import TrainState
from vfl_jax.replica.stepping import FEATURES, LABELS, RECEIVE, UPLOAD, with_crossing
from vfl_jax.scenario import Scenario


def predict(
    shapes: Shapes,
    scenario: Scenario,
    state: TrainState,
    features: tuple[Features, ...],
    key: Key,
    knowledge: Knowledge = NOTHING,
    row_ids: Array | None = None,
    is_valid: Array | None = None,
) -> Array:
    """Computes logits of test rows, through the inference hooks of all methods.

    Args:
      shapes: the sizes that the protocol makes public.
      scenario: the scenario, with numbers cast to their dtypes.
      state: the state after training.
      features: the features of B test rows, leaves [B, ...] per party.
      key: the key of a whole evaluation; each row's key is folded from it and the row's number.
      knowledge: the attackers' knowledge; no defense sees it. None where nobody attacks.
      row_ids: int32[B], the numbers of the rows in the test set; by default 0 to B − 1.
      is_valid: bool[B], whether a row is of the test set, or only fills up a batch; by default all are.

    Returns:
      float32[B, C].
    """
    num_rows = len(jax.tree.leaves(features[0])[0])
    row_ids = jnp.arange(num_rows) if row_ids is None else row_ids
    is_valid = jnp.ones(num_rows, bool) if is_valid is None else jnp.asarray(is_valid)

    def run(transform: Any, hook: str, place: int, hook_number: int, state_here: State, view: Any, value: Any) -> Any:
        """Runs one hook; places from K on are those of the active party's attack and defense."""
        if not changes(transform, hook):
            return value
        key_hook = jax.random.fold_in(jax.random.fold_in(key, place), hook_number)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key_hook, row_ids)
        return run_infer_hook(transform, hook, keys, state_here, view, value)

    embeddings = []
    for k, attack in enumerate(scenario.attacks):
        view = PartyInferView(features=features[k], params=state.params[k], knowledge=knowledge, is_valid=is_valid)
        x = run(attack, "infer_features", k, FEATURES, state.attack_states[k], view, features[k])
        embedding = scenario.bottoms[k].apply(state.params[k], x)
        embeddings.append(run(attack, "infer_upload", k, UPLOAD, state.attack_states[k], view, embedding))
    active_view = ActiveInferView(knowledge=knowledge, is_valid=is_valid)
    sides = (scenario.active_attack, state.active_attack_state), (scenario.defense, state.defense_state)
    crossing = tuple(embeddings[k] for k in shapes.crossing)
    for place, (transform, side_state) in enumerate(sides, start=len(shapes.widths)):
        crossing = run(transform, "infer_receive", place, RECEIVE, side_state, active_view, crossing)
    received = with_crossing(shapes, embeddings, crossing)
    logits = scenario.head.apply(state.head_params, received, shapes.num_classes)
    for place, (transform, side_state) in enumerate(sides, start=len(shapes.widths)):
        logits = run(transform, "infer_logits", place, LABELS, side_state, active_view, logits)
    return logits

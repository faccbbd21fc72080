"""Test rows through the models and the inference hooks of all methods: logits, messages, and the methods' answers."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vfl_jax.core.types import Array, Features, Key, State
from vfl_jax.protocol.hooks import run_answer, run_embed_hook, run_infer_hook
from vfl_jax.protocol.knowledge import NOTHING, Knowledge, Shapes
from vfl_jax.protocol.local import embed
from vfl_jax.protocol.methods import changes, methods
from vfl_jax.protocol.views import ActiveInferView, EmbedView, PartyInferView, Suspicion
from vfl_jax.replica import capabilities
from vfl_jax.replica.keys import EMBED, FEATURES, GUESSES, LABELS, RECEIVE, SUSPICION, UPLOAD
from vfl_jax.replica.state import TrainState
from vfl_jax.replica.stepping import with_crossing
from vfl_jax.scenario import Scenario


class Inferred(NamedTuple):
    """What becomes of test rows.

    Args:
      logits: float32[B, C].
      sent: the embeddings of the K parties as they sent them, float32[B, E] each.
      suspicion: the defense's answer; None where it gives none.
      guesses: the labels that parties guess, int32[B] each, with −1 for none; an entry per party that guesses.
    """

    logits: Array
    sent: tuple[Array, ...]
    suspicion: Suspicion | None
    guesses: tuple[Array, ...]


def predict(
    shapes: Shapes,
    scenario: Scenario,
    state: TrainState,
    features: tuple[Features, ...],
    key: Key,
    knowledge: Knowledge = NOTHING,
    row_ids: Array | None = None,
    is_valid: Array | None = None,
    is_attacked: Array | None = None,
) -> Array:
    """Computes logits of test rows, through the inference hooks of all methods; returns float32[B, C].

    Args:
      shapes, scenario, state, features, key, knowledge, row_ids, is_valid, is_attacked: as in :func:`infer`.
    """
    return infer(shapes, scenario, state, features, key, knowledge, row_ids, is_valid, is_attacked).logits


def infer(
    shapes: Shapes,
    scenario: Scenario,
    state: TrainState,
    features: tuple[Features, ...],
    key: Key,
    knowledge: Knowledge = NOTHING,
    row_ids: Array | None = None,
    is_valid: Array | None = None,
    is_attacked: Array | None = None,
) -> Inferred:
    """Takes test rows through the models and the inference hooks of all methods.

    Args:
      shapes: the sizes that the protocol makes public.
      scenario: the scenario, with numbers cast to their dtypes.
      state: the state after training.
      features: the features of B test rows, leaves [B, ...] per party.
      key: the key of a whole evaluation; each row's key is folded from it and the row's number.
      knowledge: the attackers' knowledge; no defense sees it. None where nobody attacks.
      row_ids: int32[B], the numbers of the rows in the test set; by default 0 to B − 1.
      is_valid: bool[B], whether a row is of the test set, or only fills up a batch; by default all are.
      is_attacked: bool[B], the rows that attackers are to attack; by default none.

    Raises:
      ValueError: where an answer of a method has another form than one per row.
    """
    num_rows = len(jax.tree.leaves(features[0])[0])
    row_ids = jnp.arange(num_rows) if row_ids is None else row_ids
    is_valid = jnp.ones(num_rows, bool) if is_valid is None else jnp.asarray(is_valid)
    is_attacked = jnp.zeros(num_rows, bool) if is_attacked is None else jnp.asarray(is_attacked)

    def keys_of(place: int, hook_number: int) -> Key:
        """The keys of all rows; places from K on are those of the active party's attack and defense."""
        key_hook = jax.random.fold_in(jax.random.fold_in(key, place), hook_number)
        return jax.vmap(jax.random.fold_in, (None, 0))(key_hook, row_ids)

    def run(transform: Any, hook: str, place: int, hook_number: int, state_here: State, view: Any, value: Any) -> Any:
        if not changes(transform, hook):
            return value
        return run_infer_hook(transform, hook, keys_of(place, hook_number), state_here, view, value)

    def answer(transform: Any, hook: str, place: int, number: int, state_here: State, view: Any, value: Any) -> Any:
        if not changes(transform, hook):
            return None
        return run_answer(transform, hook, keys_of(place, number), state_here, view, value)

    embeddings, guesses = [], []
    for k, attack in enumerate(scenario.attacks):
        params, model_state, state_here = state.params[k], state.model_states[k], state.attack_states[k]
        view = PartyInferView(
            features=features[k],
            params=params,
            knowledge=capabilities.of_party(scenario, knowledge, k),
            is_valid=is_valid,
            is_attacked=is_attacked,
            forward=capabilities.forward_of(scenario.bottoms[k], params, model_state),
        )
        x = run(attack, "infer_features", k, FEATURES, state_here, view, features[k])
        embedding = embed(scenario.bottoms[k], params, model_state, x)
        embeddings.append(run(attack, "infer_upload", k, UPLOAD, state_here, view, embedding))
        guesses.append(answer(attack, "infer_labels", k, GUESSES, state_here, view, features[k]))
        _check_guesses(attack, guesses[-1], num_rows)
    active_view = ActiveInferView(
        knowledge=knowledge,
        is_valid=is_valid,
        embeddings=tuple(embeddings),
        logits=capabilities.logits_of(scenario.head, state.head_params, shapes.num_classes),
    )
    sides = (scenario.active_attack, state.active_attack_state), (scenario.defense, state.defense_state)
    places = list(enumerate(sides, start=len(shapes.widths)))
    crossing = tuple(embeddings[k] for k in shapes.crossing)
    place, (defense, defense_state) = places[1]
    suspicion = answer(defense, "infer_suspicion", place, SUSPICION, defense_state, active_view, crossing)
    _check_suspicion(defense, suspicion, num_rows, len(crossing))
    for place, (transform, side_state) in places:
        crossing = run(transform, "infer_receive", place, RECEIVE, side_state, active_view, crossing)
    active_view = dataclasses.replace(active_view, embeddings=with_crossing(shapes, embeddings, crossing))
    inside = EmbedView(is_valid=is_valid, knowledge=knowledge, is_training=False)
    for own, (place, (transform, _)) in zip(state.method_params, places, strict=True):
        if changes(transform, "on_embed"):
            crossing, _ = run_embed_hook(transform, own, keys_of(place, EMBED), inside, crossing)
    received = with_crossing(shapes, embeddings, crossing)
    logits = scenario.head.apply(state.head_params, received, shapes.num_classes)
    for place, (transform, side_state) in places:
        logits = run(transform, "infer_logits", place, LABELS, side_state, active_view, logits)
    made = tuple(guess for guess in guesses if guess is not None)
    return Inferred(logits=logits, sent=tuple(embeddings), suspicion=suspicion, guesses=made)


def _check_suspicion(defense: Any, found: Any, num_rows: int, num_parties: int) -> None:
    """Checks the form of a defense's answer about test rows."""
    if found is None:
        return
    wanted = f"a vfl.Suspicion of score, float32[{num_rows}, {num_parties}], and is_suspect, bool[{num_rows}]"
    if not isinstance(found, Suspicion):
        is_array = isinstance(found, jax.Array)
        said = f"{found.dtype}{list(found.shape)}" if is_array else type(found).__name__
    else:
        score, is_suspect = jnp.asarray(found.score), jnp.asarray(found.is_suspect)
        is_right = score.shape == (num_rows, num_parties) and jnp.issubdtype(score.dtype, jnp.floating)
        if is_right and is_suspect.shape == (num_rows,) and is_suspect.dtype == bool:
            return
        said = f"score, {score.dtype}{list(score.shape)}, and is_suspect, {is_suspect.dtype}{list(is_suspect.shape)}"
    raise ValueError(f"{_who(defense, 'infer_suspicion')} returns {said}; over {num_rows} rows it must be {wanted}.")


def _check_guesses(attack: Any, found: Any, num_rows: int) -> None:
    """Checks the form of a party's guesses about test rows."""
    if found is None or (jnp.shape(found) == (num_rows,) and jnp.issubdtype(jnp.asarray(found).dtype, jnp.integer)):
        return
    said = f"{jnp.asarray(found).dtype}{list(jnp.shape(found))}"
    raise ValueError(
        f"{_who(attack, 'infer_labels')} returns {said}; of {num_rows} rows it must be int32[{num_rows}], −1 for none."
    )


def _who(transform: Any, hook: str) -> str:
    """Returns the hook of the method that overrides it, such as "Watch.infer_suspicion"."""
    return f"{next(type(m).__name__ for m in methods(transform) if changes(m, hook))}.{hook}"

"""The search for messages by an attacker who knows the whole trained model, and what other parties send."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.protocol.local import embed
from vfl_jax.replica import Replica, TrainState, predict

NUM_STEPS = 200
NUM_STARTS = 6
ROWS = 2_000
"""So many training rows of other classes at most the one message is made for, and as many test rows measure it."""
ROWS_EACH = 500
"""So many of these test rows, spread over them, have a message of their own."""
NUM_DRAWS = 4
"""A row's own message is sought over so many draws of a defense."""
SEEK, MEASURE = 7, 8
"""The seeds of a defense's draws, and of starts: nobody knows the draws that a row will meet."""


class Found(NamedTuple):
    """What messages reach, each the share of rows of other classes that are predicted as τ.

    Args:
      one: float32[], of one message for all test rows.
      each: float32[], of a message of the row's own, of ``ROWS_EACH`` test rows; the one message may be a row's own.
      seen: float32[], of the one message, on the training rows that it was made for.
      message: float32[E], the one message.
    """

    one: jax.Array
    each: jax.Array
    seen: jax.Array
    message: jax.Array


def own_messages(replica: Replica, state: TrainState, features: Any, party: int) -> jax.Array:
    """Returns what an honest party sends of rows, float32[R, E].

    Args:
      replica: the replica.
      state: its state after training.
      features: the party's features, leaves [R, ...].
      party: its number.
    """
    return jnp.asarray(embed(replica.scenario.bottoms[party], state.params[party], state.model_states[party], features))


@functools.partial(jax.jit, static_argnames="party")
def search(replica: Replica, state: TrainState, party: int, seen: Any, test: Any, starts: Any, size: Any) -> Found:
    """Seeks one message for all rows, and one for each, by which τ wins.

    A step follows the gradient of how surely τ wins, smoothed over about the range of the rows' margins, and back into
    the ball of messages of the allowed size. The gradient runs through the defense. The best message on the way counts.

    Args:
      replica: the replica.
      state: its state after training.
      party: the attacker's number; static.
      seen: the features of training rows of other classes, leaves [R, ...] per party.
      test: those of test rows of other classes, leaves [R', ...] per party.
      starts: float32[S, E], where the search starts.
      size: float32[], the largest L2 norm of a message.

    Returns:
      what was found.
    """
    target = replica.scenario.poison.target_class

    def margins(message: jax.Array, features: Any, ids: Any, seed: int) -> jax.Array:
        """How far τ is ahead of the best other class, float32[R]."""
        states = tuple(message if k == party else s for k, s in enumerate(state.attack_states))
        sending, key = dataclasses.replace(state, attack_states=states), jax.random.key(seed)
        logits = predict(replica, sending, features, key, row_ids=ids, is_attacked=jnp.ones(len(ids), bool))
        others = jnp.where(jnp.arange(logits.shape[-1]) == target, -jnp.inf, logits).max(axis=-1)
        return jnp.asarray(logits[:, target] - others)

    def improved(start: jax.Array, features: Any) -> tuple[jax.Array, jax.Array]:
        """The best message to which a start leads, float32[E], and the share of rows by which τ wins."""
        ids = jnp.arange(_num_rows(features))

        def surely(message: jax.Array, share: Any) -> tuple[jax.Array, jax.Array]:
            ahead = margins(message, features, ids, SEEK)
            width = (0.05 + share) * jax.lax.stop_gradient(jnp.median(jnp.abs(ahead)) + 1e-6)
            return jax.nn.sigmoid(ahead / width).mean(), (ahead > 0).mean()

        def step(i: Any, carry: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
            message, best, won = carry
            share = 1 - i / NUM_STEPS
            (_, wins), slope = jax.value_and_grad(surely, has_aux=True)(message, share)
            best, won = jnp.where(wins > won, message, best), jnp.maximum(wins, won)
            return _within(message + 0.2 * share * size * slope / _length(slope), size), best, won

        first = _within(start, size)
        last, best, won = jax.lax.fori_loop(0, NUM_STEPS, step, (first, first, jnp.float32(-1.0)))
        wins = (margins(last, features, ids, SEEK) > 0).mean()
        return jnp.where(wins > won, last, best), jnp.maximum(wins, won)

    ends, reached = jax.lax.map(lambda start: improved(start, seen), starts)
    common = ends[reached.argmax()]

    def own(row_and_id: tuple[Any, Any]) -> jax.Array:
        """Whether τ wins by a message of the row's own: the one that does so in most draws."""
        row, place = row_and_id
        drawn = jax.tree.map(lambda leaf: jnp.repeat(leaf[None], NUM_DRAWS, axis=0), row)
        found, wins = jax.lax.map(lambda start: improved(start, drawn), jnp.stack([common, *starts[:2]]))
        alone = jax.tree.map(lambda leaf: leaf[None], row)
        return margins(found[wins.argmax()], alone, place[None], MEASURE)[0] > 0

    ids = jnp.arange(_num_rows(test))
    one = margins(common, test, ids, MEASURE) > 0
    few = jnp.unique(jnp.linspace(0, len(ids) - 1, ROWS_EACH).astype(int), size=min(ROWS_EACH, len(ids)))
    each = jax.lax.map(own, (jax.tree.map(lambda leaf: leaf[few], test), few), batch_size=250)
    return Found(one=one.mean(), each=each.mean(), seen=reached.max(), message=common)


def starts_for(messages: np.ndarray, is_target: np.ndarray, size: float) -> np.ndarray:
    """Returns where searches start: the mean message of rows of τ at the allowed size, and random directions.

    Args:
      messages: float32[R, E], honest messages of training rows.
      is_target: bool[R], the rows of τ.
      size: the largest L2 norm of a message.

    Returns:
      float32[S, E].
    """
    drawn = np.random.default_rng(SEEK).normal(size=(NUM_STARTS - 1, messages.shape[1]))
    whole = np.concatenate([messages[is_target].mean(axis=0, keepdims=True), drawn])
    return (size * whole / np.linalg.norm(whole, axis=1, keepdims=True)).astype(np.float32)


def _num_rows(features: Any) -> int:
    return len(jax.tree.leaves(features)[0])


def _length(vector: jax.Array) -> jax.Array:
    return jnp.maximum(jnp.linalg.norm(vector), 1e-30)


def _within(message: jax.Array, size: Any) -> jax.Array:
    """A message, shortened where it is longer than allowed."""
    return message * jnp.minimum(1.0, size / _length(message))

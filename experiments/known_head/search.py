"""The search for messages by an attacker who knows the whole trained model, and other parties' embeddings of rows."""

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
"""So many of these test rows have a message of their own."""
KEY = 7
"""The seed of starts, and of the draws of a defense at inference."""


class Found(NamedTuple):
    """What messages reach, each the share of rows of other classes that are predicted as τ.

    Args:
      one: float32[], of one message for all test rows.
      each: float32[], of a message of its own for every test row.
      seen: float32[], of the one message, on the training rows that it was made for.
    """

    one: jax.Array
    each: jax.Array
    seen: jax.Array


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
    """Seeks one message for all rows, and one for each, that say τ.

    A step goes against the gradient of how surely other classes win, smoothed, and back into the ball of messages of
    the allowed size. The gradient runs through the defense.

    Args:
      replica: the replica.
      state: its state after training.
      party: the attacker's number; static.
      seen: the features of training rows of other classes, leaves [R, ...] per party.
      test: those of test rows of other classes.
      starts: float32[S, E], where the search starts.
      size: float32[], the largest L2 norm of a message.
    """
    target = replica.scenario.poison.target_class

    def margins(message: jax.Array, features: Any) -> jax.Array:
        """How far τ is ahead of the best other class, float32[R]."""
        states = tuple(message if k == party else s for k, s in enumerate(state.attack_states))
        ids = jnp.arange(len(jax.tree.leaves(features)[0]))
        sending = dataclasses.replace(state, attack_states=states)
        logits = jnp.asarray(predict(replica, sending, features, jax.random.key(KEY), is_attacked=ids >= 0))
        others = jnp.where(jnp.arange(logits.shape[-1]) == target, -jnp.inf, logits).max(axis=-1)
        return logits[:, target] - others

    def improved(start: jax.Array, features: Any) -> jax.Array:
        """The message to which a start leads, float32[E]."""

        def step(i: Any, message: jax.Array) -> jax.Array:
            share = 1 - i / NUM_STEPS
            slope = jax.grad(lambda m: -jax.nn.sigmoid(margins(m, features) / (0.1 + 5 * share)).mean())(message)
            return _within(message - 0.2 * share * size * slope / _length(slope), size)

        return jax.lax.fori_loop(0, NUM_STEPS, step, _within(start, size))

    ends = jax.lax.map(lambda start: improved(start, seen), starts)
    reached = jax.lax.map(lambda end: (margins(end, seen) > 0).mean(), ends)
    best = ends[reached.argmax()]

    def own(row: Any) -> jax.Array:
        """Whether any start leads to a message by which one row says τ."""
        alone = jax.tree.map(lambda leaf: leaf[None], row)
        return jnp.stack([margins(improved(start, alone), alone)[0] > 0 for start in (best, *starts[:2])]).any()

    one = margins(best, test) > 0
    few = jax.tree.map(lambda leaf: leaf[:ROWS_EACH], test)
    each = one[:ROWS_EACH] | jax.lax.map(own, few, batch_size=250)
    return Found(one=one.mean(), each=each.mean(), seen=reached.max())


def starts_for(messages: np.ndarray, is_target: np.ndarray, size: float) -> np.ndarray:
    """Returns where searches start: the mean message of rows of τ at the allowed size, and random directions.

    Args:
      messages: float32[R, E], honest messages of training rows.
      is_target: bool[R], the rows of τ.
      size: the largest L2 norm of a message.
    """
    drawn = np.random.default_rng(KEY).normal(size=(NUM_STARTS - 1, messages.shape[1]))
    whole = np.concatenate([messages[is_target].mean(axis=0, keepdims=True), drawn])
    return (size * whole / np.linalg.norm(whole, axis=1, keepdims=True)).astype(np.float32)


def _length(vector: jax.Array) -> jax.Array:
    return jnp.maximum(jnp.linalg.norm(vector), 1e-12)


def _within(message: jax.Array, size: Any) -> jax.Array:
    """A message, shortened where it is longer than allowed."""
    return message * jnp.minimum(1.0, size / _length(message))

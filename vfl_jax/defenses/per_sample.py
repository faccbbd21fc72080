"""Draws that belong to a training row: the same whenever the row is visited, so that visits do not average them out."""

from __future__ import annotations

import jax

from vfl_jax.core.types import Key


def seed_of(key: Key) -> jax.Array:
    """Returns what a state keeps of a key, uint32[...], so that a state holds plain arrays.

    Args:
      key: the key of the first draws, Key[].
    """
    return jax.random.key_data(key)


def keys_of(seed: jax.Array, sample_ids: jax.Array) -> Key:
    """Returns a key for every row, Key[B]; a sample has the same one at every step.

    Args:
      seed: what :func:`seed_of` returned, uint32[...].
      sample_ids: int32[B], the numbers of the rows in the training set.
    """
    return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.wrap_key_data(seed), sample_ids)

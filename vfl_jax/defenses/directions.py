"""Rows of embeddings taken apart into their direction and their length, with gradients that are finite everywhere."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def direction(embedding: jax.Array) -> jax.Array:
    """Returns every row of an embedding, float32[B, E], at the length 1; a row of zeros stays zero.

    Args:
      embedding: float32[B, E].
    """
    # A direction does not depend on the unit, so neither does its gradient; and no square leaves the range.
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(embedding), axis=-1, keepdims=True))
    is_zero = largest == 0
    row = embedding / jnp.where(is_zero, 1.0, largest)
    square = jnp.sum(row**2, axis=-1, keepdims=True)
    # The inner where keeps the slope of the root at 0 away from rows of zeros.
    return jnp.where(is_zero, 0.0, row / jnp.sqrt(jnp.where(is_zero, 1.0, square)))


def length(embedding: jax.Array) -> jax.Array:
    """Returns the L2 length of every row, float32[B, 1], infinite where it leaves the range; no gradient goes through.

    Args:
      embedding: float32[B, E].
    """
    rows = jax.lax.stop_gradient(embedding)
    largest = jnp.max(jnp.abs(rows), axis=-1, keepdims=True)
    unit = jnp.where(largest > 0, largest, 1.0)
    return unit * jnp.linalg.norm(rows / unit, axis=-1, keepdims=True)

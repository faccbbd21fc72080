"""Centres of rows: the means of classes, and k-means where no class is known."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vfl_jax.core.types import Array, Key

NUM_ROUNDS = 30
"""The number of rounds of k-means; some hundred rows rest before."""


def k_means(key: Key, points: Array, num_clusters: int, num_rounds: int = NUM_ROUNDS) -> jax.Array:
    """Finds the centres of clusters: first ones as k-means++ draws them, then Lloyd's rounds.

    Args:
      key: the key of the draws.
      points: float32[B, E].
      num_clusters: C.
      num_rounds: the number of rounds.

    Returns:
      float32[C, E].

    Example:
      >>> import jax, jax.numpy as jnp
      >>> points = jnp.array([[0.0], [1.0], [9.0], [11.0]])
      >>> sorted(k_means(jax.random.key(0), points, 2)[:, 0].tolist())
      [0.5, 10.0]
    """
    return lloyd(points, first_centres(key, points, num_clusters), num_rounds)


def class_means(embeddings: Array, labels: Array, num_classes: int) -> tuple[jax.Array, jax.Array]:
    """Computes the mean embedding of every class.

    Args:
      embeddings: float32[B, E].
      labels: int32[B]; rows with −1 do not count.
      num_classes: C.

    Returns:
      (the means, float32[C, E], 0 for a class without rows; the classes with rows, bool[C]).
    """
    one_hot = jax.nn.one_hot(labels, num_classes)
    count = one_hot.sum(axis=0)
    return one_hot.T @ embeddings / jnp.maximum(count, 1.0)[:, None], count > 0


def first_centres(key: Key, points: Array, num_clusters: int) -> jax.Array:
    """Draws first centres as k-means++ does: each new one by its squared distance to the nearest one so far.

    Args:
      key: the key of the draws.
      points: float32[B, E].
      num_clusters: C.

    Returns:
      float32[C, E].
    """
    points = jnp.asarray(points)
    luck = jax.random.gumbel(key, (num_clusters, len(points)))  # the largest log w + luck is a draw with weights w

    def draw(i: Array, centres: jax.Array) -> jax.Array:
        is_drawn = jnp.arange(num_clusters) < i
        nearest = jnp.min(jnp.where(is_drawn[None], squared_distances(points, centres), jnp.inf), axis=1)
        return centres.at[i].set(points[jnp.argmax(jnp.log(nearest) + luck[i])])

    first = points[jnp.argmax(luck[0])]
    return jax.lax.fori_loop(1, num_clusters, draw, jnp.zeros((num_clusters, points.shape[1])).at[0].set(first))


def lloyd(points: Array, centres: Array, num_rounds: int) -> jax.Array:
    """Moves centres to the mean of the points that are nearest to each, again and again; an empty one stays.

    Args:
      points: float32[B, E].
      centres: float32[C, E].
      num_rounds: how often.

    Returns:
      float32[C, E].
    """

    def move(_: Array, centres: jax.Array) -> jax.Array:
        means, has_points = class_means(points, jnp.argmin(squared_distances(points, centres), axis=1), len(centres))
        return jnp.where(has_points[:, None], means, centres)

    return jax.lax.fori_loop(0, num_rounds, move, jnp.asarray(centres))


def squared_distances(points: Array, centres: Array) -> jax.Array:
    """Returns the squared distance of every point, [B, E], to every centre, [C, E]: float32[B, C]."""
    return jnp.sum((jnp.asarray(points)[:, None] - jnp.asarray(centres)[None]) ** 2, axis=-1)

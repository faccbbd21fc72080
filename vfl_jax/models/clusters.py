"""Centres of rows: the means of classes, and k-means where no class is known."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vfl_jax.core.types import Array, Key

NUM_ROUNDS = 30
"""The number of rounds of k-means; some hundred rows rest before."""
NO_CLASS = -1
"""The label of a row that counts for no class, nor for any cluster."""


def k_means(
    key: Key, points: Array, num_clusters: int, num_rounds: int = NUM_ROUNDS, counts: Array | None = None
) -> jax.Array:
    """Finds the centres of clusters: first ones as k-means++ draws them, then Lloyd's rounds.

    Args:
      key: the key of the draws.
      points: float32[B, E].
      num_clusters: C.
      num_rounds: the number of rounds.
      counts: bool[B], the points that count; None is all.

    Returns:
      float32[C, E].

    Example:
      >>> import jax, jax.numpy as jnp
      >>> points = jnp.array([[0.0], [1.0], [9.0], [11.0]])
      >>> sorted(k_means(jax.random.key(0), points, 2)[:, 0].tolist())
      [0.5, 10.0]
    """
    nowhere = jnp.zeros((num_clusters, jnp.shape(points)[1]))
    centres = draw_centres(key, points, nowhere, jnp.zeros(num_clusters, bool), counts)
    return lloyd(points, centres, num_rounds, counts)


def class_means(rows: Array, labels: Array, num_classes: int) -> tuple[jax.Array, jax.Array]:
    """Computes the mean row of every class.

    Args:
      rows: float32[B, E].
      labels: int32[B]; rows with −1 do not count, whatever they hold.
      num_classes: C.

    Returns:
      (the means, float32[C, E], 0 for a class without rows; the classes with rows, bool[C]).
    """
    one_hot = jax.nn.one_hot(labels, num_classes)
    count = one_hot.sum(axis=0)
    rows = jnp.where((jnp.asarray(labels) == NO_CLASS)[:, None], 0.0, rows)  # NaN · 0 would be NaN
    return one_hot.T @ rows / jnp.maximum(count, 1.0)[:, None], count > 0


def draw_centres(key: Key, points: Array, centres: Array, is_set: Array, counts: Array | None = None) -> jax.Array:
    """Draws the missing centres as k-means++ does: each by its squared distance to the nearest one so far.

    The first of all is any point; so is one that is drawn where all points are centres.

    Args:
      key: the key of the draws.
      points: float32[B, E].
      centres: float32[C, E].
      is_set: bool[C], the centres that stay as they are.
      counts: bool[B], the points that can be drawn; None is all.

    Returns:
      float32[C, E].
    """
    points = jnp.asarray(points)
    least = jnp.finfo(points.dtype).tiny
    luck = jax.random.gumbel(key, (len(centres), len(points)))  # the largest log w + luck is a draw with weights w

    def draw(i: Array, carry: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        centres, is_set = carry
        nearest = jnp.min(jnp.where(is_set[None], squared_distances(points, centres), jnp.inf), axis=1)
        weights = jnp.where(is_set.any(), jnp.maximum(nearest, least), 1.0)
        weights = weights if counts is None else jnp.where(counts, weights, 0.0)
        drawn = points[jnp.argmax(jnp.log(weights) + luck[i])]
        return centres.at[i].set(jnp.where(is_set[i], centres[i], drawn)), is_set.at[i].set(True)

    return jax.lax.fori_loop(0, len(centres), draw, (jnp.asarray(centres), jnp.asarray(is_set)))[0]


def lloyd(points: Array, centres: Array, num_rounds: int, counts: Array | None = None) -> jax.Array:
    """Moves centres to the mean of the points that are nearest to each, again and again; an empty one stays.

    Args:
      points: float32[B, E].
      centres: float32[C, E].
      num_rounds: how often.
      counts: bool[B], the points that count; None is all.

    Returns:
      float32[C, E].
    """

    def move(_: Array, centres: jax.Array) -> jax.Array:
        nearest = jnp.argmin(squared_distances(points, centres), axis=1)
        nearest = nearest if counts is None else jnp.where(counts, nearest, NO_CLASS)
        means, has_points = class_means(points, nearest, len(centres))
        return jnp.where(has_points[:, None], means, centres)

    return jax.lax.fori_loop(0, num_rounds, move, jnp.asarray(centres))


def squared_distances(points: Array, centres: Array) -> jax.Array:
    """Returns the squared distance of every point, [B, E], to every centre, [C, E]: float32[B, C]."""
    return jnp.sum((jnp.asarray(points)[:, None] - jnp.asarray(centres)[None]) ** 2, axis=-1)

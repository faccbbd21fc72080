"""MixMatch: learns from few labels and many rows without one (Berthelot et al. 2019, arXiv:1905.02249).

As label inference attacks use it (Fu et al. 2022): one guess per row without a label, and no augmented copies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.types import Array, Features, Params

Model = Callable[[Params, Any, Features], tuple[jax.Array, Any]]
"""A model in training: (parameters, what it holds beside, rows) to (logits, float32[B, C], what it holds now)."""


class Mixture(NamedTuple):
    """What a step of MixMatch learns from.

    Args:
      known: rows whose labels are known, leaves [B, ...].
      labels: int32[B], their labels.
      unknown: rows without a label, leaves [B, ...].
      share: float32[], the share of a row itself in its mixture; the larger of it and its rest counts.
      order: int32[2·B], the row with which each row is mixed: first the known rows, then the unknown.
    """

    known: Features
    labels: Array
    unknown: Features
    share: Array
    order: Array


class Losses(NamedTuple):
    """The two parts of the loss.

    Args:
      known: float32[], the cross-entropy of known rows.
      unknown: float32[], the mean squared error of the probabilities of unknown rows.
    """

    known: jax.Array
    unknown: jax.Array


def mixmatch(
    model: Model, num_classes: int, temperature: Array | float, params: Params, held: Any, batch: Mixture
) -> tuple[Losses, Any]:
    """Computes the losses of one step.

    The model guesses the classes p of unknown rows; these become the targets p^(1/T), scaled to the sum 1, without a
    gradient. Every row and its target are mixed with those of another row. The mixed rows go through the model in two
    batches that have as many known as unknown rows, because BatchNorm would tell pure ones apart.

    Args:
      model: the model in training.
      num_classes: C.
      temperature: T.
      params: the model's parameters.
      held: what the model holds beside parameters.
      batch: the rows of the step.

    Returns:
      (the losses, what the model holds afterwards).
    """
    guess, held = model(params, held, batch.unknown)
    sharp = jax.nn.softmax(jax.nn.log_softmax(jax.lax.stop_gradient(guess)) / temperature)
    share = jnp.maximum(batch.share, 1.0 - batch.share)
    targets = mixed(jnp.concatenate([jax.nn.one_hot(batch.labels, num_classes), sharp]), batch.order, share)
    rows = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), batch.known, batch.unknown)
    rows = mixed(rows, batch.order, share)

    size = len(batch.labels)
    # The second halves of both parts change places; doing it again leads back.
    place = jnp.arange(2 * size)
    exchanged = jnp.where(place % size < size // 2, place, (place + size) % (2 * size))
    halves = jax.tree.map(lambda leaf: leaf[exchanged], rows)
    first, held = model(params, held, jax.tree.map(lambda leaf: leaf[:size], halves))
    second, held = model(params, held, jax.tree.map(lambda leaf: leaf[size:], halves))
    logits = jnp.concatenate([first, second])[exchanged]

    known = -(jax.nn.log_softmax(logits[:size]) * targets[:size]).sum(axis=-1).mean()
    unknown = ((jax.nn.softmax(logits[size:]) - targets[size:]) ** 2).mean()
    return Losses(known, unknown), held


def mixed(rows: Features, order: Array, share: jax.Array) -> Features:
    """Mixes every row with another one: share · row + (1 − share) · other.

    A mixture of bags of ids is the bag of both rows' ids, weighted: just as their multi-hot rows are mixed.

    Args:
      rows: leaves [B, ...].
      order: int32[B], the numbers of the other rows.
      share: float32[], the share of a row itself.

    Returns:
      the mixed rows, of the same form; a bag has twice as many slots, and weights.
    """
    if isinstance(rows, BagOfIds):
        ids = jnp.asarray(rows.ids)
        weights = jnp.ones(ids.shape) if rows.weights is None else jnp.asarray(rows.weights)
        both = jnp.concatenate([share * weights, (1.0 - share) * weights[order]], axis=1)
        return BagOfIds(jnp.concatenate([ids, ids[order]], axis=1), both, vocabulary=rows.vocabulary)

    def mix(leaf: Array) -> jax.Array:
        own = jnp.asarray(leaf, jnp.float32)
        return share * own + (1.0 - share) * own[order]

    return jax.tree.map(mix, rows)

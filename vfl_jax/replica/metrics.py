"""Metrics as pairs (sum, count), which can be merged, and the area under the ROC curve of two samples."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.types import Array


@flax.struct.dataclass
class Metric:
    """A mean that can still be merged; with the count 0 it is undefined.

    Args:
      sum: float32[...], the sum of the values.
      count: float32[], the number of values; of a metric by class float32[C], like the sum.
    """

    sum: Array
    count: Array


def mean_over(mask: Array, values: Array) -> Metric:
    """Returns the mean of some rows' values.

    Args:
      mask: bool[B], the rows that count.
      values: [B, ...].
    """
    rows = mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim))
    total = jnp.sum(jnp.where(rows, values.astype(jnp.float32), 0.0), axis=tuple(range(mask.ndim)))
    return Metric(sum=total, count=mask.sum(dtype=jnp.float32))


def mean_by_class(mask: Array, values: Array, labels: Array, num_classes: int) -> Metric:
    """Returns the means of some rows' values by class, a metric of leaves float32[C].

    Args:
      mask: bool[B], the rows that count.
      values: [B].
      labels: int32[B].
      num_classes: C.
    """
    of_class = jax.nn.one_hot(jnp.where(mask, labels, -1), num_classes)
    return Metric(sum=jnp.where(mask, values.astype(jnp.float32), 0.0) @ of_class, count=of_class.sum(axis=0))


def mean_by_party(mask: Array, values: Array, parties: tuple[int, ...], num_parties: int) -> Metric:
    """Returns the means of some rows' values by party, a metric of leaves float32[K]; 0 rows of parties not named.

    Args:
      mask: bool[A, B], the rows that count of each of A parties.
      values: [A, B].
      parties: the numbers of these parties.
      num_parties: K.
    """
    places, nothing = jnp.array(parties), jnp.zeros(num_parties)
    sums = jnp.where(mask, values.astype(jnp.float32), 0.0).sum(axis=1)
    return Metric(sum=nothing.at[places].set(sums), count=nothing.at[places].set(mask.sum(axis=1, dtype=jnp.float32)))


def area(positive: Array, is_positive: Array, negative: Array, is_negative: Array) -> Metric:
    """Returns the area under the ROC curve: how often a positive value exceeds a negative one; ties count one half.

    Args:
      positive: float32[P], the values of the positive rows.
      is_positive: bool[P], which of them count; NaN never counts.
      negative: float32[Q].
      is_negative: bool[Q].

    Returns:
      the area as a metric of count 1, or 0 where a side has no row.

    Example:
      >>> both = jnp.ones(2, bool)
      >>> found = area(jnp.array([2.0, 1.0]), both, jnp.array([0.0, 1.0]), both)
      >>> float(found.sum)
      0.875
    """
    is_positive, is_negative = is_positive & ~jnp.isnan(positive), is_negative & ~jnp.isnan(negative)
    num_positive, num_negative = (jnp.sum(mask, dtype=jnp.float32) for mask in (is_positive, is_negative))
    ordered = jnp.sort(jnp.where(is_negative, negative, jnp.inf))
    places = (jnp.searchsorted(ordered, positive, side=side, method="sort") for side in ("left", "right"))
    below, up_to = (jnp.minimum(place.astype(jnp.float32), num_negative) for place in places)
    wins = (below + up_to) / 2.0
    is_defined = (num_positive > 0) & (num_negative > 0)
    share = jnp.sum(jnp.where(is_positive, wins / jnp.maximum(num_negative, 1.0), 0.0)) / jnp.maximum(num_positive, 1.0)
    return Metric(sum=jnp.where(is_defined, share, 0.0), count=is_defined.astype(jnp.float32))


def detection(score: Array, is_suspect: Array, is_attacked: Array, is_valid: Array) -> dict[str, Metric]:
    """Compares a method's answers about rows with the rows that are attacked.

    * ``auc``: how often an attacked row is more suspicious than a clean one.
    * ``recall``: the share of attacked rows that the method calls suspect, the rate of true alarms.
    * ``false_alarm_rate``: the share of clean rows that it calls suspect.
    * ``precision``: the share of attacked rows among the suspect ones.
    * ``f1``: the harmonic mean of precision and recall.

    Args:
      score: float32[M], the suspicion of each row.
      is_suspect: bool[M], the method's own yes or no.
      is_attacked: bool[M].
      is_valid: bool[M], the rows that count.

    Returns:
      the metrics, by these names.
    """
    is_attacked, is_clean = is_valid & is_attacked, is_valid & ~is_attacked
    hits = jnp.sum(is_suspect & is_attacked, dtype=jnp.float32)
    alarms = jnp.sum(is_suspect & is_valid, dtype=jnp.float32)
    attacked = jnp.sum(is_attacked, dtype=jnp.float32)
    return {
        "auc": area(score, is_attacked, score, is_clean),
        "recall": Metric(hits, attacked),
        "false_alarm_rate": Metric(alarms - hits, jnp.sum(is_clean, dtype=jnp.float32)),
        "precision": Metric(hits, alarms),
        "f1": Metric(2 * hits, attacked + alarms),
    }

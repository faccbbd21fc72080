"""What label readers share: they listen, change nothing, and read the labels of all training rows after every epoch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.attacks.all_rows import over_all_rows
from vfl_jax.attacks.evidence import UNREAD, Evidence, KindOrAxes, has_message, keep, no_evidence
from vfl_jax.core.one_matrix import eigenvectors, solve
from vfl_jax.core.types import Array, Key, Params
from vfl_jax.protocol.knowledge import UNKNOWN, Shapes
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.views import PartyEpochView, PartyView

PENALTY = 0.01
"""The penalty of a ridge regression, relative to the mean square of a column."""


class Reading(NamedTuple):
    """What a reader makes of all training rows.

    Args:
      guesses: int32[N], the labels; ``UNREAD`` for rows that the reader cannot tell.
      scores: float32[N], of two classes; larger for class 1, NaN for rows that the reader cannot tell.
    """

    guesses: jax.Array
    scores: jax.Array


class Heard(NamedTuple):
    """What a reader has when it reads.

    Args:
      messages: float32[N, E], the mean of each row's messages; 0 for a row that nothing was heard of.
      is_heard: bool[N], whether a row had a message.
      embeddings: ``embeddings()`` computes the party's own embeddings of all training rows, float32[N, E].
      known_labels: int32[N], the labels that are known, ``UNKNOWN`` elsewhere.
      target_class: int32[], τ.
      num_classes: C.
    """

    messages: jax.Array
    is_heard: jax.Array
    embeddings: Callable[[], jax.Array]
    known_labels: jax.Array
    target_class: jax.Array
    num_classes: int

    def rows(self, of: str) -> tuple[jax.Array, jax.Array]:
        """Returns (the rows that are read, float32[N, E]; which of them there are, bool[N]).

        Args:
          of: "gradients" or "embeddings".
        """
        if of == "gradients":
            return self.messages, self.is_heard
        rows = self.embeddings()
        return rows, jnp.isfinite(rows).all(axis=-1)


@flax.struct.dataclass
class ReaderState:
    """The state of a reader.

    Args:
      evidence: what was heard of every training row.
      guesses: int32[N], the guessed labels after the last epoch; ``UNREAD`` for rows without a guess.
      scores: float32[N], the scores of two classes, NaN for rows without one; None of more classes.
      num_classes: C; static.
    """

    evidence: Evidence
    guesses: jax.Array
    scores: jax.Array | None
    num_classes: int = flax.struct.field(pytree_node=False)


class Reader:
    """The hooks of a reader, which itself says how it reads (``infer``). A reader derives from this class and Attack.

    It keeps evidence as its field ``evidence`` says, and its metrics end with its field ``way``. It needs a few known
    rows of every class, or says that it needs none.
    """

    needs: Needs | None = Needs(poison_rate=0.0, num_known=4)
    evidence: KindOrAxes
    smooth: bool = False
    way: str

    def infer(self, key: Key, heard: Heard) -> Reading:
        """Reads the labels of all training rows.

        Args:
          key: the key of what the reader draws.
          heard: what it has.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how it reads: define infer(key, heard).")

    def says(self, gradient: Array) -> jax.Array:
        """Returns which rows of a gradient, float32[B, E], are kept, bool[B]."""
        return has_message(gradient)

    def init(self, key: Key, shapes: Shapes, party: int) -> ReaderState:
        return ReaderState(
            evidence=no_evidence(shapes.num_samples, shapes.widths[party]),
            guesses=jnp.full(shapes.num_samples, UNREAD, jnp.int32),
            scores=jnp.full(shapes.num_samples, jnp.nan) if shapes.num_classes == 2 else None,
            num_classes=shapes.num_classes,
        )

    def on_download(
        self, key: Key, state: ReaderState, view: PartyView, gradient: jax.Array
    ) -> tuple[jax.Array, ReaderState]:
        evidence, _ = keep(self.evidence, state.evidence, view, gradient, self.says(gradient))
        return gradient, dataclasses.replace(state, evidence=evidence)

    def on_epoch(
        self, key: Key, state: ReaderState, view: PartyEpochView, params: Params
    ) -> tuple[Params, ReaderState]:
        def embeddings() -> jax.Array:
            return over_all_rows(view, lambda rows: view.forward(rows, params=params))

        messages, is_heard = state.evidence.mean, jnp.asarray(state.evidence.num_heard) > 0
        if self.smooth:
            messages = smoothed(messages, is_heard, embeddings())
        known_labels, target_class = view.knowledge.known_labels, view.knowledge.target_class
        heard = Heard(messages, is_heard, embeddings, known_labels, target_class, state.num_classes)
        reading = self.infer(key, heard)
        scores = None if state.scores is None else reading.scores
        return params, dataclasses.replace(state, guesses=reading.guesses, scores=scores)

    def report(self, state: ReaderState) -> dict[str, jax.Array]:
        end = f"_{self.way}" if self.way else ""
        scores = {} if state.scores is None else {f"label_scores{end}": state.scores}
        return {f"label_guesses{end}": state.guesses} | scores


def check_two_classes(method: str, shapes: Shapes) -> None:
    """Checks that there are two classes.

    Args:
      method: the name of the method, for the error.
      shapes: the sizes that the protocol makes public.

    Raises:
      ValueError: where there are more.
    """
    if shapes.num_classes != 2:
        raise ValueError(
            f"{method} tells two classes apart; the data has {shapes.num_classes}. Use DirectionInference, "
            "ClusterInference or RegressionInference."
        )


def most_likely(scores: Array, is_read: Array) -> Reading:
    """Reads the class with the largest score.

    Args:
      scores: float32[N, C]; −∞ for a class that the reader does not know.
      is_read: bool[N], the rows that it can tell.
    """
    is_read = is_read & (scores > -jnp.inf).any(axis=-1)
    guesses = jnp.where(is_read, jnp.argmax(scores, axis=-1), UNREAD).astype(jnp.int32)
    shown = jnp.where(scores > -jnp.inf, scores, 0.0)
    return Reading(guesses, jnp.where(is_read, shown[:, 1] - shown[:, 0], jnp.nan))


def above(scores: Array, threshold: Array | float, is_read: Array) -> Reading:
    """Reads class 1 where a score exceeds a threshold, and class 0 elsewhere.

    Args:
      scores: float32[N].
      threshold: float32[].
      is_read: bool[N], the rows that the reader can tell.
    """
    guesses = jnp.where(is_read, (scores > threshold).astype(jnp.int32), UNREAD)
    return Reading(guesses, jnp.where(is_read, scores, jnp.nan))


def between_two_means(values: Array, counts: Array, num_steps: int = 30) -> jax.Array:
    """Returns the point halfway between the means of two clusters of numbers, float32[], by 2-means.

    Args:
      values: float32[N].
      counts: bool[N], the values that count.
      num_steps: the number of steps; the first means are the smallest and the largest value.
    """

    def step(_: Array, threshold: Array) -> jax.Array:
        means = [mean_of(values, counts & side) for side in (values <= threshold, values > threshold)]
        return (means[0] + means[1]) / 2.0

    low, high = jnp.where(counts, values, jnp.inf).min(), jnp.where(counts, values, -jnp.inf).max()
    return jax.lax.fori_loop(0, num_steps, step, (low + high) / 2.0)


def mean_of(rows: Array, counts: Array) -> jax.Array:
    """Returns the mean of those rows, [N, ...], that count, bool[N]; 0 where there are none."""
    mask = counts.reshape(counts.shape + (1,) * (rows.ndim - 1))
    return jnp.where(mask, rows, 0.0).sum(axis=0) / jnp.maximum(counts.sum(dtype=jnp.float32), 1.0)


def standardized(rows: Array, counts: Array) -> jax.Array:
    """Returns rows, float32[N, E], less the mean and over the standard deviation of those that count; others are 0."""
    centered = jnp.where(counts[:, None], rows - mean_of(rows, counts)[None], 0.0)
    spread = jnp.sqrt(mean_of(centered**2, counts))
    return centered / jnp.where(spread > 0, spread, 1.0)[None]


def principal(rows: Array, counts: Array, number: int) -> jax.Array:
    """Returns the scores of rows along the directions in which they differ most, float32[N, min(number, E)].

    The directions are the last eigenvectors of the E×E moments of the rows less their mean. The last column is of the
    first direction; the sign of a direction says nothing.

    Args:
      rows: float32[N, E].
      counts: bool[N], the rows that count; the scores of others are 0.
      number: the number of directions, where E is as large.
    """
    centered = jnp.where(counts[:, None], rows - mean_of(rows, counts)[None], 0.0)
    scale = jnp.abs(centered).max()
    centered = centered / jnp.where(scale > 0, scale, 1.0)  # the squares of very small entries would be 0
    return centered @ eigenvectors(centered.T @ centered)[:, -number:]


def read_known(columns: Array, is_read: Array, heard: Heard) -> jax.Array:
    """Returns every row's score for every class, float32[N, C], by a ridge regression on the known rows.

    Every class has the same weight. A class of which no row is known has the score −∞.

    Args:
      columns: float32[N, F], standardized.
      is_read: bool[N], the rows that the reader can tell.
      heard: what it has.
    """
    labels = jax.nn.one_hot(jnp.where(is_read, heard.known_labels, UNKNOWN), heard.num_classes)
    counts = labels.sum(axis=0)
    weights = labels @ (1.0 / jnp.maximum(counts, 1.0))
    return jnp.where((counts > 0)[None], ridge(columns, weights, labels), -jnp.inf)


def ridge(columns: Array, weights: Array, targets: Array) -> jax.Array:
    """Predicts targets for all rows by a ridge regression, with an intercept, on some of them; float32[N, D].

    Args:
      columns: float32[N, F], standardized.
      weights: float32[N], how much each row counts.
      targets: float32[N, D].
    """
    columns = jnp.concatenate([columns, jnp.ones((len(columns), 1))], axis=1)
    weighted = columns * (weights / jnp.maximum(weights.sum(), 1e-12))[:, None]
    gram = weighted.T @ columns
    penalty = PENALTY * jnp.trace(gram) / len(gram) + 1e-6
    solved = solve(gram + penalty * jnp.eye(len(gram)), weighted.T @ targets)
    return columns @ solved


def smoothed(messages: Array, is_heard: Array, embeddings: Array, is_read: Array | None = None) -> jax.Array:
    """Returns messages regressed on the party's own embeddings, float32[N, E]: rows that look alike are told alike.

    Args:
      messages: float32[N, E].
      is_heard: bool[N], the rows whose messages count.
      embeddings: float32[N, E].
      is_read: bool[N], the rows that get a message, heard or not; None for those that are heard. Others are 0.
    """
    is_read = is_heard if is_read is None else is_read
    scale = jnp.abs(messages).max()
    told = messages / jnp.where(scale > 0, scale, 1.0)  # a length does not matter, and the squares of small ones would
    weights = is_heard.astype(jnp.float32)
    return jnp.where(is_read[:, None], ridge(standardized(embeddings, is_read), weights, told), 0.0)

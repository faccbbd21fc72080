"""Evidence of labels: a listener keeps every row's gradients, and reads the row's label off them.

Under a sum head and softmax cross-entropy a gradient row is w·(S − e_y): its only negative entry is the label y. A
defense hides this sign. The noise of a defense differs from visit to visit, and the label does not. So evidence adds up
over visits.
"""

from __future__ import annotations

from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.types import Array
from vfl_jax.protocol.knowledge import ORDINARY
from vfl_jax.protocol.views import PartyView

Kind = Literal["last", "sum", "fading", "directions"]
KindOrAxes = Literal[Kind, "axes"]
Rule = Literal["most", "first"]
UNREAD = -1
"""The guess for a row whose messages have not shown a label yet."""


@flax.struct.dataclass
class Evidence:
    """The evidence about every training row so far.

    Args:
      total: float32[N, E], the sum of a row's messages, each with its weight; of "axes" each turned the way of those
        before it. Where E is C, the most negative entry of a row is the row's label, but of "axes".
      weight: float32[N], the sum of these weights.
      num_heard: int32[N], the number of informative messages of each row.
    """

    total: jax.Array
    weight: jax.Array
    num_heard: jax.Array

    @property
    def mean(self) -> jax.Array:
        """float32[N, E], the weighted mean of a row's messages; 0 for a row that nothing was heard of."""
        return self.total / jnp.where(self.weight > 0, self.weight, 1.0)[:, None]


def no_evidence(num_samples: int, width: int) -> Evidence:
    """Returns the evidence before the first message, for N rows and messages of E entries."""
    return Evidence(
        total=jnp.zeros((num_samples, width)),
        weight=jnp.zeros(num_samples),
        num_heard=jnp.zeros(num_samples, jnp.int32),
    )


def has_message(gradient: Array) -> jax.Array:
    """Returns which rows of a gradient, float32[B, E], are finite and have an entry other than 0, bool[B]."""
    return jnp.isfinite(gradient).all(axis=-1) & (gradient != 0).any(axis=-1)


def shows_label(kind: Kind, gradient: Array) -> jax.Array:
    """Returns which rows of a gradient say something about labels by their signs, bool[B].

    Args:
      kind: the kind of evidence; under "last" a row needs a negative entry, because nothing is added to it.
      gradient: float32[B, C].
    """
    return has_message(gradient) & ((gradient < 0).any(axis=-1) if kind == "last" else True)


def keep(
    kind: KindOrAxes, evidence: Evidence, view: PartyView, gradient: Array, says: Array
) -> tuple[Evidence, jax.Array]:
    """Adds the informative rows of a batch to the evidence. An appended pair is no part of the training rows.

    No batch has an ordinary row twice. So the rows' sums are read, added to, and put back: nothing reads the old
    evidence after the new one is written, and XLA writes in place. Else every step would copy the evidence of all rows.

    Args:
      kind: "last" keeps a row's last message; "sum" adds up all messages; "fading" lets the k-th message count 1/√k,
        because messages shrink while a model learns, and the noise of a defense does not; "directions" adds up all
        messages at length 1, so that each counts alike; "axes" does so, too, but first turns a message round where it
        points against the row's sum so far, which undoes a defense that draws the sign of a row.
      evidence: the evidence before the batch.
      view: the party's view of the step.
      gradient: float32[B, E].
      says: bool[B], the informative rows; other rows do not change the evidence.

    Returns:
      (the new evidence; the new sums of the batch's rows, float32[B, E], of no meaning for an appended pair).
    """
    total, weight, heard = (jnp.asarray(part) for part in (evidence.total, evidence.weight, evidence.num_heard))
    ids = jnp.where(says & (view.roles == ORDINARY), view.sample_ids, len(heard))  # ids out of range are not kept
    num_heard = heard.at[ids].add(1, mode="drop")
    message = jnp.where(says[:, None], gradient, 0.0)
    one = jnp.ones(len(gradient))
    if kind == "fading":
        one = 1.0 / jnp.sqrt(jnp.maximum(num_heard[view.sample_ids], 1))
    before, weight_before = total[view.sample_ids], weight[view.sample_ids]
    if kind == "last":
        after, weight_after = jnp.where(says[:, None], message, before), one
    else:
        weighted = unit(message) if kind in ("directions", "axes") else one[:, None] * message
        if kind == "axes":
            weighted = jnp.where(((weighted * before).sum(axis=1) < 0)[:, None], -weighted, weighted)
        after, weight_after = before + weighted, weight_before + one
    new = Evidence(
        total.at[ids].set(after, mode="drop"), weight.at[ids].set(weight_after, mode="drop"), num_heard=num_heard
    )
    return new, after


def unit(rows: Array) -> jax.Array:
    """Returns rows, float32[N, E], at length 1; rows of zeros stay so."""
    largest = jnp.abs(rows).max(axis=-1, keepdims=True)  # the squares of very small entries would be 0
    rows = rows / jnp.where(largest > 0, largest, 1.0)
    return jnp.asarray(rows) / jnp.maximum(jnp.linalg.norm(rows, axis=-1, keepdims=True), 1.0)


def mean_of(rows: Array, counts: Array, otherwise: Array | float = 0.0) -> jax.Array:
    """Returns the mean of some rows, float32[E].

    Args:
      rows: float32[B, E].
      counts: bool[B], the rows that count.
      otherwise: what is returned where none does, float32[E] or a number.
    """
    total = jnp.where(counts[:, None], rows, 0.0).sum(axis=0)
    return jnp.where(counts.any(), total / jnp.maximum(counts.sum(dtype=jnp.float32), 1.0), otherwise)


def hear(kind: Kind, evidence: Evidence, view: PartyView, gradient: jax.Array) -> tuple[Evidence, jax.Array]:
    """Adds the gradient rows of a batch to the evidence, and reads their labels off the signs.

    The label of an appended pair's rows comes from their own messages alone.

    Args:
      kind: as in :func:`keep`.
      evidence: the evidence before the batch.
      view: the party's view of the step.
      gradient: float32[B, C].

    Returns:
      (the new evidence; the labels, int32[B], ``UNREAD`` for rows that are not informative).
    """
    says = shows_label(kind, gradient)
    new, of_rows = keep(kind, evidence, view, gradient, says)
    message = jnp.where(says[:, None], gradient, 0.0)
    known = jnp.where((view.roles == ORDINARY)[:, None], of_rows, message)
    return new, jnp.where(says, read(known), UNREAD)


def read(total: jax.Array, rule: Rule = "most") -> jax.Array:
    """Reads labels off the signs of evidence.

    Args:
      total: float32[..., C].
      rule: "most" takes the most negative entry, "first" the first negative one. Without noise there is one alone.

    Returns:
      int32[...]; ``UNREAD`` for a row without a negative entry.
    """
    label = jnp.argmin(total, axis=-1) if rule == "most" else jnp.argmax(total < 0, axis=-1)
    return jnp.where((total < 0).any(axis=-1), label, UNREAD).astype(jnp.int32)

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

from vfl_jax.protocol.knowledge import ORDINARY
from vfl_jax.protocol.views import PartyView

Kind = Literal["last", "sum", "fading"]
UNREAD = -1
"""The guess for a row whose messages have not shown a label yet."""


@flax.struct.dataclass
class Evidence:
    """The evidence about every training row so far.

    Args:
      total: float32[N, C]; the most negative entry of a row is the row's label.
      num_heard: int32[N], the number of informative messages of each row.
    """

    total: jax.Array
    num_heard: jax.Array


def no_evidence(num_samples: int, num_classes: int) -> Evidence:
    """Returns the evidence before the first message, for N rows and C classes."""
    return Evidence(total=jnp.zeros((num_samples, num_classes)), num_heard=jnp.zeros(num_samples, jnp.int32))


def hear(kind: Kind, evidence: Evidence, view: PartyView, gradient: jax.Array) -> tuple[Evidence, jax.Array]:
    """Adds the gradient rows of a batch to the evidence, and reads their labels.

    A row is informative where it is finite and has an entry other than 0; under "last" it needs a negative entry. Other
    rows do not change the evidence. An appended pair is no part of the training rows: the label of its rows comes from
    their own messages alone, and the evidence keeps nothing of them.

    Args:
      kind: "last" keeps a row's last message; "sum" adds up all messages; "fading" lets the k-th message count 1/√k,
        because messages shrink while a model learns, and the noise of a defense does not.
      evidence: the evidence before the batch.
      view: the party's view of the step.
      gradient: float32[B, C].

    Returns:
      (the new evidence; the labels, int32[B], ``UNREAD`` for rows that are not informative).
    """
    says = jnp.isfinite(gradient).all(axis=-1) & jnp.any(gradient < 0 if kind == "last" else gradient != 0, axis=-1)
    before, heard = jnp.asarray(evidence.total), jnp.asarray(evidence.num_heard)
    ids = jnp.where(says & (view.roles == ORDINARY), view.sample_ids, len(heard))  # ids out of range are not kept
    num_heard = heard.at[ids].add(1, mode="drop")
    message = jnp.where(says[:, None], gradient, 0.0)
    if kind == "last":
        total = before.at[ids].set(message, mode="drop")
    else:
        weight = 1.0 if kind == "sum" else 1.0 / jnp.sqrt(jnp.maximum(num_heard[view.sample_ids], 1)[:, None])
        total = before.at[ids].add(weight * message, mode="drop")
    known = jnp.where((view.roles == ORDINARY)[:, None], total[view.sample_ids], message)
    return Evidence(total=total, num_heard=num_heard), jnp.where(says, read(known), UNREAD)


def read(total: jax.Array) -> jax.Array:
    """Reads labels off evidence, float32[..., C]: int32[...], the most negative entry; ``UNREAD`` without one."""
    return jnp.where((total < 0).any(axis=-1), jnp.argmin(total, axis=-1), UNREAD).astype(jnp.int32)

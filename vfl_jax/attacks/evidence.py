"""Evidence of labels: what a listener keeps of every row's gradients, and which label it reads off them.

Under a sum head and softmax cross-entropy a gradient row is w·(S − e_y): its only negative entry is the label y. A
defense dims this sign. What it dims differs from visit to visit, the label does not: evidence adds up over visits.
"""

from __future__ import annotations

from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.protocol.views import ORDINARY, PartyView

Kind = Literal["last", "sum", "fading"]
UNREAD = -1
"""The guess for a row that has said nothing yet."""


@flax.struct.dataclass
class Evidence:
    """What was heard of every row so far."""

    total: jax.Array  # float32[N, C]  the label of a row is read at its most negative entry
    num_heard: jax.Array  # int32[N]  messages that said something


def no_evidence(num_samples: int, num_classes: int) -> Evidence:
    """Before the first message."""
    return Evidence(total=jnp.zeros((num_samples, num_classes)), num_heard=jnp.zeros(num_samples, jnp.int32))


def hear(kind: Kind, evidence: Evidence, view: PartyView, gradient: jax.Array) -> tuple[Evidence, jax.Array]:
    """Adds a batch of gradient rows, float32[B, C]; returns the labels of those that said something too, int32[B].

    A row says something where it is finite and has an entry other than 0; under "last", a negative one. Whatever says
    nothing leaves the evidence as it was. A row of an appended pair is none of the training rows: it is read off its
    own message, and nothing is kept of it.

    Args:
      kind: "last" keeps a row's last message; "sum" adds up all; "fading" lets the k-th message count 1/√k, because
        messages shrink while a model learns, and a defense's noise does not.
    """
    says = jnp.isfinite(gradient).all(axis=-1) & jnp.any(gradient < 0 if kind == "last" else gradient != 0, axis=-1)
    before, heard = jnp.asarray(evidence.total), jnp.asarray(evidence.num_heard)
    ids = jnp.where(says & (view.roles == ORDINARY), view.sample_ids, len(heard))  # out of range: not kept
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
    """The label that evidence, float32[..., C], speaks for, int32[...]: its most negative entry; UNREAD without one."""
    return jnp.where((total < 0).any(axis=-1), jnp.argmin(total, axis=-1), UNREAD).astype(jnp.int32)

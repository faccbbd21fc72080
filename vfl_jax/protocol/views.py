"""What everyone sees: a party and the active party, in training and at inference; and what an attacker was granted."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.types import Array, Features, Params

ORDINARY, POISON, TARGET = 0, 1, 2
"""The role of a batch row: ``POISON`` and ``TARGET`` only for the pair appended to a batch."""


NOTHING: Any = None
"""The knowledge of whoever was granted none. It has no type of its own, because only attacks have a use for knowledge,
and they always have it: an annotated ``view.knowledge.find(view)`` needs no check for None."""


class Shapes(NamedTuple):
    """What the protocol makes public to everyone before training; static."""

    num_samples: int  # N
    num_classes: int  # C
    batch_rows: int  # B, the appended pair included
    row_weight: float  # weight of one row's loss in the batch loss: 1/B under mean, 1 under sum
    widths: tuple[int, ...]  # E of every party
    active_party: int | None

    @property
    def crossing(self) -> tuple[int, ...]:
        """The parties whose messages cross to or from the active party."""
        return tuple(k for k in range(len(self.widths)) if k != self.active_party)


@flax.struct.dataclass
class PartyView:
    """What one party sees at a training step: nothing of labels, nothing of another party.

    Who is poisoned an attack alone is told: to everyone else ``knowledge`` is None and every row ORDINARY.
    """

    sample_ids: jax.Array  # int32[B]  aligned ids are known to every party
    roles: jax.Array  # int32[B]  ORDINARY; an attack alone sees POISON and TARGET, the rows of an appended pair
    features: Features  # leaves [B, ...]  this party's own rows
    params: Params  # this party's own bottom model
    step: jax.Array  # int32[]  steps taken since the start
    knowledge: Knowledge = NOTHING  # what an attack was granted; None for everyone else


@flax.struct.dataclass
class ActiveView:
    """What the active party sees at a training step.

    Who is poisoned an attack alone is told: to a defense ``knowledge`` is None and every row ORDINARY.
    """

    sample_ids: jax.Array  # int32[B]
    roles: jax.Array  # int32[B]  ORDINARY; an attack alone sees POISON and TARGET, the rows of an appended pair
    labels: jax.Array  # int32[B]
    step: jax.Array  # int32[]
    knowledge: Knowledge = NOTHING  # what an attack was granted; None for a defense


@flax.struct.dataclass
class PartyInferView:
    """What one party sees at inference: its own features and model, no ids, no step."""

    OF_ROWS: ClassVar[tuple[str, ...]] = ("features",)

    features: Features
    params: Params
    knowledge: Knowledge = NOTHING  # what an attack was granted, of the training rows; None for everyone else
    is_valid: jax.Array | None = None  # bool[B]  false for rows that only fill up a batch


@flax.struct.dataclass
class ActiveInferView:
    """What the active party sees at inference: nothing but the messages themselves."""

    OF_ROWS: ClassVar[tuple[str, ...]] = ()

    knowledge: Knowledge = NOTHING  # what an attack was granted, of the training rows; None for a defense
    is_valid: jax.Array | None = None  # bool[B]  false for rows that only fill up a batch


@flax.struct.dataclass
class Knowledge:
    """What an attacker was granted, resolved for one seed; it reaches attacks as ``view.knowledge``, and no defense.

    Attackers that collude are granted the same; there is no channel between them at run time.
    """

    target_class: jax.Array  # int32[]  the class τ the backdoor shall lead to
    is_poison: jax.Array  # bool[N]  rows that carry the trigger
    is_target: jax.Array  # bool[N]  rows known to be of class τ
    blur: jax.Array | None  # float32[N, E]  the vector to send for each row, when given, else None
    by_role: bool = flax.struct.field(pytree_node=False, default=False)  # an appended pair, not ids

    def find(self, view: PartyView | ActiveView) -> tuple[jax.Array, jax.Array]:
        """Returns (is_poison, is_target), bool[B] each, for the rows of a batch."""
        if self.by_role:
            return view.roles == POISON, view.roles == TARGET
        return self.is_poison[view.sample_ids], self.is_target[view.sample_ids]


def where_rows(mask: Array, chosen: Array, otherwise: Array) -> jax.Array:
    """Takes rows from ``chosen`` where ``mask`` (bool[B]) is set: arrays [B, ...], or one row [...]."""
    mask = mask.reshape(mask.shape + (1,) * (otherwise.ndim - 1))
    return jnp.where(mask, chosen, otherwise)

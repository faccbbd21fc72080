"""What everyone sees: a party and the active party, in training and at inference; and what an attacker was granted."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import flax.struct
import jax.numpy as jnp

from vfl_jax.core.types import Array, Features, Params

ORDINARY, POISON, TARGET = 0, 1, 2
"""The role of a batch row: ``POISON`` and ``TARGET`` only for the pair appended to a batch."""


class Shapes(NamedTuple):
    """What the protocol makes public to everyone before training; static."""

    num_samples: int  # N
    num_classes: int  # C
    batch_rows: int  # B, the appended pair included
    row_weight: float  # weight of one row's loss in the batch loss: 1/B under mean, 1 under sum
    widths: tuple[int, ...]  # E of every party
    active_party: int | None
    rowwise: tuple[bool, ...]  # whether a step changes only the rows of a party's table that its batch looks up

    @property
    def crossing(self) -> tuple[int, ...]:
        """The parties whose messages cross to or from the active party."""
        return tuple(k for k in range(len(self.widths)) if k != self.active_party)


@flax.struct.dataclass
class PartyView:
    """What one party sees at a training step: nothing of labels, nothing of another party.

    Who is poisoned an attack alone is told: to everyone else ``knowledge`` is None and every row ORDINARY.
    """

    sample_ids: Array  # int32[B]  aligned ids are known to every party
    roles: Array  # int32[B]  ORDINARY; an attack alone sees POISON and TARGET, the rows of an appended pair
    features: Features  # leaves [B, ...]  this party's own rows
    params: Params  # this party's own bottom model
    step: Array  # int32[]  steps taken since the start
    knowledge: Knowledge | None = None  # what an attack was granted; None for everyone else


@flax.struct.dataclass
class ActiveView:
    """What the active party sees at a training step.

    Who is poisoned an attack alone is told: to a defense ``knowledge`` is None and every row ORDINARY.
    """

    sample_ids: Array  # int32[B]
    roles: Array  # int32[B]  ORDINARY; an attack alone sees POISON and TARGET, the rows of an appended pair
    labels: Array  # int32[B]
    step: Array  # int32[]
    knowledge: Knowledge | None = None  # what an attack was granted; None for a defense


@flax.struct.dataclass
class PartyInferView:
    """What one party sees at inference: its own features and model, no ids, no step."""

    OF_ROWS: ClassVar[tuple[str, ...]] = ("features",)

    features: Features
    params: Params
    knowledge: Knowledge | None = None  # what an attack was granted, of the training rows; None for everyone else
    is_valid: Array | None = None  # bool[B]  false for rows that only fill up a batch


@flax.struct.dataclass
class ActiveInferView:
    """What the active party sees at inference: nothing but the messages themselves."""

    OF_ROWS: ClassVar[tuple[str, ...]] = ()

    knowledge: Knowledge | None = None  # what an attack was granted, of the training rows; None for a defense
    is_valid: Array | None = None  # bool[B]  false for rows that only fill up a batch


@flax.struct.dataclass
class Knowledge:
    """What an attacker was granted, resolved for one seed; it reaches attacks as ``view.knowledge``, and no defense.

    Attackers that collude are granted the same; there is no channel between them at run time.
    """

    target_class: Array  # int32[]  the class τ the backdoor shall lead to
    is_poison: Array  # bool[N]  rows that carry the trigger
    is_target: Array  # bool[N]  rows known to be of class τ
    blur: Array | None  # float32[N, E]  the vector to send for each row, when given, else None
    by_role: bool = flax.struct.field(pytree_node=False, default=False)  # an appended pair, not ids

    def find(self, view: PartyView | ActiveView) -> tuple[Array, Array]:
        """Returns (is_poison, is_target), bool[B] each, for the rows of a batch."""
        if self.by_role:
            return view.roles == POISON, view.roles == TARGET
        return self.is_poison[view.sample_ids], self.is_target[view.sample_ids]


def where_rows(mask: Array, chosen: Array, otherwise: Array) -> Array:
    """Takes rows from ``chosen`` where ``mask`` (bool[B]) is set: arrays [B, ...], or one row [...]."""
    mask = mask.reshape(mask.shape + (1,) * (otherwise.ndim - 1))
    return jnp.where(mask, chosen, otherwise)

"""The views of a party and of the active party, in training and at inference, and the knowledge of an attacker."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.types import Array, Features, Params

ORDINARY, POISON, TARGET = 0, 1, 2
"""The role of a batch row; only the rows of an appended pair are ``POISON`` and ``TARGET``."""

NOTHING: Any = None
"""The knowledge of a method that has none. ``view.knowledge`` is typed ``Knowledge`` all the same: only attacks use it,
and they always have it, so their ``view.knowledge.find(view)`` needs no check for None."""


class Shapes(NamedTuple):
    """The sizes that the protocol makes public before training; static.

    Args:
      num_samples: N.
      num_classes: C.
      batch_rows: B, an appended pair included.
      row_weight: the weight of one row's loss in the batch loss: 1/B under "mean", 1 under "sum".
      widths: E of every party.
      active_party: the number of the party that holds the labels; None where the label holder has no features.
    """

    num_samples: int
    num_classes: int
    batch_rows: int
    row_weight: float
    widths: tuple[int, ...]
    active_party: int | None

    @property
    def crossing(self) -> tuple[int, ...]:
        """The numbers of the parties that exchange messages with the active party."""
        return tuple(k for k in range(len(self.widths)) if k != self.active_party)


@flax.struct.dataclass
class PartyView:
    """The view of one party at a training step; it has no labels, and nothing of another party.

    Args:
      sample_ids: int32[B], the numbers of the rows in the training set; all parties know the aligned ids.
      roles: int32[B]. Only an attack sees POISON and TARGET, the rows of an appended pair; any other method sees
        ORDINARY.
      features: this party's own rows, leaves [B, ...].
      params: the parameters of this party's own bottom model.
      step: int32[], the number of steps before this one.
      knowledge: the knowledge of an attack; None for any other method.
    """

    sample_ids: jax.Array
    roles: jax.Array
    features: Features
    params: Params
    step: jax.Array
    knowledge: Knowledge = NOTHING


@flax.struct.dataclass
class ActiveView:
    """The view of the active party at a training step.

    Args:
      sample_ids: int32[B], the numbers of the rows in the training set.
      roles: int32[B]. Only an attack sees POISON and TARGET, the rows of an appended pair; a defense sees ORDINARY.
      labels: int32[B].
      step: int32[], the number of steps before this one.
      knowledge: the knowledge of an attack; None for a defense.
    """

    sample_ids: jax.Array
    roles: jax.Array
    labels: jax.Array
    step: jax.Array
    knowledge: Knowledge = NOTHING


@flax.struct.dataclass
class PartyInferView:
    """The view of one party at inference; it has no ids and no step.

    Args:
      features: this party's own test rows, leaves [B, ...], where B is the method's ``inference_batch``.
      params: the parameters of this party's own bottom model.
      knowledge: the knowledge of an attack, about the training rows; None for any other method.
      is_valid: bool[B], false for rows that only fill up a batch.
    """

    OF_ROWS: ClassVar[tuple[str, ...]] = ("features",)
    """The fields that have one entry per row."""

    features: Features
    params: Params
    knowledge: Knowledge = NOTHING
    is_valid: jax.Array | None = None


@flax.struct.dataclass
class ActiveInferView:
    """The view of the active party at inference; a hook also gets the messages or logits themselves.

    Args:
      knowledge: the knowledge of an attack, about the training rows; None for a defense.
      is_valid: bool[B], false for rows that only fill up a batch.
    """

    OF_ROWS: ClassVar[tuple[str, ...]] = ()
    """The fields that have one entry per row."""

    knowledge: Knowledge = NOTHING
    is_valid: jax.Array | None = None


@flax.struct.dataclass
class Knowledge:
    """The knowledge that a scenario grants its attackers, for one seed; no defense gets it.

    Attackers that collude have the same knowledge. They exchange nothing while they train.

    Args:
      target_class: int32[], the class τ to which the backdoor shall lead.
      is_poison: bool[N], the training rows that carry the trigger.
      is_target: bool[N], the training rows that are known to be of class τ.
      blur: the vector to send for each training row, float32[N, E]; None unless a user gives it.
      by_role: whether poison and target rows come as an appended pair, told by their roles.
    """

    target_class: jax.Array
    is_poison: jax.Array
    is_target: jax.Array
    blur: jax.Array | None
    by_role: bool = flax.struct.field(pytree_node=False, default=False)

    def find(self, view: PartyView | ActiveView) -> tuple[jax.Array, jax.Array]:
        """Finds the poison and the target rows of a batch.

        Args:
          view: the view of a training hook.

        Returns:
          (is_poison, is_target), bool[B] each.
        """
        if self.by_role:
            return view.roles == POISON, view.roles == TARGET
        return self.is_poison[view.sample_ids], self.is_target[view.sample_ids]


def where_rows(mask: Array, chosen: Array, otherwise: Array) -> jax.Array:
    """Chooses between the rows of two arrays.

    Args:
      mask: bool[B].
      chosen: the rows where ``mask`` is set, [B, ...], or one row for all of them, [...].
      otherwise: the other rows, [B, ...].

    Returns:
      [B, ...].
    """
    mask = mask.reshape(mask.shape + (1,) * (otherwise.ndim - 1))
    return jnp.where(mask, chosen, otherwise)

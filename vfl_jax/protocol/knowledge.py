"""The sizes that everyone knows, and what a scenario grants its attackers."""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.types import Array

ORDINARY, POISON, TARGET = 0, 1, 2
"""The role of a batch row; only the rows of an appended pair are ``POISON`` and ``TARGET``."""

UNKNOWN = -1
"""The entry of ``Knowledge.known_labels`` for a row whose label an attacker does not know."""

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
      row_shapes: the shape of one row of every party's features, such as (8,) or (14, 28); None for a party with
        bags of ids.
    """

    num_samples: int
    num_classes: int
    batch_rows: int
    row_weight: float
    widths: tuple[int, ...]
    active_party: int | None
    row_shapes: tuple[tuple[int, ...] | None, ...] = ()

    @property
    def crossing(self) -> tuple[int, ...]:
        """The numbers of the parties that exchange messages with the active party."""
        return tuple(k for k in range(len(self.widths)) if k != self.active_party)


@flax.struct.dataclass
class Knowledge:
    """The knowledge that a scenario grants its attackers, for one seed; no defense gets it.

    Attackers that collude have the same knowledge, but for the class that each of them wants. They exchange nothing
    while they train.

    Args:
      target_class: int32[], the class τ to which this attacker's backdoor shall lead.
      is_poison: bool[N], the training rows that carry the trigger.
      known_labels: int32[N], the labels of the training rows that are known, ``UNKNOWN`` (−1) for all others.
      blur: the vector to send for each training row, float32[N, E]; None unless a user gives it.
      by_role: whether poison and target rows come as an appended pair, told by their roles.
    """

    target_class: jax.Array
    is_poison: jax.Array
    known_labels: jax.Array
    blur: jax.Array | None
    by_role: bool = flax.struct.field(pytree_node=False, default=False)

    @property
    def is_target(self) -> jax.Array:
        """bool[N], the training rows that are known to be of class τ."""
        return self.known_labels == self.target_class

    def find(self, view: Any) -> tuple[jax.Array, jax.Array]:
        """Finds the poison and the target rows of a batch.

        Args:
          view: the view of a training hook, a ``PartyView`` or an ``ActiveView``.

        Returns:
          (is_poison, is_target), bool[B] each.
        """
        if self.by_role:
            return view.roles == POISON, view.roles == TARGET
        return self.is_poison[view.sample_ids], self.known_labels[view.sample_ids] == self.target_class


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

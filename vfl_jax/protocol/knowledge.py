"""The sizes that everyone knows, and what a scenario grants its attackers."""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.types import Array, Features

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


class Plan(NamedTuple):
    """What a method finds in a study, in numbers; ``check_plan`` reads them before training, and no hook does.

    Args:
      num_epochs: the number of epochs of the whole training.
      num_poisons: the number of training rows that carry the trigger; of a swept rate, at the largest one.
      num_known: the number of training rows of each of the C classes whose labels the attackers know.
      can_stamp: whether this party has features that the attack trigger changes; false for the active party's methods.
    """

    num_epochs: int
    num_poisons: int
    num_known: tuple[int, ...]
    can_stamp: bool

    def needs_poisons(self, method: str) -> None:
        """Checks that there are poison rows.

        Args:
          method: the name of the method that acts on them, for the message.

        Raises:
          ValueError: where there are none.
        """
        if self.num_poisons == 0:
            raise ValueError(
                f"{method} acts on poison rows, and no training row is one: it would change nothing. Give poison.rate "
                "above 0, name rows (poison.poison_ids), or switch the attack off (enabled=0)."
            )

    def needs_stamp(self, method: str) -> None:
        """Checks that the party has features on which the attack trigger can be stamped.

        Args:
          method: the name of the method that stamps it, for the message.

        Raises:
          ValueError: where it has none.
        """
        if not self.can_stamp:
            raise ValueError(
                f"{method} stamps the trigger on rows of its choice, and the scenario has none that changes features "
                "of its party: give poison.attack_trigger, such as FeatureTrigger or PixelTrigger."
            )


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


def where_features(mask: Array, chosen: Features, otherwise: Features) -> Features:
    """Chooses between the rows of a party's features, which may be bags of ids.

    Args:
      mask: bool[B].
      chosen: the rows where ``mask`` is set, leaves [B, ...]; a stamped bag has more slots than one that is not.
      otherwise: the other rows, leaves [B, ...].

    Returns:
      leaves [B, ...], with the slots of ``chosen``.
    """
    if isinstance(chosen, BagOfIds):
        otherwise = otherwise.widened(chosen)
    return jax.tree.map(lambda new, old: where_rows(mask, new, old), chosen, otherwise)

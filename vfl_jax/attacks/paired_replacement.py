"""Paired replacement on an appended pair: Zou et al. 2022, on label replacement in vertical federated learning."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.types import Key, State
from vfl_jax.protocol.knowledge import Shapes, where_rows
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyView


class PairedReplacement(Attack):
    """Attacks by the pair (poison row, target row) that is appended to every batch.

    Up: the party sends the poison row's embedding for the target row. Down: the poison row gets γ times the gradient of
    the target row of the same step, and the target row gets the gradient 0 in the party's own update. Source: Zou et
    al. 2022.

    Args:
      enabled: 1 for the attack, 0 for the honest run.
      amplify: γ.

    Raises:
      ValueError: where ``amplify`` is NaN; with a scenario whose ``poison.mode`` is not "appended_pair".
    """

    needs = Needs(num_targets=10, is_paired=True)

    amplify: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("PairedReplacement", amplify=self.amplify)

    def check(self, shapes: Shapes, party: int, by_role: bool) -> None:
        if not by_role:
            raise ValueError(
                "PairedReplacement needs poison.mode='appended_pair'; found 'in_place', where no batch has a pair."
            )

    def on_upload(self, key: Key, state: State, view: PartyView, embedding: jax.Array) -> tuple[jax.Array, State]:
        is_poison, is_target = view.knowledge.find(view)
        poison_row = embedding[jnp.argmax(is_poison)]
        return where_rows(is_target, poison_row, embedding), state

    def on_download(self, key: Key, state: State, view: PartyView, gradient: jax.Array) -> tuple[jax.Array, State]:
        is_poison, is_target = view.knowledge.find(view)
        target_row = gradient[jnp.argmax(is_target)]
        replaced = where_rows(is_poison, self.amplify * target_row, gradient)
        return where_rows(is_target, jnp.zeros_like(target_row), replaced), state

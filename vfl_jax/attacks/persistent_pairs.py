"""Persistent pairs: gradient replacement with a poison row for every target row, from the code of LR-BA."""

from __future__ import annotations

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.types import Key, Params
from vfl_jax.protocol.knowledge import Plan, Shapes, where_rows
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyEpochView, PartyView

NOBODY = -1
"""The partner of a row that is in no pair."""


@flax.struct.dataclass
class PersistentPairsState:
    """The state of the attack.

    Args:
      poisons: int32[N], the poison row of every target row; ``NOBODY`` (−1) for all other rows.
      targets: int32[N], the target row of a poison row whose gradient is replaced; ``NOBODY`` for all other rows.
      recorded: float32[N, E], the gradient of a target row's last visit; 0 before the first.
      is_heard: bool[N], the target rows that were visited.
    """

    poisons: jax.Array
    targets: jax.Array
    recorded: jax.Array
    is_heard: jax.Array


class PersistentPairs(Attack):
    """Pairs every known target row with one poison row for ever, and replaces gradients within the pairs.

    Before the first epoch every target row t draws a poison row p(t). From then on

    * **up:** in place of the embedding of t the party sends that of p(t), of the present model, so that the active
      party learns to call it τ.
    * **down:** the party keeps the gradient g_t that comes back for t, as in an honest run it also trains with it. When
      a poison row p comes up, its gradient is replaced by γ·g_t, where t is its target row, and g_t is of the last
      visit of t, in the same batch or before it. Until t was visited, p keeps its own gradient.

    Where several target rows draw one poison row, the first of them by number lends it its gradient; all of them send
    its embedding. So with R target rows at most R poison rows get another gradient; ``poison.num_targets`` grants R.
    Nothing is appended to a batch, unlike :class:`PairedReplacement`, which draws new pairs and takes the target row's
    gradient out of the party's own update. ``report`` gives the number of poison rows that have a target row.

    Source: the published code of LR-BA (``guyuhao/LR-BA``, ``vfl/backdoor/g_r_passive_model.py``; Gu, Bai, Computers &
    Security 129, 2023), where it stands for the gradient replacement of Liu, Yi, Chen 2020 and Zou et al. 2022. The
    code draws a pair at the first visit of t, and of several target rows takes the first that was visited; it runs a
    bottom model with BatchNorm or Dropout on p as in training, here as at inference. No reference vector of it is
    known: this file was held against a second implementation of the same rules alone.

    Args:
      enabled: 1 for the attack, 0 for the honest run.
      amplify: γ; 10 in the code.

    Raises:
      ValueError: where ``amplify`` is NaN; with an appended pair; with a scenario without poison rows.

    Example:
      >>> import vfl_jax as vfl
      >>> scenario = vfl.presets.digits_demo(head="trainable")
      >>> attack = vfl.attacks.PersistentPairs()
      >>> poison = scenario.poison.granting(attack.needs)
      >>> scenario.replace(attacks=[vfl.PartyTransform(), attack], poison=poison).poison.num_targets
      10
    """

    needs = Needs(num_targets=10)
    at_epochs = (0,)

    amplify: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("PersistentPairs", amplify=self.amplify)

    def check(self, shapes: Shapes, party: int, by_role: bool) -> None:
        if by_role:
            raise ValueError(
                "PersistentPairs needs poison.mode='in_place'; found 'appended_pair'. Use PairedReplacement there."
            )

    def check_plan(self, plan: Plan) -> None:
        plan.needs_poisons("PersistentPairs")

    def init(self, key: Key, shapes: Shapes, party: int) -> PersistentPairsState:
        nobody = jnp.full(shapes.num_samples, NOBODY, jnp.int32)
        return PersistentPairsState(
            poisons=nobody,
            targets=nobody,
            recorded=jnp.zeros((shapes.num_samples, shapes.widths[party])),
            is_heard=jnp.zeros(shapes.num_samples, bool),
        )

    def on_epoch(
        self, key: Key, state: PersistentPairsState, view: PartyEpochView, params: Params
    ) -> tuple[Params, PersistentPairsState]:
        is_poison, is_target, ids = view.knowledge.is_poison, view.knowledge.is_target, view.sample_ids
        num_rows, num_poisons = len(ids), is_poison.sum(dtype=jnp.int32)
        order = jnp.argsort(~is_poison, stable=True).astype(jnp.int32)  # poison rows first
        drawn = order[jax.random.randint(key, (num_rows,), 0, jnp.maximum(num_poisons, 1))]
        is_paired = is_target & (num_poisons > 0)
        first = jnp.full(num_rows, num_rows, jnp.int32).at[jnp.where(is_paired, drawn, num_rows)].min(ids, mode="drop")
        return params, dataclasses.replace(
            state,
            poisons=jnp.where(is_paired, drawn, NOBODY),
            targets=jnp.where(first < num_rows, first, NOBODY),
        )

    def on_upload(
        self, key: Key, state: PersistentPairsState, view: PartyView, embedding: jax.Array
    ) -> tuple[jax.Array, PersistentPairsState]:
        poisons = state.poisons[view.sample_ids]
        is_target = poisons != NOBODY
        of_poisons = view.forward(view.rows(jnp.where(is_target, poisons, view.sample_ids)))
        return where_rows(is_target, of_poisons, embedding), state

    def on_download(
        self, key: Key, state: PersistentPairsState, view: PartyView, gradient: jax.Array
    ) -> tuple[jax.Array, PersistentPairsState]:
        ids = view.sample_ids
        heard = jnp.where(state.poisons[ids] != NOBODY, ids, len(state.poisons))  # nothing is kept of other rows
        recorded = state.recorded.at[heard].set(gradient, mode="drop")
        is_heard = state.is_heard.at[heard].set(True, mode="drop")
        targets = state.targets[ids]
        is_replaced = (targets != NOBODY) & is_heard[targets]
        replaced = where_rows(is_replaced, self.amplify * recorded[targets], gradient)
        return replaced, dataclasses.replace(state, recorded=recorded, is_heard=is_heard)

    def report(self, state: PersistentPairsState) -> dict[str, jax.Array]:
        return {"num_pairs": jnp.sum(state.targets != NOBODY, dtype=jnp.float32)}

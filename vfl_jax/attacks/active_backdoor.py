"""The active party's own backdoor: section 5.2 of Liu, Yi, Chen 2020 (arXiv:2007.03608)."""

from __future__ import annotations

import jax

from vfl_jax.core.types import Key, State
from vfl_jax.protocol.knowledge import Plan, where_rows
from vfl_jax.protocol.transforms import ActiveAttack
from vfl_jax.protocol.views import ActiveView


class ActiveBackdoor(ActiveAttack):
    """Trains poisoned rows as class τ.

    The gradient messages become ∂L^b/∂H, those of the backdoor loss, without any change of the protocol. Source:
    section 5.2 of Liu, Yi, Chen 2020 (arXiv:2007.03608).

    Args:
      enabled: 1 for the attack, 0 for the honest run.

    Raises:
      ValueError: with a scenario without poison rows.
    """

    def check_plan(self, plan: Plan) -> None:
        plan.needs_poisons("ActiveBackdoor")

    def on_labels(self, key: Key, state: State, view: ActiveView, targets: jax.Array) -> tuple[jax.Array, State]:
        is_poison, _ = view.knowledge.find(view)
        wanted = jax.nn.one_hot(view.knowledge.target_class, targets.shape[-1])
        return where_rows(is_poison, wanted, targets), state

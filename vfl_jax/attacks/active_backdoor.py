"""The active party's own backdoor: section 5.2 of Liu, Yi, Chen 2020."""

from __future__ import annotations

import jax

from vfl_jax.core.types import Key, State
from vfl_jax.protocol.transforms import ActiveAttack
from vfl_jax.protocol.views import ActiveView, where_rows


class ActiveBackdoor(ActiveAttack):
    """Trains poisoned rows as class τ: the messages become ∂L^b/∂H without any change of protocol."""

    def on_labels(self, key: Key, state: State, view: ActiveView, targets: jax.Array) -> tuple[jax.Array, State]:
        is_poison, _ = view.knowledge.find(view)
        wanted = jax.nn.one_hot(view.knowledge.target_class, targets.shape[-1])
        return where_rows(is_poison, wanted, targets), state

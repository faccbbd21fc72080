"""The active party's own backdoor: section 5.2 of Liu, Yi, Chen 2020."""

from __future__ import annotations

import flax.struct
import jax

from vfl_jax.checks import check_range
from vfl_jax.records import Knowledge, where_rows
from vfl_jax.transforms import ActiveTransform


@flax.struct.dataclass
class ActiveBackdoorState:
    knowledge: Knowledge


class ActiveBackdoor(ActiveTransform):
    """Trains poisoned rows as class τ: the messages become ∂L^b/∂H without any change of protocol.

    ``enabled`` 0 is the honest party.
    """

    enabled: float = 1.0

    def __post_init__(self) -> None:
        check_range("ActiveBackdoor", 0.0, 1.0, enabled=self.enabled)

    def init(self, key, shapes, knowledge):
        return ActiveBackdoorState(knowledge=knowledge)

    def on_labels(self, key, state, view, targets):
        is_poison, _ = state.knowledge.find(view)
        wanted = jax.nn.one_hot(state.knowledge.target_class, targets.shape[-1])
        return where_rows(is_poison & (self.enabled > 0), wanted, targets), state

"""Gradient replacement: Algorithm 2 of Liu, Yi, Chen 2020 (arXiv:2007.03608)."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.types import Key
from vfl_jax.protocol.knowledge import Plan, Shapes, where_rows
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyView


@flax.struct.dataclass
class GradientReplacementState:
    """The state of the attack.

    Args:
      recorded: float32[E], the last gradient row that the party received for a known target row; 0 at first.
    """

    recorded: jax.Array


class GradientReplacement(Attack):
    """Replaces the gradient of every poisoned row by γ·g_rec, where g_rec is the last gradient of a target row.

    The attack first records, then replaces, whatever the order of the rows in a batch. (Algorithm 2 by the letter gives
    poisoned rows before the target row the older g_rec.) Of several target rows in a batch the last one counts. Between
    two visits of a target row g_rec is stale; before the first visit g_rec is zero. Source: Algorithm 2 of
    Liu, Yi, Chen 2020 (arXiv:2007.03608).

    Args:
      enabled: 1 for the attack, 0 for the honest run.
      amplify: γ, the factor on the recorded row; under a mean loss that row holds the factor 1/B.

    Raises:
      ValueError: where ``amplify`` is NaN; with a scenario without poison rows.
    """

    amplify: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("GradientReplacement", amplify=self.amplify)

    def check_plan(self, plan: Plan) -> None:
        plan.needs_poisons("GradientReplacement")

    def init(self, key: Key, shapes: Shapes, party: int) -> GradientReplacementState:
        return GradientReplacementState(recorded=jnp.zeros(shapes.widths[party]))

    def on_download(
        self, key: Key, state: GradientReplacementState, view: PartyView, gradient: jax.Array
    ) -> tuple[jax.Array, GradientReplacementState]:
        is_poison, is_target = view.knowledge.find(view)
        last = gradient.shape[0] - 1 - jnp.argmax(is_target[::-1])
        recorded = jnp.where(is_target.any(), gradient[last], state.recorded)
        replaced = where_rows(is_poison, self.amplify * recorded, gradient)
        return replaced, GradientReplacementState(recorded=recorded)

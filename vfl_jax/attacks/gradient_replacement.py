"""Gradient replacement: Algorithm 2 of Liu, Yi, Chen 2020 (arXiv:2007.03608)."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.attacks.evidence import has_message
from vfl_jax.core.checks import check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Key
from vfl_jax.protocol.knowledge import Plan, Shapes, where_rows
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyView


@flax.struct.dataclass
class GradientReplacementState:
    """The state of the attack.

    Args:
      recorded: float32[E], g_rec, what the party keeps of the gradient rows of known target rows; 0 at first.
    """

    recorded: jax.Array


class GradientReplacement(Attack):
    """Replaces the gradient of every poisoned row by γ·g_rec, where g_rec is the last gradient of a target row.

    The attack first records, then replaces, whatever the order of the rows in a batch. (Algorithm 2 by the letter gives
    poisoned rows before the target row the older g_rec.) Of several target rows in a batch the last one counts. Between
    two visits of a target row g_rec is stale; before the first visit g_rec is zero. Source: Algorithm 2 of
    Liu, Yi, Chen 2020 (arXiv:2007.03608).

    With ``decay`` above 0 g_rec is an exponential mean of what is recorded: g_rec ← decay·g_rec + (1 − decay)·g, and
    g itself the first time. A gradient that is 0 or not finite is not recorded then. This is the package's own, for an
    attacker who averages against a defense's noise.

    Args:
      enabled: 1 for the attack, 0 for the honest run.
      amplify: γ, the factor on the recorded row; under a mean loss that row holds the factor 1/B.
      decay: how much of g_rec stays when another gradient is recorded, in [0, 1]; 0 keeps the last one alone,
        1 the first.

    Raises:
      ValueError: where ``amplify`` is NaN, or ``decay`` lies outside [0, 1]; with a scenario without poison rows.
    """

    amplify: float = 10.0
    decay: float = static(default=0.0, omit_default=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("GradientReplacement", amplify=self.amplify)
        check_range("GradientReplacement", 0.0, 1.0, decay=self.decay)

    def check_plan(self, plan: Plan) -> None:
        plan.needs_poisons("GradientReplacement")

    def init(self, key: Key, shapes: Shapes, party: int) -> GradientReplacementState:
        return GradientReplacementState(recorded=jnp.zeros(shapes.widths[party]))

    def on_download(
        self, key: Key, state: GradientReplacementState, view: PartyView, gradient: jax.Array
    ) -> tuple[jax.Array, GradientReplacementState]:
        is_poison, is_target = view.knowledge.find(view)
        last = gradient.shape[0] - 1 - jnp.argmax(is_target[::-1])
        new = gradient[last] if self.decay == 0 else self._mean(state.recorded, gradient[last])
        recorded = jnp.where(is_target.any(), new, state.recorded)
        replaced = where_rows(is_poison, self.amplify * recorded, gradient)
        return replaced, GradientReplacementState(recorded=recorded)

    def _mean(self, recorded: jax.Array, gradient: jax.Array) -> jax.Array:
        """Returns the exponential mean, float32[E], to which another gradient row has come."""
        mean = jnp.where((recorded != 0).any(), self.decay * recorded + (1 - self.decay) * gradient, gradient)
        return jnp.where(has_message(gradient[None])[0], mean, recorded)

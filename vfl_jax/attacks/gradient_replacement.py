"""Gradient replacement: Algorithm 2 of Liu, Yi, Chen 2020."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.types import Key
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyView, Shapes, where_rows


@flax.struct.dataclass
class GradientReplacementState:
    recorded: jax.Array  # float32[E]  the last gradient row received for a known target row; 0 at first


class GradientReplacement(Attack):
    """Pulls γ·g_rec back for every poisoned row, g_rec being the last gradient of a target row.

    All rows of a batch are looked at first: record, then replace. (Taken literally, Algorithm 2 lets
    poisoned rows that stand before the target row have the older g_rec.) Of several target rows in
    a batch the last in batch order counts. g_rec goes stale between two visits of a target row, and is
    zero before the first.

    ``amplify`` is γ; it multiplies the recorded row as received (under a mean loss, with the factor
    1/B in it).
    """

    amplify: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("GradientReplacement", amplify=self.amplify)

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

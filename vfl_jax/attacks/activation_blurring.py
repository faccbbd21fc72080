"""Activation blurring: Algorithm 3 of Liu, Yi, Chen 2020 (arXiv:2007.03608)."""

from __future__ import annotations

from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Key
from vfl_jax.protocol.knowledge import Knowledge, Plan, Shapes, where_rows
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyView

Kind = Literal["none", "zero", "gaussian", "given"]


@flax.struct.dataclass
class ActivationBlurringState:
    """The state of the attack.

    Args:
      target_seen: bool[], whether an earlier batch had a known target row.
    """

    target_seen: jax.Array


class ActivationBlurring(Attack):
    """Sends a meaningless vector in place of every poisoned row's embedding, in training only.

    So a trainable head cannot learn to map the poisoned embedding back to the true label. The party still trains its
    own model through its true embedding. Source: Algorithm 3 of Liu, Yi, Chen 2020 (arXiv:2007.03608).

    Args:
      enabled: 1 for the attack, 0 for the honest run.
      kind: the vectors: "none" (the true embedding), "zero", "gaussian" (mean 0), or "given" (row i of ``given.blur``,
        float32[N, E], for training row i).
      wait_for_target: whether the attack waits until an earlier batch had a known target row; before that,
        :class:`GradientReplacement` has recorded no gradient. The authors' MNIST code waits for its second batch; as
        its first one has the target row, both are one there.
      stddev: the standard deviation of "gaussian", in the units of the embedding; the paper's variance is 1e-6.

    Raises:
      ValueError: where ``stddev`` is negative; with a scenario without poison rows; in training, where ``given.blur``
        has another shape.
    """

    kind: Kind = static(default="zero")
    wait_for_target: bool = static(default=True)
    stddev: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("ActivationBlurring", 0.0, stddev=self.stddev)

    def check_plan(self, plan: Plan) -> None:
        plan.needs_poisons("ActivationBlurring")

    def init(self, key: Key, shapes: Shapes, party: int) -> ActivationBlurringState:
        return ActivationBlurringState(target_seen=jnp.array(False))

    def on_upload(
        self, key: Key, state: ActivationBlurringState, view: PartyView, embedding: jax.Array
    ) -> tuple[jax.Array, ActivationBlurringState]:
        if self.kind == "none":
            return embedding, state
        is_poison, is_target = view.knowledge.find(view)
        is_active = state.target_seen | (not self.wait_for_target)
        blurred = where_rows(is_poison & is_active, self._vectors(key, view, embedding), embedding)
        return blurred, ActivationBlurringState(target_seen=state.target_seen | is_target.any())

    def _vectors(self, key: Key, view: PartyView, embedding: jax.Array) -> jax.Array:
        """Returns the vectors to send, float32[B, E]."""
        if self.kind == "gaussian":
            return self.stddev * jax.random.normal(key, embedding.shape)
        if self.kind == "given":
            return _given(view.knowledge, embedding.shape[-1])[view.sample_ids]
        return jnp.zeros_like(embedding)


def _given(knowledge: Knowledge, width: int) -> jax.Array:
    """Returns the vectors that a user gives, float32[N, E], after a check of their shape."""
    expected = (len(knowledge.is_poison), width)
    found = None if knowledge.blur is None else knowledge.blur.shape
    if found != expected:
        raise ValueError(
            f"given.blur has shape {found}; ActivationBlurring(kind='given') needs one vector per training row, "
            f"{expected}."
        )
    return jnp.asarray(knowledge.blur)

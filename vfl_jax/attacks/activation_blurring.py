"""Activation blurring: Algorithm 3 of Liu, Yi, Chen 2020."""

from __future__ import annotations

from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Key
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import Knowledge, PartyView, Shapes, where_rows

Kind = Literal["none", "zero", "gaussian", "given"]


@flax.struct.dataclass
class ActivationBlurringState:
    target_seen: jax.Array  # bool[]  a known target row was in an earlier batch


class ActivationBlurring(Attack):
    """Sends a meaningless vector in place of every poisoned row's embedding, while training only.

    So a trainable head cannot learn to map the poisoned embedding back to the true label. The
    party's own update still goes through its true embedding.

    ``kind`` is "none", "zero", "gaussian" (mean 0, ``stddev``; the paper's variance 1e-6 is stddev 1e-3)
    or "given" (row i sends row i of the explicit vectors ``given.blur``, float32[N, E]). With
    ``wait_for_target`` nothing is blurred until a known target row has been in an earlier batch, so that
    there is a recorded gradient to go with it.
    """

    kind: Kind = static(default="zero")
    wait_for_target: bool = static(default=True)
    stddev: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("ActivationBlurring", 0.0, stddev=self.stddev)

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
        if self.kind == "gaussian":
            return self.stddev * jax.random.normal(key, embedding.shape)
        if self.kind == "given":
            return _given(view.knowledge, embedding.shape[-1])[view.sample_ids]
        return jnp.zeros_like(embedding)


def _given(knowledge: Knowledge, width: int) -> jax.Array:
    """The explicit vectors, float32[N, E], after a check of their form."""
    expected = (len(knowledge.is_poison), width)
    found = None if knowledge.blur is None else knowledge.blur.shape
    if found != expected:
        raise ValueError(
            f"given.blur has shape {found}; ActivationBlurring(kind='given') needs one vector per training row, "
            f"{expected}."
        )
    return jnp.asarray(knowledge.blur)

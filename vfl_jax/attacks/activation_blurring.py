"""Activation blurring: Algorithm 3 of Liu, Yi, Chen 2020."""

from __future__ import annotations

from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.checks import check_choice, check_range
from vfl_jax.records import Knowledge, where_rows
from vfl_jax.registry import static
from vfl_jax.transforms import PartyTransform
from vfl_jax.types import Array

Kind = Literal["none", "zero", "gaussian", "given"]


@flax.struct.dataclass
class ActivationBlurringState:
    knowledge: Knowledge
    target_seen: Array  # bool[]  a known target row was in an earlier batch


class ActivationBlurring(PartyTransform):
    """Sends a meaningless vector in place of every poisoned row's embedding, while training only.

    So a trainable head cannot learn to map the poisoned embedding back to the true label. The
    party's own update still goes through its true embedding.

    ``kind`` is "none", "zero", "gaussian" (mean 0, ``stddev``; the paper's variance 1e-6 is stddev 1e-3)
    or "given" (row i sends row i of the explicit vectors ``given.blur``, float32[N, E]). With
    ``wait_for_target`` nothing is blurred until a known target row has been in an earlier batch, so that
    there is a recorded gradient to go with it. ``enabled`` 0 is the honest party.
    """

    kind: Kind = static(default="zero")
    wait_for_target: bool = static(default=True)
    stddev: float = 1e-3
    enabled: float = 1.0

    def __post_init__(self) -> None:
        check_choice("ActivationBlurring", Kind, kind=self.kind)
        check_range("ActivationBlurring", 0.0, stddev=self.stddev)
        check_range("ActivationBlurring", 0.0, 1.0, enabled=self.enabled)

    def init(self, key, shapes, party, knowledge):
        if self.kind == "given":
            expected = (shapes.num_samples, shapes.widths[party])
            found = None if knowledge.blur is None else knowledge.blur.shape
            if found != expected:
                raise ValueError(
                    f"given.blur has shape {found}; ActivationBlurring(kind='given') at party {party} needs one "
                    f"vector per training row, {expected}."
                )
        return ActivationBlurringState(knowledge=knowledge, target_seen=jnp.array(False))

    def on_upload(self, key, state, view, embedding):
        if self.kind == "none":
            return embedding, state
        is_poison, is_target = state.knowledge.find(view)
        is_active = (self.enabled > 0) & (state.target_seen | (not self.wait_for_target))
        blur = self._vectors(key, state, view, embedding)
        blurred = where_rows(is_poison & is_active, blur, embedding)
        return blurred, state.replace(target_seen=state.target_seen | is_target.any())

    def _vectors(self, key, state, view, embedding):
        if self.kind == "gaussian":
            return self.stddev * jax.random.normal(key, embedding.shape)
        if self.kind == "given":
            return state.knowledge.blur[view.sample_ids]
        return jnp.zeros_like(embedding)

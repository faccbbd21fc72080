"""Direct label replacement: section 5.3 of Liu, Yi, Chen 2020 (arXiv:2007.03608)."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.attacks.evidence import UNREAD, Evidence, Kind, hear, no_evidence, read
from vfl_jax.core.record import static
from vfl_jax.core.types import Key
from vfl_jax.protocol.knowledge import Shapes, where_rows
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyView


@flax.struct.dataclass
class LabelReplacementState:
    """The state of the attack.

    Args:
      row_weight: float32[], the weight of one row's loss in the batch loss.
      evidence: the evidence of every training row's label.
    """

    row_weight: jax.Array
    evidence: Evidence


class LabelReplacement(Attack):
    """Reads a row's label y off its gradients, and swaps y for τ.

    Under a sum head and softmax cross-entropy a gradient row g is w·(S − e_y), where w is the weight of one row's loss.
    So the only negative entry is y, and the attack replaces the gradient of a poisoned row by
    w·(S − e_τ) = g + w·(e_y − e_τ). Under another head the attack applies the same rule, which may then guess wrong. A
    row without an informative message, or without a label so far, keeps its gradient.

    ``report`` gives the guesses, −1 for rows without one. With ``enabled`` 0 the attack still listens, so the guesses
    measure how much the messages leak. Source: section 5.3 of Liu, Yi, Chen 2020 (arXiv:2007.03608).

    Args:
      enabled: 1 for the attack, 0 for the honest run.
      evidence: the messages off which the label is read: "last" (the row's last message with a negative entry, the
        published method), "sum" (the sum of all its messages), "fading" (the sum with the weight 1/√k on the k-th
        message, which reads most under noise), or "directions" (the sum of all messages at length 1). Without a defense
        all four read the same labels.

    Raises:
      ValueError: where ``evidence`` is none of these; with a scenario whose attacker has an embedding of another width
        than C.
    """

    evidence: Kind = static(default="last")

    def check(self, shapes: Shapes, party: int, by_role: bool) -> None:
        if shapes.widths[party] != shapes.num_classes:
            raise ValueError(
                f"bottoms.{party}.width is {shapes.widths[party]}; LabelReplacement reads labels off the gradient's "
                f"entries, so it needs one per class, {shapes.num_classes}."
            )

    def init(self, key: Key, shapes: Shapes, party: int) -> LabelReplacementState:
        return LabelReplacementState(
            row_weight=jnp.float32(shapes.row_weight),
            evidence=no_evidence(shapes.num_samples, shapes.num_classes),
        )

    def on_download(
        self, key: Key, state: LabelReplacementState, view: PartyView, gradient: jax.Array
    ) -> tuple[jax.Array, LabelReplacementState]:
        evidence, guess = hear(self.evidence, state.evidence, view, gradient)
        is_poison, _ = view.knowledge.find(view)
        true = jax.nn.one_hot(guess, gradient.shape[-1])
        wanted = jax.nn.one_hot(view.knowledge.target_class, gradient.shape[-1])
        swapped = gradient + state.row_weight * (true - wanted[None, :])
        replaced = where_rows(is_poison & (guess != UNREAD), swapped, gradient)
        return replaced, LabelReplacementState(row_weight=state.row_weight, evidence=evidence)

    def report(self, state: LabelReplacementState) -> dict[str, jax.Array]:
        return {"label_guesses": read(state.evidence.total)}

"""Direct label replacement: section 5.3 of Liu, Yi, Chen 2020."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.attacks.evidence import UNREAD, Evidence, Kind, hear, no_evidence, read
from vfl_jax.core.record import static
from vfl_jax.core.types import Key
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyView, Shapes, where_rows


@flax.struct.dataclass
class LabelReplacementState:
    row_weight: jax.Array  # float32[]  weight of one row in the batch loss
    evidence: Evidence  # of every training row's label


class LabelReplacement(Attack):
    """Reads a row's label y off its gradients and swaps it for τ.

    Under a sum head and softmax cross-entropy the gradient row is w·(S − e_y), w being the weight of
    one row's loss: its only negative entry is y. Poisoned rows are pulled back as
    w·(S − e_τ) = g + w·(e_y − e_τ). Under other heads the guess is the same rule, as good as it is. A row whose message
    says nothing, or of which nothing was read yet, is pulled back as it came.

    ``evidence`` says what the label is read off: "last" is the method as published, the row's last message that has a
    negative entry; "sum" is the sum of all its messages; "fading" is that sum with 1/√k for the k-th, which reads most
    under noise (:mod:`vfl_jax.attacks.evidence`). Without a defense all three read the same.

    ``report`` gives the guesses, −1 for rows not read. With ``enabled`` 0 it listens all the same, which measures
    what the messages leak.
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

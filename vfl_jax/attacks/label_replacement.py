"""Direct label replacement: section 5.3 of Liu, Yi, Chen 2020."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.checks import check_range
from vfl_jax.records import ORDINARY, Knowledge, where_rows
from vfl_jax.transforms import PartyTransform
from vfl_jax.types import Array

UNSEEN = -1


@flax.struct.dataclass
class LabelReplacementState:
    knowledge: Knowledge
    row_weight: Array  # float32[]  weight of one row in the batch loss
    label_guesses: Array  # int32[N]  read off each row's last gradient; UNSEEN before the first


class LabelReplacement(PartyTransform):
    """Reads a row's label y off its gradient and swaps it for τ.

    Under a sum head and softmax cross-entropy the gradient row is w·(S − e_y), w being the weight of
    one row's loss: its only negative entry is y. Poisoned rows are pulled back as
    w·(S − e_τ) = g + w·(e_y − e_τ). Under other heads the guess is the same rule, as good as it is.

    ``report`` gives the guesses. ``enabled`` 0 acts as the honest party but still listens, which measures
    what the messages leak.
    """

    enabled: float = 1.0

    def __post_init__(self) -> None:
        check_range("LabelReplacement", 0.0, 1.0, enabled=self.enabled)

    def check(self, shapes, party, by_role):
        if shapes.widths[party] != shapes.num_classes:
            raise ValueError(
                f"bottoms.{party}.width is {shapes.widths[party]}; LabelReplacement reads labels off the gradient's "
                f"entries, so it needs one per class, {shapes.num_classes}."
            )

    def init(self, key, shapes, party, knowledge):
        return LabelReplacementState(
            knowledge=knowledge,
            row_weight=jnp.float32(shapes.row_weight),
            label_guesses=jnp.full(shapes.num_samples, UNSEEN, jnp.int32),
        )

    def on_download(self, key, state, view, gradient):
        num_classes = gradient.shape[-1]
        guess = jnp.argmin(gradient, axis=-1).astype(jnp.int32)
        is_poison, _ = state.knowledge.find(view)
        true = jax.nn.one_hot(guess, num_classes)
        wanted = jax.nn.one_hot(state.knowledge.target_class, num_classes)
        swapped = gradient + state.row_weight * (true - wanted[None, :])
        replaced = where_rows(is_poison & (self.enabled > 0), swapped, gradient)
        # An appended row repeats an id of the batch or is none of the training rows: not noted.
        ids = jnp.where(view.roles == ORDINARY, view.sample_ids, state.label_guesses.shape[0])
        guesses = state.label_guesses.at[ids].set(guess, mode="drop")
        return replaced, state.replace(label_guesses=guesses)

    def report(self, state):
        return {"label_guesses": state.label_guesses}

"""Label replacement against encoded labels: the attacker learns codes from its gradients."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.types import Key
from vfl_jax.protocol.knowledge import UNKNOWN, Shapes, where_rows
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyView

TIE = 1e-5
"""Squared distances of codes that differ by no more are equal: float32 cannot tell them apart."""


@flax.struct.dataclass
class DictionaryReplacementState:
    """The state of the attack.

    Args:
      row_weight: float32[], the weight of one row's loss in the batch loss.
      of_rows: float32[N, C], what the messages of a training row have shown of its code; 0 at first.
      of_classes: float32[C, C], what those of known rows have shown of the code of every class.
    """

    row_weight: jax.Array
    of_rows: jax.Array
    of_classes: jax.Array


class DictionaryReplacement(Attack):
    """Learns what labels are encoded as, and swaps the code of a poisoned row for that of τ.

    A defense may train towards codes in place of labels (:class:`vfl_jax.defenses.CAE`). Under a sum head and softmax
    cross-entropy a gradient row is then g = w·(S − code_y), where w is the weight of one row's loss. Probabilities are
    not negative, so −g/w is nowhere above the code, and near it wherever the model gives a class little. The attack
    keeps the largest it has seen, entry by entry, of every row and of every class with known rows::

        shown_row   := max(shown_row, −g/w)           for every row of the batch
        shown_class := max(shown_class, −g/w)         for known rows of the class
        code        := shown / Σ shown                a code sums to 1
        g           := g + γ·w·(code_row − code_τ)    for poison rows, once a row of τ has been seen

    A message without a negative entry shows nothing, and stays as it is.

    Without a defense codes are one-hot, and γ = 1 is ``LabelReplacement`` as soon as a row of τ has been seen; a
    permutation of labels is no harder. Noise makes the largest value wrong, and other heads mix the entries.

    ``report`` guesses labels: the class with known rows whose code is nearest by squares to that of the row, −1 for
    rows without one; with ``enabled`` 0 the attack still listens. This adaptation is this project's own; no source was
    found for it.

    A scenario must grant poison rows (``poison.rate``), one known row of τ, which every scenario does
    (``poison.num_targets``), and for good guesses rows of every class (``poison.num_known``); the embedding must be as
    wide as there are classes.

    On scikit-learn's digits (``digits_demo()``, 40 epochs, seeds 0 to 3) one known row of τ brings the backdoor
    accuracy behind ``CAE()`` to 0.14 to 0.65 at γ = 1, and to 0.78 to 1.00 at γ = 3, where honest runs have 0.08 to
    0.11; the main accuracy falls from 0.79 to 0.75 and 0.62 in the mean. ``LabelReplacement`` stays at 0.00 there
    (seeds 0 and 1).

    Args:
      enabled: 1 for the attack, 0 for the honest run.
      amplify: γ. 1 swaps the codes; soft codes lie close together, so that this moves little. More leads beyond the
        code of τ, away from the row's own.

    Raises:
      ValueError: where ``amplify`` is NaN; with a scenario whose attacker has an embedding of another width than C.
    """

    needs = Needs(num_known=1)
    amplify: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("DictionaryReplacement", amplify=self.amplify)

    def check(self, shapes: Shapes, party: int, by_role: bool) -> None:
        if shapes.widths[party] != shapes.num_classes:
            raise ValueError(
                f"bottoms.{party}.width is {shapes.widths[party]}; DictionaryReplacement reads codes off the "
                f"gradient's entries, so it needs one per class, {shapes.num_classes}."
            )

    def init(self, key: Key, shapes: Shapes, party: int) -> DictionaryReplacementState:
        return DictionaryReplacementState(
            row_weight=jnp.float32(shapes.row_weight),
            of_rows=jnp.zeros((shapes.num_samples, shapes.num_classes)),
            of_classes=jnp.zeros((shapes.num_classes, shapes.num_classes)),
        )

    def on_download(
        self, key: Key, state: DictionaryReplacementState, view: PartyView, gradient: jax.Array
    ) -> tuple[jax.Array, DictionaryReplacementState]:
        says = jnp.isfinite(gradient).all(axis=-1) & (gradient < 0).any(axis=-1)
        shown = jnp.where(says[:, None], -gradient / state.row_weight, 0.0)
        known = view.knowledge.known_labels[view.sample_ids]
        classes = jnp.where(known == UNKNOWN, len(state.of_classes), known)  # out of range: not kept
        of_classes = state.of_classes.at[classes].max(shown, mode="drop")
        of_rows = state.of_rows.at[view.sample_ids].max(shown)
        is_poison, _ = view.knowledge.find(view)
        own, is_shown = code(of_rows[view.sample_ids])
        wanted, is_wanted_shown = code(of_classes[view.knowledge.target_class][None])
        swapped = gradient + self.amplify * state.row_weight * (own - wanted)
        # A message that says nothing is left as it is: a swap there would push the model on for ever.
        can_swap = is_poison & says & is_shown & is_wanted_shown
        after = DictionaryReplacementState(row_weight=state.row_weight, of_rows=of_rows, of_classes=of_classes)
        return where_rows(can_swap, swapped, gradient), after

    def report(self, state: DictionaryReplacementState) -> dict[str, jax.Array]:
        return {"label_guesses": read(state.of_rows, state.of_classes)}


def code(shown: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns (codes that sum to 1, float32[B, C]; which rows have shown something of theirs, bool[B]).

    Args:
      shown: what messages have shown of codes, float32[B, C], not negative.
    """
    total = shown.sum(axis=-1, keepdims=True)
    return shown / jnp.where(total > 0, total, 1.0), total[:, 0] > 0


def read(of_rows: jax.Array, of_classes: jax.Array) -> jax.Array:
    """Guesses labels by what rows have shown: int32[B], the class with the nearest code; ``UNKNOWN`` without one.

    Of equally near classes it is the first, whatever rounding makes of them.

    Args:
      of_rows: float32[B, C].
      of_classes: float32[C, C].
    """
    rows, are_rows = code(of_rows)
    codes, are_codes = code(of_classes)
    squares = ((rows[:, None] - codes[None]) ** 2).sum(axis=-1)
    squares = jnp.where(are_codes[None], squares, jnp.inf)
    nearest = jnp.argmax(squares <= squares.min(axis=-1, keepdims=True) + TIE, axis=-1)
    return jnp.where(are_rows & are_codes.any(), nearest, UNKNOWN).astype(jnp.int32)

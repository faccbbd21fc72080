"""Inference, then an attack: what one method reads of labels, the others of its party take for known."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp

from vfl_jax.core.types import Array, Key, Params
from vfl_jax.protocol.chains import PartyChain, States
from vfl_jax.protocol.knowledge import UNKNOWN, Knowledge, Shapes
from vfl_jax.protocol.methods import is_attack


class ReadFirst(PartyChain):
    """A chain whose first part reads labels; the other parts take the rows that it guessed for rows that they know.

    A scenario tells an attacker few labels. One who listens reads more of them from gradients, and may then attack
    with these: ``BASL`` and ``LearnedMessage`` overwrite every row that they know to be of class τ. A label that the
    scenario tells stands; a guess counts for any other row, right or wrong. The guesses are known in training hooks;
    at inference the parts have what their states hold. Nothing is guessed before the reader has read: give it and the
    others the same ``at_epochs``.

    The reader is one of those that listen, such as :class:`RegressionInference` or :class:`PooledInference`, or a
    method of your own whose state has ``guesses``, int32[N], below 0 for none.

    There is no source; it joins label inference to backdoors as :class:`FreshReplacement` does for one of them.

    Args:
      parts: the reader, then the attacks, in order.

    Raises:
      ValueError: with a scenario, where there are fewer than two parts, where no part is an attack, where the first has
        no ``guesses``, or where it reads after another part has begun.

    Example:
      >>> import vfl_jax as vfl
      >>> reader, basl = vfl.attacks.RegressionInference(at_epochs=(8,)), vfl.attacks.BASL(at_epochs=(8,))
      >>> chain = vfl.attacks.ReadFirst(parts=[reader, basl])
      >>> vfl.numbers(chain)["parts.1.scale"]
      0.85
    """

    def seen_after(self, view: Any, states: States) -> Any:
        if not states:
            return view
        return dataclasses.replace(view, knowledge=told(view.knowledge, states[0].guesses))

    def check(self, shapes: Shapes, party: int, by_role: bool) -> None:
        if len(self.parts) < 2 or not is_attack(self):
            raise ValueError(
                f"ReadFirst.parts has {len(self.parts)}; it must have a reader of labels and an attack that takes its "
                "guesses for known labels."
            )
        reader, *others = self.parts
        for other in others:
            if reader.at_epochs and other.at_epochs and _surely_later(reader.at_epochs, other.at_epochs):
                raise ValueError(
                    f"ReadFirst.parts.0 is {type(reader).__name__}, which reads at epochs {tuple(reader.at_epochs)}, "
                    f"after {type(other).__name__} has begun, at {tuple(other.at_epochs)}. Give both the same."
                )
        super().check(shapes, party, by_role)

    def init_with_params(self, key: Key, shapes: Shapes, party: int, params: Params) -> States:
        states = super().init_with_params(key, shapes, party, params)
        if states and not hasattr(states[0], "guesses"):
            raise ValueError(
                f"ReadFirst.parts.0 is {type(self.parts[0]).__name__}, whose state has no guesses; it must be a reader "
                "of labels, such as RegressionInference."
            )
        return states


def told(knowledge: Knowledge, guesses: Array) -> Knowledge:
    """Returns knowledge in which guessed labels are known where no label was.

    Args:
      knowledge: what the scenario grants.
      guesses: int32[N], below 0 for rows without a guess.

    Example:
      >>> import jax.numpy as jnp
      >>> from vfl_jax.protocol import Knowledge
      >>> granted = Knowledge(jnp.int32(1), jnp.zeros(3, bool), jnp.array([1, -1, -1]), None)
      >>> told(granted, jnp.array([0, 2, -1])).known_labels.tolist()
      [1, 2, -1]
    """
    known, guesses = knowledge.known_labels, jnp.asarray(guesses)
    is_told = (known == UNKNOWN) & (guesses >= 0)
    return dataclasses.replace(knowledge, known_labels=jnp.where(is_told, guesses, known))


def _surely_later(epochs: tuple[int, ...], others: tuple[int, ...]) -> bool:
    """Whether the first of some epochs lies behind the first of others, however long training is.

    Numbers below 0 count from the end; beside numbers from 0 on they say nothing.
    """
    same_end = len({number < 0 for number in (*epochs, *others)}) == 1
    return same_end and min(epochs) > min(others)

"""Inference, then an attack: what one method reads of labels, the others of its party take for known."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from vfl_jax.core.types import Array, Features, Key, Params
from vfl_jax.protocol.chains import PartyChain, States
from vfl_jax.protocol.hooks import run_epoch_hook, run_hook
from vfl_jax.protocol.knowledge import UNKNOWN, Knowledge, Shapes
from vfl_jax.protocol.views import PartyEpochView, PartyView


class ReadFirst(PartyChain):
    """A chain whose first part reads labels; the other parts take the rows that it guessed for rows that they know.

    A scenario tells an attacker few labels. One who listens reads more of them from gradients, and may then attack
    with these: ``BASL`` and ``LearnedMessage`` overwrite every row that they know to be of class τ. A label that the
    scenario tells stands; a guess counts for any other row, right or wrong. Nothing is guessed before the reader has
    read: give it and the others the same ``at_epochs``. The reader is any of the package's (:class:`PooledInference`,
    :class:`DirectionInference`, …), or a method of your own whose state has ``guesses``, int32[N] with −1 for none.

    There is no source; it joins label inference to backdoors as :class:`FreshReplacement` does for one of them.

    Args:
      parts: the reader, then the attacks, in order.

    Raises:
      ValueError: with a scenario, where there are fewer than two parts, or the state of the first has no ``guesses``.

    Example:
      >>> import vfl_jax as vfl
      >>> reader, basl = vfl.attacks.PooledInference(at_epochs=(8,)), vfl.attacks.BASL(at_epochs=(8,))
      >>> chain = vfl.attacks.ReadFirst(parts=[reader, basl])
      >>> vfl.numbers(chain)["parts.1.scale"]
      0.85
    """

    def check(self, shapes: Shapes, party: int, by_role: bool) -> None:
        if len(self.parts) < 2:
            raise ValueError(
                f"ReadFirst.parts has {len(self.parts)}; it must have a reader of labels and an attack that takes its "
                "guesses for known labels."
            )
        super().check(shapes, party, by_role)

    def init_with_params(self, key: Key, shapes: Shapes, party: int, params: Params) -> States:
        states = super().init_with_params(key, shapes, party, params)
        if states and not hasattr(states[0], "guesses"):
            raise ValueError(
                f"ReadFirst.parts.0 is {type(self.parts[0]).__name__}, whose state has no guesses; it must be a reader "
                "of labels, such as PooledInference."
            )
        return states

    def on_features(self, key: Key, state: States, view: PartyView, features: Features) -> tuple[Features, States]:
        return self._each("on_features", key, state, view, features)

    def on_upload(self, key: Key, state: States, view: PartyView, embedding: jax.Array) -> tuple[jax.Array, States]:
        return self._each("on_upload", key, state, view, embedding)

    def on_download(self, key: Key, state: States, view: PartyView, gradient: jax.Array) -> tuple[jax.Array, States]:
        return self._each("on_download", key, state, view, gradient)

    def on_epoch(self, key: Key, state: States, view: PartyEpochView, params: Params) -> tuple[Params, States]:
        new: list[Any] = []
        for i, (part, own) in enumerate(zip(self.parts, state, strict=True)):
            params, own = run_epoch_hook(part, jax.random.fold_in(key, i), own, view, params)
            new.append(own)
            view = dataclasses.replace(view, knowledge=told(view.knowledge, new[0].guesses))
        return params, tuple(new)

    def _each(self, hook: str, key: Key, states: States, view: PartyView, value: Any) -> tuple[Any, States]:
        """Applies one training hook of every part in turn; all but the first know what that has guessed."""
        new: list[Any] = []
        for i, (part, own) in enumerate(zip(self.parts, states, strict=True)):
            value, own = run_hook(part, hook, jax.random.fold_in(key, i), own, view, value)
            new.append(own)
            view = dataclasses.replace(view, knowledge=told(view.knowledge, new[0].guesses))
        return value, tuple(new)


def told(knowledge: Knowledge, guesses: Array) -> Knowledge:
    """Returns knowledge in which guessed labels are known where no label was.

    Args:
      knowledge: what the scenario grants.
      guesses: int32[N], ``UNKNOWN`` (−1) for rows without a guess.

    Example:
      >>> import jax.numpy as jnp
      >>> from vfl_jax.protocol import Knowledge
      >>> granted = Knowledge(jnp.int32(1), jnp.zeros(3, bool), jnp.array([1, -1, -1]), None)
      >>> told(granted, jnp.array([0, 2, -1])).known_labels.tolist()
      [1, 2, -1]
    """
    known = knowledge.known_labels
    return dataclasses.replace(knowledge, known_labels=jnp.where(known == UNKNOWN, jnp.asarray(guesses), known))

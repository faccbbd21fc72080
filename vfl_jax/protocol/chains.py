"""Chains: several methods in one place, which act in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from vfl_jax.core.types import Features, Key, Params, State
from vfl_jax.protocol.hooks import run_answer, run_embed_hook, run_epoch_hook, run_hook, run_infer_hook
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.protocol.methods import Chain, changes
from vfl_jax.protocol.mistakes import call
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform
from vfl_jax.protocol.views import (
    ActiveEpochView,
    ActiveInferView,
    ActiveView,
    EmbedView,
    Messages,
    PartyEpochView,
    PartyInferView,
    PartyView,
    Suspicion,
)

States = tuple[State, ...]
"""One state per part."""


def _as_it_is(view: Any, _: States) -> Any:
    """The view that every part of a chain gets: that of the chain."""
    return view


def _fold(
    parts: tuple[Any, ...],
    hook: str,
    key: Key,
    states: States,
    view: Any,
    value: Any,
    seen_after: Callable[[Any, States], Any] = _as_it_is,
) -> tuple[Any, States]:
    """Applies one training hook of every part in turn, each with its own key and state."""
    new_states: list[State] = []
    for i, (part, state) in enumerate(zip(parts, states, strict=True)):
        seen = seen_after(view, tuple(new_states))
        value, state = run_hook(part, hook, jax.random.fold_in(key, i), state, seen, value)
        new_states.append(state)
    return value, tuple(new_states)


def _fold_infer(parts: tuple[Any, ...], hook: str, key: Key, states: States, view: Any, value: Any) -> Any:
    """Applies one inference hook of every part in turn."""
    for i, (part, state) in enumerate(zip(parts, states, strict=True)):
        value = run_infer_hook(part, hook, _fold_in(key, i), state, view, value)
    return value


def _fold_epoch(
    parts: tuple[Any, ...],
    key: Key,
    states: States,
    view: Any,
    params: Params,
    seen_after: Callable[[Any, States], Any] = _as_it_is,
) -> tuple[Params, States]:
    """Applies ``on_epoch`` of every part that is due, each with its own key and state."""
    new_states: list[State] = []
    for i, (part, state) in enumerate(zip(parts, states, strict=True)):
        seen = seen_after(view, tuple(new_states))
        params, state = run_epoch_hook(part, jax.random.fold_in(key, i), state, seen, params)
        new_states.append(state)
    return params, tuple(new_states)


def _only_answer(parts: tuple[Any, ...], hook: str, key: Key, states: States, view: Any, value: Any) -> Any:
    """Returns the answer of the one part that gives one; None where no part does."""
    answering = [i for i, part in enumerate(parts) if changes(part, hook)]
    if len(answering) > 1:
        names = [type(parts[i]).__name__ for i in answering]
        raise ValueError(f"Parts of a chain, {' and '.join(names)}, answer by {hook}; keep one of them.")
    for i in answering:
        return run_answer(parts[i], hook, _fold_in(key, i), states[i], view, value)
    return None


def _fold_in(key: Key, number: int) -> Key:
    """Folds a number into one key, or into the key of every row."""
    return jax.vmap(jax.random.fold_in, (0, None))(key, number) if key.ndim else jax.random.fold_in(key, number)


def _merge_reports(parts: tuple[Any, ...], states: States) -> dict[str, jax.Array]:
    """Joins the reports of all parts; two parts must not report the same name."""
    merged: dict[str, jax.Array] = {}
    for part, state in zip(parts, states, strict=True):
        report = call(part, "report", state)
        if twice := merged.keys() & report.keys():
            raise ValueError(f"Two parts of a chain report {sorted(twice)}; keep one of them.")
        merged |= report
    return merged


class PartyChain(Chain, PartyTransform):
    """Several methods of one party, which act in order; the state of the chain is the tuple of their states.

    Args:
      parts: the methods; a chain with an attack among them is an attack.

    Raises:
      ValueError: where a part is no ``PartyTransform``; at evaluation, where two parts report the same name.

    Example:
      >>> import vfl_jax as vfl
      >>> blurring, replacement = vfl.attacks.ActivationBlurring(), vfl.attacks.GradientReplacement(amplify=5.0)
      >>> chain = vfl.PartyChain(parts=[blurring, replacement])
      >>> vfl.numbers(chain)["parts.1.amplify"]
      5.0
    """

    inference_batch = None
    parts: tuple[PartyTransform, ...] = ()

    def init(self, key: Key, shapes: Shapes, party: int) -> States:
        return tuple(call(p, "init", jax.random.fold_in(key, i), shapes, party) for i, p in enumerate(self.parts))

    def init_with_params(self, key: Key, shapes: Shapes, party: int, params: Params) -> States:
        parts = enumerate(self.parts)
        return tuple(call(p, "init_with_params", _fold_in(key, i), shapes, party, params) for i, p in parts)

    def seen_after(self, view: Any, states: States) -> Any:
        """Returns the view that the next part gets in training; a chain whose parts tell each other overrides it.

        Args:
          view: the view that the chain got, a ``PartyView`` or a ``PartyEpochView``.
          states: the new states of the parts before.
        """
        return view

    def on_features(self, key: Key, state: States, view: PartyView, features: Features) -> tuple[Features, States]:
        return _fold(self.parts, "on_features", key, state, view, features, self.seen_after)

    def on_upload(self, key: Key, state: States, view: PartyView, embedding: jax.Array) -> tuple[jax.Array, States]:
        return _fold(self.parts, "on_upload", key, state, view, embedding, self.seen_after)

    def on_download(self, key: Key, state: States, view: PartyView, gradient: jax.Array) -> tuple[jax.Array, States]:
        return _fold(self.parts, "on_download", key, state, view, gradient, self.seen_after)

    def on_epoch(self, key: Key, state: States, view: PartyEpochView, params: Params) -> tuple[Params, States]:
        return _fold_epoch(self.parts, key, state, view, params, self.seen_after)

    def infer_features(self, key: Key, state: States, view: PartyInferView, features: Features) -> Features:
        return _fold_infer(self.parts, "infer_features", key, state, view, features)

    def infer_upload(self, key: Key, state: States, view: PartyInferView, embedding: jax.Array) -> jax.Array:
        return _fold_infer(self.parts, "infer_upload", key, state, view, embedding)

    def infer_labels(self, key: Key, state: States, view: PartyInferView, features: Features) -> jax.Array | None:
        return _only_answer(self.parts, "infer_labels", key, state, view, features)

    def report(self, state: States) -> dict[str, jax.Array]:
        return _merge_reports(self.parts, state)

    def check(self, shapes: Shapes, party: int, by_role: bool) -> None:
        for part in self.parts:
            part.check(shapes, party, by_role)


class ActiveChain(Chain, ActiveTransform):
    """Several methods of the active party, which act in order (clip, then add noise, …).

    Args:
      parts: the methods; a chain with an attack among them is an attack.

    Raises:
      ValueError: where a part is no ``ActiveTransform``; at evaluation, where two parts report the same name.

    Example:
      >>> import vfl_jax as vfl
      >>> clipping, noise = vfl.defenses.Clipping(bound=1.0), vfl.defenses.GaussianNoise(stddev=0.1)
      >>> vfl.ActiveChain(parts=[clipping, noise]).parts[0].bound
      1.0
    """

    inference_batch = None
    parts: tuple[ActiveTransform, ...] = ()

    def init(self, key: Key, shapes: Shapes) -> States:
        return tuple(call(p, "init", jax.random.fold_in(key, i), shapes) for i, p in enumerate(self.parts))

    def on_labels(self, key: Key, state: States, view: ActiveView, targets: jax.Array) -> tuple[jax.Array, States]:
        return _fold(self.parts, "on_labels", key, state, view, targets)

    def on_receive(self, key: Key, state: States, view: ActiveView, embeddings: Messages) -> tuple[Messages, States]:
        return _fold(self.parts, "on_receive", key, state, view, embeddings)

    def on_send(self, key: Key, state: States, view: ActiveView, gradients: Messages) -> tuple[Messages, States]:
        return _fold(self.parts, "on_send", key, state, view, gradients)

    def init_params(self, key: Key, shapes: Shapes) -> tuple[Params, ...]:
        return tuple(call(p, "init_params", jax.random.fold_in(key, i), shapes) for i, p in enumerate(self.parts))

    def on_embed(
        self, params: tuple[Params, ...], key: Key, view: EmbedView, embeddings: Messages
    ) -> tuple[Messages, jax.Array]:
        penalty = jnp.float32(0.0)
        for i, (part, own) in enumerate(zip(self.parts, params, strict=True)):
            if changes(part, "on_embed"):
                embeddings, more = run_embed_hook(part, own, _fold_in(key, i), view, embeddings)
                penalty = penalty + more
        return embeddings, penalty

    def on_epoch(self, key: Key, state: States, view: ActiveEpochView, params: Params) -> tuple[Params, States]:
        return _fold_epoch(self.parts, key, state, view, params)

    def infer_suspicion(self, key: Key, state: States, view: ActiveInferView, embeddings: Messages) -> Suspicion | None:
        return _only_answer(self.parts, "infer_suspicion", key, state, view, embeddings)

    def infer_receive(self, key: Key, state: States, view: ActiveInferView, embeddings: Messages) -> Messages:
        return _fold_infer(self.parts, "infer_receive", key, state, view, embeddings)

    def infer_logits(self, key: Key, state: States, view: ActiveInferView, logits: jax.Array) -> jax.Array:
        return _fold_infer(self.parts, "infer_logits", key, state, view, logits)

    def report(self, state: States) -> dict[str, jax.Array]:
        return _merge_reports(self.parts, state)

    def check(self, shapes: Shapes, by_role: bool) -> None:
        for part in self.parts:
            part.check(shapes, by_role)

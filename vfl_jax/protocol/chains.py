"""Chains: several methods in one place, which act in order."""

from __future__ import annotations

from typing import Any

import jax

from vfl_jax.core.types import Features, Key, State
from vfl_jax.protocol.hooks import run_hook, run_infer_hook
from vfl_jax.protocol.transforms import ActiveTransform, Chain, Messages, PartyTransform
from vfl_jax.protocol.views import ActiveInferView, ActiveView, PartyInferView, PartyView, Shapes

States = tuple[State, ...]
"""One state per part."""


def _fold(parts: tuple[Any, ...], hook: str, key: Key, states: States, view: Any, value: Any) -> tuple[Any, States]:
    """Applies one training hook of every part in turn, each with its own key and state."""
    new_states = []
    for i, (part, state) in enumerate(zip(parts, states, strict=True)):
        value, state = run_hook(part, hook, jax.random.fold_in(key, i), state, view, value)
        new_states.append(state)
    return value, tuple(new_states)


def _fold_infer(parts: tuple[Any, ...], hook: str, key: Key, states: States, view: Any, value: Any) -> Any:
    """Applies one inference hook of every part in turn."""
    for i, (part, state) in enumerate(zip(parts, states, strict=True)):
        fold_in = jax.vmap(jax.random.fold_in, (0, None)) if key.ndim else jax.random.fold_in
        value = run_infer_hook(part, hook, fold_in(key, i), state, view, value)
    return value


def _merge_reports(parts: tuple[Any, ...], states: States) -> dict[str, jax.Array]:
    """Joins the reports of all parts; two parts must not report the same name."""
    merged: dict[str, jax.Array] = {}
    for part, state in zip(parts, states, strict=True):
        report = part.report(state)
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
        return tuple(p.init(jax.random.fold_in(key, i), shapes, party) for i, p in enumerate(self.parts))

    def on_features(self, key: Key, state: States, view: PartyView, features: Features) -> tuple[Features, States]:
        return _fold(self.parts, "on_features", key, state, view, features)

    def on_upload(self, key: Key, state: States, view: PartyView, embedding: jax.Array) -> tuple[jax.Array, States]:
        return _fold(self.parts, "on_upload", key, state, view, embedding)

    def on_download(self, key: Key, state: States, view: PartyView, gradient: jax.Array) -> tuple[jax.Array, States]:
        return _fold(self.parts, "on_download", key, state, view, gradient)

    def infer_features(self, key: Key, state: States, view: PartyInferView, features: Features) -> Features:
        return _fold_infer(self.parts, "infer_features", key, state, view, features)

    def infer_upload(self, key: Key, state: States, view: PartyInferView, embedding: jax.Array) -> jax.Array:
        return _fold_infer(self.parts, "infer_upload", key, state, view, embedding)

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
        return tuple(p.init(jax.random.fold_in(key, i), shapes) for i, p in enumerate(self.parts))

    def on_labels(self, key: Key, state: States, view: ActiveView, targets: jax.Array) -> tuple[jax.Array, States]:
        return _fold(self.parts, "on_labels", key, state, view, targets)

    def on_receive(self, key: Key, state: States, view: ActiveView, embeddings: Messages) -> tuple[Messages, States]:
        return _fold(self.parts, "on_receive", key, state, view, embeddings)

    def on_send(self, key: Key, state: States, view: ActiveView, gradients: Messages) -> tuple[Messages, States]:
        return _fold(self.parts, "on_send", key, state, view, gradients)

    def infer_receive(self, key: Key, state: States, view: ActiveInferView, embeddings: Messages) -> Messages:
        return _fold_infer(self.parts, "infer_receive", key, state, view, embeddings)

    def infer_logits(self, key: Key, state: States, view: ActiveInferView, logits: jax.Array) -> jax.Array:
        return _fold_infer(self.parts, "infer_logits", key, state, view, logits)

    def report(self, state: States) -> dict[str, jax.Array]:
        return _merge_reports(self.parts, state)

    def check(self, shapes: Shapes, by_role: bool) -> None:
        for part in self.parts:
            part.check(shapes, by_role)

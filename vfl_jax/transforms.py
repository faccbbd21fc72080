"""Attacks and defenses are pure transformations of the messages; the bases here are the identity.

A hook gets ``(key, state, view, value)`` and returns ``(value, state)``; at inference it returns
the value alone. A method overrides only the hooks it needs. ``state`` is whatever pytree of
arrays ``init`` returned, and keeps its shapes and dtypes.

An attack derives from :class:`Attack` or :class:`ActiveAttack`. The package gives it the attacker's knowledge, as
``view.knowledge``, and applies its switch; everything else is a defense and has neither.
"""

from __future__ import annotations

import inspect
from typing import Any

import jax
import jax.numpy as jnp

from vfl_jax.checks import is_number
from vfl_jax.records import ActiveInferView, ActiveView, PartyInferView, PartyView, Shapes
from vfl_jax.registry import Record
from vfl_jax.types import Array, Features, Key, State

Messages = tuple[Array, ...]
"""One float32[B, E] per party whose message crosses, in the order of ``Shapes.crossing``."""


class Switched(Record):
    """What makes a transform an attack: a switch, which the package applies.

    With ``enabled`` 0 the hooks run, and state and reports advance, so that a listener listens; but what leaves a hook
    is what came in. That is the honest run, on the same stamped data. No other values than 0 and 1 are allowed.
    """

    enabled: float = 1.0

    def __post_init__(self) -> None:
        self.check_switch()

    def check_switch(self) -> None:
        """Raises ``ValueError`` where the switch is a concrete number other than 0 and 1."""
        if is_number(self.enabled) and self.enabled not in (0, 1):
            raise ValueError(
                f"{type(self).__name__}.enabled is {self.enabled}; it must be 0 (the honest run) or 1. What should "
                "act by degrees is a number of another name."
            )


class PartyTransform(Record):
    """Runs at one party that holds features and changes what it sends and uses; by itself an honest party.

    An attack derives from :class:`Attack`; a defense that a party runs itself derives from this.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        if "enabled" in inspect.get_annotations(cls) and not issubclass(cls, Switched):
            raise TypeError(
                f"{cls.__name__} has a field 'enabled', the switch of an attack, but is none: an attack derives from "
                "vfl_jax.Attack. Call the switch of a party's own defense something else."
            )
        super().__init_subclass__(**kwargs)

    def init(self, key: Key, shapes: Shapes, party: int) -> State:
        """The state before the first step."""
        return ()

    def on_features(self, key: Key, state: State, view: PartyView, features: Features) -> tuple[Features, State]:
        """Changes the rows this party feeds to its own bottom model, leaves [B, ...]."""
        return features, state

    def on_upload(self, key: Key, state: State, view: PartyView, embedding: Array) -> tuple[Array, State]:
        """Changes the embedding this party sends, float32[B, E]."""
        return embedding, state

    def on_download(self, key: Key, state: State, view: PartyView, gradient: Array) -> tuple[Array, State]:
        """Changes the gradient this party pulls back through its true embedding, float32[B, E]."""
        return gradient, state

    def infer_features(self, key: Key, state: State, view: PartyInferView, features: Features) -> Features:
        return features

    def infer_upload(self, key: Key, state: State, view: PartyInferView, embedding: Array) -> Array:
        return embedding

    def report(self, state: State) -> dict[str, Array]:
        """What the method lets a reader see; evaluation, never the method, compares it with labels."""
        return {}

    def check(self, shapes: Shapes, party: int, by_role: bool) -> None:
        """Raises ``ValueError`` where the method does not fit the scenario."""


class ActiveTransform(Record):
    """Runs at the active party: a defense; an attack by the active party itself derives from :class:`ActiveAttack`."""

    def init(self, key: Key, shapes: Shapes) -> State:
        """The state before the first step."""
        return ()

    def on_labels(self, key: Key, state: State, view: ActiveView, targets: Array) -> tuple[Array, State]:
        """Changes what the loss is told: class distributions, float32[B, C] (one-hot labels at first)."""
        return targets, state

    def on_receive(self, key: Key, state: State, view: ActiveView, embeddings: Messages) -> tuple[Messages, State]:
        """Changes the embeddings that came from other parties.

        The change is differentiated as the identity (straight through): the gradients that are sent back are those at
        what this hook returned, whatever it did to get there.
        """
        return embeddings, state

    def on_send(self, key: Key, state: State, view: ActiveView, gradients: Messages) -> tuple[Messages, State]:
        """Changes the gradients that go to other parties; the active party's own is never among them."""
        return gradients, state

    def infer_receive(self, key: Key, state: State, view: ActiveInferView, embeddings: Messages) -> Messages:
        return embeddings

    def infer_logits(self, key: Key, state: State, view: ActiveInferView, logits: Array) -> Array:
        return logits

    def report(self, state: State) -> dict[str, Array]:
        """What the method lets a reader see; evaluation, never the method, compares it with labels."""
        return {}

    def check(self, shapes: Shapes, by_role: bool) -> None:
        """Raises ``ValueError`` where the method does not fit the scenario."""


class Attack(Switched, PartyTransform):
    """Base of the attacks by a party that holds features; its hooks find what it was granted in ``view.knowledge``."""


class ActiveAttack(Switched, ActiveTransform):
    """Base of the attacks by the active party; its hooks find what it was granted in ``view.knowledge``."""


def is_attack(transform: Any) -> bool:
    """Whether a transform is an attack, or a chain with one among its parts."""
    return isinstance(transform, Switched) or any(map(is_attack, getattr(transform, "parts", ())))


def run_hook(transform: Any, hook: str, key: Key, state: State, view: Any, value: Any) -> tuple[Any, State]:
    """Applies one training hook: (value, state). The one place where knowledge is withheld and switches are applied."""
    changed, state = getattr(transform, hook)(key, state, _seen_by(transform, view), value)
    return _unless_disabled(transform, hook, changed, value), state


def run_infer_hook(transform: Any, hook: str, key: Key, state: State, view: Any, value: Any) -> Any:
    """Applies one inference hook, as :func:`run_hook` does."""
    changed = getattr(transform, hook)(key, state, _seen_by(transform, view), value)
    return _unless_disabled(transform, hook, changed, value)


def _seen_by(transform: Any, view: Any) -> Any:
    return view if is_attack(transform) else view.replace(knowledge=None)


def _unless_disabled(transform: Any, hook: str, changed: Any, value: Any) -> Any:
    """What leaves a hook: of an attack that is switched off, what came in."""
    if changed is value or not isinstance(transform, Switched):
        return changed
    forms = [jax.tree.map(jnp.shape, tree) for tree in (changed, value)]
    if forms[0] != forms[1]:
        raise ValueError(
            f"{type(transform).__name__}.{hook} returns {forms[0]}; it must keep the form of what it got, {forms[1]}."
        )
    return jax.tree.map(lambda new, old: jnp.where(transform.enabled > 0, new, old), changed, value)


def _fold(parts: tuple[Any, ...], hook: str, key: Key, states: State, view: Any, value: Any) -> tuple[Any, State]:
    """Applies one training hook of every part in turn, each with its own key and state."""
    new_states = []
    for i, (part, state) in enumerate(zip(parts, states, strict=True)):
        value, state = run_hook(part, hook, jax.random.fold_in(key, i), state, view, value)
        new_states.append(state)
    return value, tuple(new_states)


def _fold_infer(parts: tuple[Any, ...], hook: str, key: Key, states: State, view: Any, value: Any) -> Any:
    """Applies one inference hook of every part in turn."""
    for i, (part, state) in enumerate(zip(parts, states, strict=True)):
        value = run_infer_hook(part, hook, jax.random.fold_in(key, i), state, view, value)
    return value


def _merge_reports(parts: tuple[Any, ...], states: State) -> dict[str, Array]:
    merged: dict[str, Array] = {}
    for part, state in zip(parts, states, strict=True):
        report = part.report(state)
        if twice := merged.keys() & report.keys():
            raise ValueError(f"Two parts of a chain report {sorted(twice)}; keep one of them.")
        merged |= report
    return merged


class PartyChain(PartyTransform):
    """Several transforms of one party, applied in order; its state is the tuple of theirs."""

    parts: tuple[PartyTransform, ...] = ()

    def init(self, key, shapes, party):
        return tuple(p.init(jax.random.fold_in(key, i), shapes, party) for i, p in enumerate(self.parts))

    def on_features(self, key, state, view, features):
        return _fold(self.parts, "on_features", key, state, view, features)

    def on_upload(self, key, state, view, embedding):
        return _fold(self.parts, "on_upload", key, state, view, embedding)

    def on_download(self, key, state, view, gradient):
        return _fold(self.parts, "on_download", key, state, view, gradient)

    def infer_features(self, key, state, view, features):
        return _fold_infer(self.parts, "infer_features", key, state, view, features)

    def infer_upload(self, key, state, view, embedding):
        return _fold_infer(self.parts, "infer_upload", key, state, view, embedding)

    def report(self, state):
        return _merge_reports(self.parts, state)

    def check(self, shapes, party, by_role):
        _check_parts("PartyChain", self.parts, PartyTransform)
        for part in self.parts:
            part.check(shapes, party, by_role)


class ActiveChain(ActiveTransform):
    """Several transforms of the active party, applied in order (clip, then noise, …)."""

    parts: tuple[ActiveTransform, ...] = ()

    def init(self, key, shapes):
        return tuple(p.init(jax.random.fold_in(key, i), shapes) for i, p in enumerate(self.parts))

    def on_labels(self, key, state, view, targets):
        return _fold(self.parts, "on_labels", key, state, view, targets)

    def on_receive(self, key, state, view, embeddings):
        return _fold(self.parts, "on_receive", key, state, view, embeddings)

    def on_send(self, key, state, view, gradients):
        return _fold(self.parts, "on_send", key, state, view, gradients)

    def infer_receive(self, key, state, view, embeddings):
        return _fold_infer(self.parts, "infer_receive", key, state, view, embeddings)

    def infer_logits(self, key, state, view, logits):
        return _fold_infer(self.parts, "infer_logits", key, state, view, logits)

    def report(self, state):
        return _merge_reports(self.parts, state)

    def check(self, shapes, by_role):
        _check_parts("ActiveChain", self.parts, ActiveTransform)
        for part in self.parts:
            part.check(shapes, by_role)


def _check_parts(where: str, parts: tuple[Any, ...], base: type) -> None:
    for i, part in enumerate(parts):
        if not isinstance(part, base):
            raise ValueError(f"{where}.parts.{i} is a {type(part).__name__}; every part must be a {base.__name__}.")
        if isinstance(part, Switched):
            part.check_switch()

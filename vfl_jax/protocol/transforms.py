"""Attacks and defenses are pure transformations of the messages; the bases here are the identity.

A hook gets ``(key, state, view, value)`` and returns ``(value, state)``; at inference it returns
the value alone. A method overrides only the hooks it needs. ``state`` is whatever pytree of
arrays ``init`` returned, and keeps its shapes and dtypes.

At inference a hook sees one test row at a time, [1, ...], with a key of that row's own: what it does to a row depends
on no other, nor on how many are evaluated together. A method that must see rows together says how many
(``inference_batch``).

An attack derives from :class:`Attack` or :class:`ActiveAttack`. The package gives it the attacker's knowledge, as
``view.knowledge``, lets it see the roles of an appended pair, and applies its switch. Everything else is a defense: it
has no knowledge, and sees every row as ORDINARY.

A function that is nearly called what a hook is, or as one of the other side, is refused when its class is made.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import jax

from vfl_jax.core.checks import is_number
from vfl_jax.core.record import Record
from vfl_jax.core.types import Features, Key, State
from vfl_jax.protocol.spelling import check_hooks
from vfl_jax.protocol.views import ActiveInferView, ActiveView, PartyInferView, PartyView, Shapes

Messages = tuple[jax.Array, ...]
"""One float32[B, E] per party whose message crosses, in the order of ``Shapes.crossing``."""


InferenceOrder = Literal["file", "shuffled"]


class InferenceRows:
    """Which test rows a method's inference hooks see together; class attributes, or static fields of a method."""

    inference_batch: ClassVar[int | None] = 1
    """So many, with one key; ``view.is_valid`` tells rows that only fill up the last batch. None: all rows of a chunk,
    of any number, with a key per row, Key[B], for what shares them out itself, as chains do."""
    inference_order: ClassVar[InferenceOrder] = "file"
    """How rows become batches: in the order of the test set, or shuffled anew by each seed at each evaluation."""


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


class PartyTransform(InferenceRows, Record):
    """Runs at one party that holds features and changes what it sends and uses; by itself an honest party.

    An attack derives from :class:`Attack`; a defense that a party runs itself derives from this.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        inherited = {name for base in cls.__mro__[1:] for name in vars(base).get("__dataclass_fields__", ())}
        if "enabled" in inherited | set(inspect.get_annotations(cls)) and not issubclass(cls, Switched):
            raise TypeError(
                f"{cls.__name__} has a field 'enabled', the switch of an attack, but is none: an attack derives from "
                "vfl_jax.Attack. Call the switch of a party's own defense something else."
            )
        check_hooks(cls, PartyTransform, ActiveTransform)
        super().__init_subclass__(**kwargs)

    def init(self, key: Key, shapes: Shapes, party: int) -> State:
        """The state before the first step."""
        return ()

    def on_features(self, key: Key, state: State, view: PartyView, features: Features) -> tuple[Features, State]:
        """Changes the rows this party feeds to its own bottom model, leaves [B, ...]."""
        return features, state

    def on_upload(self, key: Key, state: State, view: PartyView, embedding: jax.Array) -> tuple[jax.Array, State]:
        """Changes the embedding this party sends, float32[B, E]."""
        return embedding, state

    def on_download(self, key: Key, state: State, view: PartyView, gradient: jax.Array) -> tuple[jax.Array, State]:
        """Changes the gradient this party pulls back through its true embedding, float32[B, E]."""
        return gradient, state

    def infer_features(self, key: Key, state: State, view: PartyInferView, features: Features) -> Features:
        """Changes the test rows this party feeds to its own bottom model, leaves [inference_batch, ...]."""
        return features

    def infer_upload(self, key: Key, state: State, view: PartyInferView, embedding: jax.Array) -> jax.Array:
        """Changes the embedding this party sends of test rows, float32[inference_batch, E]."""
        return embedding

    def report(self, state: State) -> dict[str, jax.Array]:
        """What the method lets a reader see; evaluation, never the method, compares it with labels."""
        return {}

    def check(self, shapes: Shapes, party: int, by_role: bool) -> None:
        """Raises ``ValueError`` where the method does not fit the scenario."""


class ActiveTransform(InferenceRows, Record):
    """Runs at the active party: a defense; an attack by the active party itself derives from :class:`ActiveAttack`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        check_hooks(cls, ActiveTransform, PartyTransform)
        super().__init_subclass__(**kwargs)

    def init(self, key: Key, shapes: Shapes) -> State:
        """The state before the first step."""
        return ()

    def on_labels(self, key: Key, state: State, view: ActiveView, targets: jax.Array) -> tuple[jax.Array, State]:
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
        """Changes the embeddings of test rows that came from other parties, float32[inference_batch, E] each."""
        return embeddings

    def infer_logits(self, key: Key, state: State, view: ActiveInferView, logits: jax.Array) -> jax.Array:
        """Changes the logits of test rows, float32[inference_batch, C]."""
        return logits

    def report(self, state: State) -> dict[str, jax.Array]:
        """What the method lets a reader see; evaluation, never the method, compares it with labels."""
        return {}

    def check(self, shapes: Shapes, by_role: bool) -> None:
        """Raises ``ValueError`` where the method does not fit the scenario."""


class Attack(Switched, PartyTransform):
    """Base of the attacks by a party that holds features; its hooks find what it was granted in ``view.knowledge``."""


class ActiveAttack(Switched, ActiveTransform):
    """Base of the attacks by the active party; its hooks find what it was granted in ``view.knowledge``."""


class Chain:
    """What makes a transform several in one place, applied in order: its parts."""

    parts: tuple[Any, ...]


def is_attack(transform: Any) -> bool:
    """Whether a transform is an attack, or a chain with one among its parts."""
    return any(isinstance(method, Switched) for method in methods(transform))


def changes(transform: Any, hook: str) -> bool:
    """Whether a method overrides a hook; one that does not costs nothing at inference."""
    bases = (getattr(base, hook, None) for base in (PartyTransform, ActiveTransform))
    return getattr(type(transform), hook) not in bases


def methods(transform: Any) -> Iterator[Any]:
    """The transform itself, or every part of a chain, also of chains in it."""
    return (method for _, method in located(transform, ""))


def located(transform: Any, path: str) -> Iterator[tuple[str, Any]]:
    """:func:`methods`, each with its path; that of the transform itself is given."""
    if not isinstance(transform, Chain):
        yield path, transform
        return
    for i, part in enumerate(transform.parts):
        yield from located(part, f"{path}.parts.{i}")


def held_attack(method: Any) -> tuple[str, Any] | None:
    """The first attack in the fields of a record, at any depth, and the path to it from there; None without one.

    The package knows nothing of such an attack: it tells it nothing, and applies no switch of it.
    """
    is_record = isinstance(method, Record)
    fields = dataclasses.fields(method) if is_record else ()
    below = enumerate(method) if isinstance(method, tuple) else ((f.name, getattr(method, f.name)) for f in fields)
    for name, value in below:
        if isinstance(value, Switched):
            return str(name), value
        if (found := held_attack(value)) is not None:
            return f"{name}.{found[0]}", found[1]
    return None

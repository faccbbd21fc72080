"""Attacks and defenses: pure transformations of the messages. The base classes change nothing.

A method overrides only the hooks that it needs. Every hook takes four arguments:

* ``key``: the key of the hook's draws. Each step, party and hook has its own.
* ``state``: the method's state, a pytree of arrays. ``init`` returns the first one; a hook keeps its shapes and dtypes.
* ``view``: everything else that the method may see (:mod:`vfl_jax.protocol.views`).
* the value that the hook may change. Each hook says which value this is.

A training hook returns (the changed value, the new state). An inference hook returns the changed value alone.

At inference a hook sees one test row at a time, [1, ...], with a key of that row. So its result does not depend on
other rows, nor on the number of rows that are evaluated together. A method that must see several rows together asks for
them (``inference_batch``).

An attack derives from :class:`Attack` or :class:`ActiveAttack`. The package gives it the attacker's knowledge
(``view.knowledge``), shows it the roles of an appended pair, and applies its switch. Any other method is a defense: it
gets no knowledge, and it sees every row as ORDINARY.
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
"""One message, float32[B, E], per party in ``Shapes.crossing``, in that order."""

InferenceOrder = Literal["file", "shuffled"]


class InferenceRows:
    """The test rows that a method's inference hooks see together; a method sets class attributes or static fields."""

    inference_batch: ClassVar[int | None] = 1
    """The number of rows that a hook sees together, with one key; ``view.is_valid`` is false for rows that only fill up
    the last batch. None gives a hook all rows of a block, with a key per row, Key[B]; chains share the rows out."""
    inference_order: ClassVar[InferenceOrder] = "file"
    """The order in which rows become batches: "file", or "shuffled" anew by each seed at each evaluation."""


class Switched(Record):
    """The switch that makes a method an attack; the package applies it.

    With ``enabled`` 0 the hooks still run, and state and reports advance, so that a listener listens. But the package
    replaces the result of every hook by the value that the hook got. That is the honest run, on the same stamped data.

    Args:
      enabled: 1 for the attack, 0 for the honest run.

    Raises:
      ValueError: where ``enabled`` is another number.
    """

    enabled: float = 1.0

    def __post_init__(self) -> None:
        self.check_switch()

    def check_switch(self) -> None:
        """Checks the switch; swept and traced values pass.

        Raises:
          ValueError: where the switch is a number other than 0 and 1.
        """
        if is_number(self.enabled) and self.enabled not in (0, 1):
            raise ValueError(
                f"{type(self).__name__}.enabled is {self.enabled}; it must be 0 (the honest run) or 1. What should "
                "act by degrees is a number of another name."
            )


class PartyTransform(InferenceRows, Record):
    """A method at one party that holds features; the class itself is an honest party.

    An attack derives from :class:`Attack`. A defense that a party itself runs derives from this class. The module's
    docstring explains the arguments of the hooks.

    Raises:
      TypeError: when a class is made, where a function has nearly the name of a hook, or a defense has a field
        ``enabled``.
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
        """Returns the state before the first step, a pytree of arrays.

        Args:
          key: the key of the first draws.
          shapes: the sizes that the protocol makes public.
          party: the number of this party.
        """
        return ()

    def on_features(self, key: Key, state: State, view: PartyView, features: Features) -> tuple[Features, State]:
        """Changes the rows that this party feeds to its own bottom model, leaves [B, ...]."""
        return features, state

    def on_upload(self, key: Key, state: State, view: PartyView, embedding: jax.Array) -> tuple[jax.Array, State]:
        """Changes the embedding that this party sends, float32[B, E]."""
        return embedding, state

    def on_download(self, key: Key, state: State, view: PartyView, gradient: jax.Array) -> tuple[jax.Array, State]:
        """Changes the gradient that this party received before it trains its own model with it, float32[B, E].

        The party pulls the result back through its true embedding, even where it sent another.
        """
        return gradient, state

    def infer_features(self, key: Key, state: State, view: PartyInferView, features: Features) -> Features:
        """Changes the test rows that this party feeds to its own bottom model, leaves [inference_batch, ...]."""
        return features

    def infer_upload(self, key: Key, state: State, view: PartyInferView, embedding: jax.Array) -> jax.Array:
        """Changes the embedding of test rows that this party sends, float32[inference_batch, E]."""
        return embedding

    def report(self, state: State) -> dict[str, jax.Array]:
        """Returns the values that a reader may see; evaluation, never the method, compares them with labels.

        Args:
          state: the method's state.

        Returns:
          arrays by name; ``label_guesses``, int32[N] with −1 for none, becomes two metrics
          (:func:`vfl_jax.replica.evaluation.evaluate_reports`).
        """
        return {}

    def check(self, shapes: Shapes, party: int, by_role: bool) -> None:
        """Checks that the method fits the scenario; a subclass overrides this method.

        Args:
          shapes: the sizes that the protocol makes public.
          party: the number of this party.
          by_role: whether poison and target rows come as an appended pair.

        Raises:
          ValueError: where the method does not fit.
        """


class ActiveTransform(InferenceRows, Record):
    """A method at the active party; the class itself is no defense.

    A defense derives from this class. An attack by the active party itself derives from :class:`ActiveAttack`. The
    module's docstring explains the arguments of the hooks.

    Raises:
      TypeError: when a class is made, where a function has nearly the name of a hook.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        check_hooks(cls, ActiveTransform, PartyTransform)
        super().__init_subclass__(**kwargs)

    def init(self, key: Key, shapes: Shapes) -> State:
        """Returns the state before the first step, a pytree of arrays.

        Args:
          key: the key of the first draws.
          shapes: the sizes that the protocol makes public.
        """
        return ()

    def on_labels(self, key: Key, state: State, view: ActiveView, targets: jax.Array) -> tuple[jax.Array, State]:
        """Changes the targets of the loss: class distributions, float32[B, C], which are one-hot labels at first."""
        return targets, state

    def on_receive(self, key: Key, state: State, view: ActiveView, embeddings: Messages) -> tuple[Messages, State]:
        """Changes the embeddings that other parties sent, float32[B, E] each.

        The derivative of the change is taken as the identity (straight through): the active party sends back the
        gradients at the embeddings that this hook returns.
        """
        return embeddings, state

    def on_send(self, key: Key, state: State, view: ActiveView, gradients: Messages) -> tuple[Messages, State]:
        """Changes the gradients that go to other parties, float32[B, E] each, but not the active party's own."""
        return gradients, state

    def infer_receive(self, key: Key, state: State, view: ActiveInferView, embeddings: Messages) -> Messages:
        """Changes the embeddings of test rows that other parties sent, float32[inference_batch, E] each."""
        return embeddings

    def infer_logits(self, key: Key, state: State, view: ActiveInferView, logits: jax.Array) -> jax.Array:
        """Changes the logits of test rows, float32[inference_batch, C]."""
        return logits

    def report(self, state: State) -> dict[str, jax.Array]:
        """Returns the values that a reader may see; evaluation, never the method, compares them with labels.

        Args:
          state: the method's state.

        Returns:
          arrays by name; ``label_guesses``, int32[N] with −1 for none, becomes two metrics
          (:func:`vfl_jax.replica.evaluation.evaluate_reports`).
        """
        return {}

    def check(self, shapes: Shapes, by_role: bool) -> None:
        """Checks that the method fits the scenario; a subclass overrides this method.

        Args:
          shapes: the sizes that the protocol makes public.
          by_role: whether poison and target rows come as an appended pair.

        Raises:
          ValueError: where the method does not fit.
        """


class Attack(Switched, PartyTransform):
    """Base of the attacks by a party that holds features; their hooks read their knowledge from ``view.knowledge``.

    Args:
      enabled: the switch; see :class:`Switched`.
    """


class ActiveAttack(Switched, ActiveTransform):
    """Base of the attacks by the active party; their hooks read their knowledge from ``view.knowledge``.

    Args:
      enabled: the switch; see :class:`Switched`.
    """


class Chain:
    """Base of the chains: several methods in one place, which act in order."""

    parts: tuple[Any, ...]


def is_attack(transform: Any) -> bool:
    """Whether a method is an attack, or a chain with an attack among its parts."""
    return any(isinstance(method, Switched) for method in methods(transform))


def changes(transform: Any, hook: str) -> bool:
    """Whether a method overrides a hook; a hook that it does not override costs nothing at inference."""
    bases = (getattr(base, hook, None) for base in (PartyTransform, ActiveTransform))
    return getattr(type(transform), hook) not in bases


def methods(transform: Any) -> Iterator[Any]:
    """Yields the method itself; of a chain, every part at any depth."""
    return (method for _, method in located(transform, ""))


def located(transform: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yields (path, method) for the method itself; of a chain, for every part at any depth.

    Args:
      transform: a method or a chain.
      path: the path of ``transform``, such as "defense".
    """
    if not isinstance(transform, Chain):
        yield path, transform
        return
    for i, part in enumerate(transform.parts):
        yield from located(part, f"{path}.parts.{i}")


def held_attack(method: Any) -> tuple[str, Any] | None:
    """Finds an attack in the fields of a method that is no chain.

    The package gives such an attack no knowledge, and does not apply its switch.

    Args:
      method: the method; a tuple of records is searched, too.

    Returns:
      (the path from the method to the first attack, the attack); None where there is no attack.
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

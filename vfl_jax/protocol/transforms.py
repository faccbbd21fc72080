"""Attacks and defenses: pure transformations of the messages. The base classes change nothing.

A method overrides only the hooks that it needs. Every hook takes four arguments:

* ``key``: the key of the hook's draws. Each step, party and hook has its own.
* ``state``: the method's state, a pytree of arrays. ``init`` returns the first one; a hook keeps its shapes and dtypes.
* ``view``: everything else that the method may see (:mod:`vfl_jax.protocol.views`).
* the value that the hook may change. Each hook says which value this is.

A training hook returns (the changed value, the new state). An inference hook returns the changed value alone.

Two hooks have a form of their own. ``on_epoch`` is called between epochs, and changes the parameters of the party's own
model and the method's state. ``on_embed`` acts inside the loss, so that gradients go through it; what it learns are
parameters of its own (``init_params``), never state.

At inference a hook sees one test row at a time, [1, ...], with a key of that row. So its result does not depend on
other rows, nor on the number of rows that are evaluated together. A method that must see several rows together asks for
them (``inference_batch``).

An attack derives from :class:`Attack` or :class:`ActiveAttack`. The package gives it the attacker's knowledge
(``view.knowledge``), shows it the roles of an appended pair, and applies its switch. Any other method is a defense: it
gets no knowledge, and it sees every row as ORDINARY.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from vfl_jax.core.record import Record
from vfl_jax.core.types import Features, Key, Params, State
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.knowledge import Plan, Shapes
from vfl_jax.protocol.needs import Needing
from vfl_jax.protocol.spelling import check_arguments, check_hooks
from vfl_jax.protocol.switched import Switched, Timing
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


class PartyTransform(Timing, Record):
    """A method at one party that holds features; the class itself is an honest party.

    An attack derives from :class:`Attack`. A defense that a party itself runs derives from this class. The module
    :mod:`vfl_jax.protocol.transforms` explains the arguments of the hooks; ``docs/methods.md`` lists all hooks in one
    table.

    Raises:
      TypeError: when a class is made, where a function has nearly the name of a hook, or does not take what
        the hook is given; where a defense has a field ``enabled``.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        inherited = {name for base in cls.__mro__[1:] for name in vars(base).get("__dataclass_fields__", ())}
        if "enabled" in inherited | set(inspect.get_annotations(cls)) and not issubclass(cls, Switched):
            raise TypeError(
                f"{cls.__name__} has a field 'enabled', the switch of an attack, but is none: an attack derives from "
                "vfl_jax.Attack. Call the switch of a party's own defense something else."
            )
        check_hooks(cls, PartyTransform, ActiveTransform)
        check_arguments(cls, PartyTransform)
        super().__init_subclass__(**kwargs)

    def init(self, key: Key, shapes: Shapes, party: int) -> State:
        """Returns the state before the first step, a pytree of arrays.

        Args:
          key: the key of the first draws.
          shapes: the sizes that the protocol makes public.
          party: the number of this party.
        """
        return ()

    def init_with_params(self, key: Key, shapes: Shapes, party: int, params: Params) -> State:
        """Returns the state before the first step, of a method that keeps a copy of its party's own bottom model.

        The package calls this function, which calls ``init``; a method overrides one of the two.

        Args:
          key: the key of the first draws.
          shapes: the sizes that the protocol makes public.
          party: the number of this party.
          params: the parameters of this party's own bottom model before the first step.
        """
        return self.init(key, shapes, party)

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

    def on_epoch(self, key: Key, state: State, view: PartyEpochView, params: Params) -> tuple[Params, State]:
        """Acts between two epochs: before the first and after every one, or as ``at_epochs`` says.

        Args:
          key: the key of the hook's draws.
          state: the method's state.
          view: the view of this party between two epochs.
          params: the parameters of this party's own bottom model.

        Returns:
          (the parameters with which the next epoch begins, the new state).
        """
        return params, state

    def infer_features(self, key: Key, state: State, view: PartyInferView, features: Features) -> Features:
        """Changes the test rows that this party feeds to its own bottom model, leaves [inference_batch, ...]."""
        return features

    def infer_upload(self, key: Key, state: State, view: PartyInferView, embedding: jax.Array) -> jax.Array:
        """Changes the embedding of test rows that this party sends, float32[inference_batch, E]."""
        return embedding

    def infer_labels(self, key: Key, state: State, view: PartyInferView, features: Features) -> jax.Array | None:
        """Guesses the labels of test rows from this party's own features, leaves [inference_batch, ...].

        Evaluation, never the method, compares them with the labels.

        Returns:
          int32[inference_batch], ``UNKNOWN`` (−1) for a row without a guess; None where the method makes none.
        """
        return None

    def report(self, state: State) -> dict[str, jax.Array]:
        """Returns the values that a reader may see; evaluation, never the method, compares them with labels.

        Args:
          state: the method's state.

        Returns:
          arrays by name, of the kinds that :func:`vfl_jax.replica.reports.evaluate_reports` lists: a number, float32[],
          under any name; ``label_guesses``, int32[N]; ``suspicion``, float32[N]; and others. They become metrics.
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

    def check_plan(self, plan: Plan) -> None:
        """Checks that the method has something to do in a study; a subclass overrides this method.

        An attack that is switched off is not asked. Of a sweep every grid point is asked.

        Args:
          plan: what the method finds in the study; for checks alone, no hook gets it.

        Raises:
          ValueError: saying what is lacking, where the method would do nothing.
        """


class Learning:
    """What trains the parameters of a method that has some of its own.

    A method sets it as a class attribute, or declares it as a field, ``optimizer: Optimizer = ...``.
    """

    optimizer: Optimizer | None = None
    """The optimizer of the method's own parameters; None takes the head's."""


class ActiveTransform(Learning, Timing, Record):
    """A method at the active party; the class itself is no defense.

    A defense derives from this class. An attack by the active party itself derives from :class:`ActiveAttack`. The
    module :mod:`vfl_jax.protocol.transforms` explains the arguments of the hooks; ``docs/methods.md`` lists all hooks
    in one table.

    Raises:
      TypeError: when a class is made, where a function has nearly the name of a hook, or does not take what
        the hook is given.
    """

    neutral: ClassVar[Mapping[str, float] | None] = None
    """The numbers at which the defense changes nothing, by path, such as ``{"stddev": 0.0}``, whatever its other fields
    hold. None says that nobody can be certain. By these numbers results know which runs have no defense."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        check_hooks(cls, ActiveTransform, PartyTransform)
        check_arguments(cls, ActiveTransform)
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

    def init_params(self, key: Key, shapes: Shapes) -> Params:
        """Returns the method's own parameters, float32 arrays, which ``on_embed`` uses and every step trains.

        Args:
          key: the key that determines the draw.
          shapes: the sizes that the protocol makes public.
        """
        return {}

    def on_embed(self, params: Params, key: Key, view: EmbedView, embeddings: Messages) -> tuple[Messages, jax.Array]:
        """Changes the embeddings that other parties sent, inside the loss: gradients go through the change.

        The active party sends back the gradients at what ``on_receive`` returned, which is what this hook gets. At
        inference it is called, too, in batches like an inference hook, and its penalty is not used.

        Args:
          params: the method's own parameters.
          key: the key of the hook's draws.
          view: the view inside the loss.
          embeddings: float32[B, E] per party in ``Shapes.crossing``.

        Returns:
          (the embeddings that the head gets; a penalty, float32[], which is added to the loss).
        """
        return embeddings, jnp.float32(0.0)

    def on_epoch(self, key: Key, state: State, view: ActiveEpochView, params: Params) -> tuple[Params, State]:
        """Acts between two epochs: before the first and after every one, or as ``at_epochs`` says.

        Args:
          key: the key of the hook's draws.
          state: the method's state.
          view: the view of the active party between two epochs.
          params: the parameters of the head.

        Returns:
          (the parameters with which the next epoch begins, the new state).
        """
        return params, state

    def infer_suspicion(self, key: Key, state: State, view: ActiveInferView, embeddings: Messages) -> Suspicion | None:
        """Says which test rows are suspicious, from the embeddings as they arrived, float32[inference_batch, E] each.

        Evaluation, never the method, compares the answer with the rows that are attacked.

        Returns:
          the answer; None where the method gives none.
        """
        return None

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
          arrays by name, of the kinds that :func:`vfl_jax.replica.reports.evaluate_reports` lists: a number, float32[],
          under any name; ``label_guesses``, int32[N]; ``suspicion``, float32[N]; and others. They become metrics.
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

    def check_plan(self, plan: Plan) -> None:
        """Checks that the method has something to do in a study; a subclass overrides this method.

        An attack that is switched off is not asked. Of a sweep every grid point is asked.

        Args:
          plan: what the method finds in the study; for checks alone, no hook gets it.

        Raises:
          ValueError: saying what is lacking, where the method would do nothing.
        """


class Attack(Needing, Switched, PartyTransform):
    """Base of the attacks by a party that holds features; their hooks read their knowledge from ``view.knowledge``.

    What a scenario must grant one it says by the class attribute ``needs`` (:class:`vfl_jax.protocol.Needs`).

    Args:
      enabled: the switch; see :class:`Switched`.
    """


class ActiveAttack(Switched, ActiveTransform):
    """Base of the attacks by the active party; their hooks read their knowledge from ``view.knowledge``.

    Args:
      enabled: the switch; see :class:`Switched`.
    """

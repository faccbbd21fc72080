"""Model completion: layers on a party's own bottom model learn from few known labels, by MixMatch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import optax

from vfl_jax.attacks.completed_model import CompletedModel, Forward, logits_in_training
from vfl_jax.attacks.mixmatch import Losses, Mixture, mixmatch
from vfl_jax.core.checks import check_count, check_range
from vfl_jax.core.types import Array, Features, Key, Params
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.knowledge import UNKNOWN, Plan
from vfl_jax.protocol.views import PartyEpochView


@flax.struct.dataclass
class Learner:
    """A model while it learns.

    Args:
      model: the model.
      average: its moving average, which is what an attack uses in the end.
      opt_state: the optimizer's state.
    """

    model: CompletedModel
    average: CompletedModel
    opt_state: Any


class Completion(NamedTuple):
    """How a bottom model is completed; ``PassiveModelCompletion`` says what its fields of the same names mean."""

    optimizer: Optimizer
    num_steps: int
    batch_size: int
    freeze_bottom: bool
    temperature: float
    mixing: float
    unknown_weight: float
    average_decay: float
    weight_decay: float

    def check(self, name: str) -> None:
        """Checks all fields.

        Args:
          name: the name of the method whose fields they are.

        Raises:
          ValueError: naming the first field that is out of range.
        """
        check_count(**{f"{name}.num_steps": self.num_steps})
        if self.batch_size < 2:
            raise ValueError(f"{name}.batch_size is {self.batch_size}; BatchNorm needs at least 2 rows.")
        check_range(name, 0.0, 1.0, average_decay=self.average_decay, weight_decay=self.weight_decay)
        check_range(name, 0.0, unknown_weight=self.unknown_weight)
        check_range(name, 0.01, temperature=self.temperature, mixing=self.mixing)

    def complete(self, key: Key, view: PartyEpochView, model: CompletedModel) -> CompletedModel:
        """Takes all steps, and returns the average model.

        Args:
          key: the key of the draws.
          view: the view of the party between two epochs.
          model: the model before the first step.
        """
        draw = _drawer(view, self.batch_size)
        key_shares, key_rows = jax.random.split(key)
        mixing = jnp.asarray(self.mixing, jnp.float32)
        shares = jax.random.beta(key_shares, mixing, mixing, (self.num_steps,))
        steps = jnp.arange(self.num_steps, dtype=jnp.int32), shares

        def one(learner: Learner, step: tuple[Array, Array]) -> tuple[Learner, None]:
            number, share = step
            key_step = jax.random.fold_in(key_rows, number)
            progress = number.astype(jnp.float32) / self.num_steps
            return self.learn(view.forward, learner, draw(key_step, share), progress)[0], None

        return jax.lax.scan(one, self.begin(model), steps)[0].average

    def begin(self, model: CompletedModel) -> Learner:
        """Returns the learner before its first step.

        Args:
          model: the model.
        """
        opt_state = self.optimizer.build(jnp.int32(0)).init(self._learnt(model.params))
        return Learner(model=model, average=model, opt_state=opt_state)

    def learn(self, forward: Forward, learner: Learner, batch: Mixture, progress: Array) -> tuple[Learner, Losses]:
        """Takes one step of MixMatch.

        Args:
          forward: the bottom model.
          learner: the learner before the step.
          batch: the rows of the step.
          progress: float32[], the share of the steps that are done.

        Returns:
          (the learner after the step, the losses).
        """
        held, fixed = learner.model.moments, learner.model.params
        num_classes = fixed["layers"][-1]["bias"].shape[0]

        def loss(learnt: Params) -> tuple[jax.Array, Any]:
            def model(params: Params, held: Any, features: Features) -> tuple[jax.Array, Any]:
                return logits_in_training(forward, params, held, features)

            losses, after = mixmatch(model, num_classes, self.temperature, {**fixed, **learnt}, held, batch)
            return losses.known + self.unknown_weight * progress * losses.unknown, (losses, after)

        before = self._learnt(fixed)
        gradient, (losses, held) = jax.grad(loss, has_aux=True)(before)
        with jax.numpy_dtype_promotion("standard"):  # Adam's count is a whole number
            updates, opt_state = self.optimizer.build(jnp.int32(0)).update(gradient, learner.opt_state, before)
        learnt = optax.apply_updates(before, updates)
        keep, last = self.average_decay, learner.average
        parts = (self._learnt(last.params), last.moments), (learnt, held)
        average, moments = jax.tree.map(lambda old, new: keep * old + (1.0 - keep) * new, *parts)
        shrunk = jax.tree.map(lambda leaf: (1.0 - self.weight_decay) * leaf, learnt)
        after = Learner(
            model=CompletedModel({**fixed, **shrunk}, held),
            average=CompletedModel({**last.params, **average}, moments),
            opt_state=opt_state,
        )
        return after, losses

    def _learnt(self, params: Params) -> Params:
        """Returns the parameters that learn: all, or the layers on top of a frozen bottom model."""
        return {"layers": params["layers"]} if self.freeze_bottom else params


def needs_known_classes(plan: Plan, method: str) -> None:
    """Checks that rows of at least two classes are known.

    Args:
      plan: what the method finds in the study.
      method: the name of the method, for the message.

    Raises:
      ValueError: where fewer are known.
    """
    if (found := sum(count > 0 for count in plan.num_known)) < 2:
        raise ValueError(
            f"{method} learns to tell classes from rows whose labels are known; found known rows of {found} of "
            f"{len(plan.num_known)} classes, so that every row would be guessed to be of the same. Give "
            "poison.num_known, such as 4 rows of every class."
        )


def most_likely(logits: Array) -> jax.Array:
    """Returns the classes with the largest logits, int32[B].

    Args:
      logits: float32[B, C].
    """
    return jnp.argmax(logits, axis=-1).astype(jnp.int32)


def _drawer(view: PartyEpochView, size: int) -> Callable[[Key, Array], Mixture]:
    """Returns a function that draws the rows of a step."""
    labels = view.knowledge.known_labels
    is_known = labels != UNKNOWN
    order, num_known = jnp.argsort(~is_known, stable=True), is_known.sum(dtype=jnp.int32)
    num_unknown = jnp.maximum(len(labels) - num_known, 1)

    def draw(key: Key, share: Array) -> Mixture:
        key_known, key_unknown, key_order = jax.random.split(key, 3)
        known = order[jax.random.randint(key_known, (size,), 0, num_known)]
        unknown = order[len(labels) - 1 - jax.random.randint(key_unknown, (size,), 0, num_unknown)]
        partners = jax.random.permutation(key_order, 2 * size)
        return Mixture(view.rows(known), labels[known], view.rows(unknown), share, partners)

    return draw

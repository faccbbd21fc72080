"""Passive model completion: infers labels with the own bottom model (Fu et al., USENIX Security 2022)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from vfl_jax.attacks.completed_model import CompletedModel, Forward, logits_in_training
from vfl_jax.attacks.mixmatch import Losses, Mixture, mixmatch
from vfl_jax.core.checks import check_count, check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Array, Features, Key, Params
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.knowledge import UNKNOWN, Plan, Shapes
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyEpochView, PartyInferView

BLOCK = 512
"""The number of training rows that are guessed together, which bounds the memory."""


@flax.struct.dataclass
class Learner:
    """A model while it learns.

    Args:
      model: the model.
      average: its moving average, which is what the attack uses in the end.
      opt_state: the optimizer's state.
    """

    model: CompletedModel
    average: CompletedModel
    opt_state: Any


@flax.struct.dataclass
class PassiveModelCompletionState:
    """The state of the attack.

    Args:
      model: the completed model; before the last epoch it has not learnt.
      guesses: int32[N], the guessed labels of the training rows; −1 before the last epoch, and for known rows.
      is_completed: bool[], whether the model has learnt.
    """

    model: CompletedModel
    guesses: jax.Array
    is_completed: jax.Array


class PassiveModelCompletion(Attack):
    """Completes the own bottom model with a few known labels after training, and infers all other labels with it.

    The attack changes no message, and never the bottom model itself. After the last epoch the party copies its bottom
    model, and puts BatchNorm, ReLU and a linear layer on the copy, with kernels of 1. It trains the whole by MixMatch:
    a step takes B rows of known label and B others, by random draws; let p be the model's probabilities for the others.

    1. Their targets are p^(1/T), scaled to the sum 1.
    2. Of all 2·B rows, row and target become l · own + (1 − l) · other's, where the other row is drawn, and l is the
       larger of λ and 1 − λ with λ of Beta(a, a).
    3. The loss is the cross-entropy of the mixed known rows, plus w · the mean squared error of the probabilities of
       the mixed others. w rises evenly from 0 at the first step to ``unknown_weight`` after the last.
    4. The optimizer takes a step; the average model moves by 1 − ``average_decay`` towards the model; then the model's
       parameters shrink by ``weight_decay``.

    The average model guesses: ``report`` gives the guesses of the training rows whose labels are not known,
    ``infer_labels`` those of test rows. The attacker knows ``poison.num_known`` rows of every class. Bags of ids
    are mixed as the multi-hot rows they stand for. The copy of a bottom model with BatchNorm or Dropout of its own runs
    as at inference.

    Source: Fu, Zhang, Ji, Chen, Wu, Guo, Zhou, Liu, Wang, *Label inference attacks against vertical federated
    learning*, USENIX Security 2022, pages 1397 to 1414, and its code (``FuChong-cyber/label-inference-attacks``,
    ``Code/model_completion.py``); MixMatch: Berthelot et al. 2019, arXiv:1905.02249. What differs:

    * The code prints its best accuracy over epochs, by the true labels. No attacker can choose so; here the model
      after the last step counts.
    * It goes through shuffled rows; here every batch is drawn anew, so that B may exceed the number of known rows.
    * It shrinks BatchNorm's running moments like parameters; here they stay what they are.
    * It counts known rows among those it guesses; here they are not guessed.

    Args:
      enabled: 1 or 0; the attack only listens, so both give the honest run, and both guess.
      optimizer: the optimizer; its ``epoch_decay`` has no effect.
      num_steps: the number of steps; published are 5 to 25 epochs of 1,024 steps.
      batch_size: B.
      num_layers: the number of layers on top, each with BatchNorm and ReLU before it.
      freeze_bottom: whether only the layers on top learn, as published for Criteo.
      temperature: T.
      mixing: a.
      unknown_weight: the last w.
      average_decay: the share of the average model that a step keeps.
      weight_decay: the share by which parameters shrink in a step; the code takes 0.02 times the learning rate.

    Raises:
      ValueError: where a number lies outside its range, or ``batch_size`` is below 2; with a scenario that grants
        labels of fewer than two classes.

    Example:
      >>> import vfl_jax as vfl
      >>> scenario = vfl.Scenario(
      ...     attacks=[vfl.PartyTransform(), vfl.attacks.PassiveModelCompletion(num_steps=1000)],
      ...     poison=vfl.PoisonPlan(num_known=4),
      ... )
      >>> scenario.attackers
      (1,)
    """

    needs = Needs(poison_rate=0.0, num_known=4)
    at_epochs = (-1,)
    optimizer: Optimizer = Optimizer(kind="adam", learning_rate=2e-3)
    num_steps: int = static(default=2000)
    batch_size: int = static(default=16)
    num_layers: int = static(default=1)
    freeze_bottom: bool = static(default=False)
    temperature: float = 0.8
    mixing: float = 0.75
    unknown_weight: float = 50.0
    average_decay: float = 0.999
    weight_decay: float = 4e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        name = "PassiveModelCompletion"
        check_count(**{f"{name}.num_steps": self.num_steps, f"{name}.num_layers": self.num_layers})
        if self.batch_size < 2:
            raise ValueError(f"{name}.batch_size is {self.batch_size}; BatchNorm needs at least 2 rows.")
        check_range(name, 0.0, 1.0, average_decay=self.average_decay, weight_decay=self.weight_decay)
        check_range(name, 0.0, unknown_weight=self.unknown_weight)
        check_range(name, 0.01, temperature=self.temperature, mixing=self.mixing)

    def check_plan(self, plan: Plan) -> None:
        if (found := sum(count > 0 for count in plan.num_known)) < 2:
            raise ValueError(
                f"PassiveModelCompletion learns to tell classes from rows whose labels are known; found known rows of "
                f"{found} of {len(plan.num_known)} classes, so that every row would be guessed to be of the same. Give "
                "poison.num_known, such as 4 rows of every class."
            )

    def init_with_params(self, key: Key, shapes: Shapes, party: int, params: Params) -> PassiveModelCompletionState:
        return PassiveModelCompletionState(
            model=CompletedModel.of(key, params, shapes.widths[party], shapes.num_classes, self.num_layers),
            guesses=jnp.full(shapes.num_samples, UNKNOWN, jnp.int32),
            is_completed=jnp.array(False),
        )

    def on_epoch(
        self, key: Key, state: PassiveModelCompletionState, view: PartyEpochView, params: Params
    ) -> tuple[Params, PassiveModelCompletionState]:
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

        begun = dataclasses.replace(state.model, params={**state.model.params, "bottom": params})
        learner, _ = jax.lax.scan(one, self.begin(begun), steps)
        model = learner.average
        guesses = jnp.where(view.knowledge.known_labels == UNKNOWN, _guess_all(view, model), UNKNOWN)
        return params, PassiveModelCompletionState(model=model, guesses=guesses, is_completed=jnp.array(True))

    def infer_labels(
        self, key: Key, state: PassiveModelCompletionState, view: PartyInferView, features: Features
    ) -> jax.Array:
        return jnp.where(state.is_completed, _guess(state.model, view.forward, features), UNKNOWN)

    def report(self, state: PassiveModelCompletionState) -> dict[str, jax.Array]:
        return {"label_guesses": state.guesses}

    def begin(self, model: CompletedModel) -> Learner:
        """Returns the learner before its first step.

        Args:
          model: the model.
        """
        opt_state = self.optimizer.build(jnp.int32(0)).init(model.params)
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
        held = learner.model.moments
        num_classes = learner.model.params["layers"][-1]["bias"].shape[0]

        def loss(params: Params) -> tuple[jax.Array, Any]:
            def model(params: Params, held: Any, features: Features) -> tuple[jax.Array, Any]:
                return logits_in_training(forward, params, held, features)

            losses, after = mixmatch(model, num_classes, self.temperature, params, held, batch)
            return losses.known + self.unknown_weight * progress * losses.unknown, (losses, after)

        gradient, (losses, held) = jax.grad(loss, has_aux=True)(learner.model.params)
        before = learner.model.params
        with jax.numpy_dtype_promotion("standard"):  # Adam's count is a whole number
            updates, opt_state = self.optimizer.build(jnp.int32(0)).update(gradient, learner.opt_state, before)
        params = self._thawed(before, optax.apply_updates(before, updates))
        keep = self.average_decay
        average = jax.tree.map(
            lambda old, new: keep * old + (1.0 - keep) * new, learner.average, CompletedModel(params, held)
        )
        shrunk = self._thawed(before, jax.tree.map(lambda leaf: (1.0 - self.weight_decay) * leaf, params))
        return Learner(model=CompletedModel(shrunk, held), average=average, opt_state=opt_state), losses

    def _thawed(self, before: Params, after: Params) -> Params:
        """Returns new parameters, but those of a frozen bottom model as they were."""
        return {**after, "bottom": before["bottom"]} if self.freeze_bottom else after


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


def _guess(model: CompletedModel, forward: Forward, features: Features) -> jax.Array:
    """Returns the classes with the largest logits, int32[B]."""
    return jnp.argmax(model.logits(forward, features), axis=-1).astype(jnp.int32)


def _guess_all(view: PartyEpochView, model: CompletedModel) -> jax.Array:
    """Returns the guesses of all training rows, int32[N], in blocks."""
    num_rows = len(view.sample_ids)
    num_blocks = -(-num_rows // BLOCK)
    ids = (jnp.arange(num_blocks * BLOCK) % num_rows).reshape(num_blocks, BLOCK)
    return jax.lax.map(lambda block: _guess(model, view.forward, view.rows(block)), ids).reshape(-1)[:num_rows]

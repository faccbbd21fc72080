"""Passive model completion: infers labels with the own bottom model (Fu et al., USENIX Security 2022)."""

from __future__ import annotations

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.attacks.all_rows import over_all_rows
from vfl_jax.attacks.completed_model import CompletedModel
from vfl_jax.attacks.completion import Completion, most_likely, needs_known_classes
from vfl_jax.core.checks import check_count
from vfl_jax.core.record import static
from vfl_jax.core.types import Features, Key, Params
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.knowledge import UNKNOWN, Plan, Shapes
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyEpochView, PartyInferView


@flax.struct.dataclass
class PassiveModelCompletionState:
    """The state of the attack.

    Args:
      model: the completed model; before the last epoch it has not learnt.
      guesses: int32[N], the guessed labels of the training rows; −1 before the last epoch, and for known rows.
      scores: float32[N], of two classes, the logit of class 1 less that of class 0, NaN before the last epoch; None of
        more classes.
      is_completed: bool[], whether the model has learnt.
    """

    model: CompletedModel
    guesses: jax.Array
    scores: jax.Array | None
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

    The average model guesses: ``report`` gives the guesses of the training rows whose labels are not known, and of two
    classes their scores; ``infer_labels`` gives the guesses of test rows. The attacker knows ``poison.num_known`` rows
    of every class. Bags of ids are mixed as the multi-hot rows they stand for. The copy of a bottom model with
    BatchNorm or Dropout of its own runs as at inference.

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
        check_count(**{"PassiveModelCompletion.num_layers": self.num_layers})
        self.completion.check("PassiveModelCompletion")

    @property
    def completion(self) -> Completion:
        """How the model is completed."""
        return Completion(**{name: getattr(self, name) for name in Completion._fields})

    def check_plan(self, plan: Plan) -> None:
        needs_known_classes(plan, "PassiveModelCompletion")

    def init_with_params(self, key: Key, shapes: Shapes, party: int, params: Params) -> PassiveModelCompletionState:
        return PassiveModelCompletionState(
            model=CompletedModel.of(key, params, shapes.widths[party], shapes.num_classes, self.num_layers),
            guesses=jnp.full(shapes.num_samples, UNKNOWN, jnp.int32),
            scores=jnp.full(shapes.num_samples, jnp.nan) if shapes.num_classes == 2 else None,
            is_completed=jnp.array(False),
        )

    def on_epoch(
        self, key: Key, state: PassiveModelCompletionState, view: PartyEpochView, params: Params
    ) -> tuple[Params, PassiveModelCompletionState]:
        begun = dataclasses.replace(state.model, params={**state.model.params, "bottom": params})
        model = self.completion.complete(key, view, begun)
        logits = over_all_rows(view, lambda rows: model.logits(view.forward, rows))
        guesses = jnp.where(view.knowledge.known_labels == UNKNOWN, most_likely(logits), UNKNOWN)
        scores = None if state.scores is None else logits[:, 1] - logits[:, 0]
        return params, PassiveModelCompletionState(model, guesses, scores, is_completed=jnp.array(True))

    def infer_labels(
        self, key: Key, state: PassiveModelCompletionState, view: PartyInferView, features: Features
    ) -> jax.Array:
        guesses = most_likely(state.model.logits(view.forward, features))
        return jnp.where(state.is_completed, guesses, UNKNOWN)

    def report(self, state: PassiveModelCompletionState) -> dict[str, jax.Array]:
        scores = {} if state.scores is None else {"label_scores": state.scores}
        return {"label_guesses": state.guesses} | scores

"""LR-BA: a backdoor planted after training, in the attacker's own bottom model alone (Gu, Bai 2023)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp
import optax

from vfl_jax.attacks.all_rows import over_all_rows
from vfl_jax.attacks.completed_model import CompletedModel
from vfl_jax.attacks.completion import Completion, needs_known_classes
from vfl_jax.core.checks import check_count, check_range, is_number
from vfl_jax.core.record import static
from vfl_jax.core.types import Array, Features, Key, Params
from vfl_jax.models.fitting import fit
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.knowledge import UNKNOWN, Plan, Shapes
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyEpochView

Start = Literal["guessed", "known"]


@flax.struct.dataclass
class LRBAState:
    """The state of the attack.

    Args:
      head: the inference head, a completed model without its bottom; before the last epoch it has not learnt.
      start: z₀, float32[E]; 0 before the last epoch, as all that follows.
      vector: z*, float32[E].
      guesses: int32[N], the guessed labels of the training rows; −1 before, and for known rows.
    """

    head: CompletedModel
    start: jax.Array
    vector: jax.Array
    guesses: jax.Array


class LRBA(Attack):
    """Finds after training an embedding that says τ, and teaches its own bottom model to give it for the trigger.

    Training is honest, so no gradient defense sees it. After the last epoch, with the own bottom model F:

    1. **Completion.** The party puts an inference head on F, BatchNorm, ReLU and a linear layer, and trains the head
       alone by MixMatch, as ``PassiveModelCompletion`` does with ``freeze_bottom``; ``optimizer`` to ``weight_decay``
       mean the same there.
    2. **Start.** z₀ is the mean of F(x) over the known rows of τ and the n other rows that the head takes for τ with
       the largest probability; all that it takes where these are fewer. n is the expected number of rows of τ less the
       known ones.
    3. **Vector.** z* comes from z₀ by steps of ``search`` that minimize the head's cross-entropy at (z, τ).
    4. **Tuning.** F learns by minibatches to give z* for triggered rows, and to give for clean rows what it gave
       before: by the mean squared error, with as many rows of both in a batch. Triggered rows are the poison rows, and
       ``num_stamped`` drawn ones on which the attack trigger is stamped; all others are clean.

    Test rows go through the new F, so that the trigger attacks by itself. The trigger must lie in features of this
    party. Poison rows carry the trigger in training with their true labels, which works against the attack: give
    ``poison.rate`` 0 unless rows carry the trigger by nature. A bottom with BatchNorm or Dropout of its own is tuned
    with them as at inference. The party knows ``poison.num_known`` rows of every class; ``report`` gives the head's
    guesses of all other rows. Nothing happens before the last epoch, so results show the attack there alone.

    Source: Gu, Bai, *LR-BA: Backdoor attack against vertical federated learning using local latent representations*,
    Computers & Security 129, 103193, 2023, read in its published code (``guyuhao/LR-BA``); its tables could not be
    read. The defaults are that code's for NUS-WIDE, with 500 triggered rows as for images; for CIFAR-10 it takes rates
    of 0.002, 0.01 and 0.01, 99 steps of the search, 10 passes of tuning. ``num_steps`` is 100 epochs of 1,024 steps;
    20 epochs (20,480) are a fifth of the time. What differs:

    * The code's batches of known and of clean rows go through shuffled rows, and those of known rows hold all of them
      where they are fewer than a batch; here known, other and triggered rows of a batch are drawn anew.
    * It tunes a bottom with BatchNorm or Dropout of its own in training mode.
    * It shrinks BatchNorm's running moments like parameters; here they stay what they are.
    * Of its two filters by SHAP values, which it says do not work, none is here.

    Args:
      enabled: 1 for the attack, 0 for the honest run, in which the party completes its model all the same.
      optimizer: the optimizer of the head; its ``epoch_decay`` has no effect.
      num_steps: the number of steps of MixMatch.
      batch_size: the number of known rows of such a step, and of others.
      temperature: what sharpens guesses.
      mixing: a of Beta(a, a), from which the share of a row in its mixture comes.
      unknown_weight: the last weight of the loss of rows without a label.
      average_decay: the share of the average head that a step keeps.
      weight_decay: the share by which parameters shrink in a step; the code takes 0.02 times the learning rate.
      start: "guessed", z₀ as above; or "known", the mean over known rows of τ alone, which the code can do.
      class_size: the number of training rows of τ that the party believes there are; 0 believes that classes are
        equally large. For NUS-WIDE the code knows the true number, 7,512.
      search: the optimizer of z*; its ``epoch_decay`` has no effect.
      search_steps: the number of steps of the search; the code counts 1,000, but takes z* from before the last.
      tuning: the optimizer of F; the number of the pass is its epoch.
      tuning_passes: the number of passes over the training rows; 40 for NUS-WIDE.
      tuning_size: the number of clean rows of a batch, and of triggered ones.
      num_stamped: the number of training rows on which the attack trigger is stamped.

    Raises:
      ValueError: where a number lies outside its range; with a scenario of no more training rows than ``num_stamped``;
        in training with known rows of fewer than two classes, and with no trigger for triggered rows.

    Example:
      >>> import vfl_jax as vfl
      >>> trigger = vfl.protocol.FeatureTrigger(party=1, index=3)
      >>> attack = vfl.attacks.LRBA(num_steps=20 * 1024, tuning_passes=10)
      >>> scenario = vfl.Scenario(
      ...     attacks=[vfl.PartyTransform(), attack],
      ...     poison=vfl.PoisonPlan(trigger=trigger).granting(attack.needs),
      ... )
      >>> scenario.poison.num_known
      4
    """

    needs = Needs(poison_rate=0.0, num_known=4)
    at_epochs = (-1,)
    optimizer: Optimizer = Optimizer(kind="adam", learning_rate=0.01)
    num_steps: int = static(default=100 * 1024)
    batch_size: int = static(default=64)
    temperature: float = 0.8
    mixing: float = 0.75
    unknown_weight: float = 50.0
    average_decay: float = 0.999
    weight_decay: float = 2e-4
    start: Start = static(default="guessed")
    class_size: int = 0
    search: Optimizer = Optimizer(kind="adam", learning_rate=0.1)
    search_steps: int = static(default=999)
    tuning: Optimizer = Optimizer(kind="adam", learning_rate=0.01)
    tuning_passes: int = static(default=40)
    tuning_size: int = static(default=64)
    num_stamped: int = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        self.completion.check("LRBA")
        counts = {name: getattr(self, name) for name in ("search_steps", "tuning_passes", "tuning_size")}
        check_count(**{f"LRBA.{name}": value for name, value in counts.items()})
        check_range("LRBA", 0, class_size=self.class_size, num_stamped=self.num_stamped)

    @property
    def completion(self) -> Completion:
        """How the model is completed."""
        own = {name: getattr(self, name) for name in Completion._fields if name != "freeze_bottom"}
        return Completion(freeze_bottom=True, **own)

    def check(self, shapes: Shapes, party: int, by_role: bool) -> None:
        if is_number(self.num_stamped) and self.num_stamped >= shapes.num_samples:
            raise ValueError(
                f"LRBA.num_stamped is {self.num_stamped}, and there are {shapes.num_samples} training rows: none would "
                f"be left clean. Give at most {shapes.num_samples - 1}."
            )

    def check_plan(self, plan: Plan) -> None:
        needs_known_classes(plan, "LRBA")
        if plan.num_poisons == 0 and self.num_stamped == 0:
            raise ValueError(
                "LRBA.num_stamped is 0, and no training row carries the trigger, so that the bottom model would learn "
                "nothing. Give num_stamped, or a trigger that rows carry by nature."
            )
        if self.num_stamped > 0:
            plan.needs_stamp("LRBA")

    def init(self, key: Key, shapes: Shapes, party: int) -> LRBAState:
        width = shapes.widths[party]
        return LRBAState(
            head=CompletedModel.of(key, (), width, shapes.num_classes, num_layers=1),
            start=jnp.zeros(width),
            vector=jnp.zeros(width),
            guesses=jnp.full(shapes.num_samples, UNKNOWN, jnp.int32),
        )

    def on_epoch(self, key: Key, state: LRBAState, view: PartyEpochView, params: Params) -> tuple[Params, LRBAState]:
        key_head, key_tuning = jax.random.split(key)
        begun = dataclasses.replace(state.head, params={**state.head.params, "bottom": params})
        model = self.completion.complete(key_head, view, begun)
        target_class, labels = view.knowledge.target_class, view.knowledge.known_labels

        def told(rows: Features) -> tuple[jax.Array, jax.Array]:
            """The embeddings and what the head makes of them."""
            embedding = view.forward(rows, params=params)
            return embedding, model.logits(_as_it_is, embedding)

        embeddings, logits = over_all_rows(view, told)
        start = embeddings.T @ self.shares(jax.nn.softmax(logits), labels, target_class)
        vector = find_vector(
            lambda z: model.logits(_as_it_is, z[None])[0], self.search, start, target_class, self.search_steps
        )
        after = LRBAState(
            head=dataclasses.replace(model, params={**model.params, "bottom": ()}),
            start=start,
            vector=vector,
            guesses=jnp.where(labels == UNKNOWN, jnp.argmax(logits, axis=-1).astype(jnp.int32), UNKNOWN),
        )
        return self._tune(key_tuning, view, params, vector), after

    def report(self, state: LRBAState) -> dict[str, jax.Array]:
        return {"label_guesses": state.guesses}

    def shares(self, probabilities: Array, labels: Array, target_class: Array) -> jax.Array:
        """Returns the share of every training row in z₀, float32[N].

        Args:
          probabilities: float32[N, C], what the head takes every row for.
          labels: int32[N], the known labels, −1 for others.
          target_class: int32[], τ.
        """
        is_target, is_known = labels == target_class, labels != UNKNOWN
        is_used = is_target
        if self.start == "guessed":
            num_others = len(labels) - is_known.sum(dtype=jnp.int32)
            rest = self.class_size - is_target.sum(dtype=jnp.int32)
            most = jnp.where(self.class_size > 0, rest, num_others // probabilities.shape[1])
            is_guessed = ~is_known & (jnp.argmax(probabilities, axis=-1) == target_class)
            score = jnp.where(is_guessed, probabilities[:, target_class], -1.0)
            place = jnp.argsort(jnp.argsort(score, descending=True))
            is_used = is_target | (is_guessed & (place < most))
        return is_used.astype(jnp.float32) / jnp.maximum(is_used.sum(dtype=jnp.int32), 1).astype(jnp.float32)

    def _tune(self, key: Key, view: PartyEpochView, params: Params, vector: Array) -> Params:
        """Returns the parameters of the bottom model that gives z* for triggered rows."""
        num_rows, is_poison = len(view.sample_ids), view.knowledge.is_poison
        key_stamped, key_fit = jax.random.split(key)
        # Poison rows come last, so that the first rows of this order are others.
        place = jnp.argsort(jnp.argsort(jnp.where(is_poison, 2.0, jax.random.uniform(key_stamped, (num_rows,)))))
        is_stamped = ~is_poison & (place < self.num_stamped) & (view.stamp is not None)
        is_triggered = is_poison | is_stamped
        triggered, num_triggered = jnp.argsort(~is_triggered), is_triggered.sum(dtype=jnp.int32)

        def loss(own: Params, key: Key, rows: jax.Array) -> jax.Array:
            clean = view.rows(rows)
            errors = ((view.forward(clean, params=own) - view.forward(clean, params=params)) ** 2).mean(axis=-1)
            counts = (~is_triggered[rows]).astype(jnp.float32)
            kept = (errors * counts).sum() / jnp.maximum(counts.sum(), 1.0)

            drawn = triggered[jax.random.randint(key, rows.shape, 0, jnp.maximum(num_triggered, 1))]
            marked = view.rows(drawn)
            if view.stamp is not None:
                marked = view.stamp(marked, is_stamped[drawn])
            led = ((view.forward(marked, params=own) - vector[None]) ** 2).mean()
            return (kept + jnp.where(num_triggered > 0, led, 0.0)) / 2.0

        with jax.numpy_dtype_promotion("standard"):  # Adam's count is a whole number
            return fit(key_fit, self.tuning, loss, params, num_rows, self.tuning_size, self.tuning_passes)


def find_vector(
    logits: Callable[[jax.Array], jax.Array], optimizer: Optimizer, start: Array, target_class: Array, num_steps: int
) -> jax.Array:
    """Searches the embedding that a head takes for one class; returns float32[E].

    Args:
      logits: the head, of one embedding, float32[E], to float32[C].
      optimizer: the optimizer of the embedding.
      start: float32[E], the first embedding.
      target_class: int32[], the class.
      num_steps: the number of steps.
    """
    update = optimizer.build(jnp.int32(0))

    def one(carry: tuple[jax.Array, optax.OptState], _: None) -> tuple[tuple[jax.Array, optax.OptState], None]:
        vector, opt_state = carry
        slope = jax.grad(lambda z: -jax.nn.log_softmax(logits(z))[target_class])(vector)
        with jax.numpy_dtype_promotion("standard"):  # Adam's count is a whole number
            change, opt_state = update.update(slope, opt_state, vector)
        return (jnp.asarray(optax.apply_updates(vector, change)), opt_state), None

    first = jnp.asarray(start)
    return jax.lax.scan(one, (first, update.init(first)), None, length=num_steps)[0][0]


def _as_it_is(embedding: jax.Array, params: Params) -> jax.Array:
    """A bottom model that is none: what is fed is the embedding."""
    return embedding

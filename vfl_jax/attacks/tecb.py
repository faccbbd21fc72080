"""TECB: Chen et al. 2023 (IEEE ICDM 2023); with its last phase left out, UAB (arXiv:2304.11432)."""

from __future__ import annotations

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.record import static
from vfl_jax.core.types import Array, Features, Key
from vfl_jax.protocol.knowledge import Plan, Shapes, where_rows
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyInferView, PartyView


@flax.struct.dataclass
class TECBState:
    """The state of the attack.

    Args:
      trigger: δ, float32[...] of the shape of one row of the party's own features.
      copied: int32[B], the place in the present batch of the target row whose gradient a row gets; −1 for none.
    """

    trigger: jax.Array
    copied: jax.Array


class TECB(Attack):
    """Learns a trigger for its whole block of features from few rows of class τ, then aligns other rows with them.

    Let x_i be the party's own features of row i, F its bottom model, g_i the gradient message that comes back, and T
    the known target rows of the batch. A trigger δ, 0 at first, changes all of the party's features:

    1. **Learning**, before epoch ``learn_until``. Rows of T are fed as x_i + δ, with their true label τ, so that the
       bottom learns δ, and δ learns what says τ: δ ← clip(δ − α sign(Σ_{i∈T} ∂⟨g_i, F(x_i + δ)⟩/∂x_i), −ε, ε). A batch
       without such a row leaves δ as it is.
    2. **Waiting**, up to epoch ``align_from``: training without a change.
    3. **Alignment**, from then on. For every row t of T one random row i of the batch, which is none of T, is fed as
       x_i + δ; random numbers from N(0, I) are sent in place of its embedding; and the party trains with γ g_t in place
       of g_i. So the bottom leads x_i + δ to where τ is, and the head sees nothing of it.

    An attacked test row is fed as x + δ. Rows of T always keep their own gradients. Where a batch has more rows in T
    than others, all others are aligned, with the first rows of T.

    **UAB** learns to the end and aligns nothing: ``TECB(aligns=False, learn_until=…)`` with the number of epochs or
    more. Only its abstract could be read. It tells of binary tasks, and of steps of the trigger and of the models that
    alternate, at iterations that it does not name; here both step in every batch with a target row.

    The scenario grants ``poison.num_targets`` rows of τ: 4 of 5,000 at the source. It needs no poison rows
    (``poison.rate`` 0), and no trigger that changes features: take ``EmbeddingTrigger()``, and ``view.is_attacked``
    says which test rows get δ. The features must be numbers; with bags of ids there is nothing to add to. ε and α are
    in the units of the features, and x + δ is not cut to their range: at ε = 1 on pixels from 0 to 1 the trigger is
    plain to see, as at the source.

    ``report`` gives the norm of δ. Source: Chen, Yang, Lin, Lu, Duan, Chai, *A practical clean-label backdoor attack
    with limited information in vertical federated learning* (IEEE ICDM 2023), read in its published code
    (``13thDayOfLunarMay/TECB-attack``). Its training has 100 epochs: 49 of learning, 30 of waiting, 21 of alignment,
    which are the defaults here; a shorter training needs others. That code lets the active party defend gradients after
    the attacker has replaced them, which no active party can; here defenses come first. It also keeps the epoch with
    the best test accuracy and attack success; here nothing is chosen. UAB: Chen, Du, Lu, Chai, *Universal adversarial
    backdoor attacks to fool vertical federated learning in cloud-edge collaboration* (arXiv:2304.11432), without code.

    Args:
      enabled: 1 for the attack, 0 for the honest run.
      learn_until: the epoch, counted from 0, from which δ stays as it is.
      align_from: the epoch, counted from 0, from which rows are aligned.
      step_size: α, what an entry of δ moves in a batch; 0.05 at the source.
      bound: ε, the largest entry of δ; 1 at the source.
      amplify: γ, the factor on the gradient of a target row; 5 for CIFAR, 12 for CINIC-10 at the source.
      aligns: whether there is an alignment.

    Raises:
      ValueError: naming the field, where ``learn_until`` is below 1, ``align_from``, ``step_size`` or ``bound`` is
        below 0, or a number is NaN; with a scenario in which the party holds bags of ids; with a training that ends
        before ``align_from``, unless there is no alignment.

    Example:
      >>> import vfl_jax as vfl
      >>> attack = vfl.attacks.TECB(learn_until=10, align_from=15)
      >>> scenario = vfl.Scenario(
      ...     attacks=[vfl.PartyTransform(), attack],
      ...     poison=vfl.PoisonPlan(trigger=vfl.protocol.EmbeddingTrigger(), rate=0.0, test_rate=0.2, num_targets=4),
      ... )
      >>> scenario.attackers
      (1,)
    """

    needs = Needs(trigger="message", poison_rate=0.0, num_targets=4)

    learn_until: int = 49
    align_from: int = 79
    step_size: float = 0.05
    bound: float = 1.0
    amplify: float = 5.0
    aligns: bool = static(default=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("TECB", 1, learn_until=self.learn_until)
        check_range("TECB", 0, align_from=self.align_from, step_size=self.step_size, bound=self.bound)
        check_range("TECB", amplify=self.amplify)

    def check(self, shapes: Shapes, party: int, by_role: bool) -> None:
        if shapes.row_shapes[party] is None:
            raise ValueError(
                f"attacks.{party} is TECB, which adds numbers to the features of party {party}; it holds bags of ids, "
                "to which nothing can be added. Let a party with numbers attack, or take another attack, such as LFBA."
            )

    def check_plan(self, plan: Plan) -> None:
        if self.aligns and self.align_from >= plan.num_epochs:
            raise ValueError(
                f"TECB.align_from is {self.align_from}, but training has {plan.num_epochs} epochs, counted from 0: no "
                f"row would be aligned. Give at most {plan.num_epochs - 1}, train longer, or give aligns=False for UAB."
            )

    def init(self, key: Key, shapes: Shapes, party: int) -> TECBState:
        return TECBState(
            trigger=jnp.zeros(shapes.row_shapes[party] or ()), copied=jnp.full(shapes.batch_rows, -1, jnp.int32)
        )

    def on_features(
        self, key: Key, state: TECBState, view: PartyView, features: Features
    ) -> tuple[Features, TECBState]:
        _, is_target = view.knowledge.find(view)
        copied = jnp.full(is_target.shape, -1, jnp.int32)
        if self.aligns:
            drawn = pair(jax.random.uniform(key, is_target.shape), is_target)
            copied = jnp.where(view.epoch >= self.align_from, drawn, copied)
        is_marked = (is_target & (view.epoch < self.learn_until)) | (copied >= 0)
        return _marked(is_marked, features, state.trigger), dataclasses.replace(state, copied=copied)

    def on_upload(
        self, key: Key, state: TECBState, view: PartyView, embedding: jax.Array
    ) -> tuple[jax.Array, TECBState]:
        return where_rows(state.copied >= 0, jax.random.normal(key, embedding.shape), embedding), state

    def on_download(
        self, key: Key, state: TECBState, view: PartyView, gradient: jax.Array
    ) -> tuple[jax.Array, TECBState]:
        _, is_target = view.knowledge.find(view)
        slope = jnp.asarray(view.pull_back(gradient))
        slope = where_rows(is_target, slope, jnp.zeros_like(slope)).sum(axis=0)
        moved = jnp.clip(state.trigger - self.step_size * jnp.sign(slope), -self.bound, self.bound)
        trigger = jnp.where(view.epoch < self.learn_until, moved, state.trigger)
        aligned = where_rows(state.copied >= 0, self.amplify * gradient[state.copied], gradient)
        return aligned, dataclasses.replace(state, trigger=trigger)

    def infer_features(self, key: Key, state: TECBState, view: PartyInferView, features: Features) -> Features:
        return _marked(view.is_attacked, features, state.trigger)

    def report(self, state: TECBState) -> dict[str, jax.Array]:
        return {"trigger_norm": jnp.sqrt(jnp.sum(state.trigger**2))}


def pair(draws: Array, is_target: Array) -> jax.Array:
    """Pairs as many other rows of a batch as it has target rows, each with one of these.

    Args:
      draws: float32[B], random numbers; of the other rows those with the smallest are chosen, in their order.
      is_target: bool[B], the target rows; they are paired in the order of the batch.

    Returns:
      int32[B], the place of the target row that a row is paired with; −1 for a row that is not.

    Example:
      >>> import jax.numpy as jnp
      >>> pair(jnp.array([0.9, 0.5, 0.1, 0.2, 0.3]), jnp.array([False, True, False, False, True])).tolist()
      [-1, -1, 1, 4, -1]
    """
    is_target = jnp.asarray(is_target)
    place = jnp.argsort(jnp.argsort(jnp.where(is_target, jnp.inf, draws)))
    targets_first = jnp.argsort(~is_target)
    is_chosen = ~is_target & (place < jnp.sum(is_target))
    return jnp.where(is_chosen, targets_first[place], -1).astype(jnp.int32)


def _marked(is_marked: Array, features: Features, trigger: Array) -> jax.Array:
    """Adds the trigger to some rows of features, [B, ...]."""
    rows = jnp.asarray(features)
    return where_rows(is_marked, rows + trigger[None], rows)

"""LFBA: a backdoor by a party that knows no label but the class of one row (Shen, Huang, Wan, Ye, AAAI 2025)."""

from __future__ import annotations

import dataclasses
from typing import Literal

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.record import leaf, static
from vfl_jax.core.types import Array, Features, Key, Params
from vfl_jax.protocol.knowledge import Plan, Shapes, where_features
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyEpochView, PartyView

Anchor = Literal["known", "contrast"]
Feed = Literal["switched", "masked"]


@flax.struct.dataclass
class LFBAState:
    """The state of the attack.

    Args:
      messages: float32[N, E], the last gradient message of every training row; 0 before the first.
      is_poisoned: bool[N], the rows that the attack has chosen; none before it has heard a message of its anchor.
      donors: int32[N], the row whose features are fed for each row: the row itself where nothing changes, −1 where its
        own features are masked.
    """

    messages: jax.Array
    is_poisoned: jax.Array
    donors: jax.Array


class LFBA(Attack):
    """Finds rows of class τ by the direction of their gradients, and feeds triggered features of other rows for them.

    So the trigger comes with the label τ. The party knows one row, the anchor a, and no other label. Let g_i be the
    last gradient message of training row i.

    1. Epoch 0 is honest; the party keeps the messages.
    2. After it, row i scores ⟨g_i, g_a⟩ / (‖g_i‖₁ ‖g_a‖₁). The P = round(``poison_rate`` · N) rows that score most are
       the poison rows, for good. (Where no message of the anchor came, the party waits for the next epoch.)
    3. After every epoch the round(``switch_rate`` · P) poison rows with the largest ‖g_i‖₂ are switched: in the next
       epoch the party feeds the features of a random row, which is no poison row, with the trigger stamped on them. No
       row lends its features twice in an epoch. All other rows, and all test rows, are fed as they are.

    **GOFA** (``feed="masked"``) masks those rows instead of switching them, so that the trigger is what is left to
    learn from. With x_i the row's own features and F the party's present model, the party feeds
    x_i + ``mask_size`` · sign(∂⟨g_i, F(x_i)⟩/∂x_i), and stamps the trigger on it. That is the fast gradient sign method
    (Goodfellow, Shlens, Szegedy, ICLR 2015), by which row i looks less like τ. The features must be numbers.

    A row without a message, or with a message of zeros, is never chosen. ``report`` gives the poison rows; from these
    ``poisoned_purity`` is the share of class τ. The attack stamps ``poison.attack_trigger``, or else
    ``poison.trigger``. The package stamps ``poison.trigger`` on rows that it draws, which keep their true labels and
    work against the attack: give ``poison.rate`` 0.

    Source: Shen, Huang, Wan, Ye, *Label-free backdoor attacks in vertical federated learning*, AAAI 2025, 39(19), pages
    20389 to 20397, read in its published code (``shentt67/LFBA``); its tables could not be read. The code cuts off P
    and the number of switched rows instead of rounding. Its tags set 5 or 10 features by one trigger, which
    ``FeatureTrigger(index=(…))`` does. Its training stops early on test accuracy and attack success; here nothing does.
    GOFA: Cheng and Adachi, ICECET 2026, of which only the abstract could be read. It says that gradients choose the
    poison rows and that methods such as this one mask their features; which rows are masked when, and how strongly, is
    this package's reading.

    Args:
      enabled: 1 for the attack, 0 for the honest run.
      anchor: "known", the first row that the attacker knows to be of class τ; or the number of a training row, as in
        the published training; or "contrast", with no label known at all. Then the anchor is the row i for which the
        sum of the P largest ⟨g_i, g_j⟩ over all rows j exceeds the sum of the next P most, as the published code can
        search but does not. This takes N² products after every epoch, and nobody chooses the class. Metrics always
        count ``poison.target_class`` as τ.
      poison_rate: the share of poison rows among the N training rows, in [0, 1]; 0.1 is the published value.
      switch_rate: the share of switched rows among the poison rows, in [0, 1]; published are 0.5 for CIFAR-10, and 0.3
        for NUS-WIDE. Likewise the share of masked rows.
      feed: "switched" (LFBA) or "masked" (GOFA), what is fed for these rows.
      mask_size: how far each feature is moved in a masked row, in the units of the features. GOFA's is not known; 0.25
        is Goodfellow's for MNIST, with pixels from 0 to 1.

    Raises:
      ValueError: where a rate lies outside [0, 1], or ``mask_size`` is below 0; with a scenario of fewer rows than
        ``anchor``, with an appended pair, with a training of one epoch, without a trigger that can be stamped on
        features of the party, and where rows are to be masked that are bags of ids.

    Example:
      >>> import vfl_jax as vfl
      >>> trigger = vfl.protocol.FeatureTrigger(party=1, index=(3, 5))
      >>> scenario = vfl.Scenario(
      ...     attacks=[vfl.PartyTransform(), vfl.attacks.LFBA(switch_rate=0.3)],
      ...     poison=vfl.PoisonPlan(trigger=trigger, rate=0.0, test_rate=0.2),
      ... )
      >>> scenario.attackers
      (1,)
    """

    needs = Needs(poison_rate=0.0)

    anchor: Anchor | int = static(default="known")
    poison_rate: float = 0.1
    switch_rate: float = 0.5
    feed: Feed = static(default="switched", omit_default=True)
    mask_size: float = leaf(default=0.25, omit_default=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("LFBA", 0.0, 1.0, poison_rate=self.poison_rate, switch_rate=self.switch_rate)
        check_range("LFBA", 0.0, mask_size=self.mask_size)

    def check(self, shapes: Shapes, party: int, by_role: bool) -> None:
        if by_role:
            raise ValueError(
                "LFBA needs poison.mode='in_place'; found 'appended_pair'. It chooses its poison rows itself."
            )
        if self.feed == "masked" and shapes.row_shapes[party] is None:
            raise ValueError(
                f"attacks.{party} is LFBA(feed='masked'), which adds numbers to the features of party {party}; it "
                "holds bags of ids, to which nothing can be added. Give feed='switched'."
            )
        if isinstance(self.anchor, int) and not 0 <= self.anchor < shapes.num_samples:
            raise ValueError(
                f"LFBA.anchor is {self.anchor}; the training rows are 0 to {shapes.num_samples - 1}. Give one of them, "
                "'known' or 'contrast'."
            )

    def check_plan(self, plan: Plan) -> None:
        plan.needs_stamp("LFBA")
        if plan.num_epochs < 2:
            raise ValueError(
                "LFBA listens in the first epoch and acts from the second on; found a training of one. Train longer."
            )

    def init(self, key: Key, shapes: Shapes, party: int) -> LFBAState:
        return LFBAState(
            messages=jnp.zeros((shapes.num_samples, shapes.widths[party])),
            is_poisoned=jnp.zeros(shapes.num_samples, bool),
            donors=jnp.arange(shapes.num_samples, dtype=jnp.int32),
        )

    def on_features(
        self, key: Key, state: LFBAState, view: PartyView, features: Features
    ) -> tuple[Features, LFBAState]:
        if view.stamp is None:
            raise ValueError(
                "LFBA stamps the trigger on rows of its choice, and the scenario has none that changes features: give "
                "poison.attack_trigger, such as FeatureTrigger or PixelTrigger."
            )
        donors = state.donors[view.sample_ids]
        is_changed = donors != view.sample_ids
        fed = view.rows(donors) if self.feed == "switched" else self._masked(view, state.messages[view.sample_ids])
        return where_features(is_changed, view.stamp(fed, is_changed), features), state

    def on_download(
        self, key: Key, state: LFBAState, view: PartyView, gradient: jax.Array
    ) -> tuple[jax.Array, LFBAState]:
        return gradient, dataclasses.replace(state, messages=state.messages.at[view.sample_ids].set(gradient))

    def on_epoch(self, key: Key, state: LFBAState, view: PartyEpochView, params: Params) -> tuple[Params, LFBAState]:
        num_rows, messages = len(view.sample_ids), state.messages
        num_poisons = jnp.round(self.poison_rate * num_rows).astype(jnp.int32)
        score = _similarity(messages, messages[self._anchor_row(messages, view, num_poisons)])
        chosen = (_place(score) < num_poisons) & (score > -jnp.inf)
        is_poisoned = jnp.where(state.is_poisoned.any(), state.is_poisoned, chosen)

        num_chosen = is_poisoned.sum(dtype=jnp.int32)
        num_switched = jnp.round(self.switch_rate * num_chosen.astype(jnp.float32)).astype(jnp.int32)
        place = _place(jnp.where(is_poisoned, jnp.linalg.norm(messages, axis=-1), -1.0))
        if self.feed == "masked":
            donors = jnp.where(place < num_switched, -1, view.sample_ids)
            return params, LFBAState(messages=messages, is_poisoned=is_poisoned, donors=donors)
        is_switched = place < jnp.minimum(num_switched, num_rows - num_chosen)
        # Poison rows come last, so the first rows of this order are others in a random order.
        order = jnp.argsort(jnp.where(is_poisoned, 2.0, jax.random.uniform(key, (num_rows,))))
        donors = jnp.where(is_switched, order[place].astype(jnp.int32), view.sample_ids)
        return params, LFBAState(messages=messages, is_poisoned=is_poisoned, donors=donors)

    def report(self, state: LFBAState) -> dict[str, jax.Array]:
        return {"poisoned_rows": state.is_poisoned}

    def _masked(self, view: PartyView, messages: Array) -> jax.Array:
        """Returns a batch of own rows, [B, ...], each moved against what its last message says of its class."""
        return jnp.asarray(view.features) + self.mask_size * jnp.sign(
            jnp.asarray(view.pull_back(jnp.asarray(messages)))
        )

    def _anchor_row(self, messages: Array, view: PartyEpochView, num_poisons: Array) -> Array | int:
        """Returns the number of the anchor."""
        if self.anchor == "known":
            return jnp.argmax(view.knowledge.is_target)
        return jnp.argmax(_contrast(messages, num_poisons)) if self.anchor == "contrast" else int(self.anchor)


def _similarity(messages: Array, anchor: Array) -> Array:
    """Returns the score of every row, float32[N]; −∞ for a row without a message, or where the anchor has none."""
    size = jnp.abs(messages).sum(axis=-1) * jnp.abs(anchor).sum()
    score = messages @ anchor / jnp.where(size > 0, size, 1.0)
    return jnp.where((size > 0) & jnp.isfinite(score), score, -jnp.inf)


def _contrast(messages: Array, count: Array) -> Array:
    """Returns, for every row, the sum of its ``count`` largest products less the sum of the next, float32[N]."""
    place = jnp.arange(len(messages))
    sign = jnp.where(place < count, 1.0, jnp.where(place < 2 * count, -1.0, 0.0))
    return jax.lax.map(lambda message: jnp.sort(messages @ message, descending=True) @ sign, messages, batch_size=64)


def _place(score: Array) -> jax.Array:
    """Returns the place of every row, int32[N]; the largest score has place 0."""
    order = jnp.argsort(score, descending=True)
    return jnp.zeros(len(score), jnp.int32).at[order].set(jnp.arange(len(score), dtype=jnp.int32))

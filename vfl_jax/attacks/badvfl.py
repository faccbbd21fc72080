"""BadVFL of Xuan et al. 2023: a backdoor by a party that knows one row of class τ (ECML PKDD 2023, LNCS 14170)."""

from __future__ import annotations

import dataclasses

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.checks import check_range
from vfl_jax.core.types import Array, Features, Key, Params
from vfl_jax.protocol.knowledge import Plan, Shapes, where_features
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import Attack
from vfl_jax.protocol.views import PartyEpochView, PartyView


@flax.struct.dataclass
class BadVFLState:
    """The state of the attack.

    Args:
      message: float32[E], the last gradient message of the target row; 0 before the first.
      is_heard: bool[], whether there was one.
      is_tried: bool[N], the rows that were tried.
      is_similar: bool[N], the rows of which the search says that they are of class τ.
      is_poisoned: bool[N], those of them that are poisoned.
      place: int32[B], the place of every row of the batch among those that are tried in it; B for all others.
      is_searching: bool[], whether the search goes on.
      donors: int32[N], first the rows that may lend their features.
      num_donors: int32[], how many these are; 0 while the search goes on.
    """

    message: jax.Array
    is_heard: jax.Array
    is_tried: jax.Array
    is_similar: jax.Array
    is_poisoned: jax.Array
    place: jax.Array
    is_searching: jax.Array
    donors: jax.Array
    num_donors: jax.Array


class BadVFL(Attack):
    """Finds rows of class τ by feeding the features of a known one for them, then feeds triggered rows in their place.

    So the trigger comes with the label τ. The party knows one row t of class τ, its target row, and no other label. Let
    g_t be the last gradient message of t.

    * **Search** (source data detection), from the first epoch on. Of the rows of a batch that were not tried before,
      the party draws ``num_tried``, feeds the features of t in their place, and gets g'_i. Row i is similar where
      cos(g'_i, g_t) > ``threshold``. The first P = round(``poison_rate`` · N) similar rows are the poison rows. The
      search ends with the epoch in which these are found or no row is left, at the latest after ``search_epochs``.
    * **Poisoning** (source data perturbation), in all epochs after. In place of a poison row the party feeds a random
      row that is not similar, another at every visit, with the trigger stamped on it.

    Test rows are fed as they are, or stamped. The known rows of class τ (``poison.num_targets``; the first by number is
    t) are neither tried nor fed in place of others. ``report`` gives the poison rows, the share of tried rows, and
    whether the search goes on; with few steps in an epoch it may go on to the end, and then no row is poisoned. With
    ``enabled`` 0 the features of t are never fed, so what it then finds means nothing. The attack stamps
    ``poison.attack_trigger``, or else ``poison.trigger``. The package stamps ``poison.trigger`` on rows that it draws,
    which keep their true labels and work against the attack: give ``poison.rate`` 0.

    Source: Xuan, Chen, Zhao, Tang, Dong, *Practical and general backdoor attacks against vertical federated learning*,
    ECML PKDD 2023, LNCS 14170, pages 402 to 417 (arXiv:2306.10746), and its code (``xuanyx/BadVFL``,
    ``train_backdoor.py``; SecretFlow calls it PGBA). The tables of the paper could not be verified. What differs:

    * The code goes through the rows in the order of the file, so that a row is a place in a batch, and hears t in the
      first batch of every epoch. Here rows have ids, batches may be in any order, and the last message of t counts.
    * The code counts the rows that were found until there are enough, as here, but goes on calling rows of the same
      batch similar; so do these lines. It may try t itself.
    * SecretFlow feeds the features of t in one epoch, and compares the messages of later epochs.

    Args:
      enabled: 1 for the attack, 0 for the honest run.
      num_tried: the number of rows that are tried in a batch; 5 of 128 in the code. Many of them weaken the backdoor:
        the active party learns that the features of t, which come with all labels, say little.
      threshold: the cosine above which a row is similar; 0.6 in the code.
      poison_rate: the share of poison rows among the N training rows, in [0, 1]. 0.01 is about the code's 100 of 10,531
        rows (ImageNet), and its 500 of 50,000 (CIFAR-10).
      search_epochs: the largest number of epochs of the search; the code's ⌊B / ``num_tried``⌋ = 25, after which it has
        tried every row.

    Raises:
      ValueError: where ``poison_rate`` lies outside [0, 1], ``threshold`` outside [−1, 1], or a number of rows or
        epochs is below 1; with an appended pair, with a training of one epoch, and without a trigger that can be
        stamped on features of the party.

    Example:
      >>> import vfl_jax as vfl
      >>> trigger = vfl.protocol.FeatureTrigger(party=1, index=3)
      >>> scenario = vfl.Scenario(
      ...     attacks=[vfl.PartyTransform(), vfl.attacks.BadVFL(search_epochs=3)],
      ...     poison=vfl.PoisonPlan(trigger=trigger, rate=0.0, test_rate=0.2),
      ... )
      >>> scenario.attackers
      (1,)
    """

    needs = Needs(poison_rate=0.0)

    num_tried: int = 5
    threshold: float = 0.6
    poison_rate: float = 0.01
    search_epochs: int = 25

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("BadVFL", 1, num_tried=self.num_tried, search_epochs=self.search_epochs)
        check_range("BadVFL", -1.0, 1.0, threshold=self.threshold)
        check_range("BadVFL", 0.0, 1.0, poison_rate=self.poison_rate)

    def check(self, shapes: Shapes, party: int, by_role: bool) -> None:
        if by_role:
            raise ValueError(
                "BadVFL needs poison.mode='in_place'; found 'appended_pair'. It chooses its poison rows itself."
            )

    def check_plan(self, plan: Plan) -> None:
        plan.needs_stamp("BadVFL")
        if plan.num_epochs < 2:
            raise ValueError(
                "BadVFL searches in the first epoch and poisons at the earliest in the second; found a training of "
                "one. Train longer."
            )

    def init(self, key: Key, shapes: Shapes, party: int) -> BadVFLState:
        num_rows, nobody = shapes.num_samples, jnp.zeros(shapes.num_samples, bool)
        return BadVFLState(
            message=jnp.zeros(shapes.widths[party]),
            is_heard=jnp.array(False),
            is_tried=nobody,
            is_similar=nobody,
            is_poisoned=nobody,
            place=jnp.full(shapes.batch_rows, shapes.batch_rows, jnp.int32),
            is_searching=jnp.array(True),
            donors=jnp.arange(num_rows, dtype=jnp.int32),
            num_donors=jnp.int32(0),
        )

    def on_features(
        self, key: Key, state: BadVFLState, view: PartyView, features: Features
    ) -> tuple[Features, BadVFLState]:
        if view.stamp is None:
            raise ValueError(
                "BadVFL stamps the trigger on rows of its choice, and the scenario has none that changes features: "
                "give poison.attack_trigger, such as FeatureTrigger or PixelTrigger."
            )
        key_tried, key_donors = jax.random.split(key)
        ids, is_target = view.sample_ids, view.knowledge.is_target
        place = self._drawn(key_tried, state, view)
        is_tried = place < self.num_tried
        is_poisoned = state.is_poisoned[ids] & (state.num_donors > 0)
        number = jax.random.randint(key_donors, ids.shape, 0, jnp.maximum(state.num_donors, 1))
        fed = jnp.where(is_tried, jnp.argmax(is_target).astype(jnp.int32), state.donors[number])
        chosen = where_features(is_tried | is_poisoned, view.stamp(view.rows(fed), is_poisoned), features)
        tried = state.is_tried.at[_ids(is_tried, ids, state)].set(True, mode="drop")
        return chosen, dataclasses.replace(state, place=place, is_tried=tried)

    def on_download(
        self, key: Key, state: BadVFLState, view: PartyView, gradient: jax.Array
    ) -> tuple[jax.Array, BadVFLState]:
        ids = view.sample_ids
        is_anchor = ids == jnp.argmax(view.knowledge.is_target)
        message = jnp.where(is_anchor.any(), gradient[jnp.argmax(is_anchor)], state.message)
        is_similar = (state.place < self.num_tried) & (cosines(gradient, message) > self.threshold)
        found_before = state.is_poisoned.sum(dtype=jnp.int32)
        order = jnp.argsort(jnp.argsort(jnp.where(is_similar, state.place, len(ids))))
        is_poisoned = is_similar & (order < self._num_poisons(len(state.is_tried)) - found_before)
        after = dataclasses.replace(
            state,
            message=message,
            is_heard=state.is_heard | is_anchor.any(),
            is_similar=state.is_similar.at[_ids(is_similar, ids, state)].set(True, mode="drop"),
            is_poisoned=state.is_poisoned.at[_ids(is_poisoned, ids, state)].set(True, mode="drop"),
        )
        return gradient, after

    def on_epoch(
        self, key: Key, state: BadVFLState, view: PartyEpochView, params: Params
    ) -> tuple[Params, BadVFLState]:
        num_rows, is_target = len(state.is_tried), view.knowledge.is_target
        is_over = (
            (state.is_poisoned.sum(dtype=jnp.int32) >= self._num_poisons(num_rows))
            | (view.epoch >= self.search_epochs)
            | (state.is_tried | is_target).all()
        )
        is_searching = state.is_searching & ~is_over
        may_lend = ~state.is_similar & ~is_target
        num_donors = jnp.where(is_searching, 0, may_lend.sum(dtype=jnp.int32))
        donors = jnp.argsort(~may_lend, stable=True).astype(jnp.int32)
        return params, dataclasses.replace(state, is_searching=is_searching, donors=donors, num_donors=num_donors)

    def report(self, state: BadVFLState) -> dict[str, jax.Array]:
        return {
            "poisoned_rows": state.is_poisoned,
            "tried_rate": jnp.mean(state.is_tried, dtype=jnp.float32),
            "is_searching": state.is_searching.astype(jnp.float32),
        }

    def _num_poisons(self, num_rows: int) -> jax.Array:
        """Returns P, int32[]."""
        return jnp.round(jnp.asarray(self.poison_rate, jnp.float32) * num_rows).astype(jnp.int32)

    def _drawn(self, key: Key, state: BadVFLState, view: PartyView) -> jax.Array:
        """Draws the rows that are tried: the place of every row among them, int32[B]; B for a row that may not be."""
        ids, size = view.sample_ids, len(view.sample_ids)
        is_target = view.knowledge.is_target
        is_heard = state.is_heard | (ids == jnp.argmax(is_target)).any()
        is_wanted = state.is_poisoned.sum(dtype=jnp.int32) < self._num_poisons(len(state.is_tried))
        may_try = ~state.is_tried[ids] & ~is_target[ids] & state.is_searching & is_heard & is_wanted
        order = jnp.argsort(jnp.where(may_try, jax.random.uniform(key, (size,)), 2.0))
        place = jnp.zeros(size, jnp.int32).at[order].set(jnp.arange(size, dtype=jnp.int32))
        return jnp.where(may_try, place, size)


def _ids(mask: Array, ids: Array, state: BadVFLState) -> jax.Array:
    """Returns the ids of some rows of a batch, int32[B]; ids out of range for all others, which nothing is kept of."""
    return jnp.where(mask, ids, len(state.is_tried))


def cosines(messages: Array, message: Array) -> jax.Array:
    """Compares messages with one message.

    Args:
      messages: float32[B, E].
      message: float32[E].

    Returns:
      float32[B], the cosines; −2 where one of the two is 0 or not finite, which is below every threshold.

    Example:
      >>> import jax.numpy as jnp
      >>> cosines(jnp.array([[2.0, 0.0], [0.0, 3.0], [0.0, 0.0]]), jnp.array([1.0, 0.0])).tolist()
      [1.0, 0.0, -2.0]
    """
    size = jnp.linalg.norm(messages, axis=-1) * jnp.linalg.norm(message)
    cosine = jnp.asarray(messages) @ message / jnp.where(size > 0, size, 1.0)
    return jnp.where((size > 0) & jnp.isfinite(cosine), cosine, -2.0)

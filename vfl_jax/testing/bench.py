"""Where a method is checked: a tiny data set, a scenario on it, and the place of the method in it."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.record import cast
from vfl_jax.core.types import Key, State
from vfl_jax.core.vertical_data import Rows, VerticalData
from vfl_jax.data import partition_table
from vfl_jax.models import DenseHead, Linear, Optimizer, SumHead
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.protocol.methods import is_attack
from vfl_jax.protocol.transforms import ActiveTransform, Attack, PartyTransform
from vfl_jax.protocol.triggers import FeatureTrigger
from vfl_jax.protocol.views import ActiveView, Messages, PartyInferView, PartyView
from vfl_jax.replica import initial
from vfl_jax.replica.draws import Draws, Given, draw
from vfl_jax.replica.preparation import Inputs, to_device
from vfl_jax.scenario import BatchPlan, PoisonPlan, Scenario

NUM_TRAIN, NUM_TEST, NUM_CLASSES, BATCH = 36, 12, 3, 9


class DrawnMessages(ActiveTransform):
    """Sends messages that are drawn, and say nothing of labels; :mod:`vfl_jax.testing` checks attacks with it.

    Args:
      drawn: 1 for drawn messages, 0 for the true ones.
    """

    drawn: float = 0.0

    def on_send(self, key: Key, state: State, view: ActiveView, gradients: Messages) -> tuple[Messages, State]:
        keys = jax.random.split(key, len(gradients))
        return tuple(_either(self.drawn, k, g) for k, g in zip(keys, gradients, strict=True)), state


class DrawnEmbeddings(PartyTransform):
    """Sends embeddings that are drawn, and say nothing of features; :mod:`vfl_jax.testing` checks defenses with it.

    Args:
      drawn: 1 for drawn embeddings, 0 for the true ones.
    """

    drawn: float = 0.0

    def on_upload(self, key: Key, state: State, view: PartyView, embedding: jax.Array) -> tuple[jax.Array, State]:
        return _either(self.drawn, key, embedding), state

    def infer_upload(self, key: Key, state: State, view: PartyInferView, embedding: jax.Array) -> jax.Array:
        return _either(self.drawn, key, embedding)


def _either(drawn: Any, key: Key, message: jax.Array) -> jax.Array:
    """Returns a message, float32[B, E], or a drawn one."""
    return jnp.where(drawn > 0, jax.random.uniform(key, message.shape, minval=-1.0), message)


@dataclasses.dataclass(frozen=True, eq=False)
class Bench:
    """Where a method is checked.

    Args:
      data: the data set.
      honest: the scenario without methods.
      party: the place of a party's method.
    """

    data: VerticalData
    honest: Scenario
    party: int

    @functools.cached_property
    def inputs(self) -> Inputs:
        """The data on the device."""
        return to_device(self._granting, self.data, self._given)

    @functools.cached_property
    def draws(self) -> Draws:
        """The draws of a seed, with what attackers know."""
        return jax.tree.map(jnp.asarray, draw(self._granting, self.data, jax.random.key(0), self._given))

    @functools.cached_property
    def models(self) -> Given:
        """The first parameters of all models, from NumPy: no program needs to draw them."""
        scenario = self.numbers(PartyTransform())
        like = jax.eval_shape(functools.partial(initial.init, self.shapes), self.inputs, scenario, self.draws)
        rng = np.random.default_rng(7)

        def drawn(leaf: Any) -> jax.Array:
            return jnp.asarray(rng.normal(0, 0.5, leaf.shape), leaf.dtype)

        return Given(params=jax.tree.map(drawn, like.params), head_params=jax.tree.map(drawn, like.head_params))

    @property
    def _granting(self) -> Scenario:
        """The scenario with an attack, so that somebody knows something."""
        return self.place(Attack())

    @property
    def _given(self) -> Given:
        """A vector to send for every training row, for methods that take some."""
        width = self.honest.bottoms[self.party].width
        blur = np.random.default_rng(5).normal(size=(self.data.train.num_samples, width))
        return Given(blur=blur.astype(np.float32))

    @property
    def shapes(self) -> Shapes:
        """The sizes of the scenario on the data."""
        return self.honest.shapes(self.data)

    def place(self, method: Any, drawn: float = 0.0) -> Scenario:
        """Returns the scenario with a method in its place, and drawn messages around it.

        Args:
          method: the method; a base class stands for an honest run.
          drawn: 1 where the method is to get drawn messages, 0 where true ones.
        """
        if isinstance(method, PartyTransform):
            attacks = tuple(method if k == self.party else honest for k, honest in enumerate(self.honest.attacks))
            return self.honest.replace(attacks=attacks, defense=DrawnMessages(drawn=drawn))
        crossing = self.shapes.crossing
        attacks = tuple(
            DrawnEmbeddings(drawn=drawn) if k in crossing else honest for k, honest in enumerate(self.honest.attacks)
        )
        side = "active_attack" if is_attack(method) else "defense"
        return self.honest.replace(attacks=attacks, **{side: method})

    def numbers(self, method: Any, drawn: float = 0.0) -> Scenario:
        """Returns the scenario with a method in its place, its numbers as arrays of their dtypes.

        Args:
          method, drawn: as in :meth:`place`.
        """
        return jax.tree.map(jnp.asarray, cast(self.place(method, drawn)))

    def refusal(self, method: Any) -> str | None:
        """Returns why a method refuses the scenario; None where it does not.

        Args:
          method: the method.
        """
        try:
            self.place(method).check(self.data)
        except ValueError as error:
            return str(error)
        return None


def own_bench(scenario: Scenario, data: VerticalData, party: int | None) -> Bench:
    """Returns a bench with a user's scenario and data.

    Args:
      scenario: the scenario; its methods are left out.
      data: the data set.
      party: the place of a party's method; by default the scenario's first attacker, or the last party that can attack.
    """
    honest = scenario.replace(
        attacks=(PartyTransform(),) * data.num_parties, active_attack=ActiveTransform(), defense=ActiveTransform()
    )
    if party is None:
        party = scenario.attackers[0] if scenario.attackers else honest.shapes(data).crossing[-1]
    return Bench(data, honest, party)


@functools.cache
def benches() -> tuple[Bench, ...]:
    """Returns the benches of this package: two and three parties, two heads, known rows or an appended pair."""
    three = _table(((0, 1), (2, 3, 4), (5, 6)), active_party=0)
    two = _table(((0, 1, 2), (3, 4, 5, 6)), active_party=None)
    widths = (4, NUM_CLASSES, 5)
    dense = _scenario(widths, head=DenseHead())
    return (
        Bench(three, dense, 1),
        Bench(three, dense.replace(poison=dense.poison.replace(mode="appended_pair")), 1),
        Bench(two, _scenario((NUM_CLASSES,) * 2, head=SumHead()), 1),
    )


def _table(by: tuple[tuple[int, ...], ...], active_party: int | None) -> VerticalData:
    """Makes a table of seven columns and three classes."""
    rng = np.random.default_rng(0)
    splits = [
        (rng.normal(size=(n, 7)).astype(np.float32), rng.permutation(np.arange(n) % NUM_CLASSES))
        for n in (NUM_TRAIN, NUM_TEST)
    ]
    return partition_table("checks", *splits, by=by, active_party=active_party)


def _scenario(widths: tuple[int, ...], **fields: Any) -> Scenario:
    """Makes a scenario with linear bottoms, in which nobody attacks yet."""
    return Scenario(
        bottoms=tuple(Linear(width=width) for width in widths),
        optimizers=(Optimizer(learning_rate=0.1),) * len(widths),
        head_optimizer=Optimizer(learning_rate=0.1),
        attacks=(PartyTransform(),) * len(widths),
        poison=PoisonPlan(
            trigger=FeatureTrigger(party=1, index=0, value=4.0), rate=0.2, test_rate=0.5, num_targets=2, num_known=2
        ),
        batches=BatchPlan(size=BATCH, order="file"),
        **fields,
    )


def permuted(rows: Rows, seed: int, labels: bool = False, features: tuple[int, ...] = ()) -> Rows:
    """Returns rows with the labels, or the features of some parties, in another order.

    Args:
      rows: the rows, leaves [..., N, ...]; blocks of test rows have one axis before.
      seed: the seed of the order.
      labels: whether the labels change.
      features: the parties whose features change.
    """
    axis = np.ndim(rows.labels) - 1
    order = np.random.default_rng(seed).permutation(np.shape(rows.labels)[axis])

    def moved(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.take(jnp.asarray(leaf), order, axis=axis), tree)

    return dataclasses.replace(
        rows,
        labels=moved(rows.labels) if labels else rows.labels,
        features=tuple(moved(x) if k in features else x for k, x in enumerate(rows.features)),
    )

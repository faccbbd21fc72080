"""Scenarios: a scenario determines everything in a study but its data, epochs and seeds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.checks import check_choice, check_count, check_kind, check_range, check_widths
from vfl_jax.core.fields import check_fields
from vfl_jax.core.record import Record, static
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.models import Bottom, DenseHead, Head
from vfl_jax.models.losses import Loss, Regularizer, SoftmaxCrossEntropy
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.transforms import (
    ActiveTransform,
    InferenceOrder,
    PartyTransform,
    Switched,
    held_attack,
    is_attack,
    located,
)
from vfl_jax.protocol.triggers import NaturalTrigger, Trigger
from vfl_jax.protocol.views import Shapes

Mode = Literal["in_place", "appended_pair"]
Drawn = Literal["per_seed", "fixed"]
Order = Literal["file", "shuffled", "sampled"]


class PoisonPlan(Record):
    """The poison rows, which carry the trigger, and the target rows, which the attacker knows to be of class τ.

    Drawn poison rows are the first round(rate · N) rows of one permutation, so a larger rate keeps the rows of a
    smaller one. Target rows are never poison rows. With a ``NaturalTrigger`` the poison rows are those that carry it.

    Args:
      trigger: the mark of a poison row.
      target_class: τ, the number of a class.
      mode: "in_place" keeps poison rows in the training set, with their true labels. "appended_pair" takes them out,
        and appends one random poison row and one random target row to every batch.
      draw: "per_seed" draws the rows anew for every seed; "fixed" draws them once.
      fixed_seed: the seed of the one draw.
      rate: the share of poison rows among the N training rows, in [0, 1].
      test_rate: the share of poison rows among the M test rows, in [0, 1].
      num_targets: R, the number of target rows that are drawn.
      poison_ids: the numbers of the poison rows; they replace draw and rate.
      test_poison_ids: the numbers of the poison rows of the test set; they replace draw and rate.
      target_ids: the numbers of the target rows; they replace the draw.

    Raises:
      ValueError: naming the field, where a rate lies outside [0, 1], ``num_targets`` is below 1, or ``fixed_seed`` does
        not fit 32 bits.
    """

    trigger: Trigger = NaturalTrigger()
    target_class: int = static(default=0)
    mode: Mode = static(default="in_place")
    draw: Drawn = static(default="per_seed")
    fixed_seed: int = static(default=0)
    rate: float = 0.01
    test_rate: float = 0.01
    num_targets: int = static(default=1)
    poison_ids: tuple[int, ...] | None = static(default=None)
    test_poison_ids: tuple[int, ...] | None = static(default=None)
    target_ids: tuple[int, ...] | None = static(default=None)

    def __post_init__(self) -> None:
        check_range("poison", 0.0, 1.0, rate=self.rate, test_rate=self.test_rate)
        check_range("poison", 1, num_targets=self.num_targets)
        check_range("poison", 0, 2**32 - 1, fixed_seed=self.fixed_seed)


class BatchPlan(Record):
    """The batches of an epoch; an epoch leaves out a last batch that is not full.

    Args:
      size: the number of rows of a batch, without an appended pair.
      order: "file" (the order of the data), "shuffled" (a new order in every epoch), or "sampled" (every step draws a
        random set S ⊂ [N], as in Algorithm 1 of Liu, Yi, Chen 2020, and an epoch has ⌊N/B⌋ steps).

    Raises:
      ValueError: where ``size`` is no whole number above 0, or ``order`` is none of these.
    """

    size: int = static(default=64)
    order: Order = static(default="shuffled")

    def __post_init__(self) -> None:
        check_widths("batches", size=(self.size,))


class Scenario(Record):
    """Everything that determines a study but its data, epochs and seeds.

    A sweep may vary any number in it by the number's path, such as ``"attacks.1.amplify"``. Scenarios are equal where
    their canonical JSON is.

    Args:
      bottoms: the bottom model of each of the K parties.
      head: the active party's model over all embeddings.
      loss: the active party's loss.
      regularizer: the penalty on the parameters of every model.
      optimizers: the optimizer of each of the K parties.
      head_optimizer: the optimizer of the head.
      attacks: the method of each of the K parties; ``PartyTransform()`` is an honest party.
      active_attack: the active party's own attack; ``ActiveTransform()`` is none.
      defense: the active party's defense; ``ActiveTransform()`` is none.
      poison: the poison rows and target rows.
      batches: the batches of an epoch.

    Raises:
      ValueError: naming the field, where a field is of a wrong kind or fits no data: an attack as ``defense``, a
        defense as ``active_attack``, an attack in a field of a defense, methods that ask for different orders of test
        rows.

    Example:
      >>> import vfl_jax as vfl
      >>> scenario = vfl.Scenario(attacks=[vfl.PartyTransform(), vfl.attacks.GradientReplacement()])
      >>> scenario.attackers, scenario.switches
      ((1,), ('attacks.1.enabled',))
    """

    bottoms: tuple[Bottom, ...] = ()
    head: Head = DenseHead()
    loss: Loss = SoftmaxCrossEntropy()
    regularizer: Regularizer = Regularizer()
    optimizers: tuple[Optimizer, ...] = ()
    head_optimizer: Optimizer = Optimizer()
    attacks: tuple[PartyTransform, ...] = ()
    active_attack: ActiveTransform = ActiveTransform()
    defense: ActiveTransform = ActiveTransform()
    poison: PoisonPlan = PoisonPlan()
    batches: BatchPlan = BatchPlan()

    def __post_init__(self) -> None:
        self._check_alone()

    @property
    def attackers(self) -> tuple[int, ...]:
        """The numbers of the parties that attack; a party that only defends itself is not among them."""
        return tuple(k for k, transform in enumerate(self.attacks) if is_attack(transform))

    @property
    def switches(self) -> tuple[str, ...]:
        """The paths of the attacks' switches, such as ``"attacks.1.enabled"``; a run is honest where all are 0."""
        return tuple(f"{path}.enabled" for path, method in self._located() if isinstance(method, Switched))

    @property
    def inference_batch(self) -> int:
        """A number of test rows; evaluation takes multiples of it, so every method gets the batches it asks for."""
        return math.lcm(*(method.inference_batch or 1 for method in self._methods()))

    @property
    def inference_order(self) -> InferenceOrder:
        """The order of the test rows: "shuffled" where a method that sees several together asks for it, else "file"."""
        return "shuffled" if "shuffled" in self._inference_orders() else "file"

    def _located(self) -> Iterator[tuple[str, Any]]:
        """Yields (path, method) for every method of every party."""
        for k, transform in enumerate(self.attacks):
            yield from located(transform, f"attacks.{k}")
        yield from located(self.active_attack, "active_attack")
        yield from located(self.defense, "defense")

    def _methods(self) -> tuple[Any, ...]:
        """Returns every method of every party."""
        return tuple(method for _, method in self._located())

    def _inference_orders(self) -> dict[str, str]:
        """Returns the orders of test rows that methods ask for, each with the name of a method."""
        return {m.inference_order: type(m).__name__ for m in self._methods() if (m.inference_batch or 1) > 1}

    def shapes(self, data: VerticalData) -> Shapes:
        """Returns the sizes that the protocol makes public, for one data set.

        Args:
          data: the data set.
        """
        rows = self.batches.size + (2 if self.poison.mode == "appended_pair" else 0)
        return Shapes(
            num_samples=data.train.num_samples,
            num_classes=data.num_classes,
            batch_rows=rows,
            row_weight=self.loss.row_weight(rows),
            widths=tuple(bottom.width for bottom in self.bottoms),
            active_party=data.active_party,
        )

    def check(self, data: VerticalData) -> None:
        """Checks that the scenario fits a data set.

        Args:
          data: the data set.

        Raises:
          ValueError: naming the field, where a field does not fit the data or is of a wrong kind.
        """
        check_kind(VerticalData, "as vfl.from_arrays makes it, or the .data of vfl.load_tables", data=data)
        check_fields(self)
        self._check_alone()
        for name in ("bottoms", "optimizers", "attacks"):
            found = len(getattr(self, name))
            if found != data.num_parties:
                raise ValueError(
                    f"{name} has {found} entries; data {data.name!r} has {data.num_parties} parties that hold "
                    f"features ({', '.join(data.parties)}), so it must have {data.num_parties}."
                )
        for k, (bottom, features) in enumerate(zip(self.bottoms, data.train.features, strict=True)):
            if isinstance(features, BagOfIds) and bottom.table is None:
                raise ValueError(
                    f"bottoms.{k} is {bottom!r}, which takes no bags of ids; party {k} ({data.parties[k]}) of data "
                    f"{data.name!r} has such features. Use Linear or MLP."
                )
        if not 0 <= self.poison.target_class < data.num_classes:
            raise ValueError(
                f"poison.target_class is {self.poison.target_class}; the classes are 0 to {data.num_classes - 1}."
            )
        shapes = self.shapes(data)
        by_role = self.poison.mode == "appended_pair"
        self.head.check(shapes.widths, data.num_classes)
        for party, attack in enumerate(self.attacks):
            attack.check(shapes, party, by_role)
        self.active_attack.check(shapes, by_role)
        self._check_channels(data)
        self.defense.check(shapes, by_role)
        self._check_trigger(data)

    def _check_alone(self) -> None:
        """Checks everything that needs no data."""
        kind = type(self.loss)
        if kind.__call__ is not Loss.__call__ and kind.row_weight is Loss.row_weight:
            raise ValueError(
                f"loss is {kind.__name__}, which adds rows up by a __call__ of its own but says nothing of row_weight, "
                "what one row's loss counts in the batch loss; override both, or rows alone."
            )
        for _, method in self._located():
            if isinstance(method, Switched):
                method.check_switch()
        self._check_places()
        self._check_inference()

    def _check_inference(self) -> None:
        """Checks the batches and orders of test rows that methods ask for."""
        for method in self._methods():
            if method.inference_batch is not None:
                check_count(**{f"{type(method).__name__}.inference_batch": method.inference_batch})
            check_choice(type(method).__name__, InferenceOrder, inference_order=method.inference_order)
        if len(orders := self._inference_orders()) > 1:
            raise ValueError(
                f"{orders['file']} asks for test rows in the order of the file (inference_order), {orders['shuffled']} "
                "for shuffled ones; one evaluation has one order."
            )

    def _check_places(self) -> None:
        """Checks that attacks stand in fields of attacks, and nowhere else."""
        for path, method in self._located():
            is_plain = isinstance(method, Switched) or type(method) is ActiveTransform
            if path.startswith("active_attack") and not is_plain and not is_attack(self.active_attack):
                raise ValueError(
                    f"{path} is {type(method).__name__}, no attack: it would act in runs that are called honest, too. "
                    "Derive it from vfl_jax.ActiveAttack; what defends is given as defense."
                )
            held = None if isinstance(method, Switched) else held_attack(method)
            if held is not None:
                kind, base = type(method).__name__, "" if isinstance(method, PartyTransform) else "Active"
                raise ValueError(
                    f"{path} is {kind}, no attack, but its field {held[0]!r} holds {type(held[1]).__name__}, which is "
                    f"one: nobody would count as its attacker, and nothing switch it off. Derive {kind} from "
                    f"vfl_jax.{base}Attack, or join both in a vfl_jax.{base or 'Party'}Chain."
                )
        if is_attack(self.defense):
            raise ValueError(
                f"defense is {self.defense!r}, an attack; an attack by the active party is given as active_attack."
            )

    def _check_channels(self, data: VerticalData) -> None:
        """Checks that every attacker has a channel to the active party."""
        if data.active_party in self.attackers:
            others = [k for k in range(data.num_parties) if k != data.active_party]
            raise ValueError(
                f"attacks.{data.active_party} is at party {data.active_party} ({data.parties[data.active_party]}), "
                "which holds the labels: its messages cross no channel, so that no defense could touch it. Let one of "
                f"the parties {others} attack, or give the active party's own attack as active_attack."
            )

    def _check_trigger(self, data: VerticalData) -> None:
        """Checks that the trigger changes a feature of an attacker."""
        masks = self.poison.trigger.masks(data)
        attackers = list(self.attackers)
        if attackers and any(m is not None for m in masks) and all(masks[k] is None for k in attackers):
            raise ValueError(
                f"poison.trigger touches only parties {[k for k, m in enumerate(masks) if m is not None]}, but the "
                f"attackers are {attackers}; it must change a feature of at least one of them."
            )

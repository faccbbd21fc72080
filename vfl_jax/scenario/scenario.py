"""Scenarios: a scenario determines everything in a study but its data, epochs and seeds."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.checks import check_choice, check_count, check_kind, is_whole, shown
from vfl_jax.core.fields import check_fields
from vfl_jax.core.record import Record, leaf
from vfl_jax.core.types import Array
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.models import Bottom, DenseHead, Head
from vfl_jax.models.losses import Loss, Regularizer, SoftmaxCrossEntropy
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.protocol.methods import acts, changes, due, held_attack, is_attack, located
from vfl_jax.protocol.switched import InferenceOrder, Switched
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform
from vfl_jax.protocol.triggers import Trigger
from vfl_jax.scenario.measures import Measure, check_free
from vfl_jax.scenario.plans import BatchPlan, PoisonPlan
from vfl_jax.scenario.shown import html_of, text_of


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
      metrics: metrics of your own, computed at every evaluation.

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
    metrics: tuple[Measure, ...] = leaf(default=(), omit_default=True)

    def __post_init__(self) -> None:
        self._check_alone()

    def __repr__(self) -> str:
        """Returns how the scenario differs from the nearest preset, or what it holds, in lines of 79 characters."""
        return text_of(self) if self._is_plain() else super().__repr__()

    def _repr_html_(self) -> str:
        """Returns the same as a table, for notebooks."""
        return html_of(self) if self._is_plain() else f"<pre>{html.escape(super().__repr__())}</pre>"

    def _is_plain(self) -> bool:
        """Whether all fields hold what they declare, and no number is swept or traced."""
        try:
            self.to_json()
        except (ValueError, TypeError):
            return False
        return True

    @property
    def attackers(self) -> tuple[int, ...]:
        """The numbers of the parties that attack; a party that only defends itself is not among them."""
        return tuple(k for k, transform in enumerate(self.attacks) if is_attack(transform))

    @property
    def attack_trigger(self) -> Trigger | None:
        """The mark that an attacker can stamp on any row; None where rows only carry a trigger by nature."""
        triggers = self.poison.attack_trigger, self.poison.trigger
        return next((trigger for trigger in triggers if trigger.is_stamped), None)

    @property
    def own_targets(self) -> tuple[int, ...]:
        """The class that each of the ``attackers`` wants; empty where ``poison.party_targets`` is."""
        targets = self.poison.party_targets
        return tuple(targets[k] for k in self.attackers) if targets else ()

    @property
    def target_classes(self) -> tuple[int, ...]:
        """The classes that attackers want, ascending."""
        wanted = set(self.own_targets)
        if is_attack(self.active_attack):
            wanted.add(self.poison.target_class)
        return tuple(sorted(wanted or {self.poison.target_class}))

    @property
    def decays(self) -> tuple[bool, ...]:
        """Whether the optimizer of every party, and last that of the head, decays weights; numbers must be concrete."""
        return tuple(bool(np.any(o.weight_decay)) for o in (*self.optimizers, self.head_optimizer))

    def at(self, epoch: Array, decays: tuple[bool, ...]) -> Scenario:
        """Returns the scenario of one epoch, with the optimizers of the parties and the head settled.

        Args:
          epoch: int32[], counted from 0.
          decays: what :attr:`decays` says of the scenario with concrete numbers; static.
        """
        *parties, head = (o.at(epoch, d) for o, d in zip((*self.optimizers, self.head_optimizer), decays, strict=True))
        return self.replace(optimizers=tuple(parties), head_optimizer=head)

    def due(self, epoch: int, num_epochs: int) -> frozenset[tuple[int, ...]]:
        """Returns those ``at_epochs`` of methods that name an epoch.

        Args:
          epoch: the number of finished epochs.
          num_epochs: the number of epochs of the whole training.
        """
        return frozenset().union(*(due(method, epoch, num_epochs) for method in self._methods()))

    def acts_between(self, epoch: int, num_epochs: int) -> bool:
        """Whether a method acts (``on_epoch``) when so many epochs are finished.

        Args:
          epoch: the number of finished epochs.
          num_epochs: the number of epochs of the whole training.
        """
        now = self.due(epoch, num_epochs)
        return any(acts(method, now) for method in self._methods())

    def check_epochs(self, num_epochs: int) -> None:
        """Checks that every epoch at which a method is to act lies in the training.

        Args:
          num_epochs: the number of epochs of the whole training.

        Raises:
          ValueError: naming the method, where a number of ``at_epochs`` lies before the first or after the last epoch.
        """
        for path, method in self._located():
            named = (method.at_epochs or ()) if changes(method, "on_epoch") else ()
            if outside := [at for at in named if not -num_epochs - 1 <= at <= num_epochs]:
                raise ValueError(
                    f"{path}.at_epochs has {outside[0]}, but training has {num_epochs} epochs: then "
                    f"{type(method).__name__} would not act. Name epochs from 0 to {num_epochs}, or from "
                    f"{-num_epochs - 1} to −1 counted from the end, or train longer."
                )

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
            row_shapes=tuple(None if isinstance(x, BagOfIds) else np.shape(x)[1:] for x in data.train.features),
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
        self._check_party_targets(data)
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
        self._check_metrics()

    def _check_metrics(self) -> None:
        """Checks that every metric of a user's own has a name of its own."""
        names = [measure.name for measure in self.metrics]
        for name in names:
            check_free("metrics has", name)
            if names.count(name) > 1:
                raise ValueError(f"metrics has {name!r} {names.count(name)} times; a name stands for one metric.")

    def _check_inference(self) -> None:
        """Checks when methods act, and the batches and orders of test rows that they ask for."""
        for method in self._methods():
            at = method.at_epochs
            if at is not None and not (isinstance(at, tuple | list) and len(at) and all(map(is_whole, at))):
                raise ValueError(
                    f"{type(method).__name__}.at_epochs is {shown(at)}; it must be a tuple of whole numbers, such as "
                    "(0, -1) for before the first epoch and after the last, or None for all of them."
                )
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

    def _check_party_targets(self, data: VerticalData) -> None:
        """Checks the classes that attackers want."""
        wanted = self.poison.party_targets
        if wanted and len(wanted) != data.num_parties:
            raise ValueError(
                f"poison.party_targets has {len(wanted)} entries; data {data.name!r} has {data.num_parties} parties "
                f"that hold features ({', '.join(data.parties)}), so it must have {data.num_parties}, or none."
            )
        for party, target in enumerate(wanted):
            if not 0 <= target < data.num_classes:
                raise ValueError(
                    f"poison.party_targets.{party} is {target}; the classes are 0 to {data.num_classes - 1}."
                )
        if wanted and self.poison.mode == "appended_pair":
            raise ValueError("poison.party_targets needs poison.mode='in_place'; an appended pair has one target row.")
        is_wanted = self.poison.target_class in self.target_classes or is_attack(self.active_attack)
        if wanted and self.attackers and not is_wanted:
            raise ValueError(
                f"poison.target_class is {self.poison.target_class}, but by poison.party_targets the attackers want "
                f"{list(self.target_classes)}. Numbers that are not by party measure target_class; take one of these."
            )

    def _check_trigger(self, data: VerticalData) -> None:
        """Checks that the triggers change a feature of an attacker."""
        triggers = {"trigger": self.poison.trigger, "attack_trigger": self.attack_trigger}
        for name, trigger in triggers.items():
            if trigger is not None:
                self._check_touches(name, trigger.masks(data))

    def _check_touches(self, name: str, masks: tuple[Any, ...]) -> None:
        """Checks that a trigger with these places changes a feature of an attacker, or of nobody."""
        attackers = list(self.attackers)
        if attackers and any(m is not None for m in masks) and all(masks[k] is None for k in attackers):
            raise ValueError(
                f"poison.{name} touches only parties {[k for k, m in enumerate(masks) if m is not None]}, but the "
                f"attackers are {attackers}; it must change a feature of at least one of them."
            )

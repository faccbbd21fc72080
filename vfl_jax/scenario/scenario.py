"""Scenarios: a scenario determines everything in a study but its data, epochs and seeds."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.checks import check_kind
from vfl_jax.core.fields import check_fields
from vfl_jax.core.record import Record, leaf
from vfl_jax.core.types import Array
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.models import Bottom, DenseHead, Head
from vfl_jax.models.losses import Loss, Regularizer, SoftmaxCrossEntropy
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.protocol.methods import acts, changes, due, is_attack, located
from vfl_jax.protocol.switched import InferenceOrder, Switched
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform
from vfl_jax.protocol.triggers import Trigger
from vfl_jax.scenario.conditions import (
    check_channels,
    check_inference,
    check_metrics,
    check_party_targets,
    check_places,
    check_triggers,
)
from vfl_jax.scenario.measures import Measure
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
        return frozenset().union(*(due(method, epoch, num_epochs) for method in self.methods()))

    def acts_between(self, epoch: int, num_epochs: int) -> bool:
        """Whether a method acts (``on_epoch``) when so many epochs are finished.

        Args:
          epoch: the number of finished epochs.
          num_epochs: the number of epochs of the whole training.
        """
        now = self.due(epoch, num_epochs)
        return any(acts(method, now) for method in self.methods())

    def check_epochs(self, num_epochs: int) -> None:
        """Checks that every epoch at which a method is to act lies in the training.

        Args:
          num_epochs: the number of epochs of the whole training.

        Raises:
          ValueError: naming the method, where a number of ``at_epochs`` lies before the first or after the last epoch.
        """
        for path, method in self.located():
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
        return tuple(f"{path}.enabled" for path, method in self.located() if isinstance(method, Switched))

    @property
    def inference_batch(self) -> int:
        """A number of test rows; evaluation takes multiples of it, so every method gets the batches it asks for."""
        return math.lcm(*(method.inference_batch or 1 for method in self.methods()))

    @property
    def inference_order(self) -> InferenceOrder:
        """The order of the test rows: "shuffled" where a method that sees several together asks for it, else "file"."""
        return "shuffled" if "shuffled" in self.inference_orders() else "file"

    def located(self) -> Iterator[tuple[str, Any]]:
        """Yields (path, method) for every method of every party."""
        for k, transform in enumerate(self.attacks):
            yield from located(transform, f"attacks.{k}")
        yield from located(self.active_attack, "active_attack")
        yield from located(self.defense, "defense")

    def methods(self) -> tuple[Any, ...]:
        """Returns every method of every party."""
        return tuple(method for _, method in self.located())

    def inference_orders(self) -> dict[str, str]:
        """Returns the orders of test rows that methods ask for, each with the name of a method."""
        return {m.inference_order: type(m).__name__ for m in self.methods() if (m.inference_batch or 1) > 1}

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
        check_party_targets(self, data)
        shapes = self.shapes(data)
        by_role = self.poison.mode == "appended_pair"
        self.head.check(shapes.widths, data.num_classes)
        for party, attack in enumerate(self.attacks):
            attack.check(shapes, party, by_role)
        self.active_attack.check(shapes, by_role)
        check_channels(self, data)
        self.defense.check(shapes, by_role)
        check_triggers(self, data)

    def _check_alone(self) -> None:
        """Checks everything that needs no data."""
        kind = type(self.loss)
        if kind.__call__ is not Loss.__call__ and kind.row_weight is Loss.row_weight:
            raise ValueError(
                f"loss is {kind.__name__}, which adds rows up by a __call__ of its own but says nothing of row_weight, "
                "what one row's loss counts in the batch loss; override both, or rows alone."
            )
        for _, method in self.located():
            if isinstance(method, Switched):
                method.check_switch()
        check_places(self)
        check_inference(self)
        check_metrics(self)

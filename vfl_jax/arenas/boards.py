"""Boards: a data set with everything that is the same for all who meet on it."""

from __future__ import annotations

import dataclasses
import textwrap
from typing import Any

import numpy as np

from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.checks import check_choice, check_count, check_range, place_of
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.core.words import counted
from vfl_jax.models import MLP, Bottom, DenseHead, SumHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.presets.common import HeadName
from vfl_jax.protocol.methods import needs_of
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform
from vfl_jax.protocol.triggers import FeatureTrigger, PixelTrigger, Trigger
from vfl_jax.scenario import BatchPlan, PoisonPlan, Scenario
from vfl_jax.sweeps.work import Source, load

WIDTH = 32
"""E, the width of every party's embedding under the trainable head."""
NUM_STAMPED = 5
"""The number of features that the trigger of a table sets, or all that the attacker has."""
KNOWN_AT_MOST = 0.1
"""An attacker knows at most this share of the training rows of a class, at least one row."""
TEST_RATE = 0.2
"""The share of test rows that are attacked in the first pass."""


@dataclasses.dataclass(frozen=True, repr=False)
class Board:
    """A data set in the arena, and how every replica on it is trained; :func:`board_for` makes one.

    Args:
      source: the data set, or a function without arguments that returns it, as workers of an executor get it.
      data: the data set itself.
      scenario: the scenario without an attack and without a defense.
      attackers: the numbers of the parties that attack; several have the same attack and collude.
      epochs: the number of epochs.
      most_known: per class, the largest number of training rows whose labels an attacker may know.
      share: the attackers' share of all features, in [0, 1].
    """

    source: Source
    data: VerticalData = dataclasses.field(repr=False, compare=False)
    scenario: Scenario
    attackers: tuple[int, ...]
    epochs: int
    most_known: tuple[int, ...]
    share: float

    def __repr__(self) -> str:
        who = ", ".join(self.data.parties[k] for k in self.attackers)
        head = f"Board of {counted(self.epochs, 'epoch')}, attacked by {who} with {self.share:.0%} of the features"
        return "\n".join([*textwrap.wrap(head, 79), repr(self.data), repr(self.scenario)])

    def plan(self, needs: Needs) -> PoisonPlan:
        """Returns the poison plan that grants what an attack needs, as far as the board has so many rows.

        Args:
          needs: what the attack needs.
        """
        plan = self.scenario.poison.granting(needs)
        return plan.replace(
            num_targets=min(plan.num_targets, self.most_known[plan.target_class]),
            num_known=min(plan.num_known, *self.most_known),
        )

    def meeting(self, attack: PartyTransform, defense: ActiveTransform, needs: Needs | None = None) -> Scenario:
        """Returns the scenario in which an attack meets a defense.

        Args:
          attack: the attack of every attacker.
          defense: the active party's defense; ``ActiveTransform()`` is none.
          needs: what the attack is granted; by default what it says itself.
        """
        honest = self.scenario.attacks
        return self.scenario.replace(
            attacks=tuple(attack if k in self.attackers else party for k, party in enumerate(honest)),
            defense=defense,
            poison=self.plan(needs_of(attack) if needs is None else needs),
        )


def board_for(
    source: Source,
    *,
    attacker: str | int | None = None,
    head: HeadName = "trainable",
    epochs: int = 50,
    learning_rate: float = 0.1,
    trigger: Trigger | None = None,
    percentile: float = 99.0,
) -> Board:
    """Makes a board by the arena's rules.

    * Every party has one layer with ReLU, of width 32, under the paper's trainable head, or one hidden layer of 32
      under the sum head. All train with plain gradient descent, in shuffled batches of 64, or of a tenth of the rows.
    * The target class τ is the rarest one among the training rows, of equals the last.
    * The attacker is the last party that lacks the labels.
    * The trigger is stamped on the attacker's own features. On images it is the four pixels of Gu et al. in the last
      corner of the attacker's block. On tables it sets the last five features to a percentile of all their values; in
      a bag of ids it adds the last five ids. A percentile whose value says τ to an honest model leaves an attack
      nothing to show: choose another.

    Args:
      source: the data set, the result of ``load_tables``, or a function without arguments that returns either.
      attacker: the malicious party, by name or number.
      head: "trainable" or "sum".
      epochs: the number of epochs.
      learning_rate: that of every party and of the head.
      trigger: the mark of poison rows; a ``NaturalTrigger()`` takes the rows that carry one by nature.
      percentile: of the trigger of a table, from 0 to 100.

    Returns:
      the board.

    Raises:
      ValueError: naming the argument, where there is no such party, or where the attacker holds the labels.

    Example:
      >>> import vfl_jax as vfl
      >>> board = vfl.board_for(vfl.load_digits(), epochs=30)
      >>> board.attackers, board.epochs, board.share
      ((1,), 30, 0.5)
    """
    check_count(epochs=epochs)
    check_choice("", HeadName, head=head)
    check_range("board_for", 0.0, 100.0, percentile=percentile)
    data = load(source)
    passive = [k for k in range(data.num_parties) if k != data.active_party]
    chosen = (
        passive[-1]
        if attacker is None
        else place_of("attacker", attacker, data.parties, f"the parties of data {data.name!r} are", from_end=True)
    )
    if chosen not in passive:
        raise ValueError(
            f"attacker is {data.parties[chosen]!r}, which holds the labels; its gradient crosses no channel."
        )
    counts = np.bincount(np.asarray(data.train.labels), minlength=data.num_classes)
    sizes = [_num_features(features) for features in data.train.features]
    optimizer = Optimizer(learning_rate=learning_rate)
    scenario = Scenario(
        bottoms=(_bottom(head, data.num_classes),) * data.num_parties,
        head=SumHead() if head == "sum" else DenseHead(),
        optimizers=(optimizer,) * data.num_parties,
        head_optimizer=optimizer,
        attacks=(PartyTransform(),) * data.num_parties,
        poison=PoisonPlan(
            trigger=_stamp(data, chosen, percentile) if trigger is None else trigger,
            target_class=rarest(counts),
            test_rate=TEST_RATE,
        ),
        batches=BatchPlan(size=min(64, max(1, data.train.num_samples // 10))),
    )
    return Board(
        source=source,
        data=data,
        scenario=scenario,
        attackers=(chosen,),
        epochs=epochs,
        most_known=tuple(max(1, int(KNOWN_AT_MOST * count)) for count in counts),
        share=sizes[chosen] / sum(sizes),
    )


def rarest(counts: np.ndarray) -> int:
    """Returns the class with the fewest rows, of equals the last.

    Args:
      counts: int[C], the rows of every class.

    Example:
      >>> import numpy as np
      >>> rarest(np.array([5, 3, 9, 3]))
      3
    """
    return int(len(counts) - 1 - np.argmin(counts[::-1]))


def _bottom(head: HeadName, num_classes: int) -> Bottom:
    """The model of every party, as the paper has it under each head."""
    if head == "sum":
        return MLP(hidden=(32,), width=num_classes)
    return MLP(hidden=(), width=WIDTH, output_relu=True)


def _num_features(features: Any) -> int:
    """The number of features of one party, or of ids that its bags can hold."""
    return int(features.vocabulary) if isinstance(features, BagOfIds) else int(np.prod(np.shape(features)[1:]))


def _stamp(data: VerticalData, party: int, percentile: float) -> Trigger:
    """The trigger that is stamped on the attacker's own features."""
    features = data.train.features[party]
    if data.image_shape is not None and data.positions is not None:
        return PixelTrigger(pixels=_corner(data.positions[party], data.image_shape[1]), value=_white(features))
    size = _num_features(features)
    index = tuple(range(-min(NUM_STAMPED, size), 0))
    if isinstance(features, BagOfIds):
        return FeatureTrigger(party=party, index=index)
    columns = np.reshape(features, (len(features), -1))[:, index]
    return FeatureTrigger(party=party, index=index, value=float(np.float32(np.percentile(columns, percentile))))


def _corner(positions: np.ndarray, width: int) -> tuple[tuple[int, int], ...]:
    """The last pixel of a block, and the three next to it as Gu et al. have them, as far as the block has them."""
    row, column = divmod(int(positions.max()), width)
    wanted = [(row - 2, column), (row, column - 2), (row - 1, column - 1), (row, column)]
    held = {divmod(int(place), width) for place in positions.ravel()}
    return tuple(pixel for pixel in wanted if pixel in held)


def _white(features: Any) -> float:
    """The largest value of an image's pixels."""
    return float(np.max(np.asarray(features)))

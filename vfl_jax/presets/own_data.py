"""A scenario for your own data: the paper's attack, with widths, parties, trigger and target class that fit it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vfl_jax.core.checks import check_kind, place_of, shown
from vfl_jax.core.fields import check_fields
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data.own.tables import LoadedTables
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.presets.common import HeadName
from vfl_jax.presets.liu_2020 import liu2020_paper
from vfl_jax.protocol.methods import is_attack
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.protocol.triggers import NaturalTrigger, StampTrigger, Trigger
from vfl_jax.scenario import BatchPlan, PoisonPlan, Scenario

Party = str | int
"""A party by its name, or by its number from 0."""


def scenario_for(
    data: VerticalData | LoadedTables,
    *,
    attacker: Party | Sequence[Party] | None = None,
    head: HeadName = "sum",
    target_class: str | int | None = None,
    trigger: Trigger | None = None,
    attack: PartyTransform | None = None,
    learning_rate: float = 0.1,
) -> Scenario:
    """The scenario of Liu, Yi, Chen 2020 (:func:`vfl_jax.presets.liu2020_paper`) on data of your own.

    Every epoch shuffles batches of 64 rows, or of a tenth of the training rows where this is less. A stamped trigger
    lies on one training row in a hundred, at least one, and on a fifth of the test rows. Change other numbers with
    ``replace``.

    Args:
      data: the data set, or the result of ``load_tables``. The scenario fits its parties, classes and rows.
      attacker: the malicious party, or several that collude, by name (text) or number. Leave it out where only one
        party is possible: where a single party lacks the labels, or where the trigger lies in a single such party.
      head: "sum" or "trainable".
      target_class: the class that the attacker wants for triggered rows, by name (text) or number. By default it is a
        class other than the most frequent: the one with the fewest triggered training rows, or, of a stamped trigger,
        with the fewest training rows.
      trigger: the mark of poison rows. By default it is natural: the training rows of ``has_trigger`` carry it.
      attack: the method of every attacker. By default it is the paper's gradient replacement, with the paper's blurring
        under the trainable head.
      learning_rate: that of every party and of the head.

    Raises:
      ValueError: naming the argument, where several parties are possible as attacker, or the trigger is unknown; where
        a number is also the name of another party or class; where the attacker holds the labels; where every row of a
        possible target class carries the trigger; or where the scenario does not fit the data.

    Example:
      >>> import numpy as np
      >>> import vfl_jax as vfl
      >>> features = np.random.default_rng(0).normal(size=(200, 5)).astype("float32")
      >>> data = vfl.from_arrays(
      ...     {"bank": features[:, :3], "shop": features[:, 3:]}, np.arange(200) % 3, active_party="bank"
      ... )
      >>> scenario = vfl.scenario_for(data, trigger=vfl.data.FeatureTrigger(party=1, index=0, value=4.0))
      >>> scenario.attackers, scenario.batches.size
      ((1,), 16)
    """
    data = data.data if isinstance(data, LoadedTables) else data
    check_kind(VerticalData, "as vfl.from_arrays or vfl.load_tables make it", data=data)
    trigger = _trigger(data, trigger)
    attackers = _attackers(data, attacker, trigger)
    scenario = liu2020_paper(
        head=head, task="nus_wide", num_parties=data.num_parties, attackers=attackers, num_classes=data.num_classes
    )
    if attack is not None:
        check_kind(PartyTransform, "such as GradientReplacement()", attack=attack)
        if not is_attack(attack):
            raise ValueError(f"attack is {shown(attack)}, no attack; one derives from vfl_jax.Attack.")
        attacks = tuple(attack if k in attackers else honest for k, honest in enumerate(scenario.attacks))
        scenario = scenario.replace(attacks=attacks)
    num_train = data.train.num_samples
    optimizer = Optimizer(learning_rate=learning_rate)
    scenario = scenario.replace(
        optimizers=(optimizer,) * data.num_parties,
        head_optimizer=optimizer,
        poison=PoisonPlan(
            trigger=trigger,
            target_class=_target_class(data, target_class, trigger),
            rate=max(0.01, 1 / num_train),
            test_rate=max(0.2, 1 / data.test.num_samples),
        ),
        batches=BatchPlan(size=min(64, max(1, num_train // 10))),
    )
    scenario.check(data)
    return scenario


def _trigger(data: VerticalData, trigger: Trigger | None) -> Trigger:
    """The trigger that is given, checked; else the natural one, where training rows carry it."""
    if trigger is not None:
        check_kind(Trigger, "such as FeatureTrigger(party=1, index=0)", trigger=trigger)
        check_fields(trigger, "trigger")
    if trigger is None and not np.any(data.train.has_trigger):
        raise ValueError(
            f"trigger is not given, and no training row of data {data.name!r} carries one by nature. Mark such rows "
            "(has_trigger of from_arrays, trigger of load_tables), or stamp one: trigger=FeatureTrigger(party=1, "
            "index=0, value=...), or PixelTrigger on images."
        )
    return NaturalTrigger() if trigger is None else trigger


def _attackers(data: VerticalData, attacker: Party | Sequence[Party] | None, trigger: Trigger) -> tuple[int, ...]:
    """The numbers of the attackers, checked; found where none is given and only one party is possible."""
    passive = [k for k in range(data.num_parties) if k != data.active_party]
    if attacker is None:
        holders = [k for k, mask in enumerate(trigger.masks(data)) if mask is not None and k in passive]
        found = holders or passive
        if len(found) != 1:
            names = ", ".join(repr(data.parties[k]) for k in found)
            raise ValueError(
                f"attacker is not given, and {len(found)} parties of data {data.name!r} may be meant: {names}. Name "
                "one, or several that collude."
            )
        return tuple(found)
    parties = attacker if isinstance(attacker, list | tuple) else (attacker,)
    known = f"the parties of data {data.name!r} are"
    numbers = tuple(place_of("attacker", party, data.parties, known, from_end=True) for party in parties)
    if not numbers or len(set(numbers)) < len(numbers):
        raise ValueError(f"attacker is {shown(attacker)}; name at least one party, and none twice.")
    if data.active_party in numbers:
        raise ValueError(
            f"attacker names {data.parties[data.active_party]!r}, which holds the labels: its own gradient crosses no "
            "channel, and no defense sees it. Its attack is another: scenario.replace(active_attack=ActiveBackdoor())."
        )
    return numbers


def _target_class(data: VerticalData, target_class: str | int | None, trigger: Trigger) -> int:
    """The number of the class that is given, or of the rarest one among those that an attack can lead to."""
    if target_class is not None:
        return place_of("target_class", target_class, data.classes, f"the classes of data {data.name!r} are")
    labels, is_triggered = np.asarray(data.train.labels), np.asarray(data.train.has_trigger)
    is_natural = not isinstance(trigger, StampTrigger)
    count = np.bincount(labels, minlength=data.num_classes)
    free = np.bincount(labels[~is_triggered], minlength=data.num_classes) if is_natural else count
    judged = np.bincount(labels[is_triggered], minlength=data.num_classes) if is_natural else count
    able = [c for c in range(data.num_classes) if c != count.argmax() and free[c]]
    if not able:
        raise ValueError(
            f"target_class is not given, and every class of data {data.name!r} but the most frequent has triggered "
            "training rows only: no target row could be known. Mark fewer rows."
        )
    return min(able, key=lambda c: (judged[c], count[c], c))

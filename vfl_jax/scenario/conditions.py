"""What must hold of a scenario: its methods stand where they act, and its attackers can do something in the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vfl_jax.core.checks import check_choice, check_count, is_whole, shown
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.protocol.methods import held_attack, is_attack
from vfl_jax.protocol.switched import InferenceOrder, Switched
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform
from vfl_jax.scenario.measures import check_free

if TYPE_CHECKING:
    from vfl_jax.scenario.scenario import Scenario


def check_metrics(scenario: Scenario) -> None:
    """Checks that every metric of a user's own has a name of its own.

    Args:
      scenario: the scenario.

    Raises:
      ValueError: naming the field, where it does not hold.
    """
    names = [measure.name for measure in scenario.metrics]
    for name in names:
        check_free("metrics has", name)
        if names.count(name) > 1:
            raise ValueError(f"metrics has {name!r} {names.count(name)} times; a name stands for one metric.")


def check_inference(scenario: Scenario) -> None:
    """Checks when methods act, and the batches and orders of test rows that they ask for.

    Args:
      scenario: the scenario.

    Raises:
      ValueError: naming the field, where it does not hold.
    """
    for method in scenario.methods():
        at = method.at_epochs
        if at is not None and not (isinstance(at, tuple | list) and len(at) and all(map(is_whole, at))):
            raise ValueError(
                f"{type(method).__name__}.at_epochs is {shown(at)}; it must be a tuple of whole numbers, such as "
                "(0, -1) for before the first epoch and after the last, or None for all of them."
            )
        if method.inference_batch is not None:
            check_count(**{f"{type(method).__name__}.inference_batch": method.inference_batch})
        check_choice(type(method).__name__, InferenceOrder, inference_order=method.inference_order)
    if len(orders := scenario.inference_orders()) > 1:
        raise ValueError(
            f"{orders['file']} asks for test rows in the order of the file (inference_order), {orders['shuffled']} "
            "for shuffled ones; one evaluation has one order."
        )


def check_places(scenario: Scenario) -> None:
    """Checks that attacks stand in fields of attacks, and nowhere else.

    Args:
      scenario: the scenario.

    Raises:
      ValueError: naming the field, where it does not hold.
    """
    for path, method in scenario.located():
        is_plain = isinstance(method, Switched) or type(method) is ActiveTransform
        if path.startswith("active_attack") and not is_plain and not is_attack(scenario.active_attack):
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
    if is_attack(scenario.defense):
        raise ValueError(
            f"defense is {scenario.defense!r}, an attack; an attack by the active party is given as active_attack."
        )


def check_channels(scenario: Scenario, data: VerticalData) -> None:
    """Checks that every attacker has a channel to the active party.

    Args:
      scenario: the scenario.
      data: the data set.

    Raises:
      ValueError: naming the field, where it does not hold.
    """
    if data.active_party in scenario.attackers:
        others = [k for k in range(data.num_parties) if k != data.active_party]
        raise ValueError(
            f"attacks.{data.active_party} is at party {data.active_party} ({data.parties[data.active_party]}), "
            "which holds the labels: its messages cross no channel, so that no defense could touch it. Let one of "
            f"the parties {others} attack, or give the active party's own attack as active_attack."
        )


def check_party_targets(scenario: Scenario, data: VerticalData) -> None:
    """Checks the classes that attackers want.

    Args:
      scenario: the scenario.
      data: the data set.

    Raises:
      ValueError: naming the field, where it does not hold.
    """
    wanted = scenario.poison.party_targets
    if wanted and len(wanted) != data.num_parties:
        raise ValueError(
            f"poison.party_targets has {len(wanted)} entries; data {data.name!r} has {data.num_parties} parties "
            f"that hold features ({', '.join(data.parties)}), so it must have {data.num_parties}, or none."
        )
    for party, target in enumerate(wanted):
        if not 0 <= target < data.num_classes:
            raise ValueError(f"poison.party_targets.{party} is {target}; the classes are 0 to {data.num_classes - 1}.")
    if wanted and scenario.poison.mode == "appended_pair":
        raise ValueError("poison.party_targets needs poison.mode='in_place'; an appended pair has one target row.")
    is_wanted = scenario.poison.target_class in scenario.target_classes or is_attack(scenario.active_attack)
    if wanted and scenario.attackers and not is_wanted:
        raise ValueError(
            f"poison.target_class is {scenario.poison.target_class}, but by poison.party_targets the attackers want "
            f"{list(scenario.target_classes)}. Numbers that are not by party measure target_class; take one of these."
        )


def check_triggers(scenario: Scenario, data: VerticalData) -> None:
    """Checks that the triggers change a feature of an attacker.

    Args:
      scenario: the scenario.
      data: the data set.

    Raises:
      ValueError: naming the field, where it does not hold.
    """
    triggers = {"trigger": scenario.poison.trigger, "attack_trigger": scenario.attack_trigger}
    for name, trigger in triggers.items():
        if trigger is not None:
            _check_touches(scenario, name, trigger.masks(data))


def _check_touches(scenario: Scenario, name: str, masks: tuple[Any, ...]) -> None:
    """Checks that a trigger with these places changes a feature of an attacker, or of nobody."""
    attackers = list(scenario.attackers)
    if attackers and any(m is not None for m in masks) and all(masks[k] is None for k in attackers):
        raise ValueError(
            f"poison.{name} touches only parties {[k for k, m in enumerate(masks) if m is not None]}, but the "
            f"attackers are {attackers}; it must change a feature of at least one of them."
        )

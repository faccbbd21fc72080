"""Advice to a caller who names a number that the scenario does not have."""

from __future__ import annotations

import difflib
from typing import Any

from vfl_jax.core.fields import missing
from vfl_jax.core.record import kinds, numbers
from vfl_jax.protocol.methods import Chain, methods
from vfl_jax.protocol.switched import Switched
from vfl_jax.protocol.transforms import ActiveTransform, Attack
from vfl_jax.scenario import Scenario


def advice(scenario: Scenario, name: str) -> str:
    """What to do about a name that no number of the scenario has.

    A name such as ``defense.stddev`` is mostly right and its method is lacking. The advice then says how to add one, in
    Python and at the command line.

    Args:
      scenario: the scenario.
      name: the name, an exact path or a short form.

    Example:
      >>> import vfl_jax as vfl
      >>> print(advice(vfl.presets.liu2020_paper(), "defense.bound").partition(" Add")[0])
      It has no defense.
      >>> advice(vfl.presets.liu2020_paper(), "attack.amplfy")
      'It has attacks.1.amplify, attacks.1.enabled.'
    """
    known = numbers(scenario)
    group, _, number = name.rpartition(".")
    has_defense = any(type(part) is not ActiveTransform for part in methods(scenario.defense))
    if group.split(".")[0] == "defense":
        found = _with(ActiveTransform, number)
        if found:
            what = "It has no defense." if not has_defense else f"Its defense has no number {number!r}."
            return f"{what} Add one, for example {_added_defense(found[0], has_defense)}{_others(found, number)}"
        if not has_defense:
            return f"It has no defense, and no defense of the package has a number {number!r}. vfl-jax list shows all."
    if group.split(".")[0] in ("attack", "attacks") and not scenario.switches and (found := _with(Attack, number)):
        last = len(scenario.attacks) - 1
        listed = "vfl.PartyTransform(), " * last + f"vfl.attacks.{found[0]}()" + "," * (not last)
        return (
            f"Nobody attacks in it. Add an attack, for example scenario.replace(attacks=({listed})), at the command "
            f"line --attack {last}={found[0]}.{_others(found, number)}"
        )
    near = difflib.get_close_matches(name, known, n=4, cutoff=0.5) or sorted(known)
    return f"It has {', '.join(near)}."


def _added_defense(kind: str, behind_others: bool) -> str:
    """How to add a defense, in Python and at the command line."""
    made = f"vfl.defenses.{kind}()"
    if behind_others:
        made = f"vfl.ActiveChain(parts=(scenario.defense, {made}))"
        return f"scenario.replace(defense={made}), at the command line all of them behind --defense."
    return f"scenario.replace(defense={made}), at the command line --defense {kind}."


def _others(found: list[str], number: str) -> str:
    """The other methods that have the number."""
    more = ", ".join(found[1:])
    return f" A number {number!r} is also that of {more}." if more else ""


def _with(base: type[Any], number: str) -> list[str]:
    """The names of the package's methods that have such a number and a default for every field."""
    found = []
    for name, kind in kinds(base).items():
        is_own = kind.__module__.startswith(("vfl_jax.defenses.", "vfl_jax.attacks."))
        is_other = issubclass(kind, Chain) or (issubclass(kind, Switched) and base is ActiveTransform)
        if is_own and not is_other and not missing(kind, {}) and number in numbers(kind()):
            found.append(name)
    return found

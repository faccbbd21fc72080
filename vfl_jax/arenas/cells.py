"""Who meets whom, and which meetings share a compiled program.

Meetings whose attacks and defenses differ in numbers alone are points of one grid. A meeting that the scenario itself
refuses, such as a defense for two classes on ten, is no cell; the refusal is its reason.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from vfl_jax.arenas.boards import Board
from vfl_jax.core.record import cast, numbers
from vfl_jax.protocol.methods import methods
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform
from vfl_jax.replica.draws import Draws, draw
from vfl_jax.replica.plans import check_plans
from vfl_jax.scenario import PoisonPlan, Scenario
from vfl_jax.sweeps.grid import Over

LONGEST_TITLE = 100
"""A title has so many letters in a folder's name, which may have 255 bytes; the digest tells two groups apart."""
Entrant = tuple[PartyTransform, Needs]
"""An attack and what it is granted."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Meetings on one board that share a program: A attacks × D defenses, each with its honest runs.

    Args:
      board: the name of the board.
      attacks: the names of the attacks; the axis of attacks has one honest point more.
      defenses: the names of the defenses.
      scenario: the scenario of the first attack and the first defense.
      over: the grid: the axis of attacks, then that of defenses, where there are several.
    """

    board: str
    attacks: tuple[str, ...]
    defenses: tuple[str, ...]
    scenario: Scenario
    over: Over

    @property
    def num_points(self) -> int:
        """The number of grid points, honest ones among them."""
        return (len(self.attacks) + 1) * len(self.defenses)

    @property
    def name(self) -> str:
        """A name for the group's folder: the kinds of its methods, and a digest of its scenario."""
        attack = self.scenario.attacks[self.scenario.attackers[0]]
        digest = hashlib.sha256(self.scenario.to_json().encode()).hexdigest()[:8]
        attack_title, defense_title = (title(method)[:LONGEST_TITLE] for method in (attack, self.scenario.defense))
        return f"{attack_title}__{defense_title}__{digest}"


def title(method: Any) -> str:
    """Returns a word for a method: the name of its class, of a chain the names of its parts.

    Args:
      method: an attack or a defense.
    """
    names = [type(part).__name__ for part in methods(method)]
    return "none" if names in ([], [ActiveTransform.__name__]) else "+".join(names)


def refusal(
    board: Board, entrant: Entrant, defense: ActiveTransform, drawn: dict[PoisonPlan, Draws] | None = None
) -> str | None:
    """Returns why an attack and a defense cannot meet on a board; None where they can.

    The reason is the scenario's own, or that a detector names a party by votes (``FEWEST_PARTIES``) and has too few.

    Args:
      board: the board.
      entrant: the attack and what it is granted.
      defense: the defense.
      drawn: the draws of meetings before this one, by their plans; it grows. Meetings of one plan draw the same rows.
    """
    (attack, needs), data = entrant, board.data
    drawn = {} if drawn is None else drawn
    for method in methods(defense):
        if data.num_parties < (fewest := getattr(method, "FEWEST_PARTIES", 0)):
            return (
                f"{type(method).__name__} names a party by the votes of the others: it needs {fewest}, and here are "
                f"{data.num_parties}."
            )
    try:
        scenario = board.meeting(attack, defense, needs)
        scenario.check(data)
        scenario.check_epochs(board.epochs)
        if scenario.poison not in drawn:
            drawn[scenario.poison] = draw(scenario, data, jax.random.key(0))
        check_plans(scenario, data, drawn[scenario.poison], board.epochs)
    except ValueError as error:
        return str(error)
    return None


def groups(
    name: str,
    board: Board,
    attacks: Mapping[str, Entrant],
    defenses: Mapping[str, ActiveTransform],
) -> tuple[list[Group], dict[tuple[str, str], str]]:
    """Returns the groups of one board, and the reason of every meeting that cannot be.

    Args:
      name: the name of the board.
      board: the board.
      attacks: the attacks by name, each with what it is granted.
      defenses: the defenses by name.
    """
    drawn: dict[PoisonPlan, Draws] = {}
    reasons = {
        (a, d): said
        for a, entrant in attacks.items()
        for d, defense in defenses.items()
        if (said := refusal(board, entrant, defense, drawn)) is not None
    }
    found = []
    for alike in _alike(attacks, lambda entrant: (board.plan(entrant[1]), _structure(entrant[0]))):
        able = {d: tuple(a for a in alike if (a, d) not in reasons) for d in defenses}
        for same in _alike(defenses, _structure):
            for wanted in dict.fromkeys(able[d] for d in same if able[d]):
                chosen = tuple(d for d in same if able[d] == wanted)
                found.append(_group(name, board, {a: attacks[a] for a in wanted}, {d: defenses[d] for d in chosen}))
    return found, reasons


def _alike(methods: Mapping[str, Any], key: Any) -> Iterator[tuple[str, ...]]:
    """Yields the names of those whose key is the same, in order."""
    by_key: dict[Any, list[str]] = {}
    for name, method in methods.items():
        by_key.setdefault(key(method), []).append(name)
    return map(tuple, by_key.values())


def _structure(method: Any) -> Any:
    """What two methods share that differ in numbers alone."""
    return type(method), jax.tree.structure(cast(method))


def _group(name: str, board: Board, attacks: Mapping[str, Entrant], defenses: Mapping[str, ActiveTransform]) -> Group:
    """The group of attacks and defenses that differ in numbers alone."""
    (first, needs), *_ = attacks.values()
    scenario = board.meeting(first, next(iter(defenses.values())), needs)
    own = _at(board.attackers[0])
    switches = [switch.removeprefix(own) for switch in scenario.switches if switch.startswith(own)]
    points = [numbers(attack) for attack, _ in attacks.values()]
    honest = points[0] | dict.fromkeys(switches, 0.0)
    varied = [path for path in honest if len({float(point[path]) for point in [*points, honest]}) > 1]
    over: dict[Any, list[tuple[Any, ...]]] = {
        tuple(f"{_at(k)}{path}" for k in board.attackers for path in varied): [
            tuple(point[path] for path in varied) * len(board.attackers) for point in [*points, honest]
        ]
    }
    levels = [numbers(defense) for defense in defenses.values()]
    swept = [path for path in levels[0] if len({float(level[path]) for level in levels}) > 1]
    if len(levels) > 1:
        over[tuple(f"defense.{path}" for path in swept)] = [tuple(level[path] for path in swept) for level in levels]
    return Group(name, tuple(attacks), tuple(defenses), scenario, over)


def _at(party: int) -> str:
    """The beginning of the paths of a party's attack."""
    return f"attacks.{party}."

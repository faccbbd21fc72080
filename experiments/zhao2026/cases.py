"""What is trained: attacks of two kinds on every board, then with other targets, as colluders, and against defenses.

Attacks that a scenario grants the same share one program: they stand in one chain, and every grid point switches one of
them on. A first point switches none on; these are the honest runs.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any

import jax

from experiments.shared.cases import Case
from experiments.zhao2026.boards import (
    DATA_SETS,
    frequent_first,
    load_parties,
    make_board,
    two_targets,
    with_colluders,
    with_target,
)
from vfl_jax import defenses
from vfl_jax.arenas.boards import Board
from vfl_jax.arenas.lineup import ATTACKS, DEFENSES
from vfl_jax.attacks import Villain
from vfl_jax.core.record import numbers
from vfl_jax.core.types import State
from vfl_jax.protocol.chains import ActiveChain, PartyChain
from vfl_jax.protocol.methods import methods, needs_of
from vfl_jax.protocol.needs import Needs
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform
from vfl_jax.scenario import Scenario

SEEDS = 10
QUICK_EPOCHS, QUICK_SEEDS = 5, 2
HONEST, UNDEFENDED = "honest", "none"
FULL = ("clean_accuracy", "attack_success", "attack_success_by_class", "attack_success_by_party", "recovered_utility")
STEALTH = ("stealth_linf", "stealth_l2", "stealth_class_mean")
KEPT = (
    *("main_task_accuracy", "main_clean", "attack_success_rate", "loss", "is_finite"),
    *(f"full_{name}" for name in (*FULL, *STEALTH, "detection_auc", "detection_recall", "detection_false_alarm_rate")),
)
"""The metrics that are kept at every epoch that is evaluated."""


class OneOf(PartyChain):
    """Several attacks of which a grid switches one on; they report nothing, because several report the same names."""

    def report(self, state: State) -> dict[str, jax.Array]:
        return {}


Setting = dict[str, float]
"""What a grid point gives numbers, by their paths."""

LINE_UP: dict[str, tuple[str, Setting]] = {
    "BASL": ("BASL", {"scale": 0.85}),
    "BASL-5": ("BASL", {"scale": 5.0}),
    **{name: (name, Setting()) for name in ("Replay", "CentroidReplay", "Villain-oracle")},
    **{name: (name, Setting()) for name in ("LFBA", "BadVFL", "GradientReplacement", "TECB")},
}
"""The attacks of the page: who they are in the arena's line-up, and what is other than there."""
EMBEDDING_SPACE = ("BASL", "BASL-5", "Replay", "CentroidReplay", "Villain-oracle")
INPUT_SPACE = ("LFBA", "BadVFL", "GradientReplacement", "TECB")
ATTACKERS = {
    "message": EMBEDDING_SPACE,
    "features": ("LFBA", "BadVFL", "GradientReplacement"),
    "tecb": ("TECB",),
    "majority": EMBEDDING_SPACE,
    "colluders": ("BASL", "Replay", "Villain-oracle"),
    "two_targets": ("BASL-5",),
}
"""The attacks of a role. TECB learns its trigger, so that no other one may be stamped on its features."""
KINDS = ("message", "features", "tecb")
"""The roles of attacks alone: one attacker, the rarest class as τ, no defense."""
DEFENDED = ("BASL", "BASL-5", "CentroidReplay")
"""The attacks of all other roles, which are defenses."""
HONEST_POISONED = "honest, with poison rows"
"""The honest runs with the poison rows that GradientReplacement needs, which share a program with others."""

IN_TRAINING: dict[str, Setting] = {
    "EmbeddingNormalisation": {"defense.parts.0.length": 1.0},
    "EmbeddingDropout": {"defense.parts.1.rate": 0.5},
    "GaussianNoise": {"defense.parts.2.stddev": 1e-2},
}
"""The defenses that share a program: a grid point lets one act, and the others' numbers change nothing."""
ALONE = {name.lower(): name for name in ("Sparsification", "GBD", "VFLIP", "VFLMonitor")}
"""The defenses with a program of their own, by their roles."""


@dataclasses.dataclass(frozen=True)
class Meeting(Case):
    """Attacks on one board, against one defense or several that share a program; ``role`` says what for.

    ``attacks`` and ``defenses`` name the points of the grid's first and second axis.
    """

    data_set: str = ""
    role: str = ""
    parties: int = 0
    attacks: tuple[str, ...] = ()
    defenses: tuple[str, ...] = (UNDEFENDED,)


def roles(data_set: str) -> list[tuple[int, str]]:
    """The number of parties and the role of every case on a data set, those first that others are held against."""
    shape = DATA_SETS[data_set]
    parties = sorted(shape.parties, key=lambda k: k != shape.base)
    others = [*ALONE, "in_training", "colluders"]
    others += [] if shape.is_balanced else ["majority"]
    others += ["two_targets"] if shape.num_classes > 2 else []
    return [(k, role) for k in parties for role in KINDS] + [(shape.base, role) for role in others]


def case_name(data_set: str, parties: int, role: str) -> str:
    """The name of a case."""
    return f"{data_set}_{parties}_{role}"


@functools.cache
def make_cases(epochs: int | None = None) -> tuple[Meeting, ...]:
    """Every case; it loads the data. ``epochs`` replaces those of all data sets."""
    return tuple(
        make_case(name, parties, role, epochs or DATA_SETS[name].epochs)
        for name in DATA_SETS
        for parties, role in roles(name)
    )


def make_case(name: str, parties: int, role: str, epochs: int) -> Meeting:
    """One case on a data set."""
    board, names = _board(name, parties, role), ATTACKERS.get(role, DEFENDED)
    chain, needs = _one_of(names, epochs)
    defense, acting = _defense(role)
    # Rows are stamped only where an attack needs them: a rate may be swept, from none.
    plan = needs if role != "features" else dataclasses.replace(needs, poison_rate=0.0)
    scenario = board.meeting(chain, defense, plan)
    points = {HONEST: Setting()} | _points(role, board, chain, names)
    if role == "features":
        poisoned = {"poison.rate": needs.poison_rate}
        points["GradientReplacement"] |= poisoned
        points[HONEST_POISONED] = poisoned
    over = _axis(scenario, points) | (_axis(scenario, acting) if len(acting) > 1 else {})
    return Meeting(
        name=case_name(name, parties, role),
        title=f"{DATA_SETS[name].title}, K = {parties}, {role.replace('_', ' ')}",
        task=None,
        scenario=scenario,
        over=over,
        seeds=SEEDS,
        epochs=epochs,
        load=functools.partial(load_parties, name, parties),
        evaluate_every=1 if role in KINDS and parties == DATA_SETS[name].base else epochs,
        kept=KEPT,
        data_set=name,
        role=role,
        parties=parties,
        attacks=tuple(points),
        defenses=tuple(acting),
    )


def _board(name: str, parties: int, role: str) -> Board:
    board = make_board(name, parties)
    if role == "majority":
        return with_target(board, frequent_first(board)[0])
    if role == "two_targets":
        return with_colluders(board, two_targets(board))
    return with_colluders(board) if role == "colluders" else board


def _defense(role: str) -> tuple[ActiveTransform, dict[str, Setting]]:
    """The defense of a role, and what lets each of several act, by their names."""
    if role in ALONE:
        return DEFENSES[ALONE[role]], {ALONE[role]: Setting()}
    if role == "in_training":
        parts = (defenses.EmbeddingNormalisation(), defenses.EmbeddingDropout(), defenses.GaussianNoise())
        return ActiveChain(parts=parts), IN_TRAINING
    return ActiveTransform(), {UNDEFENDED: Setting()}


def _one_of(names: Iterable[str], epochs: int) -> tuple[OneOf, Needs]:
    """A chain of attacks, each entry of the line-up once, and what serves all of them."""
    entrants = [_entrant(entry, epochs) for entry in dict.fromkeys(LINE_UP[name][0] for name in names)]
    needs = functools.reduce(Needs.joined, (needs for _, needs in entrants))
    return OneOf(parts=tuple(attack for attack, _ in entrants)), needs


def _entrant(entry: str, epochs: int) -> tuple[PartyTransform, Needs]:
    """An attack of the line-up for so many epochs, and what it is granted."""
    given = ATTACKS[entry]
    made, needs = given if isinstance(given, tuple) else (given, None)
    attack = made if isinstance(made, PartyTransform) else made(epochs)
    if isinstance(attack, Villain):  # a quick run is shorter than its wait
        attack = attack.replace(poison_from=min(attack.poison_from, epochs - 1))
    return attack, needs_of(attack) if needs is None else needs


def _points(role: str, board: Board, chain: OneOf, names: Iterable[str]) -> dict[str, Setting]:
    """The grid points of attacks: one attacker; or of two the last one alone, and both. Where these want different
    classes, the other one alone, too."""
    *others, last = board.attackers
    who: dict[str, tuple[int, ...]] = {"": (last,)}
    if others:
        who = {", alone": (last,), ", both": board.attackers}
        who |= {", other alone": tuple(others)} if role == "two_targets" else {}
    return {
        f"{name}{word}": {f"attacks.{k}.{path}": value for k in acting for path, value in _setting(chain, name).items()}
        for name in names
        for word, acting in who.items()
    }


def _setting(chain: OneOf, name: str) -> Setting:
    """What lets one attack of a chain act, by the paths of the chain's numbers."""
    entry, changes = LINE_UP[name]
    kind = entry.partition("-")[0]
    (place,) = (i for i, part in enumerate(chain.parts) if kind in (type(one).__name__ for one in methods(part)))
    switches = [path for path in numbers(chain.parts[place]) if path.rpartition(".")[2] == "enabled"]
    return {f"parts.{place}.{path}": value for path, value in (dict.fromkeys(switches, 1.0) | changes).items()}


def _axis(scenario: Scenario, points: Mapping[str, Setting]) -> dict[Any, list[tuple[float, ...]]]:
    """One axis of a grid: what a point does not name is as in the scenario, and switched off if it is a switch."""
    usual = {path: 0.0 if path in scenario.switches else float(number) for path, number in numbers(scenario).items()}
    paths = tuple(dict.fromkeys(path for point in points.values() for path in point))
    return {paths: [tuple(float(point.get(path, usual[path])) for path in paths) for point in points.values()]}

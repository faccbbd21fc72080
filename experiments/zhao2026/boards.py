"""Where attacks meet: three data sets, each with several numbers of parties, by the arena's rules."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np

from vfl_jax.arenas.boards import Board, board_for
from vfl_jax.arenas.lineup import LARGE, PERCENTILES, SMALL
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data import load_default_credit, load_handwritten, load_mnist
from vfl_jax.sweeps.work import load

LEARNING_RATE = 0.3
"""Of every party and of the head."""


@dataclasses.dataclass(frozen=True)
class DataSet:
    """A data set of the page.

    ``base`` is the number of parties K of everything but the comparison over ``parties``: VFLMonitor needs three
    parties, and of two colluders some other party should be honest. ``is_balanced`` says that no class is more
    frequent than another, so that there is no majority class.
    """

    title: str
    load: Callable[..., VerticalData]
    parties: tuple[int, ...]
    base: int
    epochs: int
    num_classes: int
    is_balanced: bool = False


DATA_SETS = {
    "mnist": DataSet("MNIST", load_mnist, (2, 4, 8), 4, LARGE, 10),
    "default_credit": DataSet("default_credit", load_default_credit, (2, 4), 4, SMALL, 2),
    "handwritten": DataSet("handwritten", load_handwritten, (3, 6), 3, SMALL, 10, is_balanced=True),
}


@functools.cache
def load_parties(name: str, parties: int) -> VerticalData:
    """A data set among so many parties."""
    return DATA_SETS[name].load(num_parties=parties)


@functools.cache
def make_board(name: str, parties: int) -> Board:
    """The board of a data set among so many parties, with the rarest class as τ and the arena's trigger."""
    load, percentile = functools.partial(load_parties, name, parties), PERCENTILES.get(name, 99.0)
    return board_for(load, epochs=DATA_SETS[name].epochs, learning_rate=LEARNING_RATE, percentile=percentile)


def frequent_first(board: Board) -> list[int]:
    """The classes of a board, the most frequent among the training rows first, of equals the first."""
    counts = np.bincount(np.asarray(load(board.source).train.labels))
    return np.argsort(-counts, kind="stable").tolist()


def with_target(board: Board, target_class: int) -> Board:
    """The same board with another class as τ."""
    poison = board.scenario.poison.replace(target_class=target_class)
    return dataclasses.replace(board, scenario=board.scenario.replace(poison=poison))


def with_colluders(board: Board, party_targets: tuple[int, ...] = ()) -> Board:
    """The same board with two attackers, the last two parties; ``party_targets`` as in ``PoisonPlan``."""
    last = len(board.scenario.attacks) - 1
    poison = board.scenario.poison.replace(party_targets=party_targets)
    scenario = board.scenario.replace(poison=poison)
    return dataclasses.replace(board, scenario=scenario, attackers=(last - 1, last))


def two_targets(board: Board) -> tuple[int, ...]:
    """What each party would want where the two colluders want different classes: the last one τ, the other one the next
    rarest class. It takes three classes, or no row would be left to measure."""
    target, parties = board.scenario.poison.target_class, len(board.scenario.attacks)
    other = next(c for c in reversed(frequent_first(board)) if c != target)
    return (target,) * (parties - 2) + (other, target)

"""The numbers of every defense of the line-up, and which differential privacy they buy."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from vfl_jax.arenas.boards import Board, board_for
from vfl_jax.arenas.cells import refusal
from vfl_jax.arenas.lineup import DEFENSES
from vfl_jax.attacks import PoisonedData
from vfl_jax.data import load_breast_cancer, load_digits
from vfl_jax.protocol.methods import methods, needs_of
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.reports import Row
from vfl_jax.scenario.guarantees import Guarantee, privacy

NOTE = """\
Named are the numbers that differ from a method's own. Normal and Laplacian noise buy no privacy here, because nothing
bounds how far one row can change a message; [`vfl.privacy`](../../vfl_jax/scenario/guarantees.py) says what it would
buy behind `Clipping`. Two small data sets were asked; the reasons do not depend on the board.
"""


def rows() -> list[Row]:
    """A row per defense: its numbers, and the (ε, δ) that it buys for a label while models train, or why none."""
    return [{"defense": name, "set to": _numbers(made), "buys": _bought(made)} for name, made in DEFENSES.items()]


def _numbers(defense: ActiveTransform) -> str:
    """The methods of a defense with what differs from their defaults."""
    return " + ".join(f"`{type(part).__name__}({', '.join(_changed(part))})`" for part in methods(defense))


def _changed(method: Any) -> list[str]:
    default = type(method)()
    values = {field.name: getattr(method, field.name) for field in dataclasses.fields(method)}
    return [f"{name}={_short(value)}" for name, value in values.items() if value != getattr(default, name)]


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else repr(value)


def _bought(defense: ActiveTransform) -> str:
    found = _guarantees(defense)
    best = min(found, key=lambda one: one.epsilon)
    if math.isinf(best.epsilon):
        return f"none: {found[0].why}"
    return f"({best.epsilon:g}, {best.delta:g}) for a {best.protects}: {best.why}"


def _guarantees(defense: ActiveTransform) -> tuple[Guarantee, ...]:
    """What a defense buys: on digits among three parties, or on two classes where it is for two classes alone."""
    attack = PoisonedData()
    for source in (load_digits(num_parties=3), load_breast_cancer()):
        board: Board = board_for(source)
        if refusal(board, (attack, needs_of(attack)), defense) is None:
            return privacy(board.meeting(attack, defense), board.data, board.epochs)
    raise ValueError(f"{defense!r} fits neither of two data sets.")

"""The kinds of boards: each has files and a table of its own."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from experiments.arena.told import every_row_known
from vfl_jax.arenas.boards import Board
from vfl_jax.arenas.entries import Entry, entrants
from vfl_jax.arenas.lineup import BOARDS
from vfl_jax.protocol.triggers import NaturalTrigger

if TYPE_CHECKING:
    import xarray as xr

Kind = Literal["trainable", "sum", "natural", "told", "readers"]
MAKING: dict[Kind, dict[str, Any]] = {"sum": {"head": "sum"}, "natural": {"trigger": NaturalTrigger()}}
"""How the boards of kinds are made, where it is not as others are."""
TITLES: dict[Kind, str] = {
    "sum": "The sum head",
    "natural": "The trainable head, with rows that carry a trigger by nature",
    "told": "Attackers who are told every row of τ",
    "readers": "Who reads labels on these boards",
}
CARRY_A_TRIGGER = {
    **{"handwritten": 9, "bank_marketing": 11, "default_credit": 47},
    **{"mnist": 0, "mnist_4": 0, "fashion_mnist": 27, "nus_wide_twin": 94},
}
"""By board, the test rows of other classes than τ that carry a trigger by nature: so many measure an attack."""


def file_name(board: str, kind: Kind) -> str:
    """The file of a board's results."""
    return f"{board}.nc" if kind == "trainable" else f"{board}_{kind}.nc"


def make_board(name: str, kind: Kind) -> Board:
    """Makes a board of the line-up.

    Args:
      name: its name.
      kind: its kind.
    """
    board = BOARDS[name](**MAKING.get(kind, {}))
    return every_row_known(board) if kind == "told" else board


def concerned(attacks: Mapping[str, Entry], board: Board, kind: Kind) -> dict[str, Entry]:
    """Returns the attacks that a kind of boards concerns, as :func:`that_differ` has them, with what they are granted.

    Args:
      attacks: as ``vfl.arena`` takes them.
      board: the board.
      kind: its kind.
    """
    if kind in ("trainable", "sum", "readers"):
        return dict(attacks)
    granted = entrants(attacks, board.epochs)
    if kind == "natural":
        return {name: attacks[name] for name, (_, needs) in granted.items() if needs.trigger != "message"}
    every = board.most_known[board.scenario.poison.target_class]
    return {
        name: (attack, dataclasses.replace(needs, num_targets=every))
        for name, (attack, needs) in granted.items()
        if needs.trigger == "message" and needs.num_targets > 1  # who takes one row overwrites one, whatever he is told
    }


def that_differ(board: xr.Dataset, kind: Kind) -> xr.Dataset:
    """The results of a board without the attacks that its kind does not concern: those with a trigger in the message,
    and those that could not meet.

    Args:
      board: the results of one board.
      kind: its kind.
    """
    if kind != "natural":
        return board
    needs = {name: made["needs"] for of in json.loads(board.attrs["attacks"]).values() for name, made in of.items()}
    is_refused = (board["reason"] != "").all(("data", "defense"))
    names = [name for name in board["attack"].values if needs[name]["trigger"] != "message"]
    return board.sel(attack=[name for name in names if not is_refused.sel(attack=name)])


def note(names: Sequence[str], kind: Kind, num_boards: int) -> str:
    """What a reader must know of a kind before its table: how many boards it has, and how many rows measure.

    Args:
      names: the boards that it has.
      kind: the kind.
      num_boards: how many boards the page has.
    """
    said = f"**So far**: {len(names)} of {num_boards} boards.\n"
    if kind == "natural":
        counts = ", ".join(f"{CARRY_A_TRIGGER[name]} of {name}" for name in names if name in CARRY_A_TRIGGER)
        said += (
            f"**Few test rows measure it**: {counts}. On MNIST no row carries a trigger by nature. Attacks whose "
            "trigger is in the message do not depend on it, and are left out. Attacks that stamp the trigger on rows "
            "of their choice, such as LFBA, cannot be here.\n"
        )
    return said

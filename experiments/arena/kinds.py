"""The kinds of boards: each has files and a table of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from vfl_jax.protocol.triggers import NaturalTrigger

if TYPE_CHECKING:
    import xarray as xr

Kind = Literal["trainable", "sum", "natural"]
MAKING: dict[Kind, dict[str, Any]] = {"trainable": {}, "sum": {"head": "sum"}, "natural": {"trigger": NaturalTrigger()}}
"""How the boards of each kind are made."""
TITLES: dict[Kind, str] = {
    "sum": "The sum head",
    "natural": "The trainable head, with rows that carry a trigger by nature",
}
NOTES: dict[Kind, str] = {
    "natural": (
        "**Few rows measure this.** So many test rows of other classes than τ carry a trigger by nature: 9 of "
        "handwritten, 11 of bank marketing, 47 of default of credit, 27 of Fashion-MNIST, 94 of NUS-WIDE's twin, none "
        "of MNIST. Attacks whose trigger is in the message do not depend on it, and are left out.\n"
    )
}
"""What a reader must know of a kind before its table."""


def file_name(board: str, kind: Kind) -> str:
    """The file of a board's results."""
    return f"{board}.nc" if kind == "trainable" else f"{board}_{kind}.nc"


def that_differ(board: xr.Dataset, kind: Kind) -> xr.Dataset:
    """The results of a board without the attacks that its kind does not concern: those with a trigger in the message.

    Args:
      board: the results of one board.
      kind: its kind.
    """
    if kind != "natural":
        return board
    needs = {name: made["needs"] for of in json.loads(board.attrs["attacks"]).values() for name, made in of.items()}
    return board.sel(attack=[name for name in board["attack"].values if needs[name]["trigger"] != "message"])

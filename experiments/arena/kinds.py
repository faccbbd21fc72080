"""The kinds of boards: each has files and a table of its own."""

from __future__ import annotations

from typing import Any, Literal

from vfl_jax.protocol.triggers import NaturalTrigger

Kind = Literal["trainable", "sum", "natural"]
MAKING: dict[Kind, dict[str, Any]] = {"trainable": {}, "sum": {"head": "sum"}, "natural": {"trigger": NaturalTrigger()}}
"""How the boards of each kind are made."""
TITLES: dict[Kind, str] = {
    "sum": "The sum head",
    "natural": "The trainable head, with rows that carry a trigger by nature",
}


def file_name(board: str, kind: Kind) -> str:
    """The file of a board's results."""
    return f"{board}.nc" if kind == "trainable" else f"{board}_{kind}.nc"

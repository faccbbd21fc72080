"""What is trained: networks of equally many layers that are cut at different places, and who attacks them."""

from __future__ import annotations

import dataclasses

from vfl_jax.arenas.boards import WIDTH, Board
from vfl_jax.arenas.entries import Entry
from vfl_jax.arenas.lineup import ATTACKS, BOARDS
from vfl_jax.attacks import PassiveModelCompletion, RegressionInference
from vfl_jax.models import MLP, DenseHead
from vfl_jax.protocol.needs import Needs

DATA = ("handwritten", "default_credit", "mnist")
LAYERS = 4
"""Of the whole network, from a party's features to the logits."""
CUTS = (1, 2, 3)
"""The layers below the cut, which every party has; the rest is the head's."""
SEEDS = 10
NUM_KNOWN = 10
"""The rows of every class whose labels a reader knows."""
END = (-1,)

BACKDOORS: dict[str, Entry] = {
    name: ATTACKS[name]
    for name in ("GradientReplacement", "FreshReplacement-500", "Replay", "Villain-oracle", "BASL", "BASL-5", "LFBA")
}
READERS: dict[str, Entry] = {
    "RegressionInference": (RegressionInference(at_epochs=END), Needs(num_known=NUM_KNOWN)),
    "PassiveModelCompletion": (PassiveModelCompletion(num_steps=20 * 1024), Needs(num_known=NUM_KNOWN)),
}
"""One reads the messages; the other, the party's own model, which no defense of messages hides."""


def cut_name(cut: int) -> str:
    """The name of the board that is cut there."""
    return f"{cut} below, {LAYERS - cut} above"


def board(data: str, cut: int) -> Board:
    """The arena's board of a data set, with another network.

    Args:
      data: its name among the arena's boards.
      cut: how many of ``LAYERS`` layers lie below the cut, from 1 to ``LAYERS`` − 1.
    """
    made = BOARDS[data]()
    bottom = MLP(hidden=(WIDTH,) * (cut - 1), width=WIDTH, output_relu=True)
    head = DenseHead(hidden=(WIDTH,) * (LAYERS - cut - 1))
    scenario = made.scenario.replace(bottoms=(bottom,) * made.data.num_parties, head=head)
    return dataclasses.replace(made, scenario=scenario)

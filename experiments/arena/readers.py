"""Who reads labels on the arena's boards: readers listen to honest training behind every defense of the line-up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from experiments.leakage.cases import ANY, AXES, NONE, NUM_KNOWN, SIGNS, TWO_CLASSES
from experiments.leakage.readings import COMPLETION, Reading
from experiments.leakage.report import headline_cell
from vfl_jax.arenas import dcs
from vfl_jax.arenas.entries import Entry
from vfl_jax.arenas.standings import MAIN, at_common_seeds, is_ranked
from vfl_jax.arenas.table import READ, UNDEFENDED, ways
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.needs import Needs
from vfl_jax.reports import Row

if TYPE_CHECKING:
    import xarray as xr

KNOWS = Needs(poison_rate=0.0, num_known=NUM_KNOWN)
READERS: dict[str, Entry] = {
    "Readers": (PartyChain(parts=(*ANY, AXES)), KNOWS),
    "Readers-two": (PartyChain(parts=TWO_CLASSES), KNOWS),
    "Readers-sign": (PartyChain(parts=SIGNS), KNOWS),
}
"""The readers of the page on leakage, in a chain each: those of any classes, those of two, and those that need one
entry of a message per class, which the sum head alone gives. Who cannot be on a board is refused with the reason."""
NOTE = """\
Everybody trains honestly; the arena's attacker listens, and knows ten rows of every class or a tenth of it. A cell has
the best reader of messages, by its median over seeds, then the best that uses no message, then in brackets the change
of main accuracy: shares of all training rows, or of two classes the area under the ROC curve. [The page on
leakage](../leakage/README.md) says what the readers are, and has them with more numbers of the defenses.
"""
SCORE_NOTE = """\
T-DCS is VFLAIR's score, 1 at best: how little main accuracy a defense costs, and how little attack success it leaves.
It is a mean over the attacks of a kind: the backdoors that met nearly all defenses of a board, and all readers, on the
boards of the table above. C-DCS is the mean of the two. VFLAIR holds an attack against 0, not against what an honest
run or the own model gives, so that no defense can reach 1, and weak readers raise a mean: [ranks](#ranks) say more.
"""


def rows(results: xr.Dataset) -> list[Row]:
    """What is read behind every defense, a column per board.

    Args:
      results: those of all boards.
    """
    found = {
        str(name): board_readings(at_common_seeds(results.sel(data=[name])).isel(data=0))
        for name in results["data"].values
    }
    names = dict.fromkeys(reading.defense for readings in found.values() for reading in readings)
    return [
        {"defense": name}
        | {
            board: next((headline_cell(one, readings) for one in readings if one.defense == name), "–")
            for board, readings in found.items()
        }
        for name in names
    ]


def score_rows(read: xr.Dataset, planted: xr.Dataset) -> list[Row]:
    """The score of every defense by backdoors, by readers, and the mean of both; the best first.

    Args:
      read: the results of readers.
      planted: those of backdoors; the boards of the readers count.
    """
    there = [name for name in read["data"].values if name in planted["data"].values]
    by_backdoors, by_readers = dcs.by_defense(planted.sel(data=there)), dcs.by_readers(read.sel(data=there))
    scored = {}
    everywhere = read["defense"].values[is_ranked(read, "defense").values]  # of other boards it is another number
    for name in (str(name) for name in everywhere if name in planted["defense"].values):
        scores = [float(of.sel(defense=name)) for of in (by_backdoors, by_readers)]
        if np.isfinite(scores).all():  # else it did not meet both on these boards
            scored[name] = (*scores, dcs.means(scores, [0, 1], num_kinds=2)[1])
    titles = ("T-DCS, backdoors", "T-DCS, labels", "C-DCS")
    return [
        {"defense": name} | {title: f"{score:z.3f}" for title, score in zip(titles, scored[name], strict=True)}
        for name in sorted(scored, key=lambda name: -scored[name][-1])
    ]


def board_readings(board: xr.Dataset) -> list[Reading]:
    """What was read on one board, defense by defense, as the page on leakage has it.

    Args:
      board: the results of one board.
    """
    found = []
    for name in map(str, board["defense"].values):
        of_defense = board.sel(defense=name)
        right: dict[str, np.ndarray] = {}
        area: dict[str, np.ndarray] = {}
        for way in ways(board):
            reader, end = way or COMPLETION, f"_{way}" if way else ""
            accuracy, rate = (_of_its_attack(of_defense, f"{READ}{of}{end}") for of in ("accuracy", "rate"))
            if rate is not None:
                right[reader] = (0.0 if accuracy is None else np.nan_to_num(accuracy)) * rate
            if (areas := _of_its_attack(of_defense, f"{READ}auc{end}")) is not None:
                area[reader] = areas
        if right:
            main = of_defense[MAIN].mean("attack").values
            found.append(Reading(NONE if name == UNDEFENDED else name, "", right, area, main))
    return found


def _of_its_attack(of_defense: xr.Dataset, name: str) -> np.ndarray | None:
    """A metric of the one attack that reports it, float[seed]; None where there is none."""
    if name not in of_defense or not (values := of_defense[name]).notnull().any():
        return None
    reporting = values.notnull().any("seed").values
    return values.isel(attack=int(np.argmax(reporting))).values

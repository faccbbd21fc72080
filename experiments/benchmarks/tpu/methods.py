"""What is compiled: every attack and every defense of the package, each on a board of random data of a real size."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator

import numpy as np

from vfl_jax import attacks, defenses
from vfl_jax.arenas.boards import Board, board_for
from vfl_jax.arenas.cells import Entrant, groups, refusal
from vfl_jax.arenas.entries import Entry, entrants
from vfl_jax.arenas.lineup import ATTACKS, DEFENSES, LARGE, SUM_HEAD_ONLY
from vfl_jax.data import from_arrays, partition_images
from vfl_jax.protocol.methods import needs_of
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform
from vfl_jax.replica.draws import Given
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.grid import parse
from vfl_jax.sweeps.study import Study

NUM_SEEDS = 20
NONE = "none"
ACTIVE = "ActiveBackdoor"

MORE_ATTACKS: dict[str, Entry] = SUM_HEAD_ONLY | {
    "StayInRange": attacks.StayInRange(),
    "PassiveModelCompletion": attacks.PassiveModelCompletion(),
    "SignInference": attacks.SignInference(),
    "NormInference": attacks.NormInference(),
    "SpectralInference": attacks.SpectralInference(),
    "DirectionInference": attacks.DirectionInference(),
    "ClusterInference": attacks.ClusterInference(),
    "RegressionInference": attacks.RegressionInference(),
    "PooledInference": attacks.PooledInference(),
}
"""The attacks that are not in the arena's line-up, with their defaults; the active party's own is apart."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """A method on a board: 20 seeds, each honest and attacked.

    Args:
      name: the method's, as the arena calls it.
      kind: "attack", "defense", or "both" for neither of the two: no method at all.
      board: the name of the board.
      study: what would be trained.
      chunk: the grid points and seeds.
    """

    name: str
    kind: str
    board: str
    study: Study
    chunk: Chunk


@functools.cache
def boards() -> dict[str, Board]:
    """The boards by name, in the order in which a method tries them.

    * images: 60,000 rows of MNIST's size, ten classes, two halves, the trainable head.
    * images, sum: the same under the sum head.
    * images, 4 parties: the same images in quarters, the trainable head.
    * table: 30,000 rows of 23 numbers, the size of default of credit, two classes, two parties, the trainable head.
    """
    rng = np.random.default_rng(0)
    splits = [(rng.random((n, 28, 28), np.float32), rng.integers(0, 10, n)) for n in (60_000, 10_000)]
    images = partition_images("random images", *splits)
    columns, labels = rng.normal(size=(36_000, 23)).astype(np.float32), rng.integers(0, 2, 36_000)
    quarters = partition_images("random images", *splits, num_parties=4)
    table = from_arrays(columns, labels, by=2, test=1 / 6, active_party=0, name="random table")
    return {
        "images": board_for(images, epochs=LARGE, learning_rate=0.3),
        "images, sum": board_for(images, epochs=LARGE, learning_rate=0.3, head="sum"),
        "images, 4 parties": board_for(quarters, epochs=LARGE, learning_rate=0.3),
        "table": board_for(table, epochs=LARGE, learning_rate=0.3),
    }


def names() -> list[tuple[str, str]]:
    """The kinds and names of all that is compiled: nothing, then attacks, then defenses."""
    of_attacks = [("attack", name) for name in (*ATTACKS, *MORE_ATTACKS, ACTIVE)]
    return [("both", NONE), *of_attacks, *(("defense", name) for name in DEFENSES)]


def subject(kind: str, name: str) -> Subject:
    """What is compiled for a method: on the first board that does not refuse it.

    Args:
      kind, name: as :func:`names` lists them. A defense meets the paper's gradient replacement, an attack no defense.

    Raises:
      ValueError: where every board refuses it, with their reasons.
    """
    reasons = []
    for title, board in boards().items():
        if name == ACTIVE:
            return _active(title, board)
        entered = (ATTACKS | MORE_ATTACKS).get(name, ATTACKS["GradientReplacement"])
        entrant = _entrant(attacks.PoisonedData() if kind == "both" else entered, board.epochs)
        defense = DEFENSES[name] if kind == "defense" else ActiveTransform()
        reason = refusal(board, entrant, defense)
        if reason is None:
            ((group,), _) = groups(title, board, {name: entrant}, {name: defense})
            points = tuple(parse(group.scenario, group.over).points())
            study = Study(group.scenario, board.data, board.epochs, Given())
            return Subject(name, kind, title, study, Chunk(points, tuple(range(NUM_SEEDS))))
        reasons.append(f"{title}: {reason}")
    raise ValueError(f"Every board refuses {name}. " + " ".join(reasons))


def _active(title: str, board: Board) -> Subject:
    """The active party's own attack, which no board enters."""
    scenario = board.meeting(PartyTransform(), ActiveTransform(), needs_of(attacks.PoisonedData()))
    scenario = scenario.replace(active_attack=attacks.ActiveBackdoor())
    points = tuple(parse(scenario, {"active_attack.enabled": [0.0, 1.0]}).points())
    study = Study(scenario, board.data, board.epochs, Given())
    return Subject(ACTIVE, "attack", title, study, Chunk(points, tuple(range(NUM_SEEDS))))


def _entrant(entered: Entry, epochs: int) -> Entrant:
    """An attack and what it is granted, for so many epochs."""
    return entrants({"it": entered}, epochs)["it"]


def left_out() -> Iterator[str]:
    """The public attacks and defenses that no name in :func:`names` is an example of; there must be none."""
    here = " ".join(repr(_made(kind, name)) for kind, name in names() if name not in (NONE, ACTIVE))
    for each in (*attacks.__all__, *defenses.__all__):
        if each != ACTIVE and f"{each}(" not in here:
            yield each


def _made(kind: str, name: str) -> object:
    """The method itself."""
    return DEFENSES[name] if kind == "defense" else _entrant((ATTACKS | MORE_ATTACKS)[name], LARGE)[0]

"""One board under one defense: honest training, seed by seed, and what the best messages reach of trained models."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.known_head.cases import SIZES, SendsOneMessage
from experiments.known_head.search import KEY, ROWS, own_messages, search, starts_for
from vfl_jax.arenas.boards import Board
from vfl_jax.arenas.lineup import DEFENSES
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.core.vertical_data import Rows
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.replica import Replica, TrainState, between_epochs, init, predict, prepare, train_epoch

if TYPE_CHECKING:
    import xarray as xr


def of_defense(board: Board, defense: str, seeds: int) -> xr.Dataset:
    """Returns what messages reach under one defense: float32 by defense, size and seed.

    ``one`` is the share of test rows of other classes that one message for all leads to τ, ``each`` that of rows that
    have a message of their own, ``seen`` that of the training rows that the one was made for. ``honest`` is the share
    of the same test rows that say τ by themselves, ``main`` the honest test accuracy; both are equal at all sizes.

    Args:
      board: one of the arena's boards, with one attacker.
      defense: its name in the arena's line-up, or "none".
      seeds: how many.
    """
    import xarray as xr

    numbers = [_of_seed(board, defense, seed) for seed in range(seeds)]
    coordinates = {"defense": [defense], "size": list(SIZES), "seed": range(seeds)}
    dims = tuple(coordinates)
    values = {name: np.stack([of[name] for of in numbers], axis=-1)[None] for name in numbers[0]}
    return xr.Dataset({name: (dims, value.astype(np.float32)) for name, value in values.items()}, coordinates)


def trained(board: Board, defense: str, seed: int) -> tuple[Replica, TrainState]:
    """Trains one seed, in which the attacker is honest, and returns it with its last state.

    Args:
      board, defense: as for :func:`of_defense`.
      seed: the seed.
    """
    made = ActiveTransform() if defense == UNDEFENDED else DEFENSES[defense]
    replica = prepare(board.meeting(SendsOneMessage(), made), board.data, jax.random.key(seed))
    state = init(replica)
    for epoch in range(board.epochs):
        state = between_epochs(replica, state, epoch, board.epochs)
        state, _, _ = _train_epoch(replica, state, epoch)
    return replica, between_epochs(replica, state, board.epochs, board.epochs)


_train_epoch = jax.jit(train_epoch)


def _of_seed(board: Board, defense: str, seed: int) -> dict[str, np.ndarray]:
    """The variables of one seed, float[size] each."""
    replica, state = trained(board, defense, seed)
    (party,), target = board.attackers, board.scenario.poison.target_class
    train, test = board.data.train, board.data.test
    messages = np.asarray(own_messages(replica, state, train.features[party], party))
    longest, is_target = float(np.linalg.norm(messages, axis=1).max()), np.asarray(train.labels) == target
    seen, attacked = (_of_other_classes(rows, target) for rows in (train, test))
    guesses = np.asarray(_predict(replica, state, test.features).argmax(axis=1))
    found = [
        search(replica, state, party, seen, attacked, starts_for(messages, is_target, size), jnp.float32(size))
        for size in (longest * factor for factor in SIZES.values())
    ]
    said_by_itself = np.asarray(_predict(replica, state, attacked).argmax(axis=1)) == target
    return {name: np.array([float(getattr(of_size, name)) for of_size in found]) for name in found[0]._fields} | {
        "honest": np.full(len(SIZES), said_by_itself.mean()),
        "main": np.full(len(SIZES), (guesses == np.asarray(test.labels)).mean()),
    }


@jax.jit
def _predict(replica: Replica, state: TrainState, features: Any) -> jax.Array:
    return jnp.asarray(predict(replica, state, features, jax.random.key(KEY)))


def _of_other_classes(rows: Rows, target: int) -> Any:
    """The features of up to ``ROWS`` rows of other classes than τ, spread over the table."""
    others = np.flatnonzero(np.asarray(rows.labels) != target)
    chosen = others[np.unique(np.linspace(0, len(others) - 1, ROWS).astype(int))]
    return jax.tree.map(operator.itemgetter(chosen), rows.features)

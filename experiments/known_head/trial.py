"""One board under one defense: honest training, seed by seed, and what the best messages reach of trained models."""

from __future__ import annotations

import json
import operator
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.known_head.cases import SIZES, SendsOneMessage
from experiments.known_head.search import MEASURE, ROWS, own_messages, search, starts_for
from vfl_jax.arenas.boards import Board
from vfl_jax.arenas.lineup import DEFENSES
from vfl_jax.arenas.table import UNDEFENDED
from vfl_jax.core.vertical_data import Rows
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.replica import Replica, TrainState, between_epochs, init, predict, prepare, train_epoch
from vfl_jax.replica.first_pass import strictly_predicts
from vfl_jax.replica.stepping import predicted_class

if TYPE_CHECKING:
    import xarray as xr


def settings(board: Board, seeds: int) -> str:
    """Returns what results of a board depend on, beside the defense, as JSON.

    Args:
      board: one of the arena's boards.
      seeds: how many.
    """
    scenario = json.loads(board.meeting(SendsOneMessage(), ActiveTransform()).to_json())
    return json.dumps(
        {"scenario": scenario, "epochs": board.epochs, "data": board.data.fingerprint(), "seeds": seeds, "sizes": SIZES}
    )


def of_defense(board: Board, defense: str, seeds: int) -> xr.Dataset:
    """Returns what messages reach under one defense, float32 by defense, size and seed; NaN where training diverged.

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
    values = {name: np.stack([of[name] for of in numbers], axis=-1)[None] for name in numbers[0]}
    variables = {name: (tuple(coordinates), value.astype(np.float32)) for name, value in values.items()}
    counts = np.bincount(np.asarray(board.data.test.labels))
    return xr.Dataset(variables | {"majority": counts.max() / counts.sum()}, coordinates)


def trained(board: Board, defense: str, seed: int) -> tuple[Replica, TrainState, bool]:
    """Trains one seed, in which the attacker is honest.

    Args:
      board, defense: as for :func:`of_defense`.
      seed: the seed.

    Returns:
      (the replica, its last state, whether all numbers stayed finite).
    """
    made = ActiveTransform() if defense == UNDEFENDED else DEFENSES[defense]
    replica = prepare(board.meeting(SendsOneMessage(), made), board.data, jax.random.key(seed))
    state, is_finite = init(replica), True
    for epoch in range(board.epochs):
        state = between_epochs(replica, state, epoch, board.epochs)
        state, _, is_finite = _train_epoch(replica, state, epoch)
    return replica, between_epochs(replica, state, board.epochs, board.epochs), bool(is_finite)


_train_epoch = jax.jit(train_epoch)


def _of_seed(board: Board, defense: str, seed: int) -> dict[str, np.ndarray]:
    """The variables of one seed, float[size] each."""
    replica, state, is_finite = trained(board, defense, seed)
    (party,), target = board.attackers, board.scenario.poison.target_class
    train, test = board.data.train, board.data.test
    messages = np.asarray(own_messages(replica, state, train.features[party], party))
    is_target, longest = np.asarray(train.labels) == target, float(np.linalg.norm(messages, axis=1).max())
    seen, attacked = (_of_other_classes(rows, target) for rows in (train, test))
    found: dict[str, list[Any]] = {"one": [], "each": [], "seen": []}
    before = np.zeros((0, messages.shape[1]), np.float32)
    for factor in SIZES.values():
        starts = np.concatenate([starts_for(messages, is_target, longest * factor), before])
        best = search(replica, state, party, seen, attacked, starts, jnp.float32(longest * factor))
        before = np.asarray(best.message)[None]  # what a short message reaches, a search for longer ones reaches
        for name, values in found.items():
            values.append(float(getattr(best, name)) if is_finite else np.nan)
    by_itself = np.asarray(strictly_predicts(_predict(replica, state, attacked), target)).mean()
    main = (np.asarray(predicted_class(_predict(replica, state, test.features))) == np.asarray(test.labels)).mean()
    both = {"honest": np.full(len(SIZES), by_itself), "main": np.full(len(SIZES), main)}
    return {name: np.array(values) for name, values in found.items()} | both


@jax.jit
def _predict(replica: Replica, state: TrainState, features: Any) -> jax.Array:
    return jnp.asarray(predict(replica, state, features, jax.random.key(MEASURE)))


def _of_other_classes(rows: Rows, target: int) -> Any:
    """The features of up to ``ROWS`` rows of other classes than τ, spread over the table."""
    others = np.flatnonzero(np.asarray(rows.labels) != target)
    chosen = others[np.unique(np.linspace(0, len(others) - 1, ROWS).astype(int))]
    return jax.tree.map(operator.itemgetter(chosen), rows.features)

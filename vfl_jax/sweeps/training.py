"""Training on the devices of this program: a chunk of a sweep in compiled programs, or one replica alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.types import Key
from vfl_jax.replica import phases
from vfl_jax.replica.draws import draw
from vfl_jax.replica.state import TrainState
from vfl_jax.sweeps import devices, programs
from vfl_jax.sweeps.cautions import warn_of_little_evidence
from vfl_jax.sweeps.grid import stack
from vfl_jax.sweeps.labels import History, Period, to_dataset
from vfl_jax.sweeps.prepared import Prepared
from vfl_jax.sweeps.progress import ChunkProgress
from vfl_jax.sweeps.store.checkpoints import Checkpoints
from vfl_jax.sweeps.study import Study

if TYPE_CHECKING:
    import xarray as xr

_init_one = jax.jit(phases.init, static_argnames="shapes")
_train_one_epoch = jax.jit(phases.train_epoch, static_argnames=("shapes", "over_grid"), donate_argnames="state")
_evaluate_one = jax.jit(phases.evaluate, static_argnames=("shapes", "over_grid"))


def train(
    ready: Prepared, progress: ChunkProgress, checkpoints: Checkpoints | None = None, checkpoint_every: int = 5
) -> xr.Dataset:
    """Trains all grid points and seeds of a chunk together.

    Where there is a checkpoint, training goes on from the newest, bit for bit as if it had never stopped.

    Args:
      ready: the chunk on its devices.
      progress: the progress of this chunk.
      checkpoints: where its checkpoints lie; None keeps none.
      checkpoint_every: how many epochs lie between two checkpoints.

    Returns:
      Labelled results, with the dimensions ``point``, ``seed``, ``epoch`` and ``class``.

    Raises:
      OSError: where a checkpoint cannot be written, or cannot be read just now.
    """
    started, study, chunk = time.time(), ready.study, ready.chunk

    def one_epoch(state: TrainState, epoch: Any) -> tuple[TrainState, Any]:
        state, trained, is_finite = programs.train_epoch(*ready.arguments, state, epoch)
        return state, trained | programs.evaluate(*ready.arguments, state, epoch) | {"is_finite": is_finite}

    def keep(state: TrainState, history: History) -> None:
        if checkpoints is not None and len(history) % checkpoint_every == 0 and len(history) < study.epochs:
            whole = ready.on_host(state)
            if devices.is_first_process():
                checkpoints.save(len(history), {"state": whole, "history": jax.tree.map(_stack, *history)})

    history: History = []
    state, restored = ready.initial_state(), None
    if checkpoints is not None:
        restored = _restore(checkpoints, jax.eval_shape(one_epoch, state, jnp.int32(0)), len(chunk.seeds))
    if restored is not None:
        epochs, tree = restored
        state = ready.on_devices(tree["state"])
        history = [jax.tree.map(lambda leaf, e=e: leaf[e], tree["history"]) for e in range(epochs)]
        progress.goes_on(epochs)
    _, history = _train_epochs(one_epoch, state, history, study.epochs, keep, progress, ready.on_host)
    return to_dataset(history, study, len(chunk.points), chunk.seeds, ready.drawn, Period(started, time.time()))


def train_one(study: Study, key: Key, progress: ChunkProgress) -> tuple[xr.Dataset, TrainState]:
    """Trains one replica, without a map over seeds and grid.

    Args:
      study: what to train.
      key: the key of its seed.
      progress: the progress of this replica.

    Returns:
      Labelled results, with the dimensions ``epoch`` and ``class``, and the final state.

    Raises:
      ValueError: where the data or the given choices do not fit the scenario.
    """
    scenario, inputs = study.scenario, study.inputs
    shapes, started = scenario.shapes(study.data), time.time()
    drawn = draw(scenario, study.data, key, study.given)
    study.check_epochs(drawn)
    warn_of_little_evidence(scenario, study.data, drawn, stacklevel=3)
    numbers = jax.tree.map(jnp.asarray, stack(scenario, ({},)))
    draws = jax.tree.map(jnp.asarray, drawn)
    state = _init_one(shapes, inputs, numbers, draws, study.given)

    def one_epoch(state: TrainState, epoch: Any) -> tuple[TrainState, Any]:
        state, trained, is_finite = _train_one_epoch(shapes, inputs, numbers, draws, state, epoch)
        found = trained | _evaluate_one(shapes, inputs, numbers, draws, state, epoch) | {"is_finite": is_finite}
        return state, jax.tree.map(lambda leaf: leaf[None, None], found)

    state, history = _train_epochs(one_epoch, state, [], study.epochs, lambda state, history: None, progress)
    one_seed = jax.tree.map(lambda leaf: leaf[None], drawn)
    found = to_dataset(history, study, 1, (0,), one_seed, Period(started, time.time()))
    return found.isel(point=0, seed=0).drop_vars("seed"), state


def _train_epochs(
    one_epoch: Callable[..., Any],
    state: TrainState,
    history: History,
    epochs: int,
    keep: Callable[[TrainState, History], None],
    progress: ChunkProgress,
    to_host: Callable[[Any], Any] = devices.fetch,
) -> tuple[TrainState, History]:
    """The loop over epochs, the only place where the host waits for the device.

    ``keep`` is called with the state and the history after every epoch.
    """
    history = list(history)
    for number in range(len(history), epochs):
        state, found = one_epoch(state, jnp.int32(number))
        found = to_host(found)
        if history:
            found["is_finite"] = found["is_finite"] & history[-1]["is_finite"]
        history.append(found)
        keep(state, history)
        progress.epoch_done(number, found)
    return state, history


def _restore(checkpoints: Checkpoints, one_epoch: tuple[TrainState, Any], num_seeds: int) -> tuple[int, Any] | None:
    """The number of finished epochs and the tree of the newest checkpoint, the same in all processes."""
    state, found = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((num_seeds, *leaf.shape[1:]), leaf.dtype), one_epoch)

    def like(epochs: int) -> Any:
        history = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((epochs, *leaf.shape), leaf.dtype), found)
        return {"state": state, "history": history}

    restored = checkpoints.restore(like) if devices.is_first_process() else None
    epochs = devices.agree(restored[0] if restored else 0)
    if not epochs:
        return None
    tree = restored[1] if restored else jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like(epochs))
    return epochs, devices.agree_on(tree)


def _stack(*leaves: Any) -> np.ndarray:
    """One array with a leading axis for the leaves of all epochs."""
    return np.stack(leaves)

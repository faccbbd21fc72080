"""Training on the devices of this program: a chunk of a sweep in compiled programs, or one replica alone."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core import stopping
from vfl_jax.core.row_ids import set_apart
from vfl_jax.core.types import Key
from vfl_jax.replica import initial, passes, phases
from vfl_jax.replica.evaluated import without_optimizers
from vfl_jax.replica.plans import check_plans
from vfl_jax.replica.replica import prepare
from vfl_jax.replica.state import TrainState
from vfl_jax.sweeps import devices, halving, processes, programs
from vfl_jax.sweeps.cautions import warn_of_little_evidence
from vfl_jax.sweeps.labels import History, Period, to_dataset
from vfl_jax.sweeps.prepared import Prepared
from vfl_jax.sweeps.progress import ChunkProgress
from vfl_jax.sweeps.store.checkpoints import Checkpoints
from vfl_jax.sweeps.study import Study

if TYPE_CHECKING:
    import xarray as xr

_init_one = jax.jit(initial.init, static_argnames="shapes")
_train_one_epoch = jax.jit(phases.train_epoch, static_argnames=("shapes", "over_grid"), donate_argnames="state")
_evaluate_one = jax.jit(passes.evaluate, static_argnames=("shapes", "over_grid"))
_attack_one = jax.jit(passes.attack_all, static_argnames=("shapes", "over_grid"))
_between_one = jax.jit(phases.between_epochs, static_argnames=("shapes", "due", "over_grid"), donate_argnames="state")


class _Phases(NamedTuple):
    """The phases of some replicas: functions of (state, epoch) that a host calls one after another."""

    train_epoch: Callable[..., Any]
    between_epochs: Callable[..., Any]
    evaluate: Callable[..., Any]
    attack_all: Callable[..., Any]


def train(
    ready: Prepared,
    progress: ChunkProgress,
    checkpoints: Checkpoints | None = None,
    checkpoint_every: int = 5,
    keep: Callable[[TrainState], None] | None = None,
) -> xr.Dataset:
    """Trains all grid points and seeds of a chunk together.

    Where there is a checkpoint, training goes on from the newest, bit for bit as if it had never stopped.

    Args:
      ready: the chunk on its devices.
      progress: the progress of this chunk.
      checkpoints: where its checkpoints lie; None keeps none.
      checkpoint_every: how many epochs lie between two checkpoints.
      keep: takes the final states without those of optimizers, on the host, leaves [S, ...] with the grid axis where
        :func:`vfl_jax.sweeps.grid_axis.state_axes` says; None keeps none.

    Returns:
      Labelled results, with the dimensions ``point``, ``seed``, ``epoch`` and ``class``.

    Raises:
      OSError: where a checkpoint cannot be written, or cannot be read just now.
      MemoryError: where one replica alone does not fit into memory.
    """
    started, study, chunk = time.time(), ready.study, ready.chunk
    state, history = _trained(ready, progress, checkpoints, checkpoint_every, keep is not None)
    if keep is not None:
        keep(state)
    return to_dataset(history, study, len(chunk.points), chunk.seeds, ready.drawn, Period(started, time.time()))


def _trained(
    ready: Prepared, progress: ChunkProgress, checkpoints: Checkpoints | None, checkpoint_every: int, keeps: bool
) -> tuple[Any, History]:
    """The final states of a chunk on the host, or None, and what its epochs recorded.

    What does not fit into memory at once is trained in halves.
    """
    if not halving.is_known_too_large(ready):
        try:
            return _trained_at_once(ready, progress, checkpoints, checkpoint_every, keeps)
        except (MemoryError, jax.errors.JaxRuntimeError) as error:
            halving.note_too_large(ready, error)
    # Here the error is gone, and with it all that its frames held.
    progress.starts_over()
    parts = []
    for number, (half, told) in enumerate(halving.halves(ready, progress)):
        own = None if checkpoints is None else checkpoints.of_part(number)
        parts.append(_trained(half(), told, own, checkpoint_every, keeps))
    return halving.joined(ready, parts)


def _trained_at_once(
    ready: Prepared, progress: ChunkProgress, checkpoints: Checkpoints | None, checkpoint_every: int, keeps: bool
) -> tuple[Any, History]:
    """What :func:`_trained` returns, of replicas that are trained together."""
    study = ready.study
    of_chunk = _Phases(
        *(functools.partial(program, *ready.arguments) for program in (programs.train_epoch, programs.between_epochs)),
        *(_evaluation(program, ready) for program in (programs.evaluate, programs.attack_all)),
    )
    loop = _Loop(study, of_chunk, ready.on_host)

    def save(state: TrainState, history: History, stops: bool) -> None:
        is_due = stops or len(history) % checkpoint_every == 0
        if checkpoints is not None and is_due and len(history) < study.epochs:
            whole = ready.on_host(state)
            if processes.is_first_process():
                checkpoints.save(len(history), {"state": whole, "history": jax.tree.map(_stack, *history)})

    history: History = []
    state, restored = ready.initial_state(), None
    if checkpoints is not None:
        restored = _restore(checkpoints, *ready.own_shapes((state, loop.found_shapes(state))))
    if restored is not None:
        epochs, tree = restored
        state = ready.on_devices(tree["state"])
        history = [jax.tree.map(lambda leaf, e=e: leaf[e], tree["history"]) for e in range(epochs)]
        progress.goes_on(epochs)
    state, history = loop.run(state, history, save, progress)
    return ready.on_host(without_optimizers(state)) if keeps else None, history


def _evaluation(program: Callable[..., Any], ready: Prepared) -> Callable[..., Any]:
    """An evaluation of a chunk as a function of (state, epoch)."""
    return lambda state, epoch: program(*ready.evaluated(state), epoch)


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
      MemoryError: where the replica does not fit into memory.
    """
    started = time.time()
    one = prepare(study.scenario, study.data, key, study.given)
    study.check_epochs(one.draws)
    check_plans(study.scenario, study.data, one.draws, study.epochs)
    warn_of_little_evidence(study.scenario, study.data, one.draws, stacklevel=3)
    arguments = one.shapes, one.inputs, one.scenario, one.draws
    programs_of_one = _train_one_epoch, _between_one, _evaluate_one, _attack_one
    of_one = _Phases(*(functools.partial(program, *arguments) for program in programs_of_one))

    def to_host(found: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf[None, None], devices.fetch(found))

    with halving.of_one_replica():
        state = _init_one(*arguments, one.given)
        state, history = _Loop(study, of_one, to_host).run(state, [], lambda *_: None, progress)
    one_seed = jax.tree.map(lambda leaf: leaf[None], one.draws)
    found = to_dataset(history, study, 1, (0,), one_seed, Period(started, time.time()))
    return set_apart(found.isel(point=0, seed=0).drop_vars("seed")), state


class _Loop:
    """The loop over epochs, the only place where the host waits for the device.

    Args:
      study: what is trained.
      phases: the phases of the replicas.
      to_host: brings what a phase recorded to the host.
    """

    def __init__(self, study: Study, phases: _Phases, to_host: Callable[[Any], Any]) -> None:
        self.study, self.phases, self.to_host = study, phases, to_host
        self._nothing: dict[Any, Any] = {}  # by program, the metrics of no rows

    def run(
        self,
        state: TrainState,
        history: History,
        keep: Callable[[TrainState, History, bool], None],
        progress: ChunkProgress,
    ) -> tuple[TrainState, History]:
        """Trains to the last epoch.

        Args:
          state: the state after the epochs of ``history``.
          history: the metrics of the epochs that are done.
          keep: is called with the state and the history after every epoch, and whether training stops now.
          progress: the progress of these replicas.

        Raises:
          Stopped: where a signal was heard, here or in another process of the program, and epochs are left.
        """
        history = list(history)
        if not history:
            state, _ = self._act(state, 0)
        for number in range(len(history), self.study.epochs):
            state, found = self._epoch(state, number)
            found = self.to_host(found)
            if history:
                found["is_finite"] = found["is_finite"] & history[-1]["is_finite"]
            history.append(found)
            stops = processes.largest(stopping.asked())
            keep(state, history, bool(stops))
            progress.epoch_done(number, found)
            if stops and number + 1 < self.study.epochs:
                raise stopping.Stopped(stops)
        return state, history

    def found_shapes(self, state: TrainState) -> Any:
        """The shapes of what an epoch records, the same for all epochs."""
        epoch = jnp.int32(0)
        state, trained, is_finite = jax.eval_shape(self.phases.train_epoch, state, epoch)
        found = trained | jax.eval_shape(self.phases.evaluate, state, epoch)
        if self.study.scenario.attack_trigger is not None:
            found |= jax.eval_shape(self.phases.attack_all, state, epoch)
        return found | {"is_finite": is_finite}

    def _epoch(self, state: TrainState, number: int) -> tuple[TrainState, dict[str, Any]]:
        """Trains one epoch, lets methods act, and evaluates what is due."""
        study, epoch = self.study, jnp.int32(number)
        state, trained, is_finite = self.phases.train_epoch(state, epoch)
        state, stays_finite = self._act(state, number + 1)
        found = trained | self._evaluated(self.phases.evaluate, study.evaluates(number + 1), state, epoch)
        if study.scenario.attack_trigger is not None:
            found |= self._evaluated(self.phases.attack_all, study.attacks_all(number + 1), state, epoch)
        return state, found | {"is_finite": is_finite if stays_finite is None else is_finite & stays_finite}

    def _act(self, state: TrainState, epoch: int) -> tuple[TrainState, Any]:
        """Lets methods act after so many epochs; returns (state, whether it is finite or None where nobody acts)."""
        study = self.study
        if not study.scenario.acts_between(epoch, study.epochs):
            return state, None
        due = study.scenario.due(epoch, study.epochs)
        return self.phases.between_epochs(state, jnp.int32(epoch), jnp.int32(study.epochs), due)

    def _evaluated(self, program: Callable[..., Any], is_due: bool, state: TrainState, epoch: Any) -> Any:
        """The metrics of an evaluation; of one that is not due metrics of no rows, so that all epochs look alike."""
        if is_due:
            return program(state, epoch)
        if program not in self._nothing:
            shapes = jax.eval_shape(program, state, epoch)
            self._nothing[program] = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
        return self._nothing[program]


def _restore(checkpoints: Checkpoints, state: TrainState, found: Any) -> tuple[int, Any] | None:
    """The number of finished epochs and the tree of the newest checkpoint, the same in all processes.

    Args:
      checkpoints: where they lie.
      state, found: the shapes of the states, and of what an epoch records, on the host.
    """

    def like(epochs: int) -> Any:
        history = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((epochs, *leaf.shape), leaf.dtype), found)
        return {"state": state, "history": history}

    restored = checkpoints.restore(like) if processes.is_first_process() else None
    epochs = processes.agree(restored[0] if restored else 0)
    if not epochs:
        return None
    tree = restored[1] if restored else jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), like(epochs))
    return epochs, processes.agree_on(tree)


def _stack(*leaves: Any) -> np.ndarray:
    """One array with a leading axis for the leaves of all epochs."""
    return np.stack(leaves)

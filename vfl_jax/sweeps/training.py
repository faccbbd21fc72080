"""Training on the devices of this program: one replica alone, or a chunk of a sweep in compiled programs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.types import Key
from vfl_jax.protocol.views import Shapes
from vfl_jax.replica import phases, preparation
from vfl_jax.replica.draws import Draws, draw
from vfl_jax.replica.state import TrainState
from vfl_jax.sweeps import devices, programs
from vfl_jax.sweeps.cautions import warn_of_little_evidence
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.grid import stack
from vfl_jax.sweeps.labels import History, Period, to_dataset
from vfl_jax.sweeps.progress import ChunkProgress
from vfl_jax.sweeps.store.checkpoints import Checkpoints
from vfl_jax.sweeps.study import Study

if TYPE_CHECKING:
    import xarray as xr

MEMORY_SHARE = 0.8
"""Of the memory that is free, how much a plan may use."""

_init_one = jax.jit(phases.init, static_argnames="shapes")
_train_one = jax.jit(phases.train_epoch, static_argnames=("shapes", "over_grid"), donate_argnames="state")
_evaluate_one = jax.jit(phases.evaluate, static_argnames=("shapes", "over_grid"))


def train_replica(study: Study, key: Key, progress: ChunkProgress) -> tuple[xr.Dataset, TrainState]:
    """Trains one replica, unmapped; its results have neither point nor seed."""
    scenario, inputs = study.scenario, study.inputs
    shapes, started = scenario.shapes(study.data), time.time()
    drawn = draw(scenario, study.data, key, study.given)
    _check_epochs(study.epochs, drawn)
    warn_of_little_evidence(scenario, study.data, drawn, stacklevel=3)
    numbers = jax.tree.map(jnp.asarray, stack(scenario, ({},)))
    draws = jax.tree.map(jnp.asarray, drawn)
    state = _init_one(shapes, inputs, numbers, draws, study.given)

    def one_epoch(state: TrainState, epoch: Any) -> tuple[TrainState, Any]:
        state, trained, is_finite = _train_one(shapes, inputs, numbers, draws, state, epoch)
        found = trained | _evaluate_one(shapes, inputs, numbers, draws, state, epoch) | {"is_finite": is_finite}
        return state, jax.tree.map(lambda leaf: leaf[None, None], found)

    state, history = _train_epochs(one_epoch, state, [], study.epochs, lambda state, history: None, progress)
    one_seed = jax.tree.map(lambda leaf: leaf[None], drawn)
    found = to_dataset(history, study, 1, (0,), one_seed, Period(started, time.time()))
    return found.isel(point=0, seed=0).drop_vars("seed"), state


class Prepared(NamedTuple):
    """A chunk on its devices, ready to be trained; the seeds are padded to what the devices share evenly."""

    mesh: Any
    layout: programs.Layout
    shapes: Shapes
    inputs: preparation.Inputs
    numbers: Any  # the scenario with [G] arrays
    draws: Draws  # [S, ...]


def train_chunk(
    study: Study,
    chunk: Chunk,
    progress: ChunkProgress,
    checkpoints: Checkpoints | None = None,
    checkpoint_every: int = 5,
) -> xr.Dataset:
    """Trains the grid points and seeds of a chunk together: dimensions ``point``, ``seed``, ``epoch``, ``class``.

    Goes on from the newest checkpoint, where there is one, bit for bit as if it had never stopped.

    Args:
      checkpoint_every: how many epochs lie between two checkpoints.
    """
    started, drawn = time.time(), draw_all(study, chunk)
    ready = prepare(study, chunk, drawn)
    num_seeds = len(chunk.seeds)
    arguments = ready.shapes, ready.layout, ready.inputs, ready.numbers, ready.draws

    def one_epoch(state: TrainState, epoch: Any) -> tuple[TrainState, Any]:
        state, trained, is_finite = programs.train_all(*arguments, state, epoch)
        return state, trained | programs.evaluate_all(*arguments, state, epoch) | {"is_finite": is_finite}

    def real(tree: Any) -> Any:
        """On the host, without the seeds that only fill up devices."""
        return jax.tree.map(lambda leaf: leaf[:num_seeds], devices.fetch(tree))

    def keep(state: TrainState, history: History) -> None:
        if checkpoints is not None and len(history) % checkpoint_every == 0 and len(history) < study.epochs:
            whole = real(state)
            if devices.is_first_process():
                checkpoints.save(len(history), {"state": whole, "history": jax.tree.map(_stack, *history)})

    history: History = []
    state, restored = initial_state(ready, study), None
    if checkpoints is not None:
        restored = _restore(checkpoints, jax.eval_shape(one_epoch, state, jnp.int32(0)), num_seeds)
    if restored is not None:
        epochs, tree = restored
        state = devices.shard_seeds(devices.pad_seeds(tree["state"], ready.mesh), ready.mesh)
        history = [jax.tree.map(lambda leaf, e=e: leaf[e], tree["history"]) for e in range(epochs)]
        progress.goes_on(epochs)
    _, history = _train_epochs(one_epoch, state, history, study.epochs, keep, progress, real)
    return to_dataset(history, study, len(chunk.points), chunk.seeds, drawn, Period(started, time.time()))


def most_replicas(study: Study, chunk: Chunk) -> int:
    """How many of a chunk's replicas fit into the memory that is free, found by compiling it whole; at least 1.

    Where all fit, as they mostly do, the compiled programs are those that the chunk is then trained with.
    """
    mesh = devices.seed_mesh(len(chunk.seeds))
    fixed, each = memory_needed(study, chunk)
    fitting = int((MEMORY_SHARE * devices.free_memory(mesh) - fixed) / each) * mesh.size
    return max(1, min(chunk.num_replicas, fitting))


def memory_needed(study: Study, chunk: Chunk) -> tuple[float, float]:
    """Bytes that a chunk takes on each device: whatever the number of its replicas, and for each that is there."""
    ready = prepare(study, chunk, draw_all(study, chunk))
    arguments = ready.shapes, ready.layout, ready.inputs, ready.numbers, ready.draws
    state = jax.eval_shape(lambda *a: programs.init_all(*arguments[:2], *a, study.given), *arguments[2:])
    sharding = jax.tree.leaves(ready.draws)[0].sharding
    state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), state)
    epoch = jnp.int32(0)
    used = [
        p.lower(*arguments, state, epoch).compile().memory_analysis()
        for p in (programs.train_all, programs.evaluate_all)
    ]
    working = max((use.temp_size_in_bytes for use in used if use is not None), default=0)
    seeds_here = len(jax.tree.leaves(state)[0]) // ready.mesh.size
    # Twice: while a state is read back, or a new one takes an old one's place.
    fixed, all_here = _bytes(ready.inputs), 2 * _bytes((state, ready.draws)) / ready.mesh.size
    if ready.layout.at_once < seeds_here:
        fixed += working  # of one block of seeds, whatever their number
    else:
        all_here += working
    return fixed, all_here / (seeds_here * len(chunk.points))


def check(study: Study, points: Sequence[Mapping[str, Any]], seed: int) -> int:
    """How many rows are poisoned at the largest rate.

    Raises:
      ValueError: where the data is bad, or one seed's rows cannot be drawn from it.
    """
    preparation.check_data(study.data)
    drawn = draw(stack(study.scenario, points), study.data, jax.random.key(seed), study.given)
    _check_epochs(study.epochs, drawn)
    return len(drawn.poison_ids)


def _check_epochs(epochs: int, draws: Draws) -> None:
    if not isinstance(epochs, int | np.integer) or epochs < 1:
        raise ValueError(f"epochs is {epochs}; it must be a whole number of at least 1.")
    if draws.batch_ids is not None and draws.batch_ids.shape[-3] < epochs:
        raise ValueError(f"given.batch_ids holds {draws.batch_ids.shape[-3]} epochs; epochs is {epochs}.")


def _train_epochs(
    one_epoch: Callable[..., Any],
    state: TrainState,
    history: History,
    epochs: int,
    keep: Callable[[TrainState, History], None],
    progress: ChunkProgress,
    to_host: Callable[[Any], Any] = devices.fetch,
) -> tuple[TrainState, History]:
    """The host loop over epochs: the only place where the host waits for the device."""
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


def draw_all(study: Study, chunk: Chunk) -> Draws:
    """The draws of every seed, [S, ...]."""
    stacked = stack(study.scenario, chunk.points)
    drawn = [draw(stacked, study.data, jax.random.key(seed), study.given) for seed in chunk.seeds]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *drawn)


def prepare(study: Study, chunk: Chunk, drawn: Draws) -> Prepared:
    """Brings a chunk to its devices; ``drawn`` is what its seeds drew, [S, ...]."""
    stacked = stack(study.scenario, chunk.points)
    mesh = devices.seed_mesh(len(chunk.seeds))
    if study.scenario.poison.mode != "appended_pair":
        # Only the pair is drawn from them; as many as the rate says, they would make every rate a program of its own.
        drawn = dataclasses.replace(drawn, poison_ids=drawn.poison_ids[:, :0])
    draws = devices.shard_seeds(devices.pad_seeds(drawn, mesh), mesh)
    return Prepared(
        mesh=mesh,
        layout=programs.layout(mesh, len(draws.poison_rank), len(chunk.points)),
        shapes=stacked.shapes(study.data),
        inputs=devices.replicate(study.inputs, mesh),
        numbers=devices.replicate(jax.tree.map(jnp.asarray, stacked), mesh),
        draws=draws,
    )


def initial_state(ready: Prepared, study: Study) -> TrainState:
    """The states of a chunk's replicas before their first step, laid out as those of later epochs are."""
    state = programs.init_all(
        ready.shapes, ready.layout, ready.inputs, ready.numbers, ready.draws, devices.replicate(study.given, ready.mesh)
    )
    # Leaves that start equal for all seeds come out whole on every device; laid out as later states are, one
    # program serves every epoch.
    return devices.shard_seeds(state, ready.mesh)


def _restore(checkpoints: Checkpoints, one_epoch: tuple[TrainState, Any], num_seeds: int) -> tuple[int, Any] | None:
    """The newest checkpoint, the same in every process: how many epochs were done, and the tree."""
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
    return np.stack(leaves)


def _bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))

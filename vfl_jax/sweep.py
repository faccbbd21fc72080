"""Training: one replica (``run``), or a grid × seeds in one compiled program (``sweep``)."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax import simulation
from vfl_jax.devices import replicate, seed_mesh, shard_seeds
from vfl_jax.draws import Draws, Given, draw
from vfl_jax.evaluation import Metric
from vfl_jax.grid import Grid, Over, map_over_grid, parse, state_axes
from vfl_jax.progress import Progress
from vfl_jax.records import Shapes, TrainState, VerticalData
from vfl_jax.registry import cast
from vfl_jax.results import History, to_dataset
from vfl_jax.scenario import Scenario
from vfl_jax.types import Array, Key

if TYPE_CHECKING:
    import xarray as xr

_init_one = jax.jit(simulation.init, static_argnames="shapes")
_train_one = jax.jit(simulation.train_epoch, static_argnames=("shapes", "over_grid"), donate_argnames="state")
_evaluate_one = jax.jit(simulation.evaluate, static_argnames=("shapes", "over_grid"))


def run(
    scenario: Scenario, data: VerticalData, key: Key, epochs: int, given: Given = Given(), progress: bool = False
) -> tuple[xr.Dataset, TrainState]:
    """Trains one replica and evaluates it after every epoch.

    Args:
      key: a typed key; ``jax.random.key(s)`` gives the replica that ``sweep`` calls seed s.
      given: choices that are given instead of drawn.

    Returns:
      The labelled results (dimensions ``epoch`` and ``class``) and the final state.

    Raises:
      ValueError: naming the argument, where the scenario, the data or the given choices do not fit.
    """
    if not (isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.shape == ()):
        raise ValueError(f"key is {key!r}; it must be one typed key, for example jax.random.key(0).")
    scenario.to_json()  # raises where a number is none, before anything is trained
    inputs = simulation.prepare(scenario, data, given)
    shapes = scenario.shapes(data)
    draws = draw(scenario, data, key, given)
    _check_epochs(epochs, draws)
    numbers = jax.tree.map(jnp.asarray, cast(scenario))
    draws = jax.tree.map(jnp.asarray, draws)
    state = _init_one(shapes, inputs, numbers, draws, given)
    state, history = _train_epochs(
        lambda state, epoch: _train_one(shapes, inputs, numbers, draws, state, epoch),
        lambda state, epoch: _evaluate_one(shapes, inputs, numbers, draws, state, epoch),
        state,
        epochs,
        Progress(epochs, 1, shown=progress),
    )
    return to_dataset(history, scenario, data, Grid(()), None, draws, given), state


def sweep(
    scenario: Scenario,
    data: VerticalData,
    over: Over | None = None,
    seeds: int | Sequence[int] = 20,
    epochs: int = 50,
    given: Given = Given(),
    progress: bool = True,
) -> xr.Dataset:
    """Trains every grid point with every seed in one compiled program.

    All grid points of a seed share initial weights, batches, poison rows and noise draws, so that they
    are compared in pairs. The seeds are laid over all devices of the machine that share them evenly (on a CPU
    call ``use_all_cores`` first). A swept ``poison.rate`` makes the batch differ per grid point, which costs time.

    Args:
      over: what to sweep, e.g. ``{"attack.amplify": [1, 10], "defense.stddev": [0, 0.01]}``; a tuple of
        paths with tuples of values is one zipped axis.
      seeds: how many (0, 1, …), or which.
      given: choices that are given instead of drawn, the same for every seed.

    Returns:
      Labelled results: one dimension per swept path, ``seed``, ``epoch`` and ``class``.

    Raises:
      ValueError: naming the argument, where anything does not fit; before anything is trained.
    """
    grid = parse(scenario, over or {})
    for rate, ids in (("poison.rate", given.poison_ids), ("poison.test_rate", given.test_poison_ids)):
        if ids is not None and any(rate in paths for axis in grid.axes for paths in axis.paths):
            raise ValueError(f"over sweeps {rate!r}, but given names the rows: the rate has no effect.")
    seeds = tuple(range(seeds)) if isinstance(seeds, int | np.integer) else tuple(seeds)
    are_whole = all(isinstance(seed, int | np.integer) for seed in seeds)
    if not seeds or not are_whole or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise ValueError(f"seeds is {seeds!r}; give a number above 0, or distinct whole numbers from 0.")
    for point in grid.scenarios(scenario):
        point.check(data)
    stacked = grid.stacked(scenario)
    inputs = simulation.prepare(scenario, data, given)
    shapes = scenario.shapes(data)
    drawn = [draw(stacked, data, jax.random.key(seed), given) for seed in seeds]
    draws = jax.tree.map(lambda *leaves: jnp.stack(leaves), *drawn)
    _check_epochs(epochs, draws)
    mesh = seed_mesh(len(seeds))
    inputs, numbers = replicate(inputs, mesh), replicate(jax.tree.map(jnp.asarray, stacked), mesh)
    draws = shard_seeds(draws, mesh)
    # Leaves that start equal for all seeds come out whole on every device; laid out as later states are, one
    # program serves every epoch.
    state = shard_seeds(_init_all(shapes, grid.size, inputs, numbers, draws, given), mesh)
    _, history = _train_epochs(
        lambda state, epoch: _train_all(shapes, grid.size, inputs, numbers, draws, state, epoch),
        lambda state, epoch: _evaluate_all(shapes, grid.size, inputs, numbers, draws, state, epoch),
        state,
        epochs,
        Progress(epochs, len(seeds) * grid.size, shown=progress),
    )
    return to_dataset(history, scenario, data, grid, seeds, draws, given)


@functools.partial(jax.jit, static_argnames=("shapes", "size"))
def _init_all(shapes: Shapes, size: int, inputs: Any, scenario: Scenario, draws: Draws, given: Given) -> TrainState:
    """The states of all replicas, [S, …] with the grid axis where ``state_axes`` says."""

    def one_seed(draws: Draws) -> TrainState:
        def at_point(point: list[Any]) -> TrainState:
            return simulation.init(shapes, inputs, jax.tree.unflatten(structure, point), draws, given)

        alone = [leaf[0] if np.ndim(leaf) else leaf for leaf in leaves]
        axes = state_axes(jax.eval_shape(at_point, alone), with_grid=False)
        return jax.vmap(at_point, (in_axes,), axes, axis_size=size)(leaves)

    leaves, structure = jax.tree.flatten(scenario)
    in_axes = [0 if np.ndim(leaf) else None for leaf in leaves]
    return jax.vmap(one_seed)(draws)


@functools.partial(jax.jit, static_argnames=("shapes", "size"), donate_argnames="state")
def _train_all(
    shapes: Shapes, size: int, inputs: Any, scenario: Scenario, draws: Draws, state: TrainState, epoch: Array
) -> Any:
    def one_seed(draws: Draws, state: TrainState) -> Any:
        over_grid = map_over_grid(scenario, state_axes(state, with_grid=True), size)
        return simulation.train_epoch(shapes, inputs, scenario, draws, state, epoch, over_grid)

    return jax.vmap(one_seed)(draws, state)


@functools.partial(jax.jit, static_argnames=("shapes", "size"))
def _evaluate_all(
    shapes: Shapes, size: int, inputs: Any, scenario: Scenario, draws: Draws, state: TrainState, epoch: Array
) -> dict[str, Metric]:
    def one_seed(draws: Draws, state: TrainState) -> dict[str, Metric]:
        over_grid = map_over_grid(scenario, state_axes(state, with_grid=True), size)
        return simulation.evaluate(shapes, inputs, scenario, draws, state, epoch, over_grid)

    return jax.vmap(one_seed)(draws, state)


def _train_epochs(
    train: Callable[..., Any], evaluate: Callable[..., Any], state: TrainState, epochs: int, progress: Progress
) -> tuple[TrainState, History]:
    """The host loop over epochs: the only place where the host waits for the device."""
    history: list[dict[str, Any]] = []
    finite, started = np.bool_(True), time.time()
    with progress:
        for number in range(epochs):
            epoch = jnp.int32(number)
            state, trained, is_finite = train(state, epoch)
            metrics = jax.device_get(trained | evaluate(state, epoch))
            finite = np.logical_and(finite, is_finite)
            history.append(metrics | {"is_finite": finite})
            progress.epoch_done(number, metrics)
    return state, History(epochs=history, started=started, ended=time.time())


def _check_epochs(epochs: int, draws: Draws) -> None:
    if not isinstance(epochs, int | np.integer) or epochs < 1:
        raise ValueError(f"epochs is {epochs}; it must be a whole number of at least 1.")
    if draws.batch_ids is not None and draws.batch_ids.shape[-3] < epochs:
        raise ValueError(f"given.batch_ids holds {draws.batch_ids.shape[-3]} epochs; epochs is {epochs}.")

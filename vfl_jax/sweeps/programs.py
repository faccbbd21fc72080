"""The compiled programs of a sweep: a grid × seeds, initialised, trained for an epoch, evaluated.

Seeds outside, grid inside: the seeds lie over the devices, and those of one device are trained some at a time, one
epoch each; the grid points of a seed are mapped inside its scan over steps.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from vfl_jax.core.types import Array
from vfl_jax.protocol.views import Shapes
from vfl_jax.replica import phases
from vfl_jax.replica.draws import Draws, Given
from vfl_jax.replica.evaluation import Metric
from vfl_jax.replica.state import TrainState
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps.grid import map_over_grid, state_axes

REPLICAS_IN_CACHE = 8
"""On a CPU core so many replicas are trained together; the parameters of more would not stay in its cache."""


class Layout(NamedTuple):
    """Where and in which order replicas are trained; static."""

    mesh: Mesh  # the seed axis over devices
    at_once: int  # seeds of one device that are trained together
    grid_size: int  # G


def layout(mesh: Mesh, num_seeds: int, grid_size: int) -> Layout:
    """All seeds of a device together on an accelerator; on a CPU as many as its cache holds."""
    local = num_seeds // mesh.size
    if mesh.devices.flat[0].platform == "cpu":
        most = max(1, REPLICAS_IN_CACHE // grid_size)
        local = max(n for n in range(1, min(most, local) + 1) if local % n == 0)
    return Layout(mesh, local, grid_size)


@functools.partial(jax.jit, static_argnames=("shapes", "layout"))
def init(shapes: Shapes, layout: Layout, inputs: Any, scenario: Scenario, draws: Draws, given: Given) -> TrainState:
    """The states of all replicas, [S, …] with the grid axis where ``state_axes`` says."""

    def one_seed(shared: Any, draws: Draws) -> TrainState:
        inputs, scenario, given = shared
        leaves, structure = jax.tree.flatten(scenario)
        in_axes = [0 if np.ndim(leaf) else None for leaf in leaves]

        def at_point(point: list[Any]) -> TrainState:
            return phases.init(shapes, inputs, jax.tree.unflatten(structure, point), draws, given)

        alone = [leaf[0] if np.ndim(leaf) else leaf for leaf in leaves]
        axes = state_axes(jax.eval_shape(at_point, alone), with_grid=False)
        return jax.vmap(at_point, (in_axes,), axes, axis_size=layout.grid_size)(leaves)

    return _over_seeds(layout, one_seed, (inputs, scenario, given), draws)


@functools.partial(jax.jit, static_argnames=("shapes", "layout"), donate_argnames="state")
def train_epoch(
    shapes: Shapes, layout: Layout, inputs: Any, scenario: Scenario, draws: Draws, state: TrainState, epoch: Array
) -> Any:
    """One epoch of all replicas; see :func:`phases.train_epoch`."""

    def one_seed(shared: Any, per_seed: Any) -> Any:
        inputs, scenario, epoch = shared
        draws, state = per_seed
        over_grid = map_over_grid(scenario, state_axes(state, with_grid=True), layout.grid_size)
        return phases.train_epoch(shapes, inputs, scenario, draws, state, epoch, over_grid)

    return _over_seeds(layout, one_seed, (inputs, scenario, epoch), (draws, state))


@functools.partial(jax.jit, static_argnames=("shapes", "layout"))
def evaluate(
    shapes: Shapes, layout: Layout, inputs: Any, scenario: Scenario, draws: Draws, state: TrainState, epoch: Array
) -> dict[str, Metric]:
    """Metrics of all replicas; see :func:`phases.evaluate`."""

    def one_seed(shared: Any, per_seed: Any) -> dict[str, Metric]:
        inputs, scenario, epoch = shared
        draws, state = per_seed
        over_grid = map_over_grid(scenario, state_axes(state, with_grid=True), layout.grid_size)
        return phases.evaluate(shapes, inputs, scenario, draws, state, epoch, over_grid)

    return _over_seeds(layout, one_seed, (inputs, scenario, epoch), (draws, state))


def _over_seeds(layout: Layout, function: Callable[..., Any], shared: Any, per_seed: Any) -> Any:
    """f(shared, of one seed) over the leading axis of ``per_seed``, on every device its own part."""

    def on_device(shared: Any, per_seed: Any) -> Any:
        one = functools.partial(function, shared)
        local = len(jax.tree.leaves(per_seed)[0])
        if layout.at_once == local:
            return jax.vmap(one)(per_seed)
        return jax.lax.map(one, per_seed, batch_size=layout.at_once if layout.at_once > 1 else None)

    if layout.mesh.size == 1:
        return on_device(shared, per_seed)
    specs = PartitionSpec(), PartitionSpec("seed")
    return jax.shard_map(on_device, mesh=layout.mesh, in_specs=specs, out_specs=specs[1], check_vma=False)(
        shared, per_seed
    )

"""The compiled programs of a sweep: they initialise a grid × seeds, train it for an epoch, and evaluate it.

Seeds lie outside, the grid inside. The seeds are shared by the devices, and a device trains some of its seeds at a
time, one epoch each. The grid points of a seed are mapped inside its scan over steps.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from vfl_jax.core.types import Array
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.replica import passes, phases
from vfl_jax.replica.asked import Asked, What
from vfl_jax.replica.asked import ask as ask_seed
from vfl_jax.replica.draws import Draws, Given
from vfl_jax.replica.metrics import Metric
from vfl_jax.replica.state import TrainState
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps.grid_axis import map_over_grid, state_axes

REPLICAS_IN_CACHE = 8
"""A CPU core trains this many replicas together. The parameters of more would not stay in its cache."""


class Layout(NamedTuple):
    """Where and in which order the replicas of a chunk are trained; static."""

    mesh: Mesh  # the devices, over which the seed axis lies
    at_once: int  # how many seeds one device trains together
    grid_size: int  # G, the number of grid points


def layout(mesh: Mesh, num_seeds: int, grid_size: int) -> Layout:
    """The layout of a chunk: an accelerator trains all its seeds together, a CPU core as many as its cache holds.

    Args:
      mesh: the devices.
      num_seeds: S, which the devices share evenly.
      grid_size: G, the number of grid points.
    """
    local = num_seeds // mesh.size
    if mesh.devices.flat[0].platform == "cpu":
        most = max(1, REPLICAS_IN_CACHE // grid_size)
        local = max(n for n in range(1, min(most, local) + 1) if local % n == 0)
    return Layout(mesh, local, grid_size)


@functools.partial(jax.jit, static_argnames=("shapes", "layout"))
def init(shapes: Shapes, layout: Layout, inputs: Any, scenario: Scenario, draws: Draws, given: Given) -> TrainState:
    """The states of all replicas before their first step.

    Args:
      shapes: what the protocol makes public; static.
      layout: where and in which order replicas are trained; static.
      inputs: the data on the devices.
      scenario: its swept numbers are arrays [G].
      draws: leaves [S, ...].
      given: choices that are given instead of drawn.

    Returns:
      Leaves [S, ...], with the grid axis where :func:`state_axes` says.
    """

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
    """Trains all replicas for an epoch; see :func:`phases.train_epoch`.

    Args:
      shapes, layout, inputs, scenario, draws: as in :func:`init`.
      state: the states of all replicas. Their memory is given to the new states.
      epoch: int32[], from 0.
    """

    return _mapped(phases.train_epoch, shapes, layout, inputs, scenario, draws, state, epoch)


@functools.partial(jax.jit, static_argnames=("shapes", "layout"))
def evaluate(
    shapes: Shapes, layout: Layout, inputs: Any, scenario: Scenario, draws: Draws, state: TrainState, epoch: Array
) -> dict[str, Metric]:
    """The metrics of all replicas, leaves [S, G, ...]; see :func:`passes.evaluate`.

    Args:
      shapes, layout, inputs, scenario, draws, state, epoch: as in :func:`train_epoch`.
    """

    return _mapped(passes.evaluate, shapes, layout, inputs, scenario, draws, state, epoch)


@functools.partial(jax.jit, static_argnames=("shapes", "layout"))
def attack_all(
    shapes: Shapes, layout: Layout, inputs: Any, scenario: Scenario, draws: Draws, state: TrainState, epoch: Array
) -> dict[str, Metric]:
    """The metrics of all replicas with every test row attacked, leaves [S, G, ...]; see :func:`passes.attack_all`.

    Args:
      shapes, layout, inputs, scenario, draws, state, epoch: as in :func:`train_epoch`.
    """

    return _mapped(passes.attack_all, shapes, layout, inputs, scenario, draws, state, epoch)


@functools.partial(jax.jit, static_argnames=("shapes", "layout", "due"), donate_argnames="state")
def between_epochs(
    shapes: Shapes,
    layout: Layout,
    inputs: Any,
    scenario: Scenario,
    draws: Draws,
    state: TrainState,
    epoch: Array,
    num_epochs: Array,
    due: frozenset[tuple[int, ...]],
) -> Any:
    """Lets the methods of all replicas act between two epochs; see :func:`phases.between_epochs`.

    Args:
      shapes, layout, inputs, scenario, draws, state: as in :func:`train_epoch`.
      epoch: int32[], the number of finished epochs.
      num_epochs: int32[], the number of epochs of the whole training.
      due: the ``at_epochs`` of methods that name this epoch; static.
    """

    return _mapped(
        functools.partial(phases.between_epochs, due=due),
        shapes,
        layout,
        inputs,
        scenario,
        draws,
        state,
        epoch,
        num_epochs,
    )


@functools.partial(jax.jit, static_argnames=("shapes", "layout", "what"))
def ask(
    shapes: Shapes,
    layout: Layout,
    inputs: Any,
    scenario: Scenario,
    draws: Draws,
    state: TrainState,
    epoch: Array,
    asked: Asked,
    what: What,
) -> Any:
    """Takes rows through the models and inference hooks of all replicas; see :func:`vfl_jax.replica.asked.ask`.

    Args:
      shapes, layout, inputs, scenario, draws, state, epoch: as in :func:`train_epoch`.
      asked: the rows, the same for all replicas.
      what: the part of the answer; static.
    """

    return _mapped(functools.partial(ask_seed, what=what), shapes, layout, inputs, scenario, draws, state, epoch, asked)


def _mapped(
    phase: Callable[..., Any],
    shapes: Shapes,
    layout: Layout,
    inputs: Any,
    scenario: Scenario,
    draws: Draws,
    state: TrainState,
    *more: Any,
) -> Any:
    """Maps ``phase(shapes, inputs, scenario, draws, state, *more)`` of one replica over seeds and grid points.

    Seeds and grid points share ``more``.
    """

    def one_seed(shared: Any, per_seed: Any) -> Any:
        inputs, scenario, more = shared
        draws, state = per_seed
        over_grid = map_over_grid(scenario, state_axes(state, with_grid=True), layout.grid_size)
        return phase(shapes, inputs, scenario, draws, state, *more, over_grid=over_grid)

    return _over_seeds(layout, one_seed, (inputs, scenario, more), (draws, state))


def _over_seeds(layout: Layout, function: Callable[..., Any], shared: Any, per_seed: Any) -> Any:
    """Maps ``function(shared, one_seed)`` over the leading axis of ``per_seed``; every device maps its own part."""

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

"""The compiled programs of a sweep: they initialise a grid × seeds, train it for an epoch, and evaluate it.

Seeds lie outside, the grid inside. The seeds are shared by the devices, and a device trains some of its seeds at a
time, one epoch each. The grid points of a seed are mapped inside its scan over steps. Where there are more devices than
seeds, several share the points of a seed, and each does what the points have in common for itself.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from vfl_jax.core.types import Array, Features, Key, Params
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.replica import initial, passes, phases
from vfl_jax.replica.asked import Asked, What
from vfl_jax.replica.asked import ask as ask_seed
from vfl_jax.replica.draws import Draws, Given
from vfl_jax.replica.initial import Models
from vfl_jax.replica.metrics import Metric
from vfl_jax.replica.state import TrainState
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps.grid_axis import map_over_grid, part_axes, state_axes
from vfl_jax.sweeps.layout import Layout, over_devices


def init(shapes: Shapes, layout: Layout, inputs: Any, scenario: Scenario, draws: Draws, given: Given) -> TrainState:
    """The states of all replicas before their first step.

    Two programs make them: the draws of parameters take most of the compilation, and sweeps that differ in methods
    alone share that program.

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
    models = Models.of(scenario)
    learned = init_models(shapes, layout, inputs.train.features, models, draws.key, given)
    methods = init_methods(shapes, layout, scenario, draws.key, learned.params)
    return dataclasses.replace(methods, **{name: getattr(learned, name) for name in initial.OF_MODELS})


@functools.partial(jax.jit, static_argnames=("shapes", "layout"))
def init_models(
    shapes: Shapes, layout: Layout, features: tuple[Features, ...], models: Models, keys: Key, given: Given
) -> TrainState:
    """The first states without the parts of methods, which are (); see :func:`vfl_jax.replica.initial.init_models`.

    Args:
      shapes, layout, given: as in :func:`init`.
      features: the training features on the devices.
      models: the scenario's models; its swept numbers are arrays [G].
      keys: the keys of the seeds, [S].
    """

    def one_seed(shared: Any, models: Models, key: Key, _: None) -> TrainState:
        features, given = shared

        def at_point(models: Models) -> dict[str, Any]:
            return initial.init_models(shapes, features, models, key, given)

        return _over_points(layout, at_point, models)

    return over_devices(layout, one_seed, (features, given), models, keys)


@functools.partial(jax.jit, static_argnames=("shapes", "layout"))
def init_methods(
    shapes: Shapes, layout: Layout, scenario: Scenario, keys: Key, params: tuple[Params, ...]
) -> TrainState:
    """The first states without the parts of models, which are (); see :func:`vfl_jax.replica.initial.init_methods`.

    Args:
      shapes, layout, scenario: as in :func:`init`.
      keys: the keys of the seeds, [S].
      params: the first parameters of the bottoms, leaves [S, ...] with the grid axis.
    """

    def one_seed(_: Any, scenario: Scenario, key: Key, bottoms: TrainState) -> TrainState:
        def at_point(scenario: Scenario, params: tuple[Params, ...]) -> dict[str, Any]:
            return initial.init_methods(shapes, scenario, key, params)

        return _over_points(layout, at_point, scenario, bottoms.params)

    return over_devices(layout, one_seed, (), scenario, keys, _with_parts({"params": params}))


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


def _over_points(layout: Layout, at_point: Callable[..., dict[str, Any]], record: Any, *params: Any) -> TrainState:
    """Maps ``at_point(record, *params)``, which returns parts of a state, over grid points.

    Swept numbers are mapped as plain leaves, so that no record is ever built from axis numbers.

    Args:
      layout: the layout, which says how many points there are.
      at_point: the function of one point.
      record: its swept numbers are arrays [G].
      params: parameters of bottoms, with the grid axis.
    """
    leaves, structure = jax.tree.flatten(record)
    of_record = [0 if np.ndim(leaf) else None for leaf in leaves]
    of_params = [part_axes({"params": each}, with_grid=True)["params"] for each in params]

    def of_leaves(point: list[Any], *params: Any) -> dict[str, Any]:
        return at_point(jax.tree.unflatten(structure, point), *params)

    def of_first(leaves: list[Any], *params: Any) -> dict[str, Any]:
        first = [leaf[0] if np.ndim(leaf) else leaf for leaf in leaves]
        return of_leaves(first, *jax.tree.map(lambda leaf, axis: leaf.take(0, axis), list(params), of_params))

    axes = part_axes(jax.eval_shape(of_first, leaves, *params), with_grid=False)
    return _with_parts(jax.vmap(of_leaves, (of_record, *of_params), axes, axis_size=layout.grid_size)(leaves, *params))


def _with_parts(parts: dict[str, Any]) -> TrainState:
    """A state that has these parts alone; the others are ()."""
    return TrainState(**{field.name: parts.get(field.name, ()) for field in dataclasses.fields(TrainState)})


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

    def one_seed(shared: Any, scenario: Scenario, draws: Draws, state: TrainState) -> Any:
        inputs, more = shared
        over_grid = map_over_grid(state_axes(state, with_grid=True), layout.grid_size)
        return phase(shapes, inputs, scenario, draws, state, *more, over_grid=over_grid)

    return over_devices(layout, one_seed, (inputs, more), scenario, draws, state)

"""The grid axis: where it lies in a state, and how programs map a function over it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from vfl_jax.replica.state import TrainState
from vfl_jax.scenario import Scenario

BESIDE_OUTPUTS = ("params", "head_params", "opt_states", "head_opt_state", "method_params", "method_opt_states")
"""The parts of a state with the grid axis beside the output features, [F, G, E].

One matrix product then takes a batch through the weights of all grid points. All other state has the axis in front.
"""


def state_axes(state: TrainState, with_grid: bool) -> TrainState:
    """The place of the grid axis in every leaf of a state.

    Args:
      state: arrays, or their shapes.
      with_grid: whether the leaves have the grid axis already.
    """
    parts = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    return TrainState(**part_axes(parts, with_grid))


def part_axes(parts: dict[str, Any], with_grid: bool) -> dict[str, Any]:
    """The place of the grid axis in every leaf of some parts of a state.

    Args:
      parts: arrays, or their shapes, by the names of ``TrainState``.
      with_grid: whether the leaves have the grid axis already.
    """
    extra = 1 if with_grid else 0

    def beside_outputs(leaf: Any) -> int:
        return max(np.ndim(leaf) - extra - 1, 0)

    return {
        name: jax.tree.map(beside_outputs if name in BESIDE_OUTPUTS else lambda _: 0, value)
        for name, value in parts.items()
    }


def axes_beside_seeds(found: Any) -> Any:
    """The place of the grid axis in every array [S, ...] that a program takes or returns; 0 where it has none.

    States have it where :func:`state_axes` says, behind the seeds. All else has it there first of all, or not at all.

    Args:
      found: states, and what else of replicas; arrays, or their shapes.
    """

    def of(part: Any) -> Any:
        if not isinstance(part, TrainState):
            return int(np.ndim(part) > 1)
        one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), part)
        return jax.tree.map(lambda axis: axis + 1, state_axes(one, with_grid=True))

    return jax.tree.map(of, found, is_leaf=lambda part: isinstance(part, TrainState))


def map_over_grid(axes: TrainState, size: int) -> Callable[..., Any]:
    """The mapper over grid points that :func:`vfl_jax.replica.phases.train_epoch` takes.

    It maps a function ``f(scenario, state, *shared)``. Swept numbers of the scenario, arrays [G], are mapped as plain
    leaves, so that no record is ever built from axis numbers.

    Args:
      axes: the place of the grid axis in a state, as :func:`state_axes` returns it.
      size: G, the number of grid points.
    """

    def over_grid(function: Callable[..., Any], returns_state: bool) -> Callable[..., Any]:
        def mapped(scenario: Scenario, state: TrainState, *shared: Any) -> Any:
            leaves, structure = jax.tree.flatten(scenario)

            def at_point(point: list[Any], state: TrainState, *shared: Any) -> Any:
                return function(jax.tree.unflatten(structure, point), state, *shared)

            in_axes = ([0 if np.ndim(leaf) else None for leaf in leaves], axes, *(None for _ in shared))
            out_axes = (axes, 0) if returns_state else 0
            return jax.vmap(at_point, in_axes, out_axes, axis_size=size)(leaves, state, *shared)

        return mapped

    return over_grid

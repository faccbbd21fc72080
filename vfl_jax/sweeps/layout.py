"""The layout of replicas: which device trains which of them, and how many at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vfl_jax.replica.state import TrainState
from vfl_jax.sweeps.devices import POINT, SEED, point_spec, spec
from vfl_jax.sweeps.grid_axis import axes_beside_seeds

REPLICAS_IN_CACHE = 8
"""A CPU core trains this many replicas together. The parameters of more would not stay in its cache."""


class Layout(NamedTuple):
    """Where and in which order the replicas of a chunk are trained; static."""

    mesh: Mesh  # the devices, over which seeds lie, and grid points where seeds are few
    at_once: int  # how many seeds one device trains together
    grid_size: int  # how many grid points of a seed one device trains; all G of them where seeds are many


def lay_out(mesh: Mesh, num_seeds: int, grid_size: int) -> Layout:
    """The layout of a chunk: an accelerator trains all its seeds together, a CPU core as many as its cache holds.

    Args:
      mesh: the devices.
      num_seeds: S, which the devices share evenly.
      grid_size: G, the number of grid points.
    """
    local = num_seeds // mesh.shape[SEED]
    grid_size = -(-grid_size // mesh.shape.get(POINT, 1))
    if mesh.devices.flat[0].platform == "cpu":
        most = max(1, REPLICAS_IN_CACHE // grid_size)
        local = max(n for n in range(1, min(most, local) + 1) if local % n == 0)
    return Layout(mesh, local, grid_size)


def over_devices(
    layout: Layout, function: Callable[..., Any], shared: Any, record: Any, draws: Any, state: TrainState | None = None
) -> Any:
    """Maps ``function(shared, record, draws, state)`` of one seed over seeds; every device maps its own part.

    Args:
      layout: where, and how many seeds at a time.
      function: the function of one seed, at the grid points that a device has.
      shared: what all devices need whole.
      record: its swept numbers are arrays [G].
      draws: leaves [S, ...], which grid points share.
      state: leaves [S, ...], with the grid axis; None where the function needs none.

    Returns:
      What the function returns, leaves [S, ...]; what lies where is as :func:`axes_beside_seeds` says.
    """

    def on_device(shared: Any, record: Any, per_seed: Any) -> Any:
        def one(per_seed: Any) -> Any:
            return function(shared, record, *per_seed)

        local = len(jax.tree.leaves(per_seed)[0])
        if layout.at_once == local:
            return jax.vmap(one)(per_seed)
        return jax.lax.map(one, per_seed) if layout.at_once == 1 else _in_batches(one, per_seed, layout.at_once)

    mesh, whole, of_seeds = layout.mesh, PartitionSpec(), spec(layout.mesh)
    arguments = shared, record, (draws, state)
    if mesh.size == 1:
        return on_device(*arguments)
    if POINT not in mesh.shape:
        specs: Any = (whole, whole, of_seeds), of_seeds
    else:
        of_record = jax.tree.map(point_spec, record)
        of_all = jax.tree.map(lambda _: of_seeds, draws), _specs(mesh, state)
        local = shared, _on_one(mesh, record, of_record), _on_one(mesh, (draws, state), of_all)
        specs = (whole, of_record, of_all), _specs(mesh, jax.eval_shape(on_device, *local))
    return jax.shard_map(on_device, mesh=mesh, in_specs=specs[0], out_specs=specs[1], check_vma=False)(*arguments)


def _in_batches(one: Callable[..., Any], per_seed: Any, size: int) -> Any:
    """Maps a function over seeds, so many at a time; their number is a multiple of it.

    ``jax.lax.map`` with a batch size does the same, but fails where a method keeps an array without entries.
    """
    split = jax.tree.map(lambda x: x.reshape(x.shape[0] // size, size, *x.shape[1:]), per_seed)
    found = jax.lax.map(jax.vmap(one), split)
    return jax.tree.map(lambda x: x.reshape(x.shape[0] * size, *x.shape[2:]), found)


def _specs(mesh: Mesh, tree: Any) -> Any:
    """How leaves [S, ...] lie over the devices."""
    return jax.tree.map(lambda axis: spec(mesh, axis), axes_beside_seeds(tree))


def _on_one(mesh: Mesh, tree: Any, specs: Any) -> Any:
    """The shapes of what one device has of a tree."""

    def local(leaf: Any, spec: PartitionSpec) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(NamedSharding(mesh, spec).shard_shape(leaf.shape), leaf.dtype)

    return jax.tree.map(local, tree, specs)

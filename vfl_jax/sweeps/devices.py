"""The devices of a program, on one machine or several. They share its seeds, and grid points where seeds are few."""

from __future__ import annotations

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from vfl_jax.sweeps import limits

SEED, POINT = "seed", "point"
"""The axes of a mesh. The second is there where several devices share the grid points of a seed."""
FEWEST_POINTS = 4
"""So many grid points of a seed are worth a device."""
UNKNOWN = 2**62
"""The free memory where nobody knows it. What then does not fit is trained in halves."""


def use_all_cores() -> None:
    """Makes every CPU core of this process a device of its own, which is faster than one device with many threads.

    Call it before JAX makes its first array; later it has no effect. With an accelerator a sweep uses that instead.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    try:
        jax.config.update("jax_num_cpu_devices", len(affinity(0)) if affinity else os.cpu_count() or 1)
    except RuntimeError:  # JAX has its devices already
        return


def mesh_for(num_seeds: int, num_points: int = 1) -> Mesh:
    """The devices that share the seeds. Where there are more devices than seeds, several share the points of a seed.

    They are as few as can be without more seeds or points for any of them than all devices would have. A program of
    several processes takes all devices for its seeds. No device gets fewer than four points: each draws batches and
    noise for itself, and with two points each, two cores were slower than one.

    Args:
      num_seeds: S.
      num_points: G.
    """
    devices = jax.devices()
    if jax.process_count() > 1:
        return Mesh(np.asarray(devices), (SEED,))  # a process without a part in a program would never join it
    count = _as_few_as_can_be(num_seeds, len(devices))
    most = min(len(devices) // count, num_points // FEWEST_POINTS)
    if most < 2 or (beside := _as_few_as_can_be(num_points, most)) < 2:
        return Mesh(np.asarray(devices[:count]), (SEED,))
    return Mesh(np.asarray(devices[: count * beside]).reshape(count, beside), (SEED, POINT))


def _as_few_as_can_be(num_items: int, num_devices: int) -> int:
    """How many devices share some items, without more for any of them than all devices would have."""
    share = -(-num_items // num_devices)
    return -(-num_items // share)


def spec(mesh: Mesh, axis: int = 0) -> PartitionSpec:
    """How an array [S, ...] lies over the devices.

    Args:
      mesh: the devices.
      axis: the place of its grid axis; 0 where it has none.
    """
    if POINT not in mesh.shape:
        return PartitionSpec(SEED)
    seed = SEED if mesh.shape[SEED] > 1 else None  # as JAX itself writes it, so that no program is compiled again
    return PartitionSpec(seed, *[None] * (axis - 1), POINT) if axis else PartitionSpec(seed)


def sharding(mesh: Mesh, axes: PartitionSpec) -> Sharding:
    """How an array lies on the devices.

    Args:
      mesh: the devices.
      axes: which of its axes lie over which axis of the mesh.
    """
    # On one device a named sharding would differ from that of a program's results, and cost a second compilation.
    return SingleDeviceSharding(mesh.devices.item()) if mesh.size == 1 else NamedSharding(mesh, axes)


def spread(tree: Any, mesh: Mesh, axes: Any = None) -> Any:
    """Lays arrays [S, ...] over the devices, filled up until these can share them evenly.

    Copies of the last seed, and of the last grid point, fill up.

    Args:
      tree: the arrays.
      mesh: the devices.
      axes: the place of the grid axis in every array, 0 where it has none; None where no array has one.
    """

    def laid(leaf: Any, axis: int) -> Any:
        leaf = filled_up(leaf, 0, mesh.shape[SEED])
        leaf = filled_up(leaf, axis, mesh.shape[POINT]) if axis and POINT in mesh.shape else leaf
        return _put(leaf, mesh, spec(mesh, axis))

    return jax.tree.map(laid, tree, jax.tree.map(lambda _: 0, tree) if axes is None else axes)


def spread_points(tree: Any, mesh: Mesh) -> Any:
    """Lays what is swept, arrays [G], over the devices that share grid points, and the other numbers over all.

    Args:
      tree: arrays [G] and numbers.
      mesh: the devices.
    """
    if POINT not in mesh.shape:
        return replicate(tree, mesh)

    def laid(leaf: Any) -> Any:
        return _put(filled_up(leaf, 0, mesh.shape[POINT]) if leaf.ndim else leaf, mesh, point_spec(leaf))

    return jax.tree.map(laid, tree)


def point_spec(leaf: Any) -> PartitionSpec:
    """How a number lies over devices that share grid points, or an array [G] of numbers."""
    return PartitionSpec(POINT) if leaf.ndim else PartitionSpec()


def filled_up(leaf: Any, axis: int, count: int) -> Any:
    """Repeats the last entry of an axis until so many devices can share it evenly.

    Args:
      leaf: the array.
      axis: the axis.
      count: the number of devices.
    """
    missing = -leaf.shape[axis] % count
    if not missing:
        return leaf
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):  # as numbers, because a key twice is no mistake here
        return jax.random.wrap_key_data(
            filled_up(jax.random.key_data(leaf), axis, count), impl=jax.random.key_impl(leaf)
        )
    last = jax.lax.slice_in_dim(leaf, leaf.shape[axis] - 1, None, axis=axis)
    return jnp.concatenate([leaf, *[last] * missing], axis)


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Puts a copy of every array of ``tree`` on every device of ``mesh``."""
    return _put(tree, mesh, PartitionSpec())


def fetch(tree: Any) -> Any:
    """Brings the arrays of ``tree`` to the host. Every process gets all of them, whole."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(tree, tiled=True)


def free_memory(mesh: Mesh) -> int:
    """The bytes that a program may still use on each device of ``mesh``; ``UNKNOWN`` where a device does not tell."""
    device = mesh.local_devices[0]
    if device.platform == "cpu":
        return limits.free_on_host() // len(mesh.local_devices)
    stats = device.memory_stats() or {}
    if "bytes_limit" not in stats:
        return UNKNOWN
    return stats["bytes_limit"] - stats.get("bytes_in_use", 0)


def _put(tree: Any, mesh: Mesh, axes: PartitionSpec) -> Any:
    """Puts every array of a tree on the devices, with its axes laid out as ``axes`` says."""
    laid = sharding(mesh, axes)
    if jax.process_count() == 1:
        return jax.device_put(tree, laid)

    def put(leaf: Any) -> Any:
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:  # already laid over all processes
            return jax.device_put(leaf, laid)
        return jax.make_array_from_callback(leaf.shape, laid, lambda index: leaf[index])  # each takes its part

    return jax.tree.map(put, tree)

"""The devices of a program, on one machine or several. The seed axis lies over all of them."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from vfl_jax.sweeps import limits

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


def seed_mesh(num_seeds: int) -> Mesh:
    """The devices that share the seeds.

    They are as few as can be without more seeds for any of them than all devices would have. A program of several
    processes takes all devices.

    Args:
      num_seeds: S.
    """
    devices = jax.devices()
    share = -(-num_seeds // len(devices))
    count = -(-num_seeds // share)
    if jax.process_count() > 1:
        count = len(devices)  # a process without a part in a program would never join it
    return Mesh(np.asarray(devices[:count]), ("seed",))


def pad_seeds(tree: Any, mesh: Mesh) -> Any:
    """Repeats the last entry of every leading axis until the devices can share the axis evenly.

    Args:
      tree: leaves [S, ...].
      mesh: the devices.
    """

    def padded(leaf: Any) -> Any:
        missing = -len(leaf) % mesh.size
        if not missing:
            return leaf
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):  # as numbers, because a key twice is no mistake here
            return jax.random.wrap_key_data(padded(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
        return jnp.concatenate([leaf, *[leaf[-1:]] * missing])

    return jax.tree.map(padded, tree)


def shard_seeds(tree: Any, mesh: Mesh) -> Any:
    """Lays the leading axis of every array over the devices.

    Args:
      tree: leaves [S, ...], whose seeds the devices share evenly.
      mesh: the devices.
    """
    return _put(tree, mesh, PartitionSpec("seed"))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Puts a copy of every array of ``tree`` on every device of ``mesh``."""
    return _put(tree, mesh, PartitionSpec())


def fetch(tree: Any) -> Any:
    """Brings the arrays of ``tree`` to the host. Every process gets all of them, whole."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(tree, tiled=True)


def agree(number: int) -> int:
    """The ``number`` of the first process, in all processes. Every process must call this."""
    return int(agree_on(np.int64(number)))


def agree_on(tree: Any) -> Any:
    """The arrays of the first process, bit for bit, in all processes.

    Args:
      tree: the arrays of this process. Every process must call this, with arrays of the same shapes and dtypes.
    """
    if jax.process_count() == 1:
        return tree
    from jax.experimental import multihost_utils

    # As bytes, because JAX sends arrays as a sum, which turns −0 into 0 and cuts 64 bits to 32.
    told = multihost_utils.broadcast_one_to_all(
        jax.tree.map(lambda leaf: np.ascontiguousarray(leaf).reshape(-1).view(np.uint8), tree)
    )
    return jax.tree.map(lambda leaf, said: said.view(leaf.dtype).reshape(leaf.shape), tree, told)


def largest(number: int) -> int:
    """The largest ``number`` of all processes, in all of them. Every process must call this."""
    if jax.process_count() == 1:
        return number
    from jax.experimental import multihost_utils

    return int(np.max(multihost_utils.process_allgather(np.int32(number))))


@contextlib.contextmanager
def failing_together() -> Iterator[None]:
    """Ends a process of several that fails within the block, because the others wait for it; they then fail as well.

    A program of one process raises as always.
    """
    try:
        yield
    except Exception:
        if jax.process_count() == 1:
            raise
        traceback.print_exc()
        who = f"Process {jax.process_index()} of {jax.process_count()}"
        print(f"{who} failed and ends at once, so that the others do not wait for it.", file=sys.stderr, flush=True)
        os._exit(1)


def is_first_process() -> bool:
    """Whether this process is the first, the only one that writes files and shows progress."""
    return jax.process_index() == 0


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
    """Puts every array of a tree on the devices, with its leading axis laid out as ``axes`` says."""
    # On one device a named sharding would differ from that of a program's results, and cost a second compilation.
    if mesh.size == 1:
        return jax.device_put(tree, mesh.devices.item())
    sharding = NamedSharding(mesh, axes)
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def put(leaf: Any) -> Any:
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:  # already laid over all processes
            return jax.device_put(leaf, sharding)
        return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])  # each takes its part

    return jax.tree.map(put, tree)

"""The devices of a program: the seed axis is laid over all of them, of one machine or of several."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def use_all_cores() -> None:
    """Makes every CPU core that this process may use a device of its own: faster than one device with many threads.

    Must be called before JAX has made its first array; later it has no effect. On machines with an accelerator
    it changes nothing that a sweep uses.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    try:
        jax.config.update("jax_num_cpu_devices", len(affinity(0)) if affinity else os.cpu_count() or 1)
    except RuntimeError:  # JAX has its devices already
        return


def seed_mesh(num_seeds: int) -> Mesh:
    """A mesh of devices that share the seeds: no more than are needed for none to have more seeds than it must."""
    devices = jax.devices()
    share = -(-num_seeds // len(devices))
    count = -(-num_seeds // share)
    if jax.process_count() > 1:
        count = len(devices)  # a process without a part in a program would not know of it
    return Mesh(np.asarray(devices[:count]), ("seed",))


def pad_seeds(tree: Any, mesh: Mesh) -> Any:
    """Repeats the last entry of every leading axis until the devices share it evenly."""

    def padded(leaf: Any) -> Any:
        missing = -len(leaf) % mesh.size
        if not missing:
            return leaf
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):  # as numbers: to have a key twice is no mistake here
            return jax.random.wrap_key_data(padded(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
        return jnp.concatenate([leaf, *[leaf[-1:]] * missing])

    return jax.tree.map(padded, tree)


def shard_seeds(tree: Any, mesh: Mesh) -> Any:
    """Lays the leading axis of every array over the mesh."""
    return _put(tree, mesh, PartitionSpec("seed"))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Puts a copy of every array on every device of the mesh."""
    return _put(tree, mesh, PartitionSpec())


def fetch(tree: Any) -> Any:
    """Brings arrays to the host, in every process all of them."""
    if jax.process_count() == 1:
        return jax.device_get(tree)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(tree, tiled=True)


def agree(number: int) -> int:
    """What the first process says; every process must ask."""
    return int(agree_on(np.int64(number)))


def agree_on(tree: Any) -> Any:
    """The arrays of the first process, bit for bit; every process must ask, with arrays of the same shapes."""
    if jax.process_count() == 1:
        return tree
    from jax.experimental import multihost_utils

    # As bytes: they are sent as a sum, which would make 0 of −0 and cut 64 bits to 32.
    told = multihost_utils.broadcast_one_to_all(
        jax.tree.map(lambda leaf: np.ascontiguousarray(leaf).reshape(-1).view(np.uint8), tree)
    )
    return jax.tree.map(lambda leaf, said: said.view(leaf.dtype).reshape(leaf.shape), tree, told)


def is_first_process() -> bool:
    """The one that writes."""
    return jax.process_index() == 0


def free_memory(mesh: Mesh) -> int:
    """Bytes that a program may still use on each device of the mesh."""
    device = mesh.local_devices[0]
    if device.platform == "cpu":
        import psutil

        limit = psutil.virtual_memory().available
        if CGROUP_LIMIT.is_file() and (text := CGROUP_LIMIT.read_text().strip()).isdigit():
            limit = min(limit, int(text) - psutil.Process().memory_info().rss)
        return max(limit, 0) // len(mesh.local_devices)
    stats = device.memory_stats()
    return stats["bytes_limit"] - stats["bytes_in_use"]


def _put(tree: Any, mesh: Mesh, axes: PartitionSpec) -> Any:
    # On one device a named sharding would differ from that of a program's results, and cost a second compilation.
    if mesh.size == 1:
        return jax.device_put(tree, mesh.devices.item())
    sharding = NamedSharding(mesh, axes)
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def put(leaf: Any) -> Any:
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:  # laid over all processes already
            return jax.device_put(leaf, sharding)
        return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])  # of the whole, its part

    return jax.tree.map(put, tree)

"""The devices of this machine: the seed axis is laid over all of them."""

from __future__ import annotations

import os
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def use_all_cores() -> None:
    """Makes every CPU core a device of its own, which trains seeds faster than one device with many threads.

    Must be called before JAX has made its first array; later it has no effect. On machines with an accelerator
    it changes nothing that a sweep uses.
    """
    try:
        jax.config.update("jax_num_cpu_devices", os.cpu_count() or 1)
    except RuntimeError:  # JAX has its devices already
        return


def seed_mesh(num_seeds: int) -> Mesh:
    """A mesh of as many local devices as share the seeds evenly."""
    devices = jax.local_devices()
    count = max(n for n in range(1, len(devices) + 1) if num_seeds % n == 0)
    return Mesh(np.asarray(devices[:count]), ("seed",))


def shard_seeds(tree: Any, mesh: Mesh) -> Any:
    """Lays the leading axis of every array over the mesh."""
    return _put(tree, mesh, PartitionSpec("seed"))


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Puts a copy of every array on every device of the mesh."""
    return _put(tree, mesh, PartitionSpec())


def _put(tree: Any, mesh: Mesh, axes: PartitionSpec) -> Any:
    # On one device a named sharding would differ from that of a program's results, and cost a second compilation.
    return jax.device_put(tree, NamedSharding(mesh, axes) if mesh.size > 1 else mesh.devices.item())

"""How many replicas fit into memory, by the compiler's own account of the programs that will train them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from vfl_jax.sweeps import devices, programs
from vfl_jax.sweeps.prepared import Prepared

SHARE = 0.8
"""Of the memory that is free, how much a plan may use."""


def most_replicas(ready: Prepared) -> int:
    """How many of a chunk's replicas fit into the memory that is free, found by compiling it whole; at least 1.

    Where all fit, as they mostly do, the compiled programs are those that the chunk is then trained with.
    """
    fixed, each = needed(ready)
    fitting = int((SHARE * devices.free_memory(ready.mesh) - fixed) / each) * ready.mesh.size
    return max(1, min(ready.chunk.num_replicas, fitting))


def needed(ready: Prepared) -> tuple[float, float]:
    """Bytes that a chunk takes on each device: whatever the number of its replicas, and for each that is there."""
    shapes, layout, inputs, scenario, draws = ready.arguments
    given = ready.study.given
    state = jax.eval_shape(lambda *arrays: programs.init(shapes, layout, *arrays, given), inputs, scenario, draws)
    sharding = jax.tree.leaves(draws)[0].sharding
    state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), state)
    used = [
        program.lower(*ready.arguments, state, jnp.int32(0)).compile().memory_analysis()
        for program in (programs.train_epoch, programs.evaluate)
    ]
    working = max((use.temp_size_in_bytes for use in used if use is not None), default=0)
    seeds_here = len(jax.tree.leaves(state)[0]) // ready.mesh.size
    # Twice: while a state is read back, or a new one takes an old one's place.
    fixed, all_here = _bytes(inputs), 2 * _bytes((state, draws)) / ready.mesh.size
    if layout.at_once < seeds_here:
        fixed += working  # of one block of seeds, whatever their number
    else:
        all_here += working
    return fixed, all_here / (seeds_here * len(ready.chunk.points))


def _bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))

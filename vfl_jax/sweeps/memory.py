"""How many replicas fit into memory, by the compiler's own account of the programs that train them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from vfl_jax.replica.initial import Models
from vfl_jax.replica.state import TrainState
from vfl_jax.sweeps import devices, programs
from vfl_jax.sweeps.grid_axis import axes_beside_seeds
from vfl_jax.sweeps.halving import is_out_of_memory
from vfl_jax.sweeps.prepared import Prepared

SHARE = 0.8
"""The share of the free memory that a plan may use."""


def most_replicas(ready: Prepared) -> int:
    """How many replicas of a chunk fit into the free memory, at least 1.

    The chunk is compiled whole to find out. Mostly all replicas fit, and training then uses these compiled programs.

    Where a compiler itself says that the chunk cannot fit, it is half of the chunk.

    Args:
      ready: the chunk.
    """
    try:
        fixed, each = needed(ready)
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return max(1, ready.chunk.num_replicas // 2)
    return fitting(ready, fixed, each)


def fitting(ready: Prepared, fixed: float, each: float) -> int:
    """How many replicas of a chunk fit into the free memory, at least 1.

    Args:
      ready: the chunk.
      fixed, each: the bytes that it takes, as :func:`needed` returns them.
    """
    most = int((SHARE * devices.free_memory(ready.mesh) - fixed) / each) * ready.mesh.size
    return max(1, min(ready.chunk.num_replicas, most))


def needed(ready: Prepared) -> tuple[float, float]:
    """The bytes that a chunk takes on each device.

    Args:
      ready: the chunk.

    Returns:
      The bytes that do not depend on the number of replicas, and the bytes of one replica.
    """
    _, layout, inputs, _, draws = ready.arguments
    state = _laid(ready.state_shapes(), ready.mesh)
    lowered = [program.lower(*arguments) for program, arguments in programs_of(ready, state)]
    used = [program.compile().memory_analysis() for program in lowered]
    working = max((use.temp_size_in_bytes for use in used if use is not None), default=0)
    of_seeds = ready.mesh.shape[devices.SEED]  # devices that share the points of a seed have its draws each
    seeds_here = len(jax.tree.leaves(state)[0]) // of_seeds
    # Two states are there at once: while one is read back, or while a new one takes the place of an old one.
    fixed, all_here = _bytes(inputs), 2 * (_bytes(state) / ready.mesh.size + _bytes(draws) / of_seeds)
    if layout.at_once < seeds_here:
        fixed += working  # one block of seeds is trained at a time, whatever their number
    else:
        all_here += working
    return fixed, all_here / (seeds_here * layout.grid_size)


def _laid(state: TrainState, mesh: Mesh) -> TrainState:
    """The shapes of states, as they lie on the devices."""

    def laid(leaf: Any, axis: int) -> Any:
        where = devices.sharding(mesh, devices.spec(mesh, axis))
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where)

    return jax.tree.map(laid, state, axes_beside_seeds(state))


def programs_of(ready: Prepared, state: TrainState) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yields the programs that a chunk will call, each with its arguments.

    Args:
      ready: the chunk.
      state: the states of all replicas, or their shapes.
    """
    shapes, layout, inputs, stacked, draws = ready.arguments
    models, given = Models.of(stacked), devices.replicate(ready.study.given, ready.mesh)
    yield programs.init_models, (shapes, layout, inputs.train.features, models, draws.key, given)
    yield programs.init_methods, (shapes, layout, stacked, draws.key, state.params)
    trained, evaluated = (*ready.arguments, state), ready.evaluated(state)
    scenario, epochs = ready.study.scenario, ready.study.epochs
    yield programs.train_epoch, (*trained, jnp.int32(0))
    yield programs.evaluate, (*evaluated, jnp.int32(0))
    if scenario.attack_trigger is not None:
        yield programs.attack_all, (*evaluated, jnp.int32(0))
    acting = [epoch for epoch in range(epochs + 1) if scenario.acts_between(epoch, epochs)]
    for due in sorted({scenario.due(epoch, epochs) for epoch in acting}, key=sorted):
        yield programs.between_epochs, (*trained, jnp.int32(0), jnp.int32(epochs), due)


def _bytes(tree: Any) -> int:
    """The bytes of all arrays of a tree."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))

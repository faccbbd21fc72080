"""What is done where a chunk runs out of memory all the same: its halves are trained, one after the other."""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from vfl_jax.sweeps import grid_axis
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.prepared import Prepared, prepare
from vfl_jax.sweeps.progress import ChunkProgress

logger = logging.getLogger("vfl_jax")

ADVICE = "Take smaller batches, fewer rows or smaller models, or leave more memory to this process."

_too_large: set[Hashable] = set()
"""What ran out of memory in this process, so that a sweep's next chunk of the same form begins with halves."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was lacking, on the host or on a device.

    Args:
      error: what was raised.
    """
    said = str(error).lower()
    return isinstance(error, MemoryError) or "resource_exhausted" in said or "out of memory" in said


def is_known_too_large(ready: Prepared) -> bool:
    """Whether replicas of this form ran out of memory before.

    Args:
      ready: the chunk.
    """
    return ready.chunk.num_replicas > 1 and _form(ready) in _too_large


def note_too_large(ready: Prepared, error: BaseException) -> None:
    """Says in one line that a chunk is trained in halves.

    Args:
      ready: the chunk.
      error: what its training raised.

    Raises:
      MemoryError: where it is one replica.
      BaseException: the error itself, where it is no lack of memory, or where other processes take part in the
        training, which know nothing of it.
    """
    if not is_out_of_memory(error) or jax.process_count() > 1:
        raise error
    count = ready.chunk.num_replicas
    if count == 1:
        raise _one_replica(error) from error
    _too_large.add(_form(ready))
    logger.warning(
        "Out of memory with %d replicas at once: they are trained in two halves, one after the other. max_replicas=%d "
        "says so from the beginning.",
        count,
        max(1, count // 2),
    )


@contextlib.contextmanager
def of_one_replica() -> Iterator[None]:
    """Raises ``MemoryError`` with advice where the block, which trains one replica, runs out of memory."""
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise _one_replica(error) from error


def halves(ready: Prepared, progress: ChunkProgress) -> Iterator[tuple[Callable[[], Prepared], ChunkProgress]]:
    """Yields, of each half of a chunk, the function that prepares it, and its progress.

    Args:
      ready: the chunk, of two replicas at least.
      progress: its progress.
    """
    gc.collect()  # what failed may be in circles that only this finds
    study, inputs = ready.study, ready.arguments.inputs
    points, seeds = ready.chunk.points, ready.chunk.seeds
    if len(seeds) > 1:
        cuts = [(slice(None), slice(None, len(seeds) // 2)), (slice(None), slice(len(seeds) // 2, None))]
    else:
        cuts = [(slice(0, len(points) // 2), slice(None)), (slice(len(points) // 2, len(points)), slice(None))]
    for of_points, of_seeds in cuts:
        half = Chunk(points[of_points], seeds[of_seeds])
        yield lambda half=half: prepare(study, half, inputs), progress.part(half.num_replicas, of_points)  # type: ignore[misc]


def joined(ready: Prepared, parts: Sequence[tuple[Any, list[dict[str, Any]]]]) -> tuple[Any, list[dict[str, Any]]]:
    """The final states and the records of a chunk, from those of its halves.

    Args:
      ready: the chunk.
      parts: of each half its final states on the host, or None, and what its epochs recorded.
    """
    (first, early), (second, late) = parts
    by_seed = len(ready.chunk.seeds) > 1

    def recorded(one: Any, other: Any) -> np.ndarray:
        if by_seed:
            return np.concatenate([one, other])
        return np.concatenate([one, other], axis=1) if np.ndim(one) > 1 else one  # [S]: all points share the number

    history = jax.tree.map(recorded, early, late)
    if first is None:
        return None, history
    axes = jax.tree.map(lambda axis: 0 if by_seed else axis, grid_axis.axes_beside_seeds(first))
    return jax.tree.map(lambda axis, one, other: _concatenate(one, other, axis), axes, first, second), history


def _concatenate(one: Any, other: Any, axis: int) -> Any:
    """Two arrays as one, keys among them."""
    concatenate = jax.numpy.concatenate if isinstance(one, jax.Array) else np.concatenate
    return concatenate([one, other], axis)


def _form(ready: Prepared) -> Hashable:
    """What settles how much memory a chunk needs."""
    shapes, layout, _, scenario, draws = ready.arguments
    return shapes, layout, jax.tree.structure(scenario), len(jax.tree.leaves(draws)[0])


def _one_replica(error: BaseException) -> MemoryError:
    """The error where there is nothing to halve."""
    lines = str(error).strip().splitlines()
    return MemoryError(
        f"One replica alone does not fit into memory ({lines[0] if lines else 'no more said'}). {ADVICE}"
    )

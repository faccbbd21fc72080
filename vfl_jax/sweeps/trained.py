"""The trained replicas of a sweep: which there are, and their final states, chunk by chunk."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from vfl_jax.replica.evaluated import without_optimizers
from vfl_jax.replica.state import TrainState
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.grid import Grid
from vfl_jax.sweeps.grid_axis import axes_beside_seeds
from vfl_jax.sweeps.prepared import Prepared, prepare
from vfl_jax.sweeps.store.folder import Folder
from vfl_jax.sweeps.study import Study

TRAINED = "trained"
"""The key of trained replicas among what results carry beside their content (``results.encoding``)."""


def read_states(study: Study, folder: Folder, chunks: Sequence[Chunk], number: int) -> TrainState:
    """Reads the final states of a chunk of a folder.

    Args:
      study: what was trained.
      folder: the folder of the study.
      chunks: finished chunks whose states the folder keeps.
      number: the number of the chunk.

    Raises:
      OSError: where they are missing or damaged, or cannot be read just now.
    """
    chunk = chunks[number]
    ready = prepare(study, chunk)
    state: TrainState = folder.kept(chunk, ready.own_shapes(without_optimizers(ready.state_shapes())))
    return state


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class Trained:
    """The trained replicas of a sweep. :func:`vfl_jax.predict` and :func:`vfl_jax.embeddings` ask them about rows.

    Args:
      study: what was trained.
      grid: all grid points.
      seeds: all seeds.
      chunks: the chunks that hold all replicas, and maybe more.
      states: gives the final states of a chunk by the chunk's number, on the host and without those of optimizers.
    """

    study: Study
    grid: Grid
    seeds: tuple[int, ...]
    chunks: tuple[Chunk, ...]
    states: Callable[[int], TrainState]

    @property
    def scenario(self) -> Scenario:
        """The scenario, which the grid changes."""
        return self.study.scenario

    def __repr__(self) -> str:
        return f"Trained({self.grid.size} grid points × {len(self.seeds)} seeds)"

    def some(self, number: int, points: list[int], seeds: list[int]) -> tuple[Prepared, TrainState]:
        """Brings some replicas of a chunk to the devices.

        Args:
          number: the number of the chunk.
          points: the places of the grid points in the chunk.
          seeds: the places of the seeds in the chunk.

        Returns:
          (these replicas as a chunk that is ready; their states).

        Raises:
          OSError: where a file of the folder cannot be read.
        """
        chunk = self.chunks[number]
        here = Chunk(tuple(chunk.points[i] for i in points), tuple(chunk.seeds[i] for i in seeds))
        ready = prepare(self.study, here)
        whole = self.states(number)

        def taken(leaf: Any, axis: int) -> Any:
            return leaf[np.asarray(seeds)][(slice(None),) * axis + (np.asarray(points),)]

        return ready, ready.on_devices(jax.tree.map(taken, whole, axes_beside_seeds(whole)))

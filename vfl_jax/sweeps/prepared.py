"""A chunk on its devices: drawn, filled up, laid out. A sweep builds it once and passes it on."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.replica.draws import Draws, draw
from vfl_jax.replica.evaluated import evaluated
from vfl_jax.replica.preparation import Inputs, rowwise_parties
from vfl_jax.replica.state import TrainState
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps import devices, programs
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.grid import stack
from vfl_jax.sweeps.grid_axis import axes_beside_seeds
from vfl_jax.sweeps.layout import Layout, lay_out
from vfl_jax.sweeps.study import Study


class Arguments(NamedTuple):
    """The arguments of every program of a chunk, in this order; the first two are static."""

    shapes: Shapes
    layout: Layout
    inputs: Inputs
    scenario: Scenario  # swept numbers are arrays [G], filled up with copies of the last point
    draws: Draws  # leaves [S, ...], filled up with copies of the last seed until the devices can share them evenly


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A chunk that is ready to be trained."""

    study: Study
    chunk: Chunk
    drawn: Draws  # leaves [S, ...]  the draws of its seeds, as results list them
    arguments: Arguments

    @property
    def mesh(self) -> Any:
        """The devices that share the replicas."""
        return self.arguments.layout.mesh

    def initial_state(self) -> TrainState:
        """The states of all replicas before their first step, laid out like those of later epochs."""
        state = programs.init(*self.arguments, devices.replicate(self.study.given, self.mesh))
        # Leaves that start equal for all seeds come out whole on every device. With the layout of later states one
        # program serves every epoch.
        return self.on_devices(state)

    def state_shapes(self) -> TrainState:
        """The shapes and dtypes of the states of all replicas, those that only fill up devices among them."""
        shapes, layout, *arrays = self.arguments
        given = self.study.given
        return jax.eval_shape(lambda *leaves: programs.init(shapes, layout, *leaves), *arrays, given)

    def evaluated(self, state: TrainState) -> tuple[Any, ...]:
        """The arguments of an evaluation before the epoch, without what it does not read.

        Args:
          state: the states of all replicas, or their shapes.
        """
        scenario, state = evaluated(self.arguments.scenario, state)
        return *self.arguments._replace(scenario=scenario), state

    def on_devices(self, state: TrainState) -> TrainState:
        """Brings the states of all replicas to the devices, laid out as programs leave them.

        Args:
          state: leaves [S, ...], with the grid axis.
        """
        return devices.spread(state, self.mesh, axes_beside_seeds(state))

    def on_host(self, tree: Any) -> Any:
        """Brings what a program returned to the host, without what only fills up devices.

        Args:
          tree: leaves [S, ...].
        """
        return self._own(devices.fetch(tree))

    def own_shapes(self, tree: Any) -> Any:
        """The shapes of what :func:`on_host` returns.

        Args:
          tree: arrays [S, ...], or their shapes.
        """
        return jax.eval_shape(self._own, tree)

    def _own(self, tree: Any) -> Any:
        """Leaves [S, ...] without the seeds and grid points that only fill up devices."""
        num_seeds, num_points = len(self.chunk.seeds), len(self.chunk.points)

        def own(leaf: Any, axis: int) -> Any:
            of_points = (slice(None),) * (axis - 1) + (slice(num_points),) if axis else ()
            return leaf[(slice(num_seeds), *of_points)]

        return jax.tree.map(own, tree, axes_beside_seeds(tree))


def prepare(study: Study, chunk: Chunk, inputs: Inputs | None = None) -> Prepared:
    """Draws for every seed of a chunk, and brings the arguments of its programs to the devices.

    Args:
      study: the study of the chunk.
      chunk: the grid points and seeds.
      inputs: the study's data where they lie on devices already; None brings them there.
    """
    stacked = stack(study.scenario, chunk.points)
    of_seeds = [draw(stacked, study.data, jax.random.key(seed), study.given) for seed in chunk.seeds]
    drawn = needed = jax.tree.map(lambda *leaves: jnp.stack(leaves), *of_seeds)
    if study.scenario.poison.mode != "appended_pair":
        # Only an appended pair needs these ids. Their number depends on the rate, so that every rate would otherwise
        # need a program of its own.
        needed = dataclasses.replace(drawn, poison_ids=drawn.poison_ids[:, :0])
    rowwise = rowwise_parties(stacked, study.data)
    inputs = dataclasses.replace(inputs or study.inputs, rowwise=rowwise, decays=stacked.decays)
    mesh = devices.mesh_for(len(chunk.seeds), len(chunk.points))
    draws = devices.spread(needed, mesh)
    arguments = Arguments(
        shapes=stacked.shapes(study.data),
        layout=lay_out(mesh, len(draws.poison_rank), len(chunk.points)),
        inputs=devices.replicate(inputs, mesh),
        scenario=devices.spread_points(jax.tree.map(jnp.asarray, stacked), mesh),
        draws=draws,
    )
    return Prepared(study, chunk, drawn, arguments)

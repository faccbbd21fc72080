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
from vfl_jax.sweeps.study import Study


class Arguments(NamedTuple):
    """The arguments of every program of a chunk, in this order; the first two are static."""

    shapes: Shapes
    layout: programs.Layout
    inputs: Inputs
    scenario: Scenario  # swept numbers are arrays [G]
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
        """The devices that share the seeds."""
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

    def on_devices(self, tree: Any) -> Any:
        """Brings a ``tree`` of leaves [S, ...] to the devices, laid out like the replicas."""
        return devices.shard_seeds(devices.pad_seeds(tree, self.mesh), self.mesh)

    def on_host(self, tree: Any) -> Any:
        """Brings the ``tree`` that a program returned to the host, without the seeds that only fill up devices."""
        return jax.tree.map(lambda leaf: leaf[: len(self.chunk.seeds)], devices.fetch(tree))


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
    mesh = devices.seed_mesh(len(chunk.seeds))
    draws = devices.shard_seeds(devices.pad_seeds(needed, mesh), mesh)
    arguments = Arguments(
        shapes=stacked.shapes(study.data),
        layout=programs.layout(mesh, len(draws.poison_rank), len(chunk.points)),
        inputs=devices.replicate(inputs, mesh),
        scenario=devices.replicate(jax.tree.map(jnp.asarray, stacked), mesh),
        draws=draws,
    )
    return Prepared(study, chunk, drawn, arguments)

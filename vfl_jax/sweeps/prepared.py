"""A chunk on its devices: drawn, filled up, laid out. It is built once, and passed on to whatever needs it."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vfl_jax.protocol.views import Shapes
from vfl_jax.replica.draws import Draws, draw
from vfl_jax.replica.preparation import Inputs, rowwise_parties
from vfl_jax.replica.state import TrainState
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps import devices, programs
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.grid import stack
from vfl_jax.sweeps.study import Study


class Arguments(NamedTuple):
    """What every program of a chunk gets, in this order; the first two are static."""

    shapes: Shapes
    layout: programs.Layout
    inputs: Inputs
    scenario: Scenario  # swept numbers are arrays [G]
    draws: Draws  # leaves [S, ...], with copies of the last seed where the devices cannot share them evenly


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A chunk that is ready to be trained."""

    study: Study
    chunk: Chunk
    drawn: Draws  # leaves [S, ...]  what its seeds drew, as results tell it
    arguments: Arguments

    @property
    def mesh(self) -> Any:
        return self.arguments.layout.mesh

    def initial_state(self) -> TrainState:
        """The states of the replicas before their first step, laid out as those of later epochs are."""
        state = programs.init(*self.arguments, devices.replicate(self.study.given, self.mesh))
        # Leaves that start equal for all seeds come out whole on every device; laid out as later states are, one
        # program serves every epoch.
        return self.on_devices(state)

    def on_devices(self, tree: Any) -> Any:
        """Brings a tree of leaves [S, ...] to the devices, as the replicas lie there."""
        return devices.shard_seeds(devices.pad_seeds(tree, self.mesh), self.mesh)

    def on_host(self, tree: Any) -> Any:
        """Brings what a program gave to the host, without the seeds that only fill up devices."""
        return jax.tree.map(lambda leaf: leaf[: len(self.chunk.seeds)], devices.fetch(tree))


def prepare(study: Study, chunk: Chunk) -> Prepared:
    """Draws for every seed of a chunk, and brings all that its programs need to the devices."""
    stacked = stack(study.scenario, chunk.points)
    of_seeds = [draw(stacked, study.data, jax.random.key(seed), study.given) for seed in chunk.seeds]
    drawn = needed = jax.tree.map(lambda *leaves: jnp.stack(leaves), *of_seeds)
    if study.scenario.poison.mode != "appended_pair":
        # Only the pair is drawn from them; as many as the rate says, they would make every rate a program of its own.
        needed = dataclasses.replace(drawn, poison_ids=drawn.poison_ids[:, :0])
    mesh = devices.seed_mesh(len(chunk.seeds))
    draws = devices.shard_seeds(devices.pad_seeds(needed, mesh), mesh)
    arguments = Arguments(
        shapes=stacked.shapes(study.data),
        layout=programs.layout(mesh, len(draws.poison_rank), len(chunk.points)),
        inputs=devices.replicate(dataclasses.replace(study.inputs, rowwise=rowwise_parties(stacked, study.data)), mesh),
        scenario=devices.replicate(jax.tree.map(jnp.asarray, stacked), mesh),
        draws=draws,
    )
    return Prepared(study, chunk, drawn, arguments)

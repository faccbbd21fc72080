"""One replica by hand: prepare it, then ``init``, ``step``, ``predict``. A sweep maps the same functions."""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.record import cast
from vfl_jax.core.types import Array, Features, Key
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.protocol.views import ORDINARY, Knowledge, Shapes
from vfl_jax.replica import inference, phases, stepping
from vfl_jax.replica.draws import Draws, Given, draw
from vfl_jax.replica.evaluation import Metric
from vfl_jax.replica.preparation import Inputs, to_device
from vfl_jax.replica.state import Batch, StepInfo, Streams, TrainState
from vfl_jax.scenario import Scenario


@flax.struct.dataclass
class Replica:
    """What training does not change: a scenario on data, with what one seed drew. A pytree, so it may be traced."""

    shapes: Shapes = flax.struct.field(pytree_node=False)
    scenario: Scenario  # numbers are arrays of their dtypes
    inputs: Inputs
    draws: Draws

    @property
    def knowledge(self) -> Knowledge:
        """What the scenario grants attackers."""
        return phases.grant(self.shapes, self.inputs, self.scenario, self.draws)


def prepare(scenario: Scenario, data: VerticalData, key: Key, given: Given = Given()) -> Replica:
    """Checks a scenario on data, draws what is random before the first step, and brings all of it to the device.

    Args:
      key: a typed key; ``jax.random.key(s)`` gives the replica that ``vfl_jax.sweep`` calls seed s.
      given: choices that are given instead of drawn.

    Raises:
      ValueError: naming the argument, where the scenario, the data or the given choices do not fit.
    """
    inputs = to_device(scenario, data, given)
    drawn = jax.tree.map(jnp.asarray, draw(scenario, data, key, given))
    return Replica(scenario.shapes(data), jax.tree.map(jnp.asarray, cast(scenario)), inputs, drawn)


def init(replica: Replica, given: Given = Given()) -> TrainState:
    """The state before the first step.

    Args:
      given: parameters that are given instead of drawn.
    """
    return phases.init(replica.shapes, replica.inputs, replica.scenario, replica.draws, given)


def batch(replica: Replica, ids: Any, roles: Any = None) -> Batch:
    """Training rows by their ids, before the trigger is stamped.

    Args:
      ids: int[B].
      roles: int[B], of an appended pair; by default all rows are ordinary.
    """
    ids = jnp.asarray(ids, jnp.int32)
    return Batch(
        sample_ids=ids,
        roles=jnp.full_like(ids, ORDINARY) if roles is None else jnp.asarray(roles, jnp.int32),
        poison_rank=replica.draws.poison_rank[ids],
        rows=jax.tree.map(lambda leaf: leaf[ids], replica.inputs.train),
    )


def step(
    replica: Replica, state: TrainState, batch: Batch, epoch: Array | int = 0, number: Array | int = 0
) -> tuple[TrainState, StepInfo]:
    """Takes one training step: (new state, what a reader is told).

    Args:
      batch: B rows, B as the scenario says.
      epoch: on which learning rates hang.
      number: of the step since the start, on which draws hang.
    """
    clock = stepping.Clock(epoch=jnp.asarray(epoch, jnp.int32), step=jnp.asarray(number, jnp.int32))
    return stepping.step(
        replica.shapes,
        replica.inputs.masks,
        replica.inputs.rowwise,
        replica.scenario,
        state,
        batch,
        clock,
        Streams.of(replica.draws.key),
        replica.knowledge,
    )


def train_epoch(replica: Replica, state: TrainState, epoch: Array | int) -> tuple[TrainState, dict[str, Any], Array]:
    """Trains one epoch: (new state, metrics of training, is_finite bool[])."""
    inputs, draws = replica.inputs, replica.draws
    return phases.train_epoch(replica.shapes, inputs, replica.scenario, draws, state, jnp.asarray(epoch, jnp.int32))


def evaluate(replica: Replica, state: TrainState, epoch: Array | int) -> dict[str, Metric]:
    """Metrics on the whole test set, and of what the methods report."""
    inputs, draws = replica.inputs, replica.draws
    return phases.evaluate(replica.shapes, inputs, replica.scenario, draws, state, jnp.asarray(epoch, jnp.int32))


def predict(replica: Replica, state: TrainState, features: tuple[Features, ...], key: Key, **rows: Any) -> Array:
    """Logits at inference, float32[B, C], through everyone's inference hooks.

    Args:
      features: those of B test rows, leaves [B, ...] per party.
      key: of a whole evaluation.
      rows: ``row_ids`` and ``is_valid``, as in :func:`vfl_jax.replica.inference.predict`.
    """
    return inference.predict(replica.shapes, replica.scenario, state, features, key, replica.knowledge, **rows)

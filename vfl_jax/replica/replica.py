"""One replica by hand: ``prepare`` it, then ``init``, ``step``, ``predict``: a few names over what a sweep maps.

Example:
  >>> import jax
  >>> import numpy as np
  >>> import vfl_jax as vfl
  >>> from vfl_jax.replica import batch, init, predict, prepare, step
  >>> rows, labels = np.arange(100.0).reshape(-1, 1), np.arange(100) % 2
  >>> data = vfl.from_arrays({"ours": rows, "theirs": rows}, labels, has_trigger=labels == 0)
  >>> replica = prepare(vfl.scenario_for(data, attacker="theirs"), data, jax.random.key(0))
  >>> state, info = step(replica, init(replica), batch(replica, range(8)))
  >>> predict(replica, state, data.test.features, jax.random.key(1)).shape
  (20, 2)
"""

from __future__ import annotations

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.checks import check_kind, shown
from vfl_jax.core.record import cast
from vfl_jax.core.types import Array, Features, Key
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.protocol.knowledge import ORDINARY, Knowledge, Shapes
from vfl_jax.replica import inference, initial, passes, phases, stepping
from vfl_jax.replica.arguments import SCENARIO, check_given, check_key
from vfl_jax.replica.draws import Draws, Given, draw
from vfl_jax.replica.keys import Keys
from vfl_jax.replica.metrics import Metric
from vfl_jax.replica.preparation import Inputs, to_device
from vfl_jax.replica.state import Batch, StepInfo, Streams, TrainState
from vfl_jax.scenario import Scenario


@flax.struct.dataclass
class Replica:
    """Everything of a replica that training does not change; a pytree, so ``jax.jit`` may take it.

    Args:
      shapes: the sizes that the protocol makes public; static.
      scenario: the scenario, with numbers cast to their dtypes.
      inputs: the data on the device.
      draws: the draws of the seed.
      given: the choices that were given instead of drawn.
    """

    shapes: Shapes = flax.struct.field(pytree_node=False)
    scenario: Scenario
    inputs: Inputs
    draws: Draws
    given: Given = Given()

    @property
    def knowledge(self) -> Knowledge:
        """The knowledge that the scenario grants attackers."""
        return phases.grant(self.shapes, self.inputs, self.scenario, self.draws)


def prepare(scenario: Scenario, data: VerticalData, key: Key, given: Given = Given()) -> Replica:
    """Checks a scenario on data, draws rows and batches, and brings everything to the device.

    Args:
      scenario: the scenario, with one number per field.
      data: the data set.
      key: a typed key; ``jax.random.key(s)`` gives the replica that ``vfl_jax.sweep`` calls seed s.
      given: choices that are given instead of drawn.

    Raises:
      ValueError: naming the argument, where the scenario, the data or the given choices do not fit.
    """
    check_key(key)
    check_kind(Scenario, SCENARIO, scenario=scenario)
    check_kind(VerticalData, "as vfl.from_arrays makes it, or the .data of vfl.load_tables", data=data)
    check_given(given)
    scenario.to_json()  # raises on swept numbers, which a single replica has none of
    inputs = to_device(scenario, data, given)
    drawn = jax.tree.map(jnp.asarray, draw(scenario, data, key, given))
    return Replica(scenario.shapes(data), jax.tree.map(jnp.asarray, cast(scenario)), inputs, drawn, given)


def init(replica: Replica) -> TrainState:
    """Returns the state before the first step.

    Args:
      replica: the prepared replica.

    Raises:
      ValueError: where given parameters have another structure or other shapes than the models.
    """
    return initial.init(replica.shapes, replica.inputs, replica.scenario, replica.draws, replica.given)


def batch(replica: Replica, ids: Any, roles: Any = None) -> Batch:
    """Returns training rows by their numbers, before the trigger is stamped.

    Args:
      replica: the prepared replica.
      ids: int[B].
      roles: int[B], the roles of an appended pair; by default all rows are ordinary.

    Raises:
      ValueError: where a concrete id is no whole number, or none of the training rows.
    """
    if not isinstance(ids, jax.core.Tracer):
        found, num_rows = np.asarray(ids), replica.shapes.num_samples
        if found.dtype.kind not in "iu" or found.ndim != 1 or not ((found >= 0) & (found < num_rows)).all():
            raise ValueError(f"ids is {shown(ids)}; it must be a list of whole numbers from 0 to {num_rows - 1}.")
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
    """Takes one training step.

    Args:
      replica: the prepared replica.
      state: the state before the step.
      batch: as many rows as the scenario's batches have, an appended pair included.
      epoch: the number of the epoch, counted from 0; learning rates depend on it.
      number: the number of the step since the start, counted from 0; draws depend on it.

    Returns:
      (the new state, the facts of the step for a reader).

    Raises:
      AssertionError: where the batch has another number of rows.
    """
    clock = stepping.Clock(epoch=jnp.asarray(epoch, jnp.int32), step=jnp.asarray(number, jnp.int32))
    return stepping.step(
        replica.shapes,
        replica.inputs,
        replica.scenario,
        state,
        batch,
        clock,
        Keys.at(Streams.of(replica.draws.key), clock.step, len(replica.shapes.widths)),
        replica.knowledge,
    )


def train_epoch(replica: Replica, state: TrainState, epoch: Array | int) -> tuple[TrainState, dict[str, Any], Array]:
    """Trains one epoch.

    Args:
      replica: the prepared replica.
      state: the state before the epoch.
      epoch: the number of the epoch, counted from 0.

    Returns:
      (the new state; the metrics of training, by name; is_finite, bool[]).
    """
    inputs, draws = replica.inputs, replica.draws
    return phases.train_epoch(replica.shapes, inputs, replica.scenario, draws, state, jnp.asarray(epoch, jnp.int32))


def evaluate(replica: Replica, state: TrainState, epoch: Array | int) -> dict[str, Metric]:
    """Computes the metrics on the whole test set, and those of the methods' reports.

    Args:
      replica: the prepared replica.
      state: the state to evaluate.
      epoch: the number of the epoch, counted from 0; the draws of inference hooks depend on it.

    Returns:
      the metrics, by name (:func:`vfl_jax.replica.first_pass.evaluate_block` explains them).
    """
    inputs, draws = replica.inputs, replica.draws
    return passes.evaluate(replica.shapes, inputs, replica.scenario, draws, state, jnp.asarray(epoch, jnp.int32))


def between_epochs(replica: Replica, state: TrainState, epoch: int, num_epochs: int) -> TrainState:
    """Lets the methods act between two epochs; before the first epoch, and after every one.

    Args:
      replica: the prepared replica.
      state: the state that the epoch left.
      epoch: the number of finished epochs.
      num_epochs: the number of epochs of the whole training.
    """
    if not replica.scenario.acts_between(epoch, num_epochs):
        return state
    due = replica.scenario.due(epoch, num_epochs)
    now = jnp.asarray(epoch, jnp.int32), jnp.asarray(num_epochs, jnp.int32)
    return phases.between_epochs(replica.shapes, replica.inputs, replica.scenario, replica.draws, state, *now, due)[0]


def attack_all(replica: Replica, state: TrainState, epoch: Array | int) -> dict[str, Metric]:
    """Computes the metrics on the whole test set, clean and with every row of another class attacked.

    Args:
      replica: the prepared replica.
      state: the state to evaluate.
      epoch: the number of the epoch, counted from 0; the draws of inference hooks depend on it.

    Returns:
      the metrics, by name (:mod:`vfl_jax.replica.second_pass` explains them).

    Raises:
      ValueError: where the scenario has no trigger that can be stamped.
    """
    if replica.scenario.attack_trigger is None:
        raise ValueError("poison.trigger is carried by nature; name a poison.attack_trigger that can be stamped.")
    inputs, draws = replica.inputs, replica.draws
    return passes.attack_all(replica.shapes, inputs, replica.scenario, draws, state, jnp.asarray(epoch, jnp.int32))


def predict(replica: Replica, state: TrainState, features: tuple[Features, ...], key: Key, **rows: Any) -> Array:
    """Computes logits of test rows, through the inference hooks of all methods.

    Args:
      replica: the prepared replica.
      state: the state after training.
      features: the features of B test rows, leaves [B, ...] per party.
      key: the key of a whole evaluation.
      rows: ``row_ids``, ``is_valid`` and ``is_attacked``, as in :func:`vfl_jax.replica.inference.infer`.

    Returns:
      float32[B, C].
    """
    if len(features) != len(replica.shapes.widths):
        raise ValueError(f"features has {len(features)} entries; there are {len(replica.shapes.widths)} parties.")
    return inference.predict(replica.shapes, replica.scenario, state, features, key, replica.knowledge, **rows)

"""The two passes of evaluation over the whole test set of one replica, in pure functions that a sweep maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.types import Array, Key
from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.replica import first_pass, second_pass
from vfl_jax.replica.blocks import in_order
from vfl_jax.replica.draws import Draws
from vfl_jax.replica.first_pass import EvalBlock
from vfl_jax.replica.metrics import Metric
from vfl_jax.replica.phases import grant, identity
from vfl_jax.replica.preparation import Inputs
from vfl_jax.replica.reports import evaluate_reports
from vfl_jax.replica.state import Streams, TrainState
from vfl_jax.scenario import Scenario


def evaluate(
    shapes: Shapes,
    inputs: Inputs,
    scenario: Scenario,
    draws: Draws,
    state: TrainState,
    epoch: Array,
    over_grid: Callable[..., Any] = identity,
) -> dict[str, Metric]:
    """Computes the metrics of one seed on the whole test set, and those of its methods' reports.

    Args:
      shapes: the sizes that the protocol makes public.
      inputs: the data on the device.
      scenario: the scenario, with numbers cast to their dtypes; with a grid, numbers [G].
      draws: the draws of the seed.
      state: the state to evaluate; with a grid, leaves [G, ...].
      epoch: int32[], counted from 0.
      over_grid: maps a function of (scenario, state, …) over grid points; by default there is no grid.

    Returns:
      the metrics, by name.
    """
    num_test, key, slots = _test_blocks(inputs, scenario, draws, epoch)

    def at_point(scenario: Scenario, state: TrainState) -> dict[str, Metric]:
        knowledge = grant(shapes, inputs, scenario, draws)

        def one(block: EvalBlock) -> Any:
            return first_pass.evaluate_block(shapes, num_test, inputs.masks, scenario, state, block, key, knowledge)

        metrics, rows = _over_blocks(one, slots)
        labels = jnp.asarray(inputs.train.labels)
        reported = evaluate_reports(scenario, state, labels, knowledge, shapes.num_classes)
        if clash := sorted(metrics.keys() & reported.keys()):
            raise ValueError(f"A method reports {clash[0]!r}, which is the name of a metric; call it something else.")
        return metrics | first_pass.finish(rows) | reported

    return over_grid(at_point, returns_state=False)(scenario, state)


def attack_all(
    shapes: Shapes,
    inputs: Inputs,
    scenario: Scenario,
    draws: Draws,
    state: TrainState,
    epoch: Array,
    over_grid: Callable[..., Any] = identity,
) -> dict[str, Metric]:
    """Computes the metrics of one seed on the whole test set, clean and with every row of another class attacked.

    Args:
      shapes, inputs, scenario, draws, state, epoch, over_grid: as in :func:`evaluate`. The scenario has an
        ``attack_trigger``.

    Returns:
      the metrics, by name.
    """
    _, key, slots = _test_blocks(inputs, scenario, draws, epoch)

    def at_point(scenario: Scenario, state: TrainState) -> dict[str, Metric]:
        knowledge = grant(shapes, inputs, scenario, draws)

        def one(block: EvalBlock) -> Any:
            return second_pass.attack_block(shapes, inputs, scenario, state, block, key, knowledge)

        metrics, rows = _over_blocks(one, slots)
        return metrics | second_pass.finish(shapes, rows)

    return over_grid(at_point, returns_state=False)(scenario, state)


def _test_blocks(inputs: Inputs, scenario: Scenario, draws: Draws, epoch: Array) -> tuple[int, Key, EvalBlock]:
    """Returns (M, the key of this evaluation, the test rows in the order that methods ask for, in blocks)."""
    key = jax.random.fold_in(Streams.of(draws.key).inference, epoch)
    num_test = draws.test_poison_rank.shape[0]
    rows, row_ids = in_order(scenario, key, inputs.test, inputs.test_ids, num_test)
    rank = jnp.asarray(draws.test_poison_rank).at[row_ids].get(mode="fill", fill_value=np.iinfo(np.int32).max)
    blocks = EvalBlock(rows=rows, row_ids=row_ids, is_valid=row_ids < num_test, poison_rank=rank)
    return num_test, key, blocks


def _over_blocks(one: Callable[[EvalBlock], Any], blocks: EvalBlock) -> tuple[dict[str, Metric], Any]:
    """Returns (the metrics of all blocks, merged; what is needed of every row, leaves [rows of all blocks, ...])."""
    metrics, rows = jax.lax.map(one, blocks)
    merged = jax.tree.map(lambda leaf: leaf.sum(axis=0), metrics)
    return merged, jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), rows)

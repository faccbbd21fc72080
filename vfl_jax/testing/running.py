"""A whole small run of one replica in one program: time between epochs, an epoch, inference, reports."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp

from vfl_jax.protocol.knowledge import Shapes
from vfl_jax.protocol.methods import due, methods
from vfl_jax.replica import first_pass, initial, phases
from vfl_jax.replica.draws import Draws, Given
from vfl_jax.replica.first_pass import EvalBlock
from vfl_jax.replica.inference import Inferred, infer
from vfl_jax.replica.preparation import Inputs
from vfl_jax.replica.reports import evaluate_reports
from vfl_jax.replica.state import TrainState
from vfl_jax.scenario import Scenario
from vfl_jax.testing.watching import Watch

QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
"""Options of the compiler that make it quick, and two programs of one arithmetic equal to the bit."""


class Times(NamedTuple):
    """When methods act between epochs; static.

    Args:
      num_epochs: the number of epochs that a run speaks of; one of them is trained.
      before: the ``at_epochs`` that act before it.
      after: the ``at_epochs`` that act after it: those of every later epoch.
    """

    num_epochs: int = 1
    before: frozenset[tuple[int, ...]] = frozenset()
    after: frozenset[tuple[int, ...]] = frozenset()


class Outcome(NamedTuple):
    """What a run ends with.

    Args:
      state: the state after training.
      inferred: the test rows.
      reports: the reports of the parties' methods, then of the active party's attack and its defense.
    """

    state: TrainState
    inferred: Inferred
    reports: tuple[dict[str, jax.Array], ...]


def times_of(method: Any) -> Times:
    """Returns when a method acts, so that one epoch and two calls show all of it.

    Args:
      method: a method or a chain.
    """
    named = [epoch for part in methods(method) for epoch in (part.at_epochs or ())]
    num_epochs = max([1, *named])
    later = (due(method, epoch, num_epochs) for epoch in range(1, num_epochs + 1))
    return Times(num_epochs, due(method, 0, num_epochs), frozenset().union(*later))


def run(
    shapes: Shapes,
    times: Times,
    scenario: Scenario,
    inputs: Inputs,
    draws: Draws,
    models: Given,
    watch: Watch | None = None,
) -> Outcome:
    """Trains one epoch and infers the test rows; pure.

    Args:
      shapes: the sizes of the scenario on the data; static.
      times: when methods act between epochs; static.
      scenario: the scenario, with numbers cast to their dtypes.
      inputs: the data on the device.
      draws: the draws of the seed.
      models: the first parameters of all models.
      watch: what is told of the traced arrays; None for nobody.
    """
    first = jax.tree.map(lambda leaf: leaf[0], inputs.test)
    if watch is not None:
        _hide(watch, inputs, first)
    state = initial.init(shapes, inputs, scenario, draws, models)

    def between(state: TrainState, epoch: int, due: frozenset[tuple[int, ...]]) -> TrainState:
        now = jnp.int32(epoch), jnp.int32(times.num_epochs)
        return phases.between_epochs(shapes, inputs, scenario, draws, state, *now, due)[0]

    state = between(state, 0, times.before)
    state, _, _ = phases.train_epoch(shapes, inputs, scenario, draws, state, jnp.int32(0))
    state = between(state, times.num_epochs, times.after)
    knowledge = phases.grant(shapes, inputs, scenario, draws)
    num_test = draws.test_poison_rank.shape[0]
    ids = inputs.test_ids[0]
    rank = jnp.asarray(draws.test_poison_rank).at[ids].get(mode="fill", fill_value=num_test)
    block = EvalBlock(rows=first, row_ids=ids, is_valid=ids < num_test, poison_rank=rank)
    with _keeping() as kept:
        first_pass.evaluate_block(shapes, num_test, inputs.masks, scenario, state, block, jax.random.key(1), knowledge)
    labels = jnp.asarray(inputs.train.labels)
    evaluate_reports(scenario, state, labels, knowledge, shapes.num_classes)
    sides = (scenario.active_attack, state.active_attack_state), (scenario.defense, state.defense_state)
    everyone: tuple[tuple[Any, Any], ...] = (*zip(scenario.attacks, state.attack_states, strict=True), *sides)
    return Outcome(state, kept[0], tuple(method.report(own) for method, own in everyone))


@contextlib.contextmanager
def _keeping() -> Iterator[list[Inferred]]:
    """Keeps what an evaluation infers, of which it returns metrics alone."""
    kept: list[Inferred] = []

    def keeping(*args: Any) -> Inferred:
        kept.append(infer(*args))
        return kept[-1]

    with mock.patch.object(first_pass, "infer", keeping):
        yield kept


def _hide(watch: Watch, inputs: Inputs, test: Any) -> None:
    """Declares what no function of the method's views may hold."""
    for name, rows in (("training", inputs.train), ("test", inputs.test), ("test", test)):
        if name == "test" or not watch.holds_labels:
            watch.hide(f"the labels of the {name} rows", rows.labels)
        for k in watch.others:
            watch.hide(f"the features of party {k} in the {name} rows", rows.features[k])


def compiled(shapes: Shapes, times: Times, watch: Watch, is_mapped: bool) -> Any:
    """Returns the program of a method, compiled by ``jax.jit``; its hooks are watched while it is traced.

    Args:
      shapes, times, watch: as in :func:`run`.
      is_mapped: whether the scenario has numbers [G].
    """

    def watched(scenario: Scenario, inputs: Inputs, draws: Draws, models: Given) -> Outcome:
        with watch.hooks():
            return run(shapes, times, scenario, inputs, draws, models, watch)

    return jax.jit(jax.vmap(watched, (0, None, None, None)) if is_mapped else watched, compiler_options=QUICK)


honest_run = jax.jit(run, static_argnums=(0, 1), compiler_options=QUICK)
"""The program of runs in which no method acts; all checks share it."""

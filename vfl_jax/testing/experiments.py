"""Experiments with whole runs: neutral numbers, grids, and messages held fixed while everything else changes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.record import numbers, with_numbers
from vfl_jax.core.vertical_data import Rows
from vfl_jax.protocol.methods import located
from vfl_jax.protocol.switched import Switched
from vfl_jax.protocol.transforms import ActiveTransform, PartyTransform
from vfl_jax.replica.preparation import Inputs
from vfl_jax.scenario import Scenario
from vfl_jax.testing.bench import Bench, permuted
from vfl_jax.testing.failures import CheckFailed
from vfl_jax.testing.running import Outcome, Times, compiled, honest_run, times_of
from vfl_jax.testing.watching import Watch


class Run:
    """The program of a method on a bench.

    Args:
      bench: where the method is checked.
      method: the method.
      watch: the watch over its hooks.
      is_mapped: whether the scenario has numbers [G].
    """

    def __init__(self, bench: Bench, method: Any, watch: Watch, is_mapped: bool = False) -> None:
        self._program = compiled(bench.shapes, times_of(method), watch, is_mapped)
        self._rest = bench.draws, bench.models

    def trace(self, scenario: Scenario, inputs: Inputs) -> None:
        """Traces the program, hooks under watch, without compiling it."""
        self._program.trace(scenario, inputs, *self._rest)

    def __call__(self, scenario: Scenario, inputs: Inputs) -> Outcome:
        """Runs the program."""
        return jax.tree.map(np.asarray, self._program(scenario, inputs, *self._rest))


def check_neutral(bench: Bench, method: Any, run: Run, neutral: Mapping[str, float]) -> bool:
    """Checks that a switched-off attack, or a defense at neutral numbers, gives the honest run bit for bit.

    Args:
      bench: where the method is checked.
      method: the method.
      run: its program.
      neutral: the numbers that change nothing, by path; the switches of attacks are added.

    Returns:
      whether there are such numbers, so that this was checked.

    Raises:
      CheckFailed: where the runs differ.
    """
    switched = [(path, part) for path, part in located(method, "") if isinstance(part, Switched)]
    wanted = {f"{path}.enabled".lstrip("."): 0.0 for path, _ in switched} | dict(neutral)
    if not wanted:
        return False
    off = with_numbers(method, wanted)
    honest_method = PartyTransform() if isinstance(method, PartyTransform) else ActiveTransform()
    alone = bench.numbers(honest_method), bench.inputs, bench.draws, bench.models
    honest = jax.tree.map(np.asarray, honest_run(bench.shapes, Times(), *alone))
    found = run(bench.numbers(off), bench.inputs)
    if where := difference(_without(found, bench, method), _without(honest, bench, method)):
        shown = ", ".join(f"{path}={value:g}" for path, value in sorted(wanted.items()))
        raise CheckFailed(
            "neutrality",
            type(method).__name__,
            f"with {shown} does not give the honest run, to the bit: {where} differs. At neutral numbers every hook "
            "returns what it got; choose with jnp.where, since 0 · NaN is NaN and a sum with 0 may round.",
        )
    return True


def _without(outcome: Outcome, bench: Bench, method: Any) -> Any:
    """Returns an outcome without what belongs to the method itself."""
    state = outcome.state
    hidden: dict[str, Any] = {"method_params": (), "method_opt_states": (), "active_attack_state": ()}
    hidden |= {"defense_state": (), "attack_states": ()}
    if isinstance(method, PartyTransform):
        hidden["attack_states"] = tuple(s for k, s in enumerate(state.attack_states) if k != bench.party)
    return {
        "state": dataclasses.replace(state, **hidden),
        "logits": outcome.inferred.logits,
        "sent": outcome.inferred.sent,
    }


def check_sweep(bench: Bench, method: Any, run: Run, watch: Watch, other: Mapping[str, float]) -> bool:
    """Checks that a grid over every number gives the runs of its points.

    Args:
      bench: where the method is checked.
      method: the method.
      run: its program for one point.
      watch: the watch over its hooks.
      other: a second value of numbers, by path; others are chosen.

    Returns:
      whether the method has numbers, so that this was checked.

    Raises:
      CheckFailed: where a point of the grid differs from the run alone.
    """
    paths = list(numbers(method))
    if not paths:
        return False
    values = {path: other[path] if path in other else _other_value(bench, method, path) for path in paths}
    points = [method, *(with_numbers(method, {path: value}) for path, value in values.items())]
    scenarios = [bench.numbers(point) for point in points]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *scenarios)
    grid = Run(bench, method, watch, is_mapped=True)(stacked, bench.inputs)
    # A grid adds in another order; how much that may change (Adam divides by gradients near 0), a shake shows.
    shaken_inputs = dataclasses.replace(bench.inputs, train=_shaken(bench.inputs.train))
    for place, scenario in enumerate(scenarios):
        here = jax.tree.map(lambda leaf, place=place: leaf[place], grid)
        alone, shaken = run(scenario, bench.inputs), run(scenario, shaken_inputs)
        if where := difference(here, alone, shaken):
            path = "" if place == 0 else f" with {paths[place - 1]}={values[paths[place - 1]]:g}"
            raise CheckFailed(
                "sweep",
                type(method).__name__,
                f"in a grid{path} differs from the run of that point alone: {where}. A hook must not depend on the "
                "grid's axis, such as by a size, or by what an earlier trace left behind.",
            )
    return True


def _other_value(bench: Bench, method: Any, path: str) -> float:
    """Returns another value of a number, which the method and the scenario accept."""
    value = numbers(method)[path]
    if path.rpartition(".")[2] == "enabled":
        return 1 - value
    halves = [value / 2] if math.isfinite(value) and value and not isinstance(value, int) else []
    for candidate in (*halves, *([] if isinstance(value, int) else [0.125]), 1, 2, value + 1, value - 1, 0):
        try:
            changed = with_numbers(method, {path: candidate})
            if candidate != value and math.isfinite(candidate) and bench.refusal(changed) is None:
                return candidate
        except ValueError:
            continue
    raise CheckFailed(
        "sweep",
        type(method).__name__,
        f"takes no other value of {path} than {value:g} that was tried; name one: other={{{path!r}: ...}}.",
    )


def check_flow(bench: Bench, method: Any, run: Run) -> Outcome:
    """Checks, with the messages held fixed, that a method learns of nothing else.

    Args:
      bench: where the method is checked.
      method: the method.
      run: its program.

    Returns:
      what the run ends with.

    Raises:
      CheckFailed: where something that the method does depends on what nobody sent it.
    """
    is_party = isinstance(method, PartyTransform)
    crossing = bench.shapes.crossing
    others = tuple(k for k in range(len(bench.shapes.widths)) if k != bench.party) if is_party else crossing
    scenario, inputs = bench.numbers(method, drawn=1.0), bench.inputs
    changes = {
        "the labels of the test rows": dataclasses.replace(inputs, test=permuted(inputs.test, 2, labels=True)),
        "the features of other parties": dataclasses.replace(
            inputs, train=permuted(inputs.train, 3, features=others), test=permuted(inputs.test, 4, features=others)
        ),
    }
    if is_party:
        changes["the labels of the training rows"] = dataclasses.replace(
            inputs, train=permuted(inputs.train, 1, labels=True)
        )
    own = _of_party if is_party else _of_active
    outcome = run(scenario, inputs)
    before = own(outcome, bench)
    for name, changed in changes.items():
        if where := difference(own(run(scenario, changed), bench), before):
            raise CheckFailed(
                "flow",
                type(method).__name__,
                f"learns of {name}, which nobody sent it: with the messages held fixed and these in another order, "
                f"{where} differs. A hook uses its arguments alone.",
            )
    return outcome


def _of_party(outcome: Outcome, bench: Bench) -> Any:
    """Returns everything that a party ends with, and sends."""
    state, k = outcome.state, bench.party
    kept = {"params": state.params[k], "opt_state": state.opt_states[k], "model_state": state.model_states[k]}
    answers = {"sent": outcome.inferred.sent[k], "guesses": outcome.inferred.guesses, "report": outcome.reports[k]}
    return {**kept, "state": state.attack_states[k], **answers}


def _of_active(outcome: Outcome, bench: Bench) -> Any:
    """Returns everything that the active party ends with, and answers."""
    state, inferred = outcome.state, outcome.inferred
    return {
        "head_params": state.head_params,
        "state": (state.active_attack_state, state.defense_state),
        "own params": (state.method_params, state.method_opt_states),
        "logits": inferred.logits,
        "suspicion": inferred.suspicion,
        "report": outcome.reports[-2:],
    }


def _shaken(rows: Rows) -> Rows:
    """Returns rows with features that differ in their last bits."""

    def shaken(leaf: Any) -> Any:
        return leaf * np.float32(1 + 2**-20) if np.issubdtype(leaf.dtype, np.floating) else leaf

    return dataclasses.replace(rows, features=jax.tree.map(shaken, rows.features))


def difference(found: Any, expected: Any, shaken: Any = None) -> str | None:
    """Returns the path of the first leaf that differs; None where none does.

    Args:
      found: a tree of arrays.
      expected: a tree of the same structure.
      shaken: what ``expected`` becomes where the last bits of features change; floats may then differ a little, or ten
        times as much as these two. Without it bits count, but −0 is 0.
    """
    leaves = jax.tree_util.tree_leaves_with_path(found)
    others = jax.tree.leaves(expected)
    near = others if shaken is None else jax.tree.leaves(shaken)
    if len(leaves) != len(others):
        return f"the structure ({len(leaves)} arrays, not {len(others)})"
    for (path, leaf), other, moved in zip(leaves, others, near, strict=True):
        same = leaf.shape == other.shape and leaf.dtype == other.dtype
        is_float = np.issubdtype(leaf.dtype, np.floating)
        if same and shaken is not None and is_float:
            spread = 10 * float(np.max(np.nan_to_num(np.abs(moved - other), posinf=0.0), initial=0.0))
            same = np.allclose(leaf, other, rtol=1e-3, atol=1e-5 + spread, equal_nan=True)
        elif same:
            same = np.array_equal(leaf, other, equal_nan=is_float)
        if not same:
            return jax.tree_util.keystr(path, simple=True, separator=".")
    return None

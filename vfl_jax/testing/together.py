"""Inference hooks that act on rows together alone, and so do nothing where they see one test row at a time."""

from __future__ import annotations

import contextlib
import functools
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.types import Key, State
from vfl_jax.protocol.hooks import run_answer, run_infer_hook
from vfl_jax.protocol.methods import Chain, changes
from vfl_jax.replica import inference, phases
from vfl_jax.replica.draws import Draws
from vfl_jax.replica.preparation import Inputs
from vfl_jax.replica.state import TrainState
from vfl_jax.scenario import Scenario
from vfl_jax.testing.bench import Bench
from vfl_jax.testing.running import QUICK

HOOKS = ("infer_features", "infer_upload", "infer_receive", "infer_logits", "infer_suspicion")
"""The inference hooks that are asked."""
Heard = dict[str, tuple[Any, Any, Any]]
"""By hook: what it got, what it made of every row alone, and what of all rows together."""


def remarks(bench: Bench, method: Any, state: TrainState) -> tuple[str, ...]:
    """Returns a remark for every inference hook of a method that acts on rows together, and on no row alone.

    A method that says how many rows it sees together is not asked, and a chain's parts are not.

    Args:
      bench: where the method is checked.
      method: the method.
      state: the state after training.
    """
    hooks = [hook for hook in HOOKS if changes(method, hook)]
    if isinstance(method, Chain) or method.inference_batch != 1 or not hooks:
        return ()
    program = jax.jit(functools.partial(_heard, bench, type(method)), compiler_options=QUICK)
    heard = program(bench.numbers(method), state, bench.inputs, bench.draws)
    said = {hook: [jax.tree.map(np.asarray, part) for part in parts] for hook, parts in heard.items()}
    return tuple(
        f"{type(method).__name__}.{hook} {_does_nothing(hook)} where it sees one test row at a time, as in every run, "
        "and acts where it sees rows together. If it compares rows of a batch, set inference_batch in its class; or "
        "keep in its state, in training, what it compares a row with."
        for hook, parts in said.items()
        if _acts_together_alone(hook, *parts)
    )


def _does_nothing(hook: str) -> str:
    """Says what a hook does that does nothing."""
    return "scores every row alike" if hook == "infer_suspicion" else "changes nothing"


def _acts_together_alone(hook: str, value: Any, alone: Any, together: Any) -> bool:
    """Whether a hook leaves single rows as they are, and changes rows that it sees together."""
    if hook == "infer_suspicion":
        return _is_of_one_row(alone.score) and not _is_of_one_row(together.score)
    return _same(alone, value) and not _same(together, value)


def _is_of_one_row(score: np.ndarray) -> bool:
    """Whether all rows of a score [B, K] are alike."""
    return _same(score, np.broadcast_to(score[:1], score.shape))


def _same(first: Any, second: Any) -> bool:
    """Whether two trees hold the same numbers; NaN is NaN."""
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    return all(np.array_equal(a, b, equal_nan=np.issubdtype(a.dtype, np.floating)) for a, b in pairs)


def _heard(bench: Bench, kind: type, scenario: Scenario, state: TrainState, inputs: Inputs, draws: Draws) -> Heard:
    """Returns what every inference hook of a method got, what it made of each row alone, and of all rows together."""
    heard: Heard = {}

    def hearing(run: Any, transform: Any, hook: str, key: Key, own: State, view: Any, value: Any) -> Any:
        alone = run(transform, hook, key, own, view, value)
        if type(transform) is kind and hook in HOOKS:
            with contextlib.suppress(Exception):  # a hook that is written for one row need not run on several
                heard[hook] = (value, alone, run(transform, hook, jax.random.key(2), own, view, value))
        return alone

    rows = jax.tree.map(lambda leaf: leaf[0], inputs.test)
    knowledge = phases.grant(bench.shapes, inputs, scenario, draws)
    every_other = jnp.arange(len(rows.labels)) % 2 == 0
    with (
        mock.patch.object(inference, "run_infer_hook", functools.partial(hearing, run_infer_hook)),
        mock.patch.object(inference, "run_answer", functools.partial(hearing, run_answer)),
    ):
        key = jax.random.key(1)
        inference.infer(bench.shapes, scenario, state, rows.features, key, knowledge, is_attacked=every_other)
    return heard

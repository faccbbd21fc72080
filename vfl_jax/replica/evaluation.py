"""Metrics at inference: mergeable (sum, count) pairs, never ratios, until the results are labelled."""

from __future__ import annotations

from typing import NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from vfl_jax.core.types import Array
from vfl_jax.core.vertical_data import Rows
from vfl_jax.protocol.views import Knowledge, Shapes
from vfl_jax.replica.draws import poison_count
from vfl_jax.replica.inference import predict
from vfl_jax.replica.state import Streams, TrainState
from vfl_jax.replica.stepping import predicted_class
from vfl_jax.scenario import Scenario

GUESSES = "label_guesses"
"""What a method's report calls the labels it has guessed, int32[N]."""


@flax.struct.dataclass
class Metric:
    """A mean that can still be merged; ``count`` 0 means that it is undefined."""

    sum: Array  # float32[...]
    count: Array  # float32[]


class EvalChunk(NamedTuple):
    """Test rows evaluated together; the last chunk is filled up with rows that are not valid."""

    rows: Rows  # leaves [M', ...]
    row_ids: Array  # int32[M']  their places in the test set
    is_valid: Array  # bool[M']
    poison_rank: Array  # int32[M']


def evaluate_chunk(
    shapes: Shapes,
    num_test: int,
    masks: tuple[Array | None, ...],
    scenario: Scenario,
    state: TrainState,
    chunk: EvalChunk,
    epoch: Array,
    streams: Streams,
    knowledge: Knowledge,
) -> dict[str, Metric]:
    """Metrics of one replica on some test rows.

    * ``main_task_accuracy``: all rows, triggered ones included, as in the paper; ``main_clean`` leaves those out.
    * ``backdoor_accuracy``: triggered rows predicted as τ, those of true class τ included, as in the paper.
    * ``attack_success_rate``: the same without rows of true class τ.
    * ``backdoor_ties``, ``attack_ties``: what the two would gain if an exact tie at the top logit counted for τ
      where τ is the first of the tied classes, as a plain argmax has it.
    * ``class_score``, [C]: softmax scores of the triggered rows (Figure 3).
    * ``test_loss``: the scenario's loss, averaged over all rows.

    Elsewhere the first of tied classes is the prediction. A row with a logit that is NaN is predicted as no class.
    """
    rows, plan = chunk.rows, scenario.poison
    is_triggered = chunk.is_valid & (chunk.poison_rank < poison_count(plan.test_rate, num_test))
    features = tuple(plan.trigger.stamp(m, x, is_triggered) for m, x in zip(masks, rows.features, strict=True))
    key = jax.random.fold_in(streams.inference, epoch)
    logits = predict(shapes, scenario, state, features, key, knowledge, chunk.row_ids, chunk.is_valid)

    predicted = predicted_class(logits)
    is_correct = predicted == rows.labels
    others = jnp.where(jnp.arange(shapes.num_classes) == plan.target_class, -jnp.inf, logits)
    is_target = logits[:, plan.target_class] > others.max(axis=-1)
    is_tie = (predicted == plan.target_class) & ~is_target
    losses = scenario.loss.rows(logits, jax.nn.one_hot(rows.labels, shapes.num_classes))
    is_other_class = is_triggered & (rows.labels != plan.target_class)
    return {
        "main_task_accuracy": _mean_over(chunk.is_valid, is_correct),
        "main_clean": _mean_over(chunk.is_valid & ~is_triggered, is_correct),
        "backdoor_accuracy": _mean_over(is_triggered, is_target),
        "attack_success_rate": _mean_over(is_other_class, is_target),
        "backdoor_ties": _mean_over(is_triggered, is_tie),
        "attack_ties": _mean_over(is_other_class, is_tie),
        "class_score": _mean_over(is_triggered, jax.nn.softmax(logits)),
        "test_loss": _mean_over(chunk.is_valid, losses),
    }


def evaluate_reports(scenario: Scenario, state: TrainState, labels: Array) -> dict[str, Metric]:
    """Compares what methods report with the labels, which the methods never see.

    ``label_guesses``, int32[N] with negative entries where there is none, becomes ``label_inference_accuracy``, among
    the rows that were read, and ``label_inference_rate``, the share of rows that were. What a method reads in other
    ways too it reports as ``label_guesses_<way>``, which becomes the same with that ending. Where several report, both
    are means over all of them.
    """
    reports = [attack.report(s) for attack, s in zip(scenario.attacks, state.attack_states, strict=True)]
    reports.append(scenario.active_attack.report(state.active_attack_state))
    metrics: dict[str, Metric] = {}
    for name in sorted({name for report in reports for name in report if name.startswith(GUESSES)}):
        way = name.removeprefix(GUESSES)
        made = jnp.stack([report[name] for report in reports if name in report])
        metrics[f"label_inference_accuracy{way}"] = _mean_over(made >= 0, made == labels[None])
        metrics[f"label_inference_rate{way}"] = _mean_over(jnp.ones_like(made, bool), made >= 0)
    return metrics


def _mean_over(mask: Array, values: Array) -> Metric:
    """The sum of ``values`` ([M', ...]) over the rows in ``mask``, and how many those are."""
    rows = mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim))
    total = jnp.sum(jnp.where(rows, values.astype(jnp.float32), 0.0), axis=tuple(range(mask.ndim)))
    return Metric(sum=total, count=mask.sum(dtype=jnp.float32))

"""Metrics at inference, as pairs (sum, count) that can be merged; labelling the results makes ratios of them."""

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
"""The name of guessed labels in a method's report, int32[N]."""


@flax.struct.dataclass
class Metric:
    """A mean that can still be merged; with the count 0 it is undefined.

    Args:
      sum: float32[...], the sum of the values.
      count: float32[], the number of values.
    """

    sum: Array
    count: Array


class EvalBlock(NamedTuple):
    """M' test rows that are evaluated together; rows that are not valid fill up the last block.

    Args:
      rows: features and labels, leaves [M', ...].
      row_ids: int32[M'], the numbers of the rows in the test set.
      is_valid: bool[M'], whether a row is of the test set.
      poison_rank: int32[M'], the place of each row in the seed's order of poisoning.
    """

    rows: Rows
    row_ids: Array
    is_valid: Array
    poison_rank: Array


def evaluate_block(
    shapes: Shapes,
    num_test: int,
    masks: tuple[Array | None, ...],
    scenario: Scenario,
    state: TrainState,
    block: EvalBlock,
    epoch: Array,
    streams: Streams,
    knowledge: Knowledge,
) -> dict[str, Metric]:
    """Computes the metrics of one replica on a block of test rows.

    * ``main_task_accuracy``: the accuracy on all rows, triggered ones included, as in the paper.
    * ``main_clean``: the accuracy on the rows without the trigger.
    * ``backdoor_accuracy``: the share of triggered rows with the prediction τ. Rows of true class τ count, as in the
      paper.
    * ``attack_success_rate``: the same share without the rows of true class τ.
    * ``backdoor_ties``, ``attack_ties``: the gain of these two if an exact tie at the largest logit counted for τ where
      τ is the first of the tied classes, as in a plain argmax.
    * ``class_score``, [C]: the mean softmax scores of the triggered rows (Figure 3).
    * ``test_loss``: the mean of the scenario's loss over all rows.

    In the other metrics the first of tied classes is the prediction. A row with a NaN logit has no predicted class.

    Args:
      shapes: the sizes that the protocol makes public.
      num_test: M.
      masks: the places of the trigger, bool[F] or None per party.
      scenario: the scenario, with numbers cast to their dtypes.
      state: the state of the replica.
      block: the test rows.
      epoch: int32[], counted from 0.
      streams: the seed's random streams.
      knowledge: the attackers' knowledge.

    Returns:
      the metrics, by name.
    """
    rows, plan = block.rows, scenario.poison
    is_triggered = block.is_valid & (block.poison_rank < poison_count(plan.test_rate, num_test))
    features = tuple(plan.trigger.stamp(m, x, is_triggered) for m, x in zip(masks, rows.features, strict=True))
    key = jax.random.fold_in(streams.inference, epoch)
    logits = predict(shapes, scenario, state, features, key, knowledge, block.row_ids, block.is_valid)

    predicted = predicted_class(logits)
    is_correct = predicted == rows.labels
    others = jnp.where(jnp.arange(shapes.num_classes) == plan.target_class, -jnp.inf, logits)
    is_target = logits[:, plan.target_class] > others.max(axis=-1)
    is_tie = (predicted == plan.target_class) & ~is_target
    losses = scenario.loss.rows(logits, jax.nn.one_hot(rows.labels, shapes.num_classes))
    is_other_class = is_triggered & (rows.labels != plan.target_class)
    return {
        "main_task_accuracy": _mean_over(block.is_valid, is_correct),
        "main_clean": _mean_over(block.is_valid & ~is_triggered, is_correct),
        "backdoor_accuracy": _mean_over(is_triggered, is_target),
        "attack_success_rate": _mean_over(is_other_class, is_target),
        "backdoor_ties": _mean_over(is_triggered, is_tie),
        "attack_ties": _mean_over(is_other_class, is_tie),
        "class_score": _mean_over(is_triggered, jax.nn.softmax(logits)),
        "test_loss": _mean_over(block.is_valid, losses),
    }


def evaluate_reports(scenario: Scenario, state: TrainState, labels: Array) -> dict[str, Metric]:
    """Compares the reports of all methods with the labels, which the methods never see.

    ``label_guesses``, int32[N] with negative entries for rows without a guess, becomes two metrics:
    ``label_inference_rate`` is the share of rows with a guess, and ``label_inference_accuracy`` the share of right ones
    among the guesses. A method that guesses in several ways reports ``label_guesses_<way>``, too; its metrics have the
    same ending. Where several methods report, the metrics are means over all of them.

    Args:
      scenario: the scenario.
      state: the state of the replica.
      labels: the labels of the training rows, int32[N].

    Returns:
      the metrics, by name.
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
    """Returns the sum of ``values``, [M', ...], over the rows in ``mask``, and the number of these rows."""
    rows = mask.reshape(mask.shape + (1,) * (values.ndim - mask.ndim))
    total = jnp.sum(jnp.where(rows, values.astype(jnp.float32), 0.0), axis=tuple(range(mask.ndim)))
    return Metric(sum=total, count=mask.sum(dtype=jnp.float32))

"""The first pass of evaluation: the test rows as they come, of which some are attacked: the paper's numbers."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.types import Array, Key
from vfl_jax.core.vertical_data import Rows
from vfl_jax.protocol.knowledge import Knowledge, Shapes
from vfl_jax.replica.draws import poison_count
from vfl_jax.replica.inference import Inferred, infer
from vfl_jax.replica.metrics import Metric, area, detection, mean_by_class, mean_by_party, mean_over
from vfl_jax.replica.state import TrainState
from vfl_jax.replica.stepping import predicted_class
from vfl_jax.scenario import Scenario
from vfl_jax.scenario.measures import Outcome


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


class RowAnswers(NamedTuple):
    """What metrics over all test rows need of each row; a block has M' of them, an evaluation all.

    Args:
      is_valid: bool[M'], whether a row is of the test set.
      is_attacked: bool[M'].
      is_one: bool[M'], whether the row is of class 1.
      margin: float32[M'], how much larger the logit of class 1 is than that of class 0; None unless there are two.
      score: float32[M'], the suspicion of the row; None where the defense gives no answer.
      is_suspect: bool[M'], the defense's own yes or no; None likewise.
    """

    is_valid: Array
    is_attacked: Array
    is_one: Array
    margin: Array | None
    score: Array | None
    is_suspect: Array | None


def evaluate_block(
    shapes: Shapes,
    num_test: int,
    masks: tuple[Array | None, ...],
    scenario: Scenario,
    state: TrainState,
    block: EvalBlock,
    key: Key,
    knowledge: Knowledge,
) -> tuple[dict[str, Metric], RowAnswers]:
    """Computes the metrics of one replica on a block of test rows.

    * ``main_task_accuracy``: the accuracy on all rows, triggered ones included, as in the paper.
    * ``main_clean``: the accuracy on the rows without the trigger.
    * ``backdoor_accuracy``: the share of triggered rows with the prediction τ. Rows of true class τ count, as in the
      paper.
    * ``attack_success_rate``: the same share without the rows of true class τ.
    * ``backdoor_accuracy_by_party``, ``attack_success_rate_by_party``, [K]: these two by attacker, with the class that
      it wants in place of τ; only where attackers want different classes (``poison.party_targets``).
    * ``backdoor_ties``, ``attack_ties``: the gain of these two if an exact tie at the largest logit counted for τ where
      τ is the first of the tied classes, as in a plain argmax.
    * ``class_score``, [C]: the mean softmax scores of the triggered rows (Figure 3).
    * ``test_loss``: the mean of the scenario's loss over all rows.
    * ``accuracy_by_class``, [C], with two classes only: the accuracy by true class.
    * ``test_label_inference_accuracy``, ``test_label_inference_rate``: the share of right ones among the labels that
      parties guess, and the share of rows with a guess; only where a party guesses.
    * the scenario's own ``metrics``.

    In the other metrics the first of tied classes is the prediction. A row with a NaN logit has no predicted class.

    Args:
      shapes: the sizes that the protocol makes public.
      num_test: M.
      masks: the places of the trigger, bool[F] or None per party.
      scenario: the scenario, with numbers cast to their dtypes.
      state: the state of the replica.
      block: the test rows.
      key: the key of the whole evaluation.
      knowledge: the attackers' knowledge.

    Returns:
      (the metrics, by name; the answers about every row).
    """
    rows, plan = block.rows, scenario.poison
    is_triggered = block.is_valid & (block.poison_rank < poison_count(plan.test_rate, num_test))
    features = tuple(plan.trigger.stamp(m, x, is_triggered) for m, x in zip(masks, rows.features, strict=True))
    found = infer(shapes, scenario, state, features, key, knowledge, block.row_ids, block.is_valid, is_triggered)
    logits = found.logits

    predicted = predicted_class(logits)
    is_correct = predicted == rows.labels
    is_target = strictly_predicts(logits, plan.target_class)
    is_tie = (predicted == plan.target_class) & ~is_target
    losses = scenario.loss.rows(logits, jax.nn.one_hot(rows.labels, shapes.num_classes))
    is_other_class = is_triggered & (rows.labels != plan.target_class)
    metrics = {
        "main_task_accuracy": mean_over(block.is_valid, is_correct),
        "main_clean": mean_over(block.is_valid & ~is_triggered, is_correct),
        "backdoor_accuracy": mean_over(is_triggered, is_target),
        "attack_success_rate": mean_over(is_other_class, is_target),
        "backdoor_ties": mean_over(is_triggered, is_tie),
        "attack_ties": mean_over(is_other_class, is_tie),
        "class_score": mean_over(is_triggered, jax.nn.softmax(logits)),
        "test_loss": mean_over(block.is_valid, losses),
    }
    if scenario.own_targets:
        wanted, parties = jnp.array(scenario.own_targets), (scenario.attackers, len(shapes.widths))
        is_wanted = jnp.stack([strictly_predicts(logits, label) for label in scenario.own_targets])
        is_other = is_triggered[None] & (jnp.asarray(rows.labels)[None] != wanted[:, None])
        every = jnp.broadcast_to(is_triggered, is_wanted.shape)
        metrics["backdoor_accuracy_by_party"] = mean_by_party(every, is_wanted, *parties)
        metrics["attack_success_rate_by_party"] = mean_by_party(is_other, is_wanted, *parties)
    if shapes.num_classes == 2:
        metrics["accuracy_by_class"] = mean_by_class(block.is_valid, is_correct, jnp.asarray(rows.labels), 2)
    if found.guesses:
        guesses = jnp.stack(found.guesses)
        valid = jnp.broadcast_to(block.is_valid, guesses.shape)
        metrics["test_label_inference_accuracy"] = mean_over(valid & (guesses >= 0), guesses == rows.labels[None])
        metrics["test_label_inference_rate"] = mean_over(valid, guesses >= 0)
    metrics |= own_metrics(scenario, logits, rows.labels, block.is_valid, is_triggered, "")
    return metrics, answers(shapes, found, rows.labels, block.is_valid, is_triggered)


def finish(rows: RowAnswers) -> dict[str, Metric]:
    """Computes the metrics that need all test rows at once.

    * ``test_auc``, with two classes: how often a row of class 1 has the larger margin for class 1. Rows whose margin is
      NaN, such as those that a defense rejects, do not count.
    * ``detection_auc`` and so on (:func:`vfl_jax.replica.metrics.detection`), where the defense answers.

    Args:
      rows: the answers about all test rows, leaves [M].
    """
    metrics = {}
    if rows.margin is not None:
        is_one, is_zero = rows.is_valid & rows.is_one, rows.is_valid & ~rows.is_one
        metrics["test_auc"] = area(rows.margin, is_one, rows.margin, is_zero)
    if rows.score is not None and rows.is_suspect is not None:
        found = detection(rows.score, rows.is_suspect, rows.is_attacked, rows.is_valid)
        metrics |= {f"detection_{name}": metric for name, metric in found.items()}
    return metrics


def answers(shapes: Shapes, found: Inferred, labels: Array, is_valid: Array, is_attacked: Array) -> RowAnswers:
    """Returns what metrics over all test rows need of the rows of a block.

    Args:
      shapes: the sizes that the protocol makes public.
      found: what became of the rows.
      labels: int32[M'].
      is_valid: bool[M'].
      is_attacked: bool[M'].
    """
    margin = found.logits[:, 1] - found.logits[:, 0] if shapes.num_classes == 2 else None
    answer = found.suspicion
    return RowAnswers(
        is_valid=is_valid,
        is_attacked=is_attacked,
        is_one=jnp.asarray(labels) == 1,
        margin=margin,
        score=None if answer is None else answer.score.max(axis=-1),
        is_suspect=None if answer is None else answer.is_suspect,
    )


def own_metrics(
    scenario: Scenario, logits: Array, labels: Array, is_valid: Array, is_attacked: Array, prefix: str
) -> dict[str, Metric]:
    """Computes the scenario's own metrics on a block of test rows.

    Args:
      scenario: the scenario.
      logits: float32[M', C].
      labels: int32[M'].
      is_valid: bool[M'].
      is_attacked: bool[M'].
      prefix: the beginning of every name.

    Raises:
      ValueError: where a metric does not return one number per row.
    """
    outcome = Outcome(
        jnp.asarray(logits), jnp.asarray(labels), jnp.asarray(is_attacked), jnp.int32(scenario.poison.target_class)
    )
    metrics = {}
    for measure in scenario.metrics:
        found = measure.rows(outcome)
        is_array = isinstance(found, jax.Array | np.ndarray)
        if not is_array or found.shape != is_valid.shape or jnp.iscomplexobj(found):
            said = f"{found.dtype}{list(found.shape)}" if is_array else f"a {type(found).__name__}"
            raise ValueError(
                f"The metric {measure.name} returns {said}; it must return a number per row, "
                f"float32[{is_valid.shape[0]}]."
            )
        values = jnp.asarray(found, jnp.float32)
        metrics[f"{prefix}{measure.name}"] = mean_over(is_valid & ~jnp.isnan(values), values)
    return metrics


def strictly_predicts(logits: Array, label: Array | int) -> Array:
    """Whether a class has the largest logit alone, bool[B].

    Args:
      logits: float32[B, C].
      label: the class.
    """
    others = jnp.where(jnp.arange(logits.shape[-1]) == label, -jnp.inf, logits)
    return logits[:, label] > others.max(axis=-1)

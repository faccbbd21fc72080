"""Reports of methods, compared with the labels and poison rows, which the methods never see."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from vfl_jax.core.types import Array
from vfl_jax.replica.metrics import Metric, area, detection, mean_over
from vfl_jax.replica.state import TrainState
from vfl_jax.scenario import Scenario

GUESSES, SCORES = "label_guesses", "label_scores"
SUSPICION, SUSPECTS, POISONED = "suspicion", "suspects", "poisoned_rows"

KINDS = (
    f"a number, [], under any other name; {GUESSES}, int32[N] (−1: none); {SCORES}, float32[N] (for two classes); "
    f"{SUSPICION}, float32[N], with {SUSPECTS}, bool[N]; {POISONED}, bool[N]"
)


def evaluate_reports(
    scenario: Scenario, state: TrainState, labels: Array, is_poison: Array, num_classes: int
) -> dict[str, Metric]:
    """Compares the reports of all methods, attacks and defenses, with the labels and the poison rows.

    * A number, float32[], becomes a metric of its own name.
    * ``label_guesses``, int32[N] with negative entries for rows without a guess, becomes ``label_inference_rate`` (the
      share of rows with a guess) and ``label_inference_accuracy`` (the share of right ones among the guesses).
    * ``label_scores``, float32[N], larger for class 1 of two, becomes ``label_inference_auc``.
    * ``poisoned_rows``, bool[N], the rows that an attack poisons by its own choice, become ``poisoned_rate`` (their
      share) and ``poisoned_purity`` (the share of class τ among them).
    * ``suspicion``, float32[N], with ``suspects``, bool[N], becomes ``train_detection_auc`` and so on
      (:func:`vfl_jax.replica.metrics.detection`). Attacked are the poison rows and those of ``poisoned_rows``.

    A method that guesses or scores in several ways reports ``label_guesses_<way>``; its metrics have the same ending.
    Where several methods report one name, the metric is the mean over them.

    Args:
      scenario: the scenario.
      state: the state of the replica.
      labels: int32[N], the labels of the training rows.
      is_poison: bool[N], the rows that carry the trigger.
      num_classes: C.

    Returns:
      the metrics, by name.

    Raises:
      ValueError: where a report holds something else.
    """
    methods: list[Any] = [*scenario.attacks, scenario.active_attack, scenario.defense]
    states = [*state.attack_states, state.active_attack_state, state.defense_state]
    made: dict[str, list[Array]] = {}
    for method, own in zip(methods, states, strict=True):
        for name, value in method.report(own).items():
            _check(type(method).__name__, name, jnp.asarray(value), len(labels), num_classes)
            made.setdefault(name, []).append(jnp.asarray(value))
    is_attacked = jnp.stack([jnp.asarray(is_poison), *made.get(POISONED, [])]).any(axis=0)
    metrics: dict[str, Metric] = {}
    for name in sorted(made):
        metrics |= _metrics_of(name, jnp.stack(made[name]), labels, scenario.poison.target_class)
    if SUSPICION in made:
        everyone = jnp.ones(len(labels), bool)
        suspects = made.get(SUSPECTS, [jnp.zeros(len(labels), bool)])
        found = detection(made[SUSPICION][0].astype(jnp.float32), suspects[0], is_attacked, everyone)
        metrics |= {f"train_detection_{name}": metric for name, metric in found.items()}
    return metrics


def _metrics_of(name: str, made: Array, labels: Array, target_class: int) -> dict[str, Metric]:
    """Returns the metrics of one name, over the reports of all methods, [methods, ...]."""
    everyone = jnp.ones(made.shape, bool)
    if name.startswith(GUESSES):
        way = name.removeprefix(GUESSES)
        return {
            f"label_inference_accuracy{way}": mean_over(made >= 0, made == labels[None]),
            f"label_inference_rate{way}": mean_over(everyone, made >= 0),
        }
    if name.startswith(SCORES):
        score, is_one = made[0], labels == 1
        return {f"label_inference_auc{name.removeprefix(SCORES)}": area(score, is_one, score, ~is_one)}
    if name == POISONED:
        is_target = jnp.broadcast_to(labels[None] == target_class, made.shape)
        return {"poisoned_rate": mean_over(everyone, made), "poisoned_purity": mean_over(made, is_target)}
    return {} if name in (SUSPICION, SUSPECTS) else {name: mean_over(everyone, made)}


def _check(method: str, name: str, value: Array, num_rows: int, num_classes: int) -> None:
    """Checks that a report holds a known kind of value under a known name."""
    of_rows = name.startswith((GUESSES, SCORES)) or name in (SUSPICION, SUSPECTS, POISONED)
    is_whole, is_flag = jnp.issubdtype(value.dtype, jnp.integer), value.dtype == bool
    fits = {
        GUESSES: is_whole,
        SCORES: not is_whole and not is_flag and num_classes == 2,
        SUSPICION: not is_flag,
        SUSPECTS: is_flag,
        POISONED: is_flag,
    }
    kind = next((kind for kind in fits if name.startswith(kind)), None) if of_rows else None
    if value.shape != ((num_rows,) if of_rows else ()) or not (kind is None or fits[kind]):
        raise ValueError(
            f"{method}.report has {name!r}, an array of {value.dtype} and shape {value.shape}, of {num_rows} training "
            f"rows and {num_classes} classes. A report may hold: {KINDS}."
        )

"""Reports of methods, compared with the labels and poison rows, which the methods never see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.types import Array
from vfl_jax.protocol.knowledge import UNKNOWN, Knowledge
from vfl_jax.protocol.methods import Chain
from vfl_jax.protocol.mistakes import call
from vfl_jax.replica.metrics import Metric, area, detection, mean_over
from vfl_jax.replica.state import TrainState
from vfl_jax.scenario import Scenario
from vfl_jax.scenario.measures import check_free

GUESSES, SCORES = "label_guesses", "label_scores"
SUSPICION, SUSPECTS, POISONED = "suspicion", "suspects", "poisoned_rows"

KINDS = (
    f"a number, [], under any other name; {GUESSES}, int32[N] (−1: none); {SCORES}, float32[N] (of two classes; larger "
    f"for class 1); {SUSPICION}, float32[N], with {SUSPECTS}, bool[N]; {POISONED}, bool[N]"
)


def evaluate_reports(
    scenario: Scenario, state: TrainState, labels: Array, knowledge: Knowledge, num_classes: int
) -> dict[str, Metric]:
    """Compares the reports of all methods, attacks and defenses, with the labels and the poison rows.

    * A number, float32[], becomes a metric of its own name.
    * ``label_guesses``, int32[N] with negative entries for rows without a guess, becomes ``label_inference_rate`` (the
      share of rows with a guess) and ``label_inference_accuracy`` (the share of right ones among the guesses). Rows
      whose labels the attackers were granted count in neither, nor in the next.
    * ``label_scores``, float32[N], larger for class 1 of two and NaN for rows without a score, becomes
      ``label_inference_auc``.
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
      knowledge: the knowledge of the attackers: the rows that carry the trigger, and the labels that were granted.
      num_classes: C.

    Returns:
      the metrics, by name.

    Raises:
      ValueError: where a report holds something else.
    """
    methods: list[Any] = [*scenario.attacks, scenario.active_attack, scenario.defense]
    states = [*state.attack_states, state.active_attack_state, state.defense_state]
    targets = [*(scenario.poison.party_targets or (scenario.poison.target_class,) * len(scenario.attacks))]
    targets += [scenario.poison.target_class] * 2
    made: dict[str, list[_Reported]] = {}
    for method, own, target in zip(methods, states, targets, strict=True):
        for part, part_state in _parts(method, own):
            _check(part, part_state, len(labels), num_classes)
        for name, value in call(method, "report", own).items():
            made.setdefault(name, []).append(_Reported(jnp.asarray(value), target))
    is_attacked = jnp.stack(
        [jnp.asarray(knowledge.is_poison), *(of_one.value for of_one in made.get(POISONED, []))]
    ).any(axis=0)
    is_asked = jnp.asarray(knowledge.known_labels) == UNKNOWN
    metrics: dict[str, Metric] = {}
    for name in sorted(made):
        metrics |= _metrics_of(name, made[name], labels, is_asked)
    everyone = jnp.ones(len(labels), bool)
    found = [
        detection(suspicion.value.astype(jnp.float32), suspects.value, is_attacked, everyone)
        for suspicion, suspects in zip(made.get(SUSPICION, []), made.get(SUSPECTS, []), strict=True)
    ]
    if found:
        metrics |= {f"train_detection_{name}": metric for name, metric in _merged(found).items()}
    return metrics


class _Reported(NamedTuple):
    """A value of a report, and the class that its method wants."""

    value: Array
    target_class: int


def _metrics_of(name: str, made: list[_Reported], labels: Array, is_asked: Array) -> dict[str, Metric]:
    """Returns the metrics of one name, over the reports of all methods; guesses count for rows that are asked about."""
    if name in (SUSPICION, SUSPECTS):
        return {}
    if name.startswith(SCORES):
        is_one, is_zero = is_asked & (labels == 1), is_asked & (labels != 1)
        areas = [area(score, is_one, score, is_zero) for score in (of_one.value.astype(jnp.float32) for of_one in made)]
        return {f"label_inference_auc{name.removeprefix(SCORES)}": _merged(areas)}
    kind = jnp.int32 if name.startswith(GUESSES) else bool if name == POISONED else jnp.float32
    values = jnp.stack([of_one.value.astype(kind) for of_one in made])
    everyone = jnp.ones(values.shape, bool)
    if name.startswith(GUESSES):
        way = name.removeprefix(GUESSES)
        asked = everyone & is_asked[None]
        return {
            f"label_inference_accuracy{way}": mean_over(asked & (values >= 0), values == labels[None]),
            f"label_inference_rate{way}": mean_over(asked, values >= 0),
        }
    if name == POISONED:
        is_target = jnp.stack([labels == of_one.target_class for of_one in made])
        return {"poisoned_rate": mean_over(everyone, values), "poisoned_purity": mean_over(values, is_target)}
    return {name: mean_over(everyone, values)}


def _merged(found: list[Any]) -> Any:
    """Returns the mean over several metrics of one name, or over several sets of metrics."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves).sum(axis=0), *found)


def _parts(method: Any, state: Any) -> Iterator[tuple[Any, Any]]:
    """Yields (method, state); of a chain, of every part at any depth."""
    if not isinstance(method, Chain):
        yield method, state
        return
    for part, own in zip(method.parts, state, strict=True):
        yield from _parts(part, own)


def _check(method: Any, state: Any, num_rows: int, num_classes: int) -> None:
    """Checks that a report holds known kinds of values under known names."""
    kind, report = type(method).__name__, call(method, "report", state)
    if not isinstance(report, dict):
        raise ValueError(f"{kind}.report returns a {type(report).__name__}; it must return a dict of arrays by name.")
    for name, value in report.items():
        check_free(f"{kind}.report has", name)
        if not isinstance(value, jax.Array | np.ndarray | np.number | np.bool_ | bool | int | float):
            raise ValueError(f"{kind}.report has {name!r}, a {type(value).__name__}. A report may hold: {KINDS}.")
        _check_value(kind, name, jnp.asarray(value), num_rows, num_classes)
    if (SUSPICION in report) != (SUSPECTS in report):
        there, lacking = (SUSPICION, SUSPECTS) if SUSPICION in report else (SUSPECTS, SUSPICION)
        raise ValueError(f"{kind}.report has {there!r} without {lacking!r}; give both, or neither.")


def _check_value(method: str, name: str, value: Array, num_rows: int, num_classes: int) -> None:
    """Checks that a value of a report is of the kind that its name says."""
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

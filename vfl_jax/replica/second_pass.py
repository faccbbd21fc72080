"""The second pass of evaluation: every test row clean, then every row of another class attacked by stamping."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vfl_jax.core.types import Array, Key
from vfl_jax.protocol.knowledge import Knowledge, Shapes
from vfl_jax.protocol.methods import methods
from vfl_jax.protocol.switched import Switched
from vfl_jax.replica import capabilities
from vfl_jax.replica.first_pass import EvalBlock, RowAnswers, answers, own_metrics, strictly_predicts
from vfl_jax.replica.inference import infer
from vfl_jax.replica.metrics import Metric, area, detection, mean_by_class, mean_by_party, mean_over
from vfl_jax.replica.preparation import Inputs
from vfl_jax.replica.state import TrainState
from vfl_jax.replica.stepping import predicted_class
from vfl_jax.scenario import Scenario


class FullRows(NamedTuple):
    """What metrics over all test rows need of each row, clean and attacked.

    Args:
      clean: the answers about the clean rows.
      attacked: the answers about the same rows, attacked where they are of another class.
      sent: (clean, attacked) messages of every attacker, float32[M', E] each.
      predicted: (clean, attacked) predicted classes, int32[M'] each.
    """

    clean: RowAnswers
    attacked: RowAnswers
    sent: tuple[tuple[Array, Array], ...]
    predicted: tuple[Array, Array]


def attack_block(
    shapes: Shapes,
    inputs: Inputs,
    scenario: Scenario,
    state: TrainState,
    block: EvalBlock,
    key: Key,
    knowledge: Knowledge,
) -> tuple[dict[str, Metric], FullRows]:
    """Computes the metrics of one replica on a block of test rows that is seen twice, clean and attacked.

    A row is attacked where its class is none that an attacker wants. Both times it has the same draws.

    * ``full_clean_accuracy``: the accuracy on the clean rows.
    * ``full_attack_success``: the share of attacked rows whose predicted class is the one that the attacker wants; with
      several attackers that want different classes, the mean over those that are on, in an honest run over all.
    * ``full_attack_success_by_class``, [C]: the same share by true class.
    * ``full_attack_success_by_party``, [K]: the same share by attacker; only where attackers want different classes.
    * ``full_recovered_utility``: the accuracy on the attacked rows, behind the defense.
    * the scenario's own ``metrics``, over the attacked rows, as ``full_<name>``.

    Args:
      shapes: the sizes that the protocol makes public.
      inputs: the data on the device.
      scenario: the scenario, with numbers cast to their dtypes.
      state: the state of the replica.
      block: the test rows.
      key: the key of the whole evaluation.
      knowledge: the attackers' knowledge.

    Returns:
      (the metrics, by name; what is needed of every row).
    """
    rows, num_parties = block.rows, len(shapes.widths)
    labels = jnp.asarray(rows.labels)
    is_attacked = block.is_valid & (labels[:, None] != jnp.array([scenario.target_classes])).all(axis=-1)
    stamps = [capabilities.own_stamp(scenario, inputs, k) for k in range(num_parties)]
    chosen = jnp.asarray(is_attacked)
    pairs = zip(stamps, rows.features, strict=True)
    stamped = tuple(x if stamp is None else stamp(x, chosen) for stamp, x in pairs)
    clean = infer(shapes, scenario, state, rows.features, key, knowledge, block.row_ids, block.is_valid)
    attacked = infer(shapes, scenario, state, stamped, key, knowledge, block.row_ids, block.is_valid, is_attacked)

    predicted = predicted_class(clean.logits), predicted_class(attacked.logits)
    wanted = scenario.own_targets or (scenario.poison.target_class,)
    by_attacker = jnp.stack([strictly_predicts(attacked.logits, c) for c in wanted]).astype(jnp.float32)
    success = _mean_over_those_on(scenario, by_attacker) if scenario.own_targets else by_attacker[0]
    metrics = {
        "full_clean_accuracy": mean_over(block.is_valid, predicted[0] == labels),
        "full_attack_success": mean_over(is_attacked, success),
        "full_attack_success_by_class": mean_by_class(is_attacked, success, labels, shapes.num_classes),
        "full_recovered_utility": mean_over(is_attacked, predicted[1] == labels),
    }
    if scenario.own_targets:
        every = jnp.broadcast_to(is_attacked, by_attacker.shape)
        metrics["full_attack_success_by_party"] = mean_by_party(every, by_attacker, scenario.attackers, num_parties)
    metrics |= own_metrics(scenario, attacked.logits, labels, is_attacked, is_attacked, "full_")
    nobody = jnp.zeros_like(is_attacked)
    return metrics, FullRows(
        clean=answers(shapes, clean, labels, block.is_valid, nobody),
        attacked=answers(shapes, attacked, labels, block.is_valid, is_attacked),
        sent=tuple((clean.sent[k], attacked.sent[k]) for k in scenario.attackers),
        predicted=predicted,
    )


def _mean_over_those_on(scenario: Scenario, by_attacker: Array) -> Array:
    """Returns the mean over the attackers that are on, float32[M']; over all where none is."""
    switches = [
        [m.enabled for m in methods(scenario.attacks[k]) if isinstance(m, Switched)] for k in scenario.attackers
    ]
    is_on = jnp.stack([jnp.stack([jnp.asarray(switch) != 0 for switch in own]).any() for own in switches])
    weights = jnp.where(is_on.any(), is_on, True).astype(jnp.float32)
    return weights @ by_attacker / weights.sum()


def finish(shapes: Shapes, rows: FullRows) -> dict[str, Metric]:
    """Computes the metrics that need all test rows at once.

    * ``full_detection_auc`` and so on (:func:`vfl_jax.replica.metrics.detection`), where the defense answers: the
      attacked rows against all clean ones.
    * ``full_stealth_l2``, ``full_stealth_linf``, ``full_stealth_class_mean``: how well one simple number tells attacked
      messages from the clean messages of the same rows, as an area under the ROC curve: the row's L2 norm, its largest
      entry, its distance to the mean of the clean messages with the same predicted class. 0.5 hides the attack from
      that number, and is what messages that do not change give; 0 and 1 show it. With several attackers it is the mean
      over them. Messages that are not finite do not count, nor, for the distance, do rows without a predicted class and
      those of a class that no clean row is predicted to be.

    Args:
      shapes: the sizes that the protocol makes public.
      rows: what is needed of all test rows, leaves [M, ...].
    """
    clean, attacked = rows.clean, rows.attacked
    is_clean, is_attacked = clean.is_valid, attacked.is_attacked
    metrics: dict[str, Metric] = {}
    if clean.score is not None and clean.is_suspect is not None:
        both = _joined(clean, attacked)
        found = detection(both.score, both.is_suspect, both.is_attacked, both.is_valid)
        metrics |= {f"full_detection_{name}": metric for name, metric in found.items()}
    areas: dict[str, list[Metric]] = {}
    for sent in rows.sent:
        for name, values in _simple_numbers(shapes, sent, rows.predicted, is_clean).items():
            areas.setdefault(name, []).append(area(values[1], is_attacked, values[0], is_attacked))
    for name, found_areas in areas.items():
        metrics[f"full_stealth_{name}"] = jax.tree.map(lambda *leaves: jnp.stack(leaves).sum(axis=0), *found_areas)
    return metrics


def _joined(clean: RowAnswers, attacked: RowAnswers) -> Any:
    """Returns the answers about all clean and all attacked rows; of the second time only attacked rows count."""
    attacked = attacked._replace(is_valid=attacked.is_attacked)
    return jax.tree.map(lambda *pair: jnp.concatenate(pair), clean, attacked)


def _simple_numbers(
    shapes: Shapes, sent: tuple[Array, Array], predicted: tuple[Array, Array], is_clean: Array
) -> dict[str, tuple[Array, Array]]:
    """Returns the numbers that a watcher could compute of each message, (clean, attacked), float32[M] each."""
    counts = is_clean & jnp.isfinite(sent[0]).all(axis=-1)
    one_hot = jax.nn.one_hot(jnp.where(counts, predicted[0], -1), shapes.num_classes)
    rows_of_class = one_hot.sum(axis=0)[:, None]
    sums = one_hot.T @ jnp.where(counts[:, None], sent[0], 0.0)
    means = jnp.where(rows_of_class > 0, sums / jnp.maximum(rows_of_class, 1.0), jnp.nan)

    def both(function: Any) -> tuple[Array, Array]:
        def finite(h: Array, p: Array) -> Array:
            return jnp.where(jnp.isfinite(h).all(axis=-1), function(h, p), jnp.nan)

        first, second = (finite(h, p) for h, p in zip(sent, predicted, strict=True))
        return first, second

    return {
        "l2": both(lambda h, _: jnp.linalg.norm(h, axis=-1)),
        "linf": both(lambda h, _: jnp.abs(h).max(axis=-1)),
        "class_mean": both(lambda h, p: jnp.where(p >= 0, jnp.linalg.norm(h - means[p], axis=-1), jnp.nan)),
    }

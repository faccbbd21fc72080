"""The poison rows, target rows and batches of a seed that a user or the data may name, checked on the host."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from vfl_jax.core.checks import check_unmasked
from vfl_jax.core.types import Key
from vfl_jax.core.vertical_data import Rows, VerticalData
from vfl_jax.protocol.knowledge import UNKNOWN
from vfl_jax.scenario import BatchPlan, PoisonPlan, Scenario


def explicit_ids(name: str, given: Any, planned: Any, rows: Rows, plan: PoisonPlan) -> np.ndarray | None:
    """Returns the poison rows that are not drawn.

    Args:
      name: the name of the argument, for messages.
      given: ids from ``Given``; they come before all others.
      planned: ids from the scenario; they come before natural triggers.
      rows: the training or the test rows.
      plan: the scenario's poison plan.

    Returns:
      int32[P]; None where the rows are drawn.

    Raises:
      ValueError: where ids lie outside the rows, or an id is there twice.
    """
    ids = given if given is not None else planned
    if ids is None:
        if plan.trigger.is_stamped:
            return None
        return np.flatnonzero(np.asarray(rows.has_trigger)).astype(np.int32)
    return _checked_ids(name, ids, rows.num_samples)


def poison_counts(rate: Any, num_rows: int) -> np.ndarray:
    """Returns the number of rows that each rate poisons, as ``draws.poison_count`` does in a program.

    Args:
      rate: one rate or several.
      num_rows: N.
    """
    return np.asarray(np.round(np.float32(rate) * np.float32(num_rows)), np.int64)


def check_rate(name: str, rate: Any, explicit: np.ndarray | None, num_rows: int, rows: str) -> None:
    """Checks that every rate above 0 poisons a row; otherwise an attacked run would be honest.

    Args:
      name: the name of the rate, for messages.
      rate: one rate or several.
      explicit: the poison rows that are not drawn; with them no rate counts.
      num_rows: N.
      rows: the words for these rows, for messages.

    Raises:
      ValueError: naming the first rate that poisons no row.
    """
    if explicit is not None:
        return
    for one in np.unique(np.float32(rate)):
        if one > 0 and poison_counts(one, num_rows) == 0:
            raise ValueError(
                f"{name} is {one:g}; of {num_rows} {rows} that rounds to none, so there is nothing to attack. Give at "
                f"least {1 / num_rows:.2g} (one row), name the rows, or give 0 where none is meant."
            )


def _checked_ids(name: str, ids: Any, num_rows: int) -> np.ndarray:
    """Returns ids as int32, after a check that they are distinct rows."""
    check_unmasked(**{name: ids})
    ids = np.asarray(ids)
    if ids.size == 0:
        return np.empty(0, np.int32)
    if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"{name} must be a list of whole numbers; found {ids.dtype} of shape {ids.shape}.")
    if ids.size > num_rows:
        raise ValueError(f"{name} has {ids.size} rows; there are only {num_rows} samples.")
    if ids.size and not (ids.min() >= 0 and ids.max() < num_rows):
        raise ValueError(f"{name} has ids from {ids.min()} to {ids.max()}; they must lie in 0 to {num_rows - 1}.")
    if len(np.unique(ids)) != ids.size:
        raise ValueError(f"{name} has a row twice; every id must be there once.")
    return ids.astype(np.int32)


def known_rows(
    scenario: Scenario, data: VerticalData, poison: np.ndarray | None, given: Any, key: Key
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows whose labels the attackers know, given, planned or drawn.

    Args:
      scenario: the scenario.
      data: the data set.
      poison: the poison rows that are not drawn, or None.
      given: ids of target rows from ``Given``, or None.
      key: the key of the draw.

    Returns:
      (target rows, int32[R]; known labels, int32[N], with ``UNKNOWN`` where the label is not known).

    Raises:
      ValueError: where an id lies outside the data, is there twice, is of another class or is a poison row; where a
        class has too few rows, or a wanted class too few without the trigger.
    """
    plan, wanted, labels = scenario.poison, scenario.target_classes, np.asarray(data.train.labels)
    poison = np.empty(0, np.int32) if poison is None else poison
    ids = given if given is not None else plan.target_ids
    if ids is not None:
        targets = _checked_targets(ids, labels, wanted, poison)
    else:
        count = max(plan.num_targets, plan.num_known)
        name = "num_targets" if plan.num_targets >= plan.num_known else "num_known"
        of_class = [_drawn(labels, c, count, poison, _key(key, c, plan.target_class), name) for c in wanted]
        targets = np.concatenate(of_class)
    known = np.full(len(labels), UNKNOWN, np.int32)
    known[targets] = labels[targets]
    if plan.num_known:
        for c in sorted(set(range(data.num_classes)) - set(wanted)):
            own_key = _key(key, c, plan.target_class)
            known[_drawn(labels, c, plan.num_known, np.empty(0, np.int32), own_key, "num_known")] = c
    return targets, known


def _key(key: Key, label: int, target_class: int) -> Key:
    """Returns the key that draws rows of a class; that of τ is the stream's own."""
    return key if label == target_class else jax.random.fold_in(key, label)


def _drawn(labels: np.ndarray, label: int, count: int, poison: np.ndarray, key: Key, name: str) -> np.ndarray:
    """Draws rows of a class that carry no trigger, int32[count]."""
    allowed = np.setdiff1d(np.flatnonzero(labels == label), poison)
    if len(allowed) < count:
        free = " are free of the trigger" if len(poison) else ""
        raise ValueError(
            f"poison.{name} is {count}; only {len(allowed)} training rows of class {label}{free or ' are there'}."
        )
    return np.asarray(jax.random.permutation(key, allowed))[:count].astype(np.int32)


def _checked_targets(ids: Any, labels: np.ndarray, wanted: tuple[int, ...], poison: np.ndarray) -> np.ndarray:
    """Returns given target rows, after a check."""
    ids = _checked_ids("target_ids", ids, len(labels))
    if ids.size == 0:
        raise ValueError("target_ids is empty; the attacker must know at least one row of the target class.")
    for row in ids:
        if labels[row] not in wanted:
            raise ValueError(
                f"target_ids has row {row}, whose label is {labels[row]}; every target row must be of "
                f"poison.target_class, {' or '.join(map(str, wanted))}."
            )
    if (both := np.intersect1d(ids, poison)).size:
        raise ValueError(f"Row {both[0]} is both a poison and a target row; poison rows never include target rows.")
    return ids


def given_batches(batch_ids: Any, plan: BatchPlan, num_rows: int) -> np.ndarray | None:
    """Returns the given batches, int32[epochs, T, B], after a check; None where none are given.

    Args:
      batch_ids: ids from ``Given``, or None.
      plan: the scenario's batch plan.
      num_rows: N.

    Raises:
      ValueError: where the ids have another shape, lie outside the data, or repeat within a batch.
    """
    if batch_ids is None:
        return None
    check_unmasked(**{"given.batch_ids": batch_ids})
    ids = np.asarray(batch_ids)
    if ids.ndim != 3 or ids.shape[-1] != plan.size or ids.shape[1] == 0:
        raise ValueError(
            f"given.batch_ids has shape {ids.shape}; it must be (epochs, steps, {plan.size}), one row id per place."
        )
    if not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"given.batch_ids is an array of {ids.dtype}; row ids must be whole numbers.")
    if ids.size and (ids.min() < 0 or ids.max() >= num_rows):
        raise ValueError(
            f"given.batch_ids has ids from {ids.min()} to {ids.max()}; they must lie in 0 to {num_rows - 1}."
        )
    ordered = np.sort(ids, axis=-1)
    if (is_again := ordered[..., 1:] == ordered[..., :-1]).any():
        epoch, step, place = np.argwhere(is_again)[0]
        raise ValueError(
            f"given.batch_ids has row {ordered[epoch, step, place]} twice in step {step} of epoch {epoch}; a batch is "
            "a set of rows, so every id must be there once. It may come again in another batch."
        )
    return ids.astype(np.int32)

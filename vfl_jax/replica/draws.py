"""The draws of one seed before its first step: poison rows, target rows and batches.

A user may give every choice instead (:class:`Given`), and so compare a run with another implementation, step by step.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.folded import by_field
from vfl_jax.core.types import Array, Key, Params
from vfl_jax.core.vertical_data import VerticalData, content_hash
from vfl_jax.core.words import counted
from vfl_jax.protocol.knowledge import ORDINARY, POISON, TARGET
from vfl_jax.protocol.methods import is_attack
from vfl_jax.replica.rows import check_rate, explicit_ids, given_batches, known_rows, poison_counts
from vfl_jax.replica.state import Streams
from vfl_jax.scenario import BatchPlan, Scenario

ALWAYS = -1
"""The poison rank of rows that carry the trigger at every rate: rows that are named, or that carry it by nature."""


@flax.struct.dataclass(kw_only=True)
class Given:
    """Choices that a user gives, the same for every seed; a choice that is None is drawn.

    Args:
      params: the initial parameters of the K parties' bottom models.
      head_params: the initial parameters of the head.
      batch_ids: the training rows of every batch, int[epochs, T, B].
      poison_ids: the poison rows of the training set, int[P].
      test_poison_ids: the poison rows of the test set, int[P].
      target_ids: the training rows that the attacker knows to be of the target class, int[R].
      blur: the vectors of ``ActivationBlurring(kind="given")``, float[N, E].
    """

    params: tuple[Params, ...] | None = None
    head_params: Params | None = None
    batch_ids: Any | None = None
    poison_ids: Any | None = None
    test_poison_ids: Any | None = None
    target_ids: Any | None = None
    blur: Any | None = None

    def fingerprint(self) -> str | None:
        """Returns the SHA-256 of the content, in hexadecimal; None where nothing is given."""
        content = self._content()
        return content_hash(content) if content else None

    def _content(self) -> dict[str, Any]:
        """What is given, by name."""
        content = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: value for name, value in content.items() if value is not None}

    def __repr__(self) -> str:
        return by_field("Given", {name: _form(value) for name, value in self._content().items()})


def _form(value: Any) -> str:
    """What a choice is, in a few letters: dtype and shape of an array, else how many arrays or numbers there are."""
    if hasattr(value, "dtype"):
        return f"{value.dtype}{list(value.shape)}"
    leaves = jax.tree.leaves(value)
    return f"<{counted(len(leaves), 'array' if any(map(np.ndim, leaves)) else 'number')}>"


@flax.struct.dataclass
class Draws:
    """The draws of one seed; all grid points share them, so runs can be compared in pairs.

    Args:
      key: the seed's key.
      poison_rank: int32[N], the place of each training row in the order of poisoning; target rows come last.
      test_poison_rank: int32[M], the same for the test rows.
      poison_ids: int32[P], the poison rows at the largest rate.
      target_ids: int32[R].
      known_labels: int32[N], the labels that the attackers know, ``UNKNOWN`` elsewhere.
      pool: int32[·], the rows that batches take, ascending.
      batch_ids: int32[epochs, T, B], the given batches; None where batches are drawn.
    """

    key: Key
    poison_rank: Array
    test_poison_rank: Array
    poison_ids: Array
    target_ids: Array
    known_labels: Array
    pool: Array
    batch_ids: Array | None


def draw(scenario: Scenario, data: VerticalData, key: Key, given: Given = Given()) -> Draws:
    """Draws the rows of one seed, on the host.

    Args:
      scenario: the scenario.
      data: the data set.
      key: the seed's key, typed.
      given: choices that are not drawn.

    Raises:
      ValueError: where ids lie outside the data; where a target row is of another class or carries the trigger; where
        there are no poison rows to attack with, or more than samples.
    """
    plan = scenario.poison
    num_train, num_test = data.train.num_samples, data.test.num_samples
    streams = Streams.of(key if plan.draw == "per_seed" else jax.random.key(plan.fixed_seed))
    explicit = explicit_ids("poison_ids", given.poison_ids, plan.poison_ids, data.train, plan)
    test_explicit = explicit_ids("test_poison_ids", given.test_poison_ids, plan.test_poison_ids, data.test, plan)
    targets, known = known_rows(scenario, data, explicit, given.target_ids, streams.targets)
    order = _order(jax.random.fold_in(streams.poison, 0), num_train, last=targets)
    test_order = _order(jax.random.fold_in(streams.poison, 1), num_test, last=np.empty(0, np.int32))

    is_natural = explicit is not None and given.poison_ids is None and plan.poison_ids is None
    is_attacked = bool(scenario.attackers) or is_attack(scenario.active_attack)
    if is_natural and is_attacked and not data.train.has_trigger.any():
        raise ValueError(
            f"poison.trigger is {type(plan.trigger).__name__}, but no training row of data {data.name!r} carries it: "
            "there is nothing to attack. Mark such rows (Rows.has_trigger), name them (poison_ids), or stamp a trigger."
        )
    if is_attacked:
        check_rate("poison.rate", plan.rate, explicit, num_train, f"training rows of data {data.name!r}")
        check_rate("poison.test_rate", plan.test_rate, test_explicit, num_test, f"test rows of data {data.name!r}")
    count = len(explicit) if explicit is not None else int(poison_counts(plan.rate, num_train).max())
    poison = order[:count] if explicit is None else explicit
    if count > num_train - len(targets):
        raise ValueError(
            f"poison.rate {np.max(plan.rate):g} asks for {count} poison rows; data {data.name!r} has {num_train} "
            f"training rows, {len(targets)} of them target rows, so at most {num_train - len(targets)} can be poisoned."
        )
    pool = np.arange(num_train, dtype=np.int32)
    if plan.mode == "appended_pair":
        if np.ndim(plan.rate) or count == 0:
            raise ValueError(
                f"poison.rate is {plan.rate}; in mode 'appended_pair' it must be one number that gives at least one "
                "row, because the poison rows leave the training set. Compare rates as cases, one sweep each."
            )
        pool = np.setdiff1d(pool, poison).astype(np.int32)
    return Draws(
        key=key,
        poison_rank=_ranks(order, explicit),
        test_poison_rank=_ranks(test_order, test_explicit),
        poison_ids=poison.astype(np.int32),
        target_ids=targets.astype(np.int32),
        known_labels=known,
        pool=pool,
        batch_ids=given_batches(given.batch_ids, scenario.batches, num_train),
    )


def steps_per_epoch(draws: Draws, plan: BatchPlan) -> int:
    """Returns T, the number of whole batches in an epoch.

    Args:
      draws: the draws of a seed.
      plan: the scenario's batch plan.

    Raises:
      ValueError: where there is no whole batch.
    """
    if draws.batch_ids is not None:
        return int(draws.batch_ids.shape[-2])
    num_rows = draws.pool.shape[-1]
    if num_rows < plan.size:
        raise ValueError(f"batches.size is {plan.size}; there are only {num_rows} rows to make batches of.")
    return num_rows // plan.size


def epoch_ids(scenario: Scenario, draws: Draws, epoch: Array) -> tuple[jax.Array, jax.Array]:
    """Draws the batches of one epoch; traced.

    Args:
      scenario: the scenario.
      draws: the draws of the seed.
      epoch: int32[], counted from 0.

    Returns:
      (sample ids, roles), int32[T, B] each.
    """
    plan, pool = scenario.batches, jnp.asarray(draws.pool)
    num_steps = steps_per_epoch(draws, plan)
    key = jax.random.fold_in(Streams.of(draws.key).batches, epoch)
    key_order, key_pair = jax.random.split(key)
    if draws.batch_ids is not None:
        ids = jnp.asarray(draws.batch_ids)[epoch]
    elif plan.order == "sampled":
        keys = jax.random.split(key_order, num_steps)
        ids = pool[jax.vmap(lambda k: _distinct(k, pool.shape[0], plan.size))(keys)]
    else:
        if plan.order == "shuffled":
            pool = jax.random.permutation(key_order, pool)
        ids = pool[: num_steps * plan.size].reshape(num_steps, plan.size)
    roles = jnp.full(ids.shape, ORDINARY, jnp.int32)
    if scenario.poison.mode == "appended_pair":
        key_poison, key_target = jax.random.split(key_pair)
        pair = [
            jax.random.choice(key_poison, draws.poison_ids, (num_steps,)),
            jax.random.choice(key_target, draws.target_ids, (num_steps,)),
        ]
        pair_roles = jnp.broadcast_to(jnp.array([POISON, TARGET], jnp.int32), (num_steps, 2))
        ids = jnp.concatenate([ids, jnp.stack(pair, axis=-1)], axis=-1)
        roles = jnp.concatenate([roles, pair_roles], axis=-1)
    return ids, roles


def _distinct(key: Key, num_rows: int, size: int) -> Array:
    """Draws ``size`` distinct numbers below ``num_rows`` uniformly, as the first distinct ones of many draws.

    With few rows a permutation is exact and cheap enough. Otherwise there are 2·size draws, and at least 64. At most an
    eighth of 2·size draws are repeats on average. The probability of fewer than ``size`` distinct draws is below 1e-20.
    A permutation of many rows for every small batch of an epoch would take gigabytes.
    """
    if num_rows < 16 * size:
        return jax.random.permutation(key, num_rows)[:size].astype(jnp.int32)
    drawn = jax.random.randint(key, (num_draws(size),), 0, num_rows, jnp.int32)
    is_repeat = jnp.tril(drawn[:, None] == drawn[None, :], k=-1).any(axis=1)
    return drawn[jnp.argsort(is_repeat, stable=True)[:size]]


def num_draws(size: int) -> int:
    """Returns how many draws are made to have ``size`` distinct ones among them.

    Args:
      size: the number of distinct draws that are needed.
    """
    return max(2 * size, 64)


def _order(key: Key, num_rows: int, last: np.ndarray) -> np.ndarray:
    """Returns a permutation of the rows that ends with the rows in ``last``."""
    order = np.asarray(jax.random.permutation(key, num_rows), np.int32)
    is_last = np.isin(order, last)
    return np.concatenate([order[~is_last], order[is_last]])


def _ranks(order: np.ndarray, explicit: np.ndarray | None) -> np.ndarray:
    """Returns each row's place in the order; of explicit rows ``ALWAYS``, and of all others a place out of reach."""
    ranks = np.empty(len(order), np.int32)
    ranks[order] = np.arange(len(order), dtype=np.int32)
    if explicit is not None:
        ranks[:] = np.iinfo(np.int32).max
        ranks[explicit] = ALWAYS
    return ranks


def poison_count(rate: Array | float, num_rows: int) -> Array:
    """Returns the number of rows that carry the trigger, round(rate · N), int32[]; traced.

    Args:
      rate: the share of poison rows, in [0, 1].
      num_rows: N.
    """
    return jnp.round(rate * num_rows).astype(jnp.int32)

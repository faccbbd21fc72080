"""Everything that is random before a step begins, resolved for one seed: rows and batches.

Every choice can also be given explicitly (:class:`Given`), so that a run can be compared step by
step with another implementation's.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.checks import check_unmasked
from vfl_jax.core.types import Array, Key, Params
from vfl_jax.core.vertical_data import Rows, VerticalData, content_hash
from vfl_jax.protocol.transforms import is_attack
from vfl_jax.protocol.views import ORDINARY, POISON, TARGET
from vfl_jax.replica.state import Streams
from vfl_jax.scenario import BatchPlan, PoisonPlan, Scenario

ALWAYS = -1
"""The poison rank of rows that are poisoned at every rate: explicit rows and natural triggers."""


@flax.struct.dataclass(kw_only=True)
class Given:
    """Choices that are given instead of drawn; None is drawn. The same for every seed."""

    params: tuple[Params, ...] | None = None  # K parties
    head_params: Params | None = None
    batch_ids: Any | None = None  # int[epochs, T, B]  training rows of every batch
    poison_ids: Any | None = None  # int[P]
    test_poison_ids: Any | None = None  # int[P]  rows of the test set
    target_ids: Any | None = None  # int[R]
    blur: Any | None = None  # float[N, E]  for ActivationBlurring(kind="given")

    def fingerprint(self) -> str | None:
        """SHA-256 of the content, or None when nothing is given."""
        content = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        content = {name: value for name, value in content.items() if value is not None}
        return content_hash(content) if content else None


@flax.struct.dataclass
class Draws:
    """What one seed drew. Equal for every grid point, so that runs are compared in pairs."""

    key: Key
    poison_rank: Array  # int32[N]  place in the order of poisoning; target rows come last
    test_poison_rank: Array  # int32[M]
    poison_ids: Array  # int32[P]  the poison rows at the largest rate
    target_ids: Array  # int32[R]
    pool: Array  # int32[·]  the rows that batches are made of, ascending
    batch_ids: Array | None  # int32[epochs, T, B]  when given


def draw(scenario: Scenario, data: VerticalData, key: Key, given: Given = Given()) -> Draws:
    """Resolves the rows of one seed, on the host.

    Raises:
      ValueError: where ids are outside the data, a target row is not of the target class or carries
        the trigger, or there are more poison rows than samples.
    """
    plan = scenario.poison
    num_train, num_test = data.train.num_samples, data.test.num_samples
    streams = Streams.of(key if plan.draw == "per_seed" else jax.random.key(plan.fixed_seed))
    explicit = _explicit_ids("poison_ids", given.poison_ids, plan.poison_ids, data.train, plan)
    test_explicit = _explicit_ids("test_poison_ids", given.test_poison_ids, plan.test_poison_ids, data.test, plan)
    targets = _targets(plan, data, explicit, given, streams.targets)
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
        _check_rate("poison.rate", plan.rate, explicit, num_train, f"training rows of data {data.name!r}")
        _check_rate("poison.test_rate", plan.test_rate, test_explicit, num_test, f"test rows of data {data.name!r}")
    count = len(explicit) if explicit is not None else int(_counts(plan.rate, num_train).max())
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
        pool=pool,
        batch_ids=_given_batches(given.batch_ids, scenario.batches, num_train),
    )


def steps_per_epoch(draws: Draws, plan: BatchPlan) -> int:
    """T: whole batches only.

    Raises:
      ValueError: when there is not even one.
    """
    if draws.batch_ids is not None:
        return int(draws.batch_ids.shape[-2])
    num_rows = draws.pool.shape[-1]
    if num_rows < plan.size:
        raise ValueError(f"batches.size is {plan.size}; there are only {num_rows} rows to make batches of.")
    return num_rows // plan.size


def epoch_ids(scenario: Scenario, draws: Draws, epoch: Array) -> tuple[jax.Array, jax.Array]:
    """The rows of every batch of an epoch: (sample ids, roles), int32[T, B] each; traced."""
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
    """``size`` distinct numbers below ``num_rows``, uniformly: the first distinct of many draws.

    Where rows are few a permutation is exact and cheap enough. Elsewhere at most an eighth of 2·size draws
    are repeats on average, and fewer than ``size`` distinct ones among them do not occur in practice
    (probability below 1e-20 for size ≥ 32; a permutation is used below that).
    """
    if num_rows < 16 * size or size < 32:
        return jax.random.permutation(key, num_rows)[:size].astype(jnp.int32)
    drawn = jax.random.randint(key, (2 * size,), 0, num_rows, jnp.int32)
    is_repeat = jnp.tril(drawn[:, None] == drawn[None, :], k=-1).any(axis=1)
    return drawn[jnp.argsort(is_repeat, stable=True)[:size]]


def _order(key: Key, num_rows: int, last: np.ndarray) -> np.ndarray:
    """A permutation of the rows with those in ``last`` moved to its end."""
    order = np.asarray(jax.random.permutation(key, num_rows), np.int32)
    is_last = np.isin(order, last)
    return np.concatenate([order[~is_last], order[is_last]])


def _ranks(order: np.ndarray, explicit: np.ndarray | None) -> np.ndarray:
    """Each row's place in the order; with explicit rows, ``ALWAYS`` for them and out of reach for others."""
    ranks = np.empty(len(order), np.int32)
    ranks[order] = np.arange(len(order), dtype=np.int32)
    if explicit is not None:
        ranks[:] = np.iinfo(np.int32).max
        ranks[explicit] = ALWAYS
    return ranks


def _explicit_ids(name: str, given: Any, planned: Any, rows: Rows, plan: PoisonPlan) -> np.ndarray | None:
    """Poison rows that are not drawn: given, planned, or natural."""
    ids = given if given is not None else planned
    if ids is None:
        if plan.trigger.is_stamped:
            return None
        return np.flatnonzero(np.asarray(rows.has_trigger)).astype(np.int32)
    return _checked_ids(name, ids, rows.num_samples)


def _counts(rate: Any, num_rows: int) -> np.ndarray:
    """How many rows each rate poisons; as ``protocol.poison_count``, on the host."""
    return np.asarray(np.round(np.float32(rate) * np.float32(num_rows)), np.int64)


def _check_rate(name: str, rate: Any, explicit: np.ndarray | None, num_rows: int, rows: str) -> None:
    """Raises where a rate above 0 poisons no row: what is called attacked would be honest."""
    if explicit is not None:
        return
    for one in np.unique(np.float32(rate)):
        if one > 0 and _counts(one, num_rows) == 0:
            raise ValueError(
                f"{name} is {one:g}; of {num_rows} {rows} that rounds to none, so there is nothing to attack. Give at "
                f"least {1 / num_rows:.2g} (one row), name the rows, or give 0 where none is meant."
            )


def _checked_ids(name: str, ids: Any, num_rows: int) -> np.ndarray:
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


def _targets(plan: PoisonPlan, data: VerticalData, poison: np.ndarray | None, given: Given, key: Key) -> np.ndarray:
    labels = np.asarray(data.train.labels)
    poison = np.empty(0, np.int32) if poison is None else poison
    ids = given.target_ids if given.target_ids is not None else plan.target_ids
    if ids is None:
        allowed = np.setdiff1d(np.flatnonzero(labels == plan.target_class), poison)
        if len(allowed) < plan.num_targets:
            raise ValueError(
                f"poison.num_targets is {plan.num_targets}; only {len(allowed)} training rows of class "
                f"{plan.target_class} are free of the trigger."
            )
        return np.asarray(jax.random.permutation(key, allowed))[: plan.num_targets]
    ids = _checked_ids("target_ids", ids, data.train.num_samples)
    if ids.size == 0:
        raise ValueError("target_ids is empty; the attacker must know at least one row of the target class.")
    for row in ids:
        if labels[row] != plan.target_class:
            raise ValueError(
                f"target_ids has row {row}, whose label is {labels[row]}; every target row must be of "
                f"poison.target_class, {plan.target_class}."
            )
    if (both := np.intersect1d(ids, poison)).size:
        raise ValueError(f"Row {both[0]} is both a poison and a target row; poison rows never include target rows.")
    return ids


def _given_batches(batch_ids: Any, plan: BatchPlan, num_rows: int) -> np.ndarray | None:
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


def poison_count(rate: Array | float, num_rows: int) -> Array:
    """round(rate · N), int32[]; the number of rows of a permutation that carry the trigger."""
    return jnp.round(rate * num_rows).astype(jnp.int32)

"""What several test files share: tiny data, views and knowledge, one replica ready to step, comparisons."""

import contextlib
import dataclasses
import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src import cache_key, compiler

from vfl_jax import replica as replica_api
from vfl_jax.core.bags import BagOfIds, multi_hot
from vfl_jax.core.record import cast
from vfl_jax.core.vertical_data import Rows, VerticalData
from vfl_jax.data import FeatureTrigger, partition_images, partition_table
from vfl_jax.models.losses import MulticlassHinge
from vfl_jax.presets import scenario_for
from vfl_jax.protocol.knowledge import UNKNOWN, Knowledge, Shapes
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.protocol.views import ActiveView, PartyEpochView, PartyView
from vfl_jax.replica import initial, phases
from vfl_jax.replica.draws import Given
from vfl_jax.replica.state import TrainState
from vfl_jax.scenario import BatchPlan, PoisonPlan, Scenario

NUM_CLASSES = 3
QUICK = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_parallel_codegen_split_count": 1,  # the other cores have tests of their own
} | ({} if jax.__version_info__ >= (0, 11) else {"xla_cpu_use_fusion_emitters": False})  # later ones have it no longer
"""Options of the compiler that make it quick: most of a test's time is compilation."""
quick_jit = functools.partial(jax.jit, compiler_options=QUICK)
"""For programs that run once or twice."""
jit_init = quick_jit(initial.init, static_argnames="shapes")
jit_start = quick_jit(replica_api.init)
jit_step = quick_jit(replica_api.step)
jit_epoch = jax.jit(phases.train_epoch, static_argnames=("shapes", "over_grid"))
quick_epoch = quick_jit(phases.train_epoch, static_argnames=("shapes", "over_grid"))


@contextlib.contextmanager
def hardly_optimized():
    """What is compiled inside."""
    options = compiler.get_compile_options  # JAX has no other place for what is to hold for all programs

    def quick_options(*arguments, env_options_overrides=None, **others):
        return options(*arguments, env_options_overrides=QUICK | (env_options_overrides or {}), **others)

    compiler.get_compile_options = quick_options
    try:
        yield
    finally:
        compiler.get_compile_options = options


@contextlib.contextmanager
def compiled_once():
    """Of programs that are equal to the letter, options included, the first alone is compiled inside.

    It gives the dictionary of what it keeps.

    Tests often jit anew what another one has jitted. JAX knows functions, not programs; its cache of programs lies on
    a disk, and to write and read them takes longer than most of them take to be compiled.
    """
    compile_program, found = compiler.compile_or_get_cached, {}

    def compile_once(backend, computation, devices, options, host_callbacks, *others, **named):
        if host_callbacks:  # they belong to one program
            return compile_program(backend, computation, devices, options, host_callbacks, *others, **named)
        key = cache_key.get(computation, devices, options, backend)
        if key not in found:
            found[key] = compile_program(backend, computation, devices, options, host_callbacks, *others, **named)
        return found[key]

    compiler.compile_or_get_cached = compile_once
    try:
        yield found
    finally:
        compiler.compile_or_get_cached = compile_program


def image_data(num_parties=2, active_party=None, num_train=48, num_test=20, seed=0):
    """Random 6×6 images of three classes: rows over two parties, quadrants over four."""
    rng = np.random.default_rng(seed)
    splits = [
        (rng.uniform(0, 1, (n, 6, 6)).astype(np.float32), np.arange(n) % NUM_CLASSES) for n in (num_train, num_test)
    ]
    by = "quadrants" if num_parties == 4 else "rows"
    return partition_images("noise", *splits, by=by, num_parties=num_parties, active_party=active_party)


def table_data(by=((0, 1, 2, 3, 4), (5, 6, 7)), active_party=None, seed=0):
    """A random table of 8 columns and three classes."""
    rng = np.random.default_rng(seed)
    splits = [(rng.normal(size=(n, 8)).astype(np.float32), np.arange(n) % NUM_CLASSES) for n in (48, 20)]
    return partition_table("table", *splits, by=by, active_party=active_party)


def bag_data(weighted=True, vocabulary=12, active_party=None, seed=0):
    """A random table of 4 columns at party 0, bags of ids at party 1, three classes.

    Rows have 0 to 4 ids; every sixth has one of them twice, and ids 0, 5 and 11 are in none.
    """
    rng, splits = np.random.default_rng(seed), []
    for n in (48, 20):
        ids = [rng.choice([1, 2, 3, 4, 6, 7, 8, 9, 10], i % 5, replace=False).tolist() for i in range(n)]
        ids = [row + row[:1] if i % 6 == 0 else row for i, row in enumerate(ids)]
        weights = [rng.uniform(0.5, 1.5, len(row)).tolist() for row in ids] if weighted else None
        features = rng.normal(size=(n, 4)).astype(np.float32), BagOfIds.of(ids, vocabulary, weights)
        splits.append(Rows(features=features, labels=np.arange(n, dtype=np.int32) % 3, has_trigger=np.zeros(n, bool)))
    names = {"parties": ("numbers", "tags"), "classes": ("0", "1", "2")}
    return VerticalData(name="bags", train=splits[0], test=splits[1], active_party=active_party, **names)


def two_classes():
    """A scenario and data of two classes, where ``check_method`` is to check a method that refuses others."""
    rng = np.random.default_rng(0)
    splits = [(rng.normal(size=(n, 5)).astype(np.float32), rng.permutation(np.arange(n) % 2)) for n in (36, 12)]
    data = partition_table("two", *splits, by=((0, 1, 2), (3, 4)))
    return {
        "scenario": scenario_for(data, attacker=1, trigger=FeatureTrigger(party=1, index=0, value=4.0)),
        "data": data,
    }


def as_multi_hot(data):
    """The same data with dense rows in place of bags."""

    def dense(rows):
        return rows.replace(features=tuple(multi_hot(x) if isinstance(x, BagOfIds) else x for x in rows.features))

    return dataclasses.replace(data, train=dense(data.train), test=dense(data.test))


def relabelled(data, labels):
    """The same data with other training labels."""
    rows = Rows(features=data.train.features, labels=np.asarray(labels, np.int32), has_trigger=data.train.has_trigger)
    return type(data)(**{**vars(data), "train": rows})


def knowledge(num_samples, poison=(), target=(), target_class=0, blur=None, by_role=False):
    """What an attacker was granted, from lists of ids."""
    is_poison, is_target = (np.isin(np.arange(num_samples), list(ids)) for ids in (poison, target))
    return Knowledge(
        target_class=jnp.int32(target_class),
        is_poison=jnp.asarray(is_poison),
        known_labels=jnp.asarray(np.where(is_target, target_class, UNKNOWN), jnp.int32),
        blur=None if blur is None else jnp.asarray(blur, jnp.float32),
        by_role=by_role,
    )


def shapes_of(num_samples=12, num_classes=3, batch_rows=5, row_weight=0.2, widths=(3, 3), active_party=None):
    row_shapes = ((2,),) * len(widths)  # those of `party_view`
    return Shapes(num_samples, num_classes, batch_rows, row_weight, tuple(widths), active_party, row_shapes)


def table_rows(ids):
    """The rows of a party's training table, [B, 2], by their numbers."""
    return jnp.stack([ids, -ids], axis=-1).astype(jnp.float32)


def stamp_rows(features, is_marked):
    """Stamps a trigger on some rows."""
    return jnp.where(is_marked[:, None], jnp.float32(9.0), features)


def pulled_back(gradient):
    """What a gradient, [B, E], says to rows of features, [B, 2]."""
    return jnp.stack([gradient.sum(axis=-1), -gradient[:, 0]], axis=-1)


def party_view(ids, roles=None, step=0, knowledge=None, epoch=0):
    ids = jnp.asarray(ids, jnp.int32)
    roles = jnp.zeros_like(ids) if roles is None else jnp.asarray(roles, jnp.int32)
    features = jnp.ones((ids.shape[0], 2), jnp.float32)
    return PartyView(
        sample_ids=ids,
        roles=roles,
        features=features,
        params={},
        step=jnp.int32(step),
        knowledge=knowledge,
        epoch=jnp.int32(epoch),
        forward=lambda features: jnp.repeat(features[:, :1], NUM_CLASSES, axis=1),
        pull_back=pulled_back,
        rows=table_rows,
        stamp=stamp_rows,
    )


def party_epoch_view(num_samples, params, knowledge=None, epoch=1, due=frozenset()):
    """The view of a party whose model multiplies its table, ``table_rows``, by a matrix, ``params["kernel"]``."""
    return PartyEpochView(
        epoch=jnp.int32(epoch),
        num_epochs=jnp.int32(epoch),
        sample_ids=jnp.arange(num_samples, dtype=jnp.int32),
        knowledge=knowledge,
        forward=lambda features, params=params: features @ params["kernel"],
        rows=table_rows,
        stamp=stamp_rows,
        due=due,
    )


def active_view(ids, roles=None, labels=None, step=0, knowledge=None):
    ids = jnp.asarray(ids, jnp.int32)
    roles = jnp.zeros_like(ids) if roles is None else jnp.asarray(roles, jnp.int32)
    labels = jnp.zeros_like(ids) if labels is None else jnp.asarray(labels, jnp.int32)
    return ActiveView(ids, roles, labels, jnp.int32(step), knowledge)


def normal(*shape, seed=0):
    """A float32 array from a fixed NumPy seed."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def at(tree, index):
    """Every leaf of a tree at one index."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def long_but(quick, values):
    """Every value as a parameter of a test, long but for the quick ones."""
    return [value if value in quick else pytest.param(value, marks=pytest.mark.long) for value in values]


def stacked(trees):
    """Equal trees as one, whose leaves have them in front."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


class Replica(NamedTuple):
    """One replica with its state: ready for its first step."""

    one: replica_api.Replica
    state: TrainState

    shapes = property(lambda self: self.one.shapes)
    scenario = property(lambda self: self.one.scenario)  # numbers cast to their dtypes
    inputs = property(lambda self: self.one.inputs)
    draws = property(lambda self: self.one.draws)
    knowledge = property(lambda self: self.one.knowledge)

    def step(self, ids, roles=None, epoch=0, number=0):
        """One step from the replica's state: (new state, info)."""
        return jit_step(self.one, self.state, replica_api.batch(self.one, ids, roles), epoch, number)

    def epoch(self, number=0, run=jit_epoch):
        """A whole epoch from the replica's state: (new state, metrics, is_finite)."""
        return run(self.shapes, self.inputs, self.scenario, self.draws, self.state, jnp.int32(number))


def numbers_of(scenario):
    """The scenario with its numbers as arrays of their declared dtypes."""
    return jax.tree.map(jnp.asarray, cast(scenario))


def replica(scenario, data, seed=0, given=Given()):
    """A replica before its first step, with parameters from NumPy: quick, and no bias is zero."""
    one, rng = replica_api.prepare(scenario, data, jax.random.key(seed), given), np.random.default_rng(seed)
    like = jax.eval_shape(replica_api.init, one)
    params, head_params = jax.tree.map(
        lambda leaf: rng.normal(0, 0.5, leaf.shape).astype(np.float32), (like.params, like.head_params)
    )
    return Replica(one, jit_start(one.replace(given=given.replace(params=params, head_params=head_params))))


def scenario_of(bottoms, optimizers, attacks=None, batch_size=8, poison_ids=(), target_ids=(0,), **fields):
    """A scenario with explicit target rows, and poison rows unless None; honest parties unless ``attacks`` are given.

    Explicit rows keep two runs comparable that differ in one thing only.
    """
    explicit = None if poison_ids is None else tuple(int(row) for row in poison_ids)
    plan = {"poison_ids": explicit, "test_poison_ids": (), "target_ids": tuple(int(row) for row in target_ids)}
    return Scenario(
        bottoms=tuple(bottoms),
        optimizers=tuple(optimizers),
        attacks=(PartyTransform(),) * len(bottoms) if attacks is None else tuple(attacks),
        poison=PoisonPlan(**plan, **fields.pop("plan", {})),
        batches=BatchPlan(size=batch_size, order=fields.pop("order", "shuffled")),
        **fields,
    )


def loss_by_hand(loss, logits, labels):
    """The batch loss, written without the package."""
    true = jax.nn.one_hot(labels, NUM_CLASSES)
    if isinstance(loss, MulticlassHinge):
        others = jnp.where(true > 0, -jnp.inf, logits).max(axis=-1)
        rows = jax.nn.relu(loss.margin + others - (logits * true).sum(axis=-1))
    elif loss.probability_clip:
        probability = (jnp.exp(logits) * true).sum(axis=-1) / jnp.exp(logits).sum(axis=-1)
        rows = -jnp.log(jnp.clip(probability, loss.probability_clip, 1 - loss.probability_clip))
    else:
        rows = jax.nn.logsumexp(logits, axis=-1) - (logits * true).sum(axis=-1)
    return rows.mean() if loss.reduction == "mean" else rows.sum()


def penalty_by_hand(regularizer, params):
    """λ Σ γ(θ) over all parties and the head; |θ| as θ·sign θ, whose slope at 0 is 0."""
    leaves = [leaf for leaf in jax.tree.leaves(params) if regularizer.penalty != "none"]
    if regularizer.penalty == "l1":
        return regularizer.strength * sum((leaf * jnp.sign(leaf)).sum() for leaf in leaves)
    return regularizer.strength / 2 * sum((leaf**2).sum() for leaf in leaves)


@quick_jit
def joint_gradient(scenario, params, features, labels):
    """The joint objective of equation 2 and its gradient in all parameters at once."""

    def objective(params):
        *bottoms, head = params
        embeddings = tuple(b.apply(p, x) for b, p, x in zip(scenario.bottoms, bottoms, features, strict=True))
        loss = loss_by_hand(scenario.loss, scenario.head.apply(head, embeddings, NUM_CLASSES), labels)
        return loss + penalty_by_hand(scenario.regularizer, params), loss

    return jax.grad(objective, has_aux=True)(params)


def everyone(state):
    """All parameters: those of every party, then the head's."""
    return (*state.params, state.head_params)


def assert_bitwise_equal(found: Any, expected: Any) -> None:
    """Equal in structure, dtype and every bit, where −0 counts as 0."""

    def bits(leaf: Any) -> Any:
        leaf = np.asarray(leaf)
        return (leaf + np.float32(0)).view(np.int32) if leaf.dtype == np.float32 else leaf

    chex.assert_trees_all_equal_shapes_and_dtypes(found, expected)
    chex.assert_trees_all_equal(jax.tree.map(bits, found), jax.tree.map(bits, expected))


def differs(first: Any, second: Any) -> bool:
    """Whether any leaf of two trees of one structure differs."""
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    return any(not np.array_equal(a, b) for a, b in pairs)

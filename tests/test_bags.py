"""Bags of ids: a layer on them is the layer on their multi-hot rows, however it is differentiated and mapped."""

import itertools

import chex
import flax.linen as nn
import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says

from vfl_jax import BagOfIds
from vfl_jax.core.bags import ABSENT, multi_hot
from vfl_jax.core.table_rows import SLOTS_AT_ONCE
from vfl_jax.data import FeatureTrigger
from vfl_jax.models import MLP, Linear

pytestmark = pytest.mark.optimized

F, E, G, S = 7, 3, 4, 2
ROWS = [[2, 5], [], [4, 4, 1, 4], [6], [0, 3, 2]]
WEIGHTS = [[0.5, -2.0], [], [1.0, 0.25, 3.0, 0.0], [1.5], [2.0, 1.0, -0.5]]
# Empty slots in the middle; id 0, which they are looked up as, is in one row only.
SCATTERED = np.array([[ABSENT, 2, ABSENT, 5], [0, ABSENT, ABSENT, 0], [ABSENT] * 4], np.int32)
BAGS = {
    "plain": BagOfIds.of(ROWS, F),
    "weighted": BagOfIds.of(ROWS, F, WEIGHTS),
    "empty slots anywhere": BagOfIds(SCATTERED, vocabulary=F),
    "their weights do not count": BagOfIds(SCATTERED, helpers.normal(3, 4), vocabulary=F),
    "empty rows only": BagOfIds(np.full((3, 2), ABSENT, np.int32), vocabulary=F),
    "no slots": BagOfIds.of([[], []], F),
    "many slots": BagOfIds.of([list(range(F)) * SLOTS_AT_ONCE + [1], [3]], F),
}
every_bag = pytest.mark.parametrize("bag", BAGS.values(), ids=BAGS.keys())


def by_hand(bag):
    """The dense rows, entry by entry."""
    dense = np.zeros((len(bag.ids), bag.vocabulary), np.float32)
    for i, j in np.ndindex(bag.ids.shape):
        if bag.ids[i, j] != ABSENT:
            dense[i, bag.ids[i, j]] += 1 if bag.weights is None else bag.weights[i, j]
    return dense


@every_bag
def test_products_are_those_of_the_multi_hot_rows(bag):
    dense, table, change = by_hand(bag), helpers.normal(F, E), helpers.normal(len(bag.ids), E, seed=1)
    np.testing.assert_array_equal(multi_hot(bag), dense)
    for wrap in (lambda f: f, helpers.quick_jit):
        product = wrap(BagOfIds.matmul)(bag, jnp.asarray(table))
        np.testing.assert_allclose(product, dense @ table, rtol=1e-5, atol=1e-5)
        added = wrap(BagOfIds.add_outer)(bag, jnp.asarray(table), jnp.asarray(change))
        np.testing.assert_allclose(added, table + dense.T @ change, rtol=1e-5, atol=1e-5)
        # Rows of no id keep their bits, that of id 0 too, which empty slots are looked up as.
        is_in_none = ~np.isin(np.arange(F), bag.ids)
        np.testing.assert_array_equal(np.asarray(added)[is_in_none], table[is_in_none])


def test_ids_of_any_integer_and_weights_of_any_float():
    for kind, precision in itertools.product((np.int8, np.int64, np.uint8), (np.float16, np.float64)):
        bag = BagOfIds(np.array([[1, 4]], kind), np.array([[0.5, 2.0]], precision), vocabulary=F)
        bag.check("the bag")
        found = bag.matmul(jnp.eye(F)), bag.with_id(4, 9.0, jnp.array([True])).matmul(jnp.eye(F))
        np.testing.assert_array_equal(found, [[[0, 0.5, 0, 0, 2, 0, 0]], [[0, 0.5, 0, 0, 9, 0, 0]]])


def curve(bag, table, slope):
    """A number that depends on every entry of a product."""
    return jnp.sum(slope * jnp.tanh(bag.matmul(table)))


def dense_curve(dense, table, slope):
    return jnp.sum(slope * jnp.tanh(dense @ table))


@every_bag
def test_gradients_are_those_of_the_dense_layer(bag):
    """In the table, and in the weights: a dense entry's gradient is that of every slot that adds to it."""
    dense, table, slope = by_hand(bag), helpers.normal(F, E), helpers.normal(len(bag.ids), E, seed=1)
    weights = np.ones(bag.ids.shape, np.float32) if bag.weights is None else bag.weights
    slopes = jax.jit(jax.grad(lambda w, *rest: curve(bag.replace(weights=w), *rest), argnums=(0, 1)))
    of_weights, of_table = slopes(weights, table, slope)
    of_dense, expected = jax.grad(dense_curve, argnums=(0, 1))(jnp.asarray(dense), table, slope)
    np.testing.assert_allclose(of_table, expected, rtol=1e-5, atol=1e-5)
    picked = np.where(bag.ids == ABSENT, 0, np.take_along_axis(np.asarray(of_dense), np.maximum(bag.ids, 0), axis=1))
    np.testing.assert_allclose(of_weights, picked, rtol=1e-5, atol=1e-5)
    # Weights that are not there take another way.
    np.testing.assert_allclose(jax.grad(curve, argnums=1)(bag, table, slope), expected, rtol=1e-5, atol=1e-5)


def random_bags(*lead):
    """Bags of 5 rows and 3 slots, of different ids and weights along the leading axes."""
    rng = np.random.default_rng(len(lead))
    ids = rng.integers(ABSENT, F, (*lead, 5, 3)).astype(np.int32)
    return BagOfIds(ids, rng.normal(size=ids.shape).astype(np.float32), vocabulary=F)


def each(tree, is_batched, point):
    """What one grid point gets."""
    return tuple(leaf[point] if b else leaf for leaf, b in zip(tree, is_batched, strict=True))


def lead(is_batched):
    return (G,) if is_batched else ()


MAPPED = [
    (is_batched, table_axis)
    for *is_batched, table_axis in itertools.product([False, True], [False, True], [False, True], [False, True], [0, 1])
    if any(is_batched) and (is_batched[2] or table_axis == 0)
]


@pytest.mark.parametrize(("is_batched", "table_axis"), MAPPED)
def test_any_part_may_differ_by_grid_point(is_batched, table_axis):
    """Ids, weights, table and what is added, each one's own or shared: the product, its gradient, the update."""
    of_ids, of_weights, of_table, of_change = map(lead, is_batched)
    arrays = (
        random_bags(*of_ids).ids,
        random_bags(*of_weights).weights,
        helpers.normal(*of_table, F, E),
        helpers.normal(*of_change, 5, E, seed=1),
    )

    def all_three(ids, weights, table, change):
        bag = BagOfIds(ids, weights, vocabulary=F)
        return bag.matmul(table), jax.grad(curve, argnums=1)(bag, table, change), bag.add_outer(table, change)

    dense = [by_hand(BagOfIds(*each(arrays[:2], is_batched[:2], g), vocabulary=F)) for g in range(G)]
    parts = [each(arrays[2:], is_batched[2:], g) for g in range(G)]
    expected = [(x @ t, jax.grad(dense_curve, 1)(x, t, c), t + x.T @ c) for x, (t, c) in zip(dense, parts, strict=True)]
    moved = list(arrays)
    moved[2] = np.moveaxis(arrays[2], 0, table_axis) if of_table else arrays[2]
    axes = [0 if b else None for b in is_batched]
    axes[2] = table_axis if of_table else None
    outs = (0, table_axis, table_axis)
    found = helpers.quick_jit(jax.vmap(all_three, axes, outs))(*moved)
    for leaf, axis, *points in zip(found, outs, *expected, strict=True):
        np.testing.assert_allclose(np.moveaxis(leaf, axis, 0), np.stack(points), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shares_bag", [True, False])
def test_seeds_outside_grid_points_inside(shares_bag):
    """As a sweep maps them: tables [S, F, G, E], every seed's bags its own, its grid points' too or shared."""
    bags = random_bags(S) if shares_bag else random_bags(S, G)
    tables, slope = helpers.normal(S, F, G, E), helpers.normal(5, E, seed=1)

    def at_point(table, bag):
        return bag.matmul(table), jax.grad(curve, argnums=1)(bag, table, slope), bag.add_outer(table, slope)

    def one_seed(tables, bag):
        return jax.vmap(at_point, (1, None if shares_bag else 0), (0, 1, 1))(tables, bag)

    found = jax.jit(jax.vmap(one_seed))(tables, bags)
    for s, g in np.ndindex(S, G):
        x, t = by_hand(helpers.at(bags, s if shares_bag else (s, g))), tables[s, :, g]
        expected = x @ t, jax.grad(dense_curve, 1)(x, t, slope), t + x.T @ slope
        mine = found[0][s, g], found[1][s, :, g], found[2][s, :, g]
        chex.assert_trees_all_close(mine, expected, rtol=1e-5, atol=1e-5)


def primitives(jaxpr, name):
    """Every equation of a kind, wherever it is nested."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == name:
            yield equation
        for parameter in equation.params.values():
            for inner in parameter if isinstance(parameter, tuple | list) else (parameter,):
                if hasattr(inner, "jaxpr"):
                    yield from primitives(inner.jaxpr, name)


def test_grid_points_that_share_a_bag_share_its_rows():
    """They are columns of one table, [F, G·E], in the product, its gradient and the update."""
    bag, slope = BAGS["weighted"], helpers.normal(len(ROWS), E)

    def all_three(table):
        return bag.matmul(table), jax.grad(curve, argnums=1)(bag, table, slope), bag.add_outer(table, slope)

    mapped = jax.vmap(all_three, 1, (0, 1, 1))
    jaxpr = jax.make_jaxpr(lambda t: jax.jit(mapped)(t))(jnp.ones((F, G, E))).jaxpr
    for name, count in (("gather", 2), ("scatter-add", 2)):
        # The weights' gradient, which nobody asks for, gathers a stack of rows.
        shapes = [e.invars[0].aval.shape for e in primitives(jaxpr, name) if len(e.outvars[0].aval.shape) == 2]
        assert shapes == [(F, G * E)] * count, name


@pytest.mark.parametrize("bottom", [Linear(width=4), MLP(width=4, hidden=(5, 6))])
def test_parameters_are_drawn_as_for_dense_rows(bottom):
    bag = BAGS["weighted"]
    params = bottom.init(jax.random.key(3), bag)
    dense = bottom.init(jax.random.key(3), jnp.asarray(multi_hot(bag)))
    helpers.assert_bitwise_equal(params, dense)
    assert params["dense_0"]["kernel"].shape[0] == F

    class OfFlax(nn.Module):
        """The same layers as flax has them, so that results of earlier versions stay what they are."""

        @nn.compact
        def __call__(self, x):
            for i, width in enumerate((*getattr(bottom, "hidden", ()), bottom.width)):
                x = nn.Dense(width, kernel_init=nn.initializers.glorot_uniform(), name=f"dense_{i}")(x)
            return x

    helpers.assert_bitwise_equal(params, OfFlax().init(jax.random.key(3), multi_hot(bag))["params"])
    shifted = jax.tree.map(lambda leaf: leaf + 0.3, params)
    expected = bottom.apply(shifted, jnp.asarray(by_hand(bag)))
    np.testing.assert_allclose(bottom.apply(shifted, bag), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", [1.0, -0.5, 0.0])
@pytest.mark.parametrize("index", [4, 0, F - 1, -1])
@every_bag
def test_stamping_a_bag_is_stamping_its_multi_hot_rows(bag, index, value):
    """The id's entry becomes ``value``, however often the row had it; other rows and ids stay."""
    trigger, mask = FeatureTrigger(party=1, index=index, value=value), np.arange(F) == index % F
    is_poisoned = np.arange(len(bag.ids)) % 2 == 0
    stamped = jax.jit(FeatureTrigger.stamp)(trigger, mask, bag, is_poisoned)
    assert stamped.ids.shape == stamped.weights.shape == (bag.ids.shape[0], bag.ids.shape[1] + 1)
    assert (stamped.ids.dtype, stamped.weights.dtype) == (np.int32, np.float32)
    stamped.check("the stamped bag")
    expected = trigger.stamp(mask, jnp.asarray(by_hand(bag)), is_poisoned)
    np.testing.assert_array_equal(by_hand(jax.device_get(stamped)), expected)
    assert trigger.stamp(None, bag, is_poisoned) is bag


def test_lists_become_bags():
    bag = BagOfIds.of([(2, 5), [], np.array([4, 4, 1], np.int64), range(1)], F, [[1, 2], [], [3, 4, 5], [0.5]])
    assert (bag.ids.dtype, bag.weights.dtype, bag.vocabulary) == (np.int32, np.float32, F)
    assert bag.ids.tolist() == [[2, 5, -1], [-1, -1, -1], [4, 4, 1], [0, -1, -1]]
    assert bag.weights.tolist() == [[1, 2, 0], [0, 0, 0], [3, 4, 5], [0.5, 0, 0]]
    plain = BagOfIds.of(ROWS, F)
    assert plain.weights is None
    assert isinstance(plain.ids, np.ndarray)
    assert BagOfIds.of([], F).ids.shape == (0, 0)


BAD_LISTS = {
    "id too large": (([[1], [0, 7]], F), ("id 7 in row 1", "0 to 6")),
    "id that int32 cannot hold": (([[1], [2**32]], F), ("id 4294967296 in row 1", "0 to 6")),
    "id below": (([[1], [], [-2]], F), ("id -2 in row 2", "0 to 6")),
    "not whole": (([[1], [0.5]], F), ("rows has [0.5] in row 1", "whole numbers")),
    "flags": (([[1], [True]], F), ("rows has [True] in row 1", "whole numbers")),
    "words": (([["sun"]], F), ("rows has ['sun'] in row 0", "whole numbers")),
    "a number": (([[1], 2], F), ("rows has 2 in row 1", "a list")),
    "a set": (([{1}], F), ("rows has {1} in row 0", "a list")),
    "a list too deep": (([[[1]]], F), ("rows has [[1]] in row 0", "a list")),
    "too few rows of weights": (([[1], [2]], F, [[1.0]]), ("weights has 1 rows", "2 rows")),
    "too few weights": (([[1], [2, 3]], F, [[1.0], [1.0]]), ("weights has shape (1,) in row 1", "(2,)")),
    "weights no numbers": (([[1]], F, [["much"]]), ("weights has ['much'] in row 0", "numbers")),
    "weights not finite": (([[1], [2, 3]], F, [[1.0], [1.0, np.nan]]), ("weights", "not finite in row 1")),
    "no vocabulary": (([[]], 0), ("vocabulary of 0", "above 0")),
    "half a vocabulary": (([[]], 2.5), ("vocabulary of 2.5", "whole number")),
}


@pytest.mark.parametrize("case", BAD_LISTS)
def test_bad_lists_are_refused(case):
    arguments, message = BAD_LISTS[case]
    with pytest.raises(ValueError, match=says(*message)):
        BagOfIds.of(*arguments)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32])
def test_ids_may_be_of_any_width(dtype):
    """Of nine slots, so that some are filled up."""
    ids = np.arange(18, dtype=dtype).reshape(2, 9)
    table = jnp.arange(40.0).reshape(20, 2)
    bag = BagOfIds(jnp.asarray(ids), vocabulary=20)
    np.testing.assert_array_equal(bag.matmul(table), np.asarray(table)[ids].sum(axis=1))

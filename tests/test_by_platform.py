"""What is computed in one way on a CPU and in another on an accelerator is the same; both ways run here on a CPU."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vfl_jax.core import table_rows
from vfl_jax.core.by_platform import on_cpu_or_accelerator
from vfl_jax.defenses import sparsification
from vfl_jax.models.optimizers import Optimizer, Undecayed
from vfl_jax.sweeps.grid_axis import map_over_grid
from vfl_jax.testing.bench import benches


def test_the_platform_of_the_program_chooses():
    def chosen(x):
        return on_cpu_or_accelerator(jnp.sin, jnp.cos, x)

    traced = jax.jit(chosen).trace(jnp.ones(3))
    on_cpu, on_gpu = (traced.lower(lowering_platforms=(name,)).as_text() for name in ("cpu", "cuda"))
    assert [name in on_cpu for name in ("stablehlo.sine", "stablehlo.cosine")] == [True, False]
    assert [name in on_gpu for name in ("stablehlo.sine", "stablehlo.cosine")] == [False, True]


@pytest.mark.parametrize("special", [(), (0.0, np.inf, np.nan), (1.0,) * 30], ids=["plain", "special", "ties"])
def test_a_sort_and_a_bisection_find_the_same_bits(special):
    sizes = np.abs(np.random.default_rng(0).normal(size=64)).astype(np.float32)
    sizes[: len(special)] = special
    bits = jax.lax.bitcast_convert_type(jnp.asarray(sizes), jnp.int32)
    low = jnp.arange(63)
    for high in (low, low + 1):
        ways = [
            jax.vmap(way, (None, 0, 0))(bits, low, high) for way in (sparsification._bisected, sparsification._sorted)
        ]
        np.testing.assert_array_equal(*ways)


@pytest.mark.parametrize("is_weighted", [False, True])
def test_a_product_with_multi_hot_rows_does_as_the_slots_in_turn(is_weighted):
    rng = np.random.default_rng(0)
    ids = jnp.asarray(rng.integers(0, 8, (5, 11)), jnp.int32)  # 7 is out of range, and ids are there twice
    weights = jnp.asarray(rng.normal(size=ids.shape), jnp.float32) if is_weighted else None
    table, change = (jnp.asarray(rng.normal(size=(n, 3)), jnp.float32) for n in (7, 5))
    np.testing.assert_allclose(
        table_rows._sum_at_once(ids, weights, table), table_rows._sum(ids, weights, table), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        table_rows._add_at_once(ids, weights, table, change),
        table_rows._add(ids, weights, table, change),
        rtol=1e-5,
        atol=1e-6,
    )


@pytest.mark.parametrize("kind", ["sgd", "momentum"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_a_settled_optimizer_updates_as_before(kind, weight_decay):
    whole = Optimizer(kind=kind, learning_rate=0.3, epoch_decay=0.5, weight_decay=weight_decay)
    epoch, params, gradient = jnp.int32(2), jnp.array([1.0, -2.0, 0.5]), jnp.array([0.1, 0.0, -3.0])
    settled = whole.at(epoch, decays=weight_decay > 0)
    found, expected = (
        o.build(epoch).update(gradient, o.build(jnp.int32(0)).init(params), params) for o in (settled, whole)
    )
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), found, expected)
    assert jax.tree.structure(found) == jax.tree.structure(expected)


def test_a_decay_of_0_is_added_on_a_cpu_alone():
    """An accelerator is told not to; on a CPU the numbers are those without it."""

    def update(optimizer, gradient, params):
        settled = optimizer.at(jnp.int32(0), decays=False).build(jnp.int32(0))
        return settled.update(gradient, settled.init(params), params)[0]

    optimizer = Optimizer(learning_rate=0.3).replace(weight_decay=jnp.float32(0.0))
    gradient, params = jnp.array([0.1, 0.0, -3.0]), jnp.array([1.0, -2.0, 0.5])
    traced = jax.jit(update).trace(optimizer, gradient, params)
    cpu, gpu = (traced.lower(lowering_platforms=(of,)).as_text() for of in ("cpu", "cuda"))
    assert ("dense<true>" in cpu, "dense<false>" in cpu) == (True, False)
    assert ("dense<true>" in gpu, "dense<false>" in gpu) == (False, True)
    whole = Optimizer(learning_rate=0.3).build(jnp.int32(0))
    np.testing.assert_array_equal(
        jax.jit(update)(optimizer, gradient, params), whole.update(gradient, whole.init(params), params)[0]
    )
    decay_that_is_not_0 = optimizer.replace(weight_decay=jnp.float32(0.5))
    np.testing.assert_allclose(jax.jit(update)(decay_that_is_not_0, gradient, params), -0.3 * (gradient + 0.5 * params))


def test_a_step_that_is_mapped_over_a_grid_gets_the_optimizers_as_they_were_settled():
    """Mapped as leaves, they came out as what they had been, and an accelerator added decays of 0 again."""
    scenario = benches()[0].honest
    settled = scenario.at(jnp.int32(0), (False,) * (len(scenario.optimizers) + 1))
    seen = []

    def step(scenario, state):
        seen.extend(type(each) for each in (*scenario.optimizers, scenario.head_optimizer))
        return state

    map_over_grid(0, 2)(step, returns_state=False)(settled, jnp.zeros(2))
    assert set(seen) == {Undecayed}


def test_an_optimizer_of_ones_own_stays_as_it_is():
    class HalvedRate(Optimizer):
        def rate(self, epoch):
            return super().rate(epoch) / 2

    mine = HalvedRate()
    assert mine.at(jnp.int32(3)) is mine

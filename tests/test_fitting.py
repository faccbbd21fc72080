"""Fitting by minibatches, against steepest descent in plain loops."""

import helpers
import jax
import numpy as np
import pytest

from vfl_jax.models.fitting import fit
from vfl_jax.models.optimizers import Optimizer

X, Y = helpers.normal(10, 3), helpers.normal(10, seed=1)


def squares(weights, key, rows):
    return ((jax.numpy.asarray(X)[rows] @ weights - jax.numpy.asarray(Y)[rows]) ** 2).mean()


def fitted(optimizer, size, epochs, loss=squares, key=0):
    run = helpers.quick_jit(lambda key: fit(key, optimizer, loss, jax.numpy.zeros(3), 10, size, epochs))
    return np.asarray(run(jax.random.key(key)))


@pytest.mark.parametrize("size", [10, 64])
def test_whole_batches_are_steepest_descent_at_a_rate_that_falls_by_pass(size):
    weights = np.zeros(3)
    for epoch in range(4):
        weights -= 0.1 * 0.5**epoch * 2 * X.T @ (X @ weights - Y) / 10
    found = fitted(Optimizer(learning_rate=0.1, epoch_decay=0.5), size, 4)
    np.testing.assert_allclose(found, weights, rtol=1e-4)


def test_every_pass_takes_every_row_once_but_those_that_fill_no_batch():
    """The loss asks for rows by number, so that weights count how often each was taken."""

    def count(weights, key, rows):
        return -(weights * jax.nn.one_hot(rows, 10).sum(axis=0)).sum()

    run = helpers.quick_jit(lambda key: fit(key, Optimizer(learning_rate=1.0), count, jax.numpy.zeros(10), 10, 3, 1))
    for seed in range(4):
        assert sorted(run(jax.random.key(seed)).tolist()) == [0] + [1] * 9


def test_orders_and_draws_depend_on_the_key_and_the_step():
    def noisy(weights, key, rows):
        return (weights * jax.random.normal(key, (3,))).sum()

    one, other = (fitted(Optimizer(learning_rate=1.0), 5, 1, noisy, key) for key in (0, 1))
    assert helpers.differs(one, other)
    rows = [fitted(Optimizer(learning_rate=0.1), 5, 1, key=key) for key in (0, 1)]
    assert helpers.differs(*rows)

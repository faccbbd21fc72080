"""Every optimizer against its NumPy twin over steps and epochs."""

import functools

import chex
import helpers
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vfl_jax.core.record import cast, from_json, numbers
from vfl_jax.models.optimizers import Optimizer

STEPS_PER_EPOCH, EPOCHS = 3, 3


class Twin:
    """SGD, heavy-ball momentum and Adam, as textbooks write them."""

    def __init__(self, kind, learning_rate, weight_decay, epoch_decay, momentum):
        self.kind, self.rate, self.decay = kind, learning_rate, weight_decay
        self.epoch_decay, self.momentum = epoch_decay, momentum
        self.first = self.second = 0.0
        self.steps = 0

    def step(self, params, gradient, epoch):
        rate = self.rate * self.epoch_decay**epoch
        gradient = gradient + self.decay * params
        self.steps += 1
        if self.kind == "sgd":
            return params - rate * gradient
        if self.kind == "momentum":
            self.first = self.momentum * self.first + gradient
            return params - rate * self.first
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        mean, square = self.first / (1 - 0.9**self.steps), self.second / (1 - 0.999**self.steps)
        return params - rate * mean / (np.sqrt(square) + 1e-8)


@functools.partial(jax.jit, static_argnames="over_grid")
def train(optimizer, params, gradients, over_grid=False):
    """The parameters after every step; the gradients are given, [T, ...]."""

    def one(optimizer, params):
        state, path = optimizer.build(jnp.int32(0)).init(params), []
        for t in range(gradients.shape[0]):
            epoch = jnp.int32(t // STEPS_PER_EPOCH)
            updates, state = optimizer.build(epoch).update(gradients[t], state, params)
            params = optax.apply_updates(params, updates)
            path.append(params)
        return jnp.stack(path)

    return jax.vmap(one, in_axes=(0, None))(optimizer, params) if over_grid else one(optimizer, params)


PARAMS = 1 + helpers.normal(4, 3, seed=1)
GRADIENTS = helpers.normal(STEPS_PER_EPOCH * EPOCHS, 4, 3)
GRID = [
    {"learning_rate": 0.1, "weight_decay": 0.0, "epoch_decay": 1.0, "momentum": 0.9},
    {"learning_rate": 0.05, "weight_decay": 0.3, "epoch_decay": 0.5, "momentum": 0.5},
    {"learning_rate": 0.0, "weight_decay": 0.3, "epoch_decay": 0.9, "momentum": 0.9},
    {"learning_rate": 0.2, "weight_decay": 0.01, "epoch_decay": 0.0, "momentum": 0.0},
]


@pytest.mark.parametrize("kind", ["sgd", "momentum", "adam"])
def test_optimizers_match_their_numpy_twins_as_one_grid(kind):
    """Weight decay goes into the gradient; epoch e, from 0, has the rate times epoch_decay**e; momentum 0 is SGD."""
    points = [cast(Optimizer(kind=kind, **fields)) for fields in GRID]
    grid = helpers.stacked(points)
    # optax's Adam mixes dtypes in its bias correction, which the suite's strict promotion forbids.
    with jax.numpy_dtype_promotion("standard" if kind == "adam" else "strict"):
        found = train(grid, PARAMS, GRADIENTS, over_grid=True)
    for fields, path in zip(GRID, found, strict=True):
        twin, params = Twin(kind, **fields), PARAMS.astype(np.float64)
        for t, gradient in enumerate(GRADIENTS):
            params = twin.step(params, gradient, t // STEPS_PER_EPOCH)
            np.testing.assert_allclose(path[t], params, rtol=2e-5, atol=2e-5, err_msg=f"{fields}, step {t}")


def test_a_swept_number_equals_the_same_number_alone():
    alone = train(cast(Optimizer(kind="momentum", **GRID[1])), PARAMS, GRADIENTS)
    points = [cast(Optimizer(kind="momentum", **fields)) for fields in GRID[:2]]
    grid = helpers.stacked(points)
    chex.assert_trees_all_close(train(grid, PARAMS, GRADIENTS, over_grid=True)[1], alone, rtol=1e-6)


def test_the_state_has_the_same_form_in_every_epoch():
    """So that it fits a scan over steps whose epoch is traced."""
    for kind in ("sgd", "momentum", "adam"):
        states = [Optimizer(kind=kind, epoch_decay=0.5).build(jnp.int32(e)).init(PARAMS) for e in (0, 7)]
        chex.assert_trees_all_equal_shapes_and_dtypes(*states)


def test_all_its_numbers_are_swept_and_it_survives_json():
    optimizer = Optimizer(kind="adam", learning_rate=0.2)
    assert set(numbers(optimizer)) == set(GRID[0])
    assert from_json(optimizer.to_json()) == optimizer
    assert optimizer != optimizer.replace(kind="sgd")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "rmsprop"}, "'sgd', 'momentum', 'adam'"),
        ({"learning_rate": -0.1}, "learning_rate is -0.1"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1"),
        ({"epoch_decay": 1.1}, "epoch_decay is 1.1"),
        ({"momentum": 2.0}, "momentum is 2.0"),
    ],
)
def test_misuse_is_refused_by_name(fields, message):
    with pytest.raises(ValueError, match=message):
        Optimizer(**fields)

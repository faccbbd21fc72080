"""Malicious SGD: its steps against published code and a slow twin; what it makes a party's own model tell."""

import functools

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from data_helpers import says, tiny_data, tiny_scenario
from golden_helpers import golden
from sweep_helpers import interrupted_at

import vfl_jax as vfl
from vfl_jax.core.record import cast, from_json, numbers
from vfl_jax.data import PixelTrigger, load_digits
from vfl_jax.models import MaliciousSGD, Optimizer
from vfl_jax.presets.digits import DIGITS_PIXELS
from vfl_jax.protocol.local import may_update_rowwise


@helpers.quick_jit
def path_of(optimizer, params, gradients):
    """The parameters after every step, one epoch per step."""
    state = optimizer.build(jnp.int32(0)).init(params)

    def one(carry, step):
        (params, state), (epoch, gradient) = carry, step
        updates, state = optimizer.build(epoch).update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    epochs = jnp.arange(len(jax.tree.leaves(gradients)[0]), dtype=jnp.int32)
    return jax.lax.scan(one, (params, state), (epochs, gradients))[1]


@pytest.mark.parametrize(
    ("name", "numbers", "buffer", "prefix"),
    [
        ("malicious_sgd", {}, "plain", ""),
        ("malicious_sgd", {}, "plain", "zeroed_"),
        ("malicious_sgd_momentum", {"kind": "momentum", "weight_decay": 5e-4}, "scaled", ""),
        ("malicious_sgd_momentum", {"kind": "momentum", "weight_decay": 5e-4}, "zeroed", "zeroed_"),
    ],
)
def test_steps_are_those_of_the_published_code(name, numbers, buffer, prefix):
    """Under both versions of PyTorch, between which its momentum differs."""
    arrays = golden(name)
    gradients = {part: arrays[f"grads_{part}"] for part in "wb"}
    params = {part: arrays[f"{part}0"] for part in "wb"}
    found = path_of(cast(MaliciousSGD(learning_rate=0.1, buffer=buffer, **numbers)), params, gradients)
    for part in "wb":
        np.testing.assert_allclose(found[part], arrays[f"{prefix}{part}"], rtol=1e-5, atol=1e-6)


def slow_path(params, gradients, rate, weight_decay, epoch_decay, momentum, boost, largest):
    """Entry by entry: the step grows where a gradient keeps its sign, and never shrinks."""
    path = np.zeros(gradients.shape)
    for place in np.ndindex(params.shape):
        here, speed, last = float(params[place]), 0.0, None
        for t in range(len(gradients)):
            speed = momentum * speed + gradients[(t, *place)] + weight_decay * here
            ratio = 1.0 if last is None else 1.0 + boost * speed / (last + 1e-7)
            last = min(max(ratio, 1.0), largest) * speed
            here -= rate * epoch_decay**t * last
            path[(t, *place)] = here
    return path


GRID = [
    {"boost": 1.0, "largest_ratio": 5.0, "momentum": 0.9, "weight_decay": 0.0, "epoch_decay": 1.0},
    {"boost": 0.3, "largest_ratio": 1.5, "momentum": 0.5, "weight_decay": 0.2, "epoch_decay": 0.7},
    {"boost": 4.0, "largest_ratio": 2.0, "momentum": 0.0, "weight_decay": 0.1, "epoch_decay": 0.5},
    {"boost": 0.0, "largest_ratio": 5.0, "momentum": 0.9, "weight_decay": 0.01, "epoch_decay": 0.9},
]


@pytest.mark.parametrize("kind", ["sgd", "momentum"])
def test_steps_are_those_of_the_twin_as_one_grid(kind):
    """The momentum itself is not scaled unless a user asks for it; a boost of 0 is the honest optimizer."""
    params, gradients = 1 + helpers.normal(4, 3, seed=1), helpers.normal(6, 4, 3)
    points = [cast(MaliciousSGD(kind=kind, learning_rate=0.1, **fields)) for fields in GRID]
    grid = helpers.stacked(points)
    found = jax.vmap(path_of, in_axes=(0, None, None))(grid, params, gradients)
    for fields, path in zip(GRID, found, strict=True):
        largest, momentum = fields["largest_ratio"], fields["momentum"] if kind == "momentum" else 0.0
        decays = fields["weight_decay"], fields["epoch_decay"]
        twin = slow_path(params, gradients, 0.1, *decays, momentum, fields["boost"], largest)
        np.testing.assert_allclose(path, twin, rtol=2e-4, atol=2e-5, err_msg=str(fields))
    honest = {name: value for name, value in GRID[3].items() if name not in ("boost", "largest_ratio")}
    plain = path_of(cast(Optimizer(kind=kind, learning_rate=0.1, **honest)), params, gradients)
    np.testing.assert_allclose(found[3], plain, rtol=1e-6)


def test_an_update_that_would_divide_by_zero_is_not_scaled():
    """The last update was −1e-7 exactly, in one entry; in the other it was 0, so that the ratio is the largest."""
    params, gradients = np.zeros(2, np.float32), np.float32([[-1e-7, 0.0], [0.5, 0.5]])
    found = path_of(cast(MaliciousSGD(learning_rate=1.0)), params, gradients)
    np.testing.assert_allclose(found[1], [-0.5, -2.5], rtol=1e-5)


def test_all_its_numbers_are_swept_and_no_table_is_updated_by_rows():
    """A step scales every entry, also those of rows that the batch does not look up."""
    optimizer = MaliciousSGD(boost=2.0)
    assert set(numbers(optimizer)) == set(GRID[0]) | {"learning_rate"}
    assert from_json(optimizer.to_json()) == optimizer
    bag = helpers.bag_data().train.features[1]
    regularizer = vfl.Scenario().regularizer
    linear = vfl.models.Linear(width=3)
    assert may_update_rowwise(linear, Optimizer(), regularizer, bag)
    assert not may_update_rowwise(linear, optimizer, regularizer, bag)


@pytest.mark.long
def test_a_sweep_goes_on_from_a_checkpoint_bit_for_bit(tmp_path):
    study = tiny_scenario().replace(optimizers=(Optimizer(), MaliciousSGD(kind="momentum")))
    over = {"optimizers.1.boost": [0.0, 1.0]}
    swept = functools.partial(vfl.sweep, study, tiny_data(), over, seeds=2, epochs=4, progress=False)
    whole = swept()
    interrupted_at(3, swept, tmp_path)
    resumed = swept(folder=tmp_path, checkpoint_every=1)
    for name, variable in whole.data_vars.items():
        np.testing.assert_array_equal(resumed[name].values, variable.values, err_msg=name)
    assert helpers.differs(*whole.loss.transpose("optimizers.1.boost", ...).values)


@pytest.mark.long
def test_a_model_that_it_trained_tells_more_labels():
    """With the same few known labels as the honest run, which is the boost of 0."""
    plain = {"kind": "sgd", "learning_rate": 0.1}
    study = vfl.Scenario(
        bottoms=(vfl.models.MLP(hidden=(32,), width=10),) * 2,
        head=vfl.models.DenseHead(),
        optimizers=(Optimizer(**plain), MaliciousSGD(**plain)),
        head_optimizer=Optimizer(**plain),
        attacks=(vfl.PartyTransform(), vfl.attacks.PassiveModelCompletion(num_steps=300)),
        poison=vfl.PoisonPlan(trigger=PixelTrigger(pixels=DIGITS_PIXELS), rate=0.0, test_rate=0.1, num_known=4),
        batches=vfl.BatchPlan(size=32),
    )
    found = vfl.sweep(study, load_digits(), {"optimizers.1.boost": [0.0, 1.0]}, seeds=4, epochs=5, progress=False)
    for name in ("label_inference_accuracy", "test_label_inference_accuracy"):
        honest, boosted = found.isel(epoch=-1)[name].values.mean(axis=-1)
        assert boosted > honest + 0.05


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "adam"}, says("MaliciousSGD.kind is 'adam'", "'sgd' or 'momentum'")),
        ({"boost": -1.0}, says("MaliciousSGD.boost is -1.0", "at least 0")),
        ({"largest_ratio": 0.5}, says("MaliciousSGD.largest_ratio is 0.5", "at least 1")),
        ({"buffer": "shared"}, says("'plain', 'scaled', 'zeroed'")),
    ],
)
def test_misuse_is_refused_by_name(fields, message):
    with pytest.raises(ValueError, match=message):
        MaliciousSGD(**fields)

"""MID against published code's numbers, against a twin in NumPy, and on digits."""

import functools

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_helpers import golden
from training_helpers import small_digits

import vfl_jax as vfl
from vfl_jax.core.record import cast
from vfl_jax.defenses import MID
from vfl_jax.models import Linear, SumHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.views import EmbedView

LAYERS = {"encode": "enlarge_layer_1", "expand": "decoder_layer_1", "decode": "decoder_layer_3"}
SHAPES = helpers.shapes_of(widths=(3, 4, 2), active_party=1)
TRAINING, TEST = EmbedView(is_training=True), EmbedView(is_training=False)
SHUT = 1.0  # a weight at which nothing is worth its price


@helpers.quick_jit
def embed(defense, params, key, view, sent):
    return defense.on_embed(params, key, view, sent)


@helpers.quick_jit
def drawn(defense, key):
    return defense.init_params(key, SHAPES)


def of_vector(arrays, kind):
    """Dense layers of a vector, whose kernels are (out, in)."""
    return {
        own: {"kernel": arrays[f"{kind}_{name}_weight"].T, "bias": arrays[f"{kind}_{name}_bias"]}
        for own, name in LAYERS.items()
    }


@pytest.mark.parametrize(("name", "scale", "weight"), [("vflair_mid", 1, 0.1), ("vflair_mid_scale2", 2, 0.01)])
def test_published_numbers_and_gradients(name, scale, weight):
    arrays = golden(name)
    defense = cast(MID(scale=scale, weight=weight))

    def loss(params, x):
        z, divergence = defense.squeeze(params, x, arrays["epsilon"])
        penalty = defense.weight * divergence
        return jnp.sum(arrays["cotangent"] * z) + penalty, (z, penalty)

    args = of_vector(arrays, "param"), jnp.asarray(arrays["x"])
    (value, (z, penalty)), gradients = helpers.quick_jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(*args)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    close(z, arrays["z"])
    close(penalty, arrays["mid_loss"])
    close(value, arrays["loss"])
    close(gradients[1], arrays["grad_x"])
    jax.tree.map(close, gradients[0], of_vector(arrays, "grad"))


def dense(layer, row):
    return row @ np.asarray(layer["kernel"], np.float64) + np.asarray(layer["bias"], np.float64)


def twin(params, embedding, noise, rectified):
    """One party's rows, one by one: (what comes out, the mean divergence)."""
    relu = functools.partial(np.maximum, 0.0)
    last = relu if rectified else lambda row: row
    out, divergences = [], []
    for row, draw in zip(embedding, noise, strict=True):
        encoded = last(dense(params["encode"], row))
        half = len(encoded) // 2
        mean, sigma = encoded[:half], np.log1p(np.exp(encoded[half:] - 0.5))
        divergences.append(sum((m * m + s * s - 1) / 2 - np.log(s) for m, s in zip(mean, sigma, strict=True)))
        out.append(last(dense(params["decode"], relu(dense(params["expand"], mean + sigma * draw)))))
    return np.array(out), np.mean(divergences)


@pytest.mark.parametrize("rectified", [True, False])
@pytest.mark.parametrize("scale", [pytest.param(1, marks=pytest.mark.long), 3])
def test_three_parties_match_the_twin(rectified, scale):
    """Two of three parties cross, of other widths, each with its own bottleneck and draws; penalties add up."""
    defense = cast(MID(rectified=rectified, scale=scale, weight=0.5))
    params = drawn(defense, jax.random.key(1))
    params = jax.tree.map(lambda leaf: leaf + helpers.normal(*leaf.shape, seed=leaf.size) / 4, params)
    sent = helpers.normal(5, 3), helpers.normal(5, 2, seed=1)
    for step in range(3):
        key = jax.random.key(step)
        found, penalty = embed(defense, params, key, TRAINING, tuple(map(jnp.asarray, sent)))
        keys = [jax.random.fold_in(jax.random.clone(key), i) for i in range(2)]
        noise = [jax.random.normal(k, (5, scale * h.shape[1])) for k, h in zip(keys, sent, strict=True)]
        expected = [twin(p, h, e, rectified) for p, h, e in zip(params, sent, noise, strict=True)]
        for mine, (theirs, _) in zip(found, expected, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(penalty, 0.5 * sum(divergence for _, divergence in expected), rtol=1e-4)


def test_noise_at_inference_is_a_choice():
    sent = tuple(jnp.asarray(helpers.normal(5, width)) for width in (3, 2))
    for noisy in (True, False):
        defense = cast(MID(weight=0.5, noise_at_inference=noisy))
        params = drawn(defense, jax.random.key(1))
        one, other = (embed(defense, params, jax.random.key(i), TEST, sent)[0] for i in range(2))
        trained = embed(defense, params, jax.random.key(2), TRAINING, sent)[0]
        assert helpers.differs(one, other) == noisy
        assert helpers.differs(one, trained)


@pytest.fixture(scope="module")
def results():
    """Attacked and honest, with the defense off, light and heavy; in a chain."""
    scenario = vfl.presets.digits_demo(amplify=10.0).replace(defense=vfl.ActiveChain(parts=(MID(),)))
    over = {"attack.enabled": [0, 1], "defense.parts.0.weight": [0, 1e-4, SHUT]}
    with jax.numpy_dtype_promotion("standard"):  # Adam's count is a whole number
        found = vfl.sweep(scenario, small_digits(512, 200), over=over, seeds=2, epochs=20, progress=False)
    return found.isel(epoch=-1)


@pytest.mark.long
def test_it_stops_a_backdoor_at_little_cost_and_too_much_of_it_forgets_everything(results):
    found = {name: results[name].mean("seed").values for name in ("backdoor_accuracy", "main_task_accuracy", "penalty")}
    honest, attacked = found["backdoor_accuracy"]
    floor = honest[:2].max()
    assert attacked[0] > floor + 0.4  # without the defense the attack works
    assert attacked[1] < floor + 0.25
    main = found["main_task_accuracy"]
    assert main[1, 1] > main[1, 0] - 0.1
    assert main[:, 2].max() < 0.25  # ten classes
    # What passes, in nats: much where it costs little, next to nothing where it costs as much as an error.
    assert (found["penalty"][:, 1] / 1e-4 > 20 * found["penalty"][:, 2] / SHUT).all()
    assert (found["penalty"][:, 0] == 0).all()


@pytest.mark.long
def test_at_weight_0_a_replica_trains_as_without_it(table):
    """Bit for bit, though the bottlenecks are there; a weight moves every party's model."""
    bottoms, optimizers = [Linear(width=helpers.NUM_CLASSES)] * 2, [Optimizer(learning_rate=0.1)] * 2
    after = {}
    for name, defense in {"none": vfl.ActiveTransform(), "off": MID(), "on": MID(weight=0.1)}.items():
        defense = defense if name == "none" else defense.replace(optimizer=Optimizer(learning_rate=0.1))
        replica = helpers.replica(helpers.scenario_of(bottoms, optimizers, head=SumHead(), defense=defense), table)
        state, info = replica.step(range(8))
        after[name] = helpers.everyone(state), info.loss
    helpers.assert_bitwise_equal(after["off"], after["none"])
    assert helpers.differs(after["on"], after["none"])

"""Distance correlation against published code's numbers in float64, against a twin in NumPy, and on digits."""

import math

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_helpers import golden
from training_helpers import small_digits

import vfl_jax as vfl
from vfl_jax.core.record import cast
from vfl_jax.defenses import DistanceCorrelation
from vfl_jax.defenses.distance_correlation import distances, log_correlation
from vfl_jax.models import MLP, DenseHead
from vfl_jax.protocol.views import EmbedView


@helpers.quick_jit
def embed(defense, labels, sent):
    """((What the head gets, the penalty), the gradient of the penalty)."""

    def penalty(sent):
        passed, value = defense.on_embed({}, None, EmbedView(labels=labels), sent)
        return value, (passed, value)

    gradient, found = jax.grad(penalty, has_aux=True)(sent)
    return found, gradient


@pytest.mark.parametrize("case", range(3))
def test_published_values_and_their_true_gradients(case):
    """The vector's own float32 gradient is mostly rounding noise; these are its numbers in float64."""
    arrays = golden("vflair_distance_correlation")
    a, b, weight = (jnp.asarray(arrays[f"c{case}_{name}"]) for name in ("a", "b", "lambda"))

    def penalty(a):
        return weight * log_correlation(distances(a), distances(b))

    value, gradient = helpers.quick_jit(jax.value_and_grad(penalty))(a)
    np.testing.assert_allclose(np.exp(value / weight), arrays[f"c{case}_dcor_float64"], rtol=1e-5)
    np.testing.assert_allclose(value, arrays[f"c{case}_loss"], rtol=1e-3)
    np.testing.assert_allclose(gradient, arrays[f"c{case}_grad_a"], rtol=1e-3, atol=1e-6)
    rows = distances(a) * jnp.abs(a).max()  # in the vector's unit
    np.testing.assert_allclose(rows, arrays[f"c{case}_distances_a"], rtol=1e-4, atol=3e-3)


def twin(embedding, labels, num_classes=3):
    """dCor in float64: distances one by one, centred one by one."""

    def centred(rows):
        size = len(rows)
        table = [[math.dist(one, other) for other in rows] for one in rows]
        means = [sum(row) / size for row in table]
        whole = sum(means) / size
        return [[table[i][j] - means[i] - means[j] + whole for j in range(size)] for i in range(size)]

    def mean(one, other):
        return sum(x * y for row, more in zip(one, other, strict=True) for x, y in zip(row, more, strict=True))

    a, b = centred(embedding), centred(np.eye(num_classes)[labels])
    return math.sqrt(mean(a, b) / math.sqrt(mean(a, a) * mean(b, b)))


def test_two_parties_match_the_twin_over_steps():
    """Embeddings pass; penalties add up; two equal rows, and sizes whose squares leave the range, are no trouble."""
    defense = cast(DistanceCorrelation(weight=0.3))
    for step, size in enumerate((1.0, 1e25, 1e-25)):
        sent = tuple(helpers.normal(6, width, seed=step + width) for width in (3, 2))
        sent[0][1] = sent[0][0]
        labels = np.random.default_rng(step).permutation(6) % 3
        given = tuple(jnp.asarray(size * h, jnp.float32) for h in sent)
        (passed, penalty), gradient = embed(defense, jnp.asarray(labels), given)
        helpers.assert_bitwise_equal(passed, given)
        expected = sum(0.3 * math.log(twin(h.astype(np.float64), labels)) for h in sent)
        np.testing.assert_allclose(penalty, expected, rtol=1e-4)
        for h, slope in zip(sent, gradient, strict=True):
            h, move = np.float64(h), np.zeros(h.shape)
            move[2, 1] = 1e-5
            around = [0.3 * math.log(twin(h + sign * move, labels)) for sign in (1, -1)]
            np.testing.assert_allclose(size * slope[2, 1], (around[0] - around[1]) / 2e-5, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("same", ["embeddings", "labels"])
def test_what_has_no_correlation_adds_nothing(same):
    sent = (jnp.ones((4, 2)) if same == "embeddings" else jnp.asarray(helpers.normal(4, 2)),)
    labels = jnp.asarray([0, 1, 2, 0] if same == "embeddings" else [1] * 4)
    (_, penalty), gradient = embed(cast(DistanceCorrelation(weight=1.0)), labels, sent)
    assert penalty == 0
    helpers.assert_bitwise_equal(gradient, (jnp.zeros((4, 2)),))


@pytest.mark.long
def test_on_digits_embeddings_tell_less_of_labels():
    """Of test rows, by the twin; with a trainable head, which still learns, though it pays."""
    scenario = vfl.presets.digits_demo(head="trainable").replace(
        bottoms=(MLP(hidden=(32,), width=16),) * 2, head=DenseHead(hidden=(32,)), defense=DistanceCorrelation()
    )
    data, over = small_digits(512, 120), {"defense.weight": [0.0, 1.0]}
    results = vfl.sweep(scenario, data, over=over, seeds=2, epochs=20, progress=False, keep="params")
    sent = vfl.embeddings(results)
    for party in data.parties:
        told = [
            [twin(np.float64(of_seed), data.test.labels, 10) for of_seed in of_weight]
            for of_weight in sent[party].transpose("defense.weight", "seed", ...).values
        ]
        assert max(told[1]) < min(told[0]) - 0.1
    main = results["main_task_accuracy"].isel(epoch=-1)
    assert (main.sel({"defense.weight": 1.0}) > 0.5).all()  # ten classes

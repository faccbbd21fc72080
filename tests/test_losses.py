"""Losses and regularisers against plain NumPy, and their gradients where they are delicate."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vfl_jax.core.record import kinds
from vfl_jax.models.losses import Loss, MulticlassHinge, Regularizer, SoftmaxCrossEntropy, SquaredError

CLIP = 1e-7


def softmax(logits):
    """In float64, by rows."""
    shifted = np.asarray(logits, np.float64) - np.max(logits, axis=-1, keepdims=True)
    return np.exp(shifted) / np.exp(shifted).sum(axis=-1, keepdims=True)


def cross_entropy(logits, targets, clip=0.0):
    with np.errstate(divide="ignore"):
        log = np.log(np.clip(softmax(logits), clip, 1 - clip))
    return np.array(
        [-sum(t * v for t, v in zip(row, logs, strict=True) if t) for row, logs in zip(targets, log, strict=True)]
    )


def hinge(logits, targets, margin=1.0):
    losses = []
    for row, target in zip(logits, targets, strict=True):
        y = int(np.argmax(target))
        losses.append(max(0.0, margin + max(s for j, s in enumerate(row) if j != y) - row[y]))
    return np.array(losses)


def squared(logits, targets):
    return np.array(
        [sum((s - t) ** 2 for s, t in zip(*row, strict=True)) / 2 for row in np.stack([logits, targets], 1)]
    )


LOSSES = {
    "cross-entropy": (SoftmaxCrossEntropy, {}, cross_entropy),
    "clipped": (SoftmaxCrossEntropy, {"probability_clip": 0.1}, lambda s, t: cross_entropy(s, t, 0.1)),
    "clipped slightly": (SoftmaxCrossEntropy, {"probability_clip": CLIP}, lambda s, t: cross_entropy(s, t, CLIP)),
    "clipped at 0": (SoftmaxCrossEntropy, {"probability_clip": 0.0}, cross_entropy),
    "hinge": (MulticlassHinge, {"margin": 0.7}, lambda s, t: hinge(s, t, 0.7)),
    "squared": (SquaredError, {}, squared),
}


def one_hot(rng, rows, classes):
    return np.eye(classes, dtype=np.float32)[rng.integers(0, classes, rows)]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_match_numpy(name, reduction):
    kind, fields, expected = LOSSES[name]
    loss, rng = kind(reduction=reduction, **fields), np.random.default_rng(0)
    logits, targets = 3 * helpers.normal(50, 4), one_hot(rng, 50, 4)
    np.testing.assert_allclose(loss.rows(logits, targets), expected(logits, targets), rtol=1e-4, atol=1e-5)
    weight = {"mean": 1 / 50, "sum": 1.0}[reduction]
    assert loss.row_weight(50) == pytest.approx(weight)
    total = weight * expected(logits, targets).sum()
    np.testing.assert_allclose(loss(jnp.asarray(logits), jnp.asarray(targets)), total, rtol=1e-5)


def test_every_loss_of_the_package_is_in_the_table():
    registered = {k for k in kinds(Loss).values() if k.__module__ == Loss.__module__ and k is not Loss}
    assert registered == {kind for kind, *_ in LOSSES.values()}


@pytest.mark.parametrize("clip", [None, CLIP, 0.2])
def test_gradient_of_cross_entropy_is_softmax_minus_target_inside_the_clip_and_zero_beyond(clip):
    """A row whose true class has a probability beyond the clip has exactly no gradient, in any entry."""
    logits, targets = 2 * helpers.normal(200, 3), one_hot(np.random.default_rng(1), 200, 3)
    loss = SoftmaxCrossEntropy(reduction="sum", probability_clip=clip)
    gradient = np.asarray(jax.grad(lambda s: loss(s, targets))(jnp.asarray(logits)))
    true = (softmax(logits) * targets).sum(axis=1)
    inside = np.full(200, True) if clip is None else (true > clip) & (true < 1 - clip)
    np.testing.assert_allclose(gradient[inside], (softmax(logits) - targets)[inside], atol=3e-6)
    np.testing.assert_array_equal(gradient[~inside], 0.0)
    if clip == 0.2:
        assert 50 < inside.sum() < 150


@pytest.mark.parametrize("clip", [None, CLIP, 0.0])
@pytest.mark.parametrize("size", [20.0, 200.0, 1e30])
def test_extreme_logits_have_finite_losses_and_gradients(clip, size):
    """Surely right and surely wrong rows, where a softmax underflows to 0."""
    logits, targets = jnp.array([[size, 0, -size]] * 3), jnp.eye(3)
    loss = SoftmaxCrossEntropy(probability_clip=clip)
    value, gradient = jax.value_and_grad(lambda s: loss(s, targets))(logits)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()
    if clip:
        np.testing.assert_allclose(loss.rows(logits, targets)[2], -np.log(CLIP), rtol=1e-5)
        np.testing.assert_array_equal(gradient[2], 0.0)
    else:
        np.testing.assert_allclose(loss.rows(logits, targets)[1:], [size, 2 * size], rtol=1e-5)
        np.testing.assert_allclose(gradient[2], [1 / 3, 0, -1 / 3], atol=1e-6)


def test_gradient_of_the_hinge_touches_the_true_and_the_best_other_class():
    logits = jnp.array([[2.0, 1.5, -1.0], [5.0, 0.0, 1.0], [0.0, 1.0, 3.0]])
    targets = jnp.eye(3)[jnp.array([0, 0, 1])]
    gradient = jax.grad(lambda s: MulticlassHinge(reduction="sum")(s, targets))(logits)
    np.testing.assert_allclose(gradient, [[-1, 1, 0], [0, 0, 0], [0, -1, 1]])


PARAMS = {"a": jnp.array([[1.0, -2.0], [0.0, 3.0]]), "b": {"c": jnp.array([-0.5, 4.0])}}


@pytest.mark.parametrize(
    ("penalty", "value", "slope"),
    [("none", 0.0, np.zeros_like), ("l1", 10.5, np.sign), ("l2", 0.5 * (1 + 4 + 9 + 0.25 + 16), np.asarray)],
)
def test_regularisers_match_numpy(penalty, value, slope):
    """λ Σ|θ| and λ/2 Σθ²; its gradient is added to the one that is there, and has no slope at 0."""
    regularizer = Regularizer(penalty=penalty, strength=0.3)
    np.testing.assert_allclose(regularizer(PARAMS), 0.3 * value, rtol=1e-6)
    there = jax.tree.map(jnp.ones_like, PARAMS)
    found = regularizer.add_gradient(PARAMS, there)
    for leaf, param in zip(jax.tree.leaves(found), jax.tree.leaves(PARAMS), strict=True):
        np.testing.assert_allclose(leaf, 1 + 0.3 * slope(np.asarray(param)), rtol=1e-6)
    assert float(regularizer({})) == 0.0
    assert regularizer.add_gradient({}, {}) == {}


class Quartic(Regularizer):
    """Test only: a penalty of its own, given by its value."""

    def __call__(self, params):
        return self.strength * sum((leaf**4).sum() for leaf in jax.tree.leaves(params))


def test_an_own_regulariser_counts_by_its_value():
    there = jax.tree.map(jnp.ones_like, PARAMS)
    found = Quartic(strength=0.3).add_gradient(PARAMS, there)
    for leaf, param in zip(jax.tree.leaves(found), jax.tree.leaves(PARAMS), strict=True):
        np.testing.assert_allclose(leaf, 1 + 0.3 * 4 * np.asarray(param) ** 3, rtol=1e-6)
    assert Quartic().add_gradient({}, {}) == {}


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SoftmaxCrossEntropy(reduction="median"), "'mean', 'sum'"),
        (lambda: SoftmaxCrossEntropy(probability_clip=0.6), "probability_clip is 0.6"),
        (lambda: MulticlassHinge(margin=-1.0), "margin is -1.0"),
        (lambda: Regularizer(penalty="l3"), "'none', 'l1', 'l2'"),
        (lambda: Regularizer(strength=-1.0), "strength is -1.0"),
    ],
)
def test_misuse_is_refused_by_name(build, message):
    with pytest.raises(ValueError, match=message):
        build()

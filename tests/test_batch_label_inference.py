"""Batch-level label inference: its steps against published code and a slow twin, and when it reads labels."""

import functools

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says
from golden_helpers import golden

import vfl_jax as vfl
from vfl_jax.attacks.batch_label_inference import BatchUnknowns

KEY = jax.random.key(0)
inferred = functools.partial(helpers.quick_jit, static_argnames=("forward", "num_classes", "head", "num_steps"))(
    vfl.infer_batch_labels
)


def dense(params, features):
    """A model of one dense layer."""
    kernel, bias = params
    return features @ kernel + bias[None]


@pytest.mark.parametrize("head", ["sum", "trainable"])
@pytest.mark.parametrize("name", ["vflair_bli_sum", "vflair_bli_trainable_head"])
def test_steps_are_those_of_the_published_code(name, head):
    """Whatever the true head is; each head by itself, not the better one of both."""
    arrays = golden(name)
    begun = {part: arrays[f"{head}_dummy_{part}"] for part in ("label", "pred_b")}
    layer = (arrays["trainable_dummy_head_w"].T, arrays["trainable_dummy_head_b"]) if head == "trainable" else ()
    start = BatchUnknowns(begun["label"], begun["pred_b"], layer)
    params, gradient = ((arrays[f"{what}_w"].T, arrays[f"{what}_b"]) for what in ("net_a", "param_gradient"))
    losses = arrays[f"{head}_loss_per_iteration"]
    found = inferred(KEY, dense, params, arrays["xa"], gradient, 3, head=head, num_steps=len(losses), start=start)
    np.testing.assert_allclose(found.losses, losses, rtol=2e-3, atol=1e-6)
    np.testing.assert_allclose(found.losses[:3], losses[:3], rtol=1e-4)
    np.testing.assert_allclose(found.unknowns.labels, arrays[f"{head}_final_label"], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.unknowns.others, arrays[f"{head}_final_pred_b"], rtol=1e-3, atol=1e-3)
    recovery = (np.asarray(found.labels) == arrays["labels"]).mean()
    np.testing.assert_allclose(recovery, arrays[f"{head}_recovery"])


def softmax(x):
    powers = np.exp(x - x.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_steps_are_those_of_the_twin():
    """Row by row: the gradient of a dense layer under a sum; slopes by differences, Adam as textbooks write it."""
    rng, size, classes = np.random.default_rng(0), 4, 3
    features, kernel, bias = rng.normal(size=(size, 5)), rng.normal(size=(5, classes)), rng.normal(size=classes)
    real = rng.normal(size=(5, classes)), rng.normal(size=classes)
    unknowns = rng.normal(size=(2, size, classes))

    def messages(unknowns):
        labels, others = unknowns
        return (softmax(features @ kernel + bias + others) - softmax(labels)) / size

    def distance(unknowns):
        rows = messages(unknowns)
        table = sum(np.outer(features[i], rows[i]) for i in range(size))
        return ((table - real[0]) ** 2).sum() + ((rows.sum(0) - real[1]) ** 2).sum()

    now, first, second, losses = unknowns.copy(), 0.0, 0.0, []
    for step in range(1, 4):
        losses.append(distance(now))
        slope = np.zeros_like(now)
        for place in np.ndindex(now.shape):
            change = np.zeros_like(now)
            change[place] = 1e-6
            slope[place] = (distance(now + change) - distance(now - change)) / 2e-6
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        mean, square = first / (1 - 0.9**step), second / (1 - 0.999**step)
        now = now - 0.2 * mean / (np.sqrt(square) + 1e-8)

    single = functools.partial(jax.tree.map, lambda leaf: jnp.asarray(leaf, jnp.float32))
    found = inferred(
        *(KEY, dense, single((kernel, bias)), single(features), single(real), classes),
        optimizer=vfl.models.Optimizer(kind="adam", learning_rate=0.2),
        num_steps=3,
        start=BatchUnknowns(*single(tuple(unknowns))),
    )
    np.testing.assert_allclose(found.losses, losses, rtol=1e-4)
    np.testing.assert_allclose(np.stack(found.unknowns[:2]), now, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.messages, messages(now), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(found.labels, now[0].argmax(1))


@functools.partial(helpers.quick_jit, static_argnames="head")
def recovery(key, features, others, kernel, labels, head):
    """(the share of labels that are read, the share by the smallest entries of messages), of one random batch."""
    classes = others.shape[1]
    targets = jax.nn.one_hot(labels, classes)

    def model(kernel, features):
        return features @ kernel

    def loss(kernel):
        return -(targets * jax.nn.log_softmax(model(kernel, features) + others)).sum(axis=-1).mean()

    found = vfl.infer_batch_labels(key, model, kernel, features, jax.grad(loss)(kernel), classes, head=head)
    return jnp.stack([(found.labels == labels).mean(), (found.messages.argmin(axis=-1) == labels).mean()])


def recoveries(num_classes, batch_size, head="sum", num_batches=20):
    """The mean recovery over random batches; 20 features, a random model of one dense layer, a sum as the true head."""
    rng = np.random.default_rng(0)
    features, others, kernel = (
        rng.normal(size=(num_batches, *shape)).astype(np.float32)
        for shape in ((batch_size, 20), (batch_size, num_classes), (20, num_classes))
    )
    kernel = kernel / np.float32(20**0.5)
    labels = rng.integers(0, num_classes, (num_batches, batch_size)).astype(np.int32)
    keys = jax.random.split(jax.random.key(0), num_batches)
    found = jax.vmap(functools.partial(recovery, head=head))(keys, features, others, kernel, labels)
    return found.mean(axis=0)


@pytest.mark.long
def test_a_larger_batch_hides_its_labels():
    """More classes alone hide nothing, because they give the gradient more numbers."""
    small, large, more_classes = recoveries(5, 4), recoveries(5, 64), recoveries(20, 4)
    assert (small > 0.9).all()
    assert (large < 0.65).all()
    assert (large > 0.3).all()  # chance is 0.2
    assert (more_classes > 0.9).all()


def test_a_wrong_guess_of_the_head_tells_by_its_messages_alone():
    """A dense layer may name the classes as it likes; the messages are those of the true head all the same."""
    labels, messages = recoveries(5, 4, head="trainable")
    assert labels < 0.4
    assert messages > 0.9


def test_misuse_is_refused_by_name():
    params, features = (jnp.zeros((4, 2)), jnp.zeros(2)), jnp.ones((3, 4))
    with pytest.raises(ValueError, match=says("head is 'sum'", "2 numbers per row", "3 classes", "head='trainable'")):
        vfl.infer_batch_labels(KEY, dense, params, features, params, 3)
    with pytest.raises(ValueError, match=says("num_steps is 0", "at least 1")):
        vfl.infer_batch_labels(KEY, dense, params, features, params, 2, num_steps=0)
    with pytest.raises(ValueError, match=says("head is 'mlp'", "'sum'", "'trainable'")):
        vfl.infer_batch_labels(KEY, dense, params, features, params, 2, head="mlp")

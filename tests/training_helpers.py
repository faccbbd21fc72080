"""Small data sets and scenarios that the tests of whole training runs share."""

import dataclasses
import functools
import itertools
import os

import jax
import numpy as np
import pytest

from vfl_jax.attacks import ActivationBlurring, GradientReplacement
from vfl_jax.data import PixelTrigger, load_digits, load_mnist
from vfl_jax.data.sets.location import DATA_VARIABLE
from vfl_jax.defenses import GaussianNoise, Sparsification
from vfl_jax.models import MLP, DenseHead
from vfl_jax.presets import liu2020_paper
from vfl_jax.protocol.chains import ActiveChain, PartyChain
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.replica.draws import Given
from vfl_jax.scenario import BatchPlan, PoisonPlan

needs_mnist = pytest.mark.skipif(
    not os.environ.get(DATA_VARIABLE), reason=f"needs MNIST; set {DATA_VARIABLE} to the folder that has mnist/"
)


def first_rows(data, num_train, num_test):
    """The same data set with its first rows only."""
    return dataclasses.replace(
        data,
        train=jax.tree.map(lambda leaf: leaf[:num_train], data.train),
        test=jax.tree.map(lambda leaf: leaf[:num_test], data.test),
    )


@functools.cache
def mnist(num_parties=2, active_party=None):
    """Whole MNIST, split by rows; read once per test session."""
    return load_mnist(num_parties=num_parties, active_party=active_party)


@functools.cache
def small_digits(num_train=256, num_test=96):
    """Some of the digits that scikit-learn ships, so that no data need be fetched."""
    return first_rows(load_digits(), num_train, num_test)


def digits_scenario(**changes):
    """Everything that draws or remembers at once: blurring, replacement, noise, sparsification, shuffled batches."""
    scenario = liu2020_paper(head="trainable").replace(
        bottoms=(MLP(hidden=(), width=8, output_relu=True),) * 2,
        head=DenseHead(hidden=(8,)),
        attacks=(
            PartyTransform(),
            PartyChain(parts=(ActivationBlurring(kind="gaussian"), GradientReplacement(amplify=10.0))),
        ),
        defense=ActiveChain(parts=(GaussianNoise(stddev=0.003), Sparsification(drop_rate=0.5))),
        poison=PoisonPlan(trigger=PixelTrigger(pixels=((7, 7), (6, 6))), rate=0.1, test_rate=0.2),
        batches=BatchPlan(size=32, order="shuffled"),
    )
    return scenario.replace(**changes)


def digits_weights():
    """Initial weights for :func:`digits_scenario`, where a test is not about drawing them: that compiles slowly."""
    rng = np.random.default_rng(0)
    parties = tuple(as_params(layers(rng, (32, 8))) for _ in range(2))
    return Given(params=parties, head_params=as_params(layers(rng, (16, 8, 10))))


def layers(rng, widths, scale=1.0):
    """Glorot-like kernels times ``scale``, and biases that are not zero, so that a forgotten bias shows."""
    return [
        (rng.normal(0, scale * (2 / (i + o)) ** 0.5, (i, o)).astype(np.float32), rng.normal(0.05, 0.05, o).astype("f4"))
        for i, o in itertools.pairwise(widths)
    ]


def as_params(model):
    """(kernel, bias) pairs as the package's dense layers name them."""
    return {f"dense_{i}": {"kernel": kernel, "bias": bias} for i, (kernel, bias) in enumerate(model)}


def stamped(data, pixels, is_poison):
    """Every party's training features, float32[N, F], with full ink on some pixels of the poison rows."""
    features = []
    for block, x in zip(data.positions, data.train.features, strict=True):
        x = x.reshape(len(x), -1).copy()
        for row, column in pixels:
            place = np.flatnonzero(block.ravel() == data.image_shape[1] * row + column)
            x[np.ix_(is_poison, place)] = 1.0
        features.append(x)
    return features

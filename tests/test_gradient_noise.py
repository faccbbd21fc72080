"""Noise that is measured by the longest row: against published numbers, twins in plain loops, and what it is for."""

import math

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_helpers import golden

from vfl_jax.core.record import cast
from vfl_jax.defenses import IsotropicNoise, MaxNormNoise
from vfl_jax.defenses.isotropic_noise import entry_size
from vfl_jax.defenses.max_norm_noise import stretched

VIEW = helpers.active_view(range(5))
NUM_DRAWS = 4000


@helpers.quick_jit
def jit_send(defense, key, messages):
    return defense.on_send(key, (), VIEW, messages)[0]


@helpers.quick_jit
def many_sent(defense, messages):
    """What is sent under many keys, float32[NUM_DRAWS, B, E] per party."""
    keys = jax.random.split(jax.random.key(1), NUM_DRAWS)
    return jax.vmap(lambda key: defense.on_send(key, (), VIEW, messages)[0])(keys)


def some_messages():
    """Two messages, with a row of zeros and rows of very different lengths."""
    sizes = np.array([0.0, 0.01, 0.3, 1.0, 4.0], np.float32)[:, None]
    return tuple(sizes * helpers.normal(5, width, seed=width) for width in (3, 4))


def norm(row):
    return math.sqrt(sum(float(entry) ** 2 for entry in row))


@pytest.mark.parametrize(("name", "ratio"), [("max_norm_and_isotropic", 0.7), ("tecb_repo_defenses", 0.5)])
def test_numbers_of_published_code(name, ratio):
    arrays = golden(name)
    gradient = jnp.asarray(arrays["gradient"])
    found = stretched(gradient, arrays["max_norm_noise"])
    np.testing.assert_allclose(found, arrays["max_norm_sent"], rtol=1e-5, atol=1e-7)
    found = gradient + ratio * entry_size(gradient) * arrays["iso_noise"]
    np.testing.assert_allclose(found, arrays["iso_sent"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("defense", [MaxNormNoise(scale=0.8), IsotropicNoise(ratio=0.8)], ids=["max norm", "isotropic"])
def test_steps_match_the_twin(defense):
    """Each party's message has its own longest row and its own draws."""
    for step in range(3):
        key, messages = jax.random.key(step), tuple(0.5**step * message for message in some_messages())
        sent = jit_send(cast(defense), key, messages)
        keys = jax.random.split(jax.random.clone(key), len(messages))
        for message, mine, key_here in zip(messages, sent, keys, strict=True):
            longest, width = max(map(norm, message)), message.shape[1]
            along = isinstance(defense, MaxNormNoise)
            draws = np.asarray(jax.random.normal(key_here, (5, 1) if along else message.shape))
            expected = np.array(message, np.float64)
            for i, row in enumerate(message):
                for j in range(width):
                    if along and norm(row) > 0:
                        factor = 1 + 0.8 * draws[i, 0] * math.sqrt(longest**2 / norm(row) ** 2 - 1)
                        expected[i, j] = row[j] * factor
                    elif not along:
                        expected[i, j] += 0.8 * longest / math.sqrt(width) * draws[i, j]
            np.testing.assert_allclose(mine, expected, rtol=2e-5, atol=1e-6)


def test_max_norm_makes_all_rows_as_long_as_the_longest_and_keeps_their_lines():
    for message, sent in zip(some_messages(), many_sent(cast(MaxNormNoise(scale=1.0)), some_messages()), strict=True):
        mean_squares = (np.asarray(sent) ** 2).sum(axis=-1).mean(axis=0)
        longest = norm(message[-1])
        np.testing.assert_allclose(mean_squares[1:], longest**2, rtol=0.1)  # the mean of 4,000 squares of a normal
        assert mean_squares[0] == 0  # a row of zeros has no direction
        np.testing.assert_allclose(sent[:, -1], np.broadcast_to(message[-1], sent[:, -1].shape), rtol=1e-5)
        for row, before in zip(sent[0][1:], message[1:], strict=True):
            cosine = sum(np.float64(row) * before) / (norm(row) * norm(before))
            np.testing.assert_allclose(abs(cosine), 1.0, rtol=1e-4)


def test_isotropic_noise_has_the_stated_norm_in_all_directions():
    for message, sent in zip(some_messages(), many_sent(cast(IsotropicNoise(ratio=0.5)), some_messages()), strict=True):
        noise = np.asarray(sent) - message[None]
        np.testing.assert_allclose((noise**2).sum(axis=-1).mean(axis=0), (0.5 * norm(message[-1])) ** 2, rtol=0.1)
        covariance = np.cov(noise[:, 0].T)
        variance = covariance.trace() / len(covariance)
        np.testing.assert_allclose(covariance / variance, np.eye(len(covariance)), atol=0.1)


@pytest.mark.parametrize("defense", [MaxNormNoise(scale=1.0), IsotropicNoise(ratio=0.5)], ids=["max norm", "isotropic"])
def test_noise_scales_with_gradients_of_any_size(defense):
    """In float32 the square of 1e-25 is 0, and that of 1e25 is infinite. A message of zeros stays one."""
    key = jax.random.key(3)
    plain = jit_send(cast(defense), key, some_messages())
    for size in (np.float32(2.0**-80), np.float32(2.0**80)):
        sent = jit_send(cast(defense), jax.random.clone(key), tuple(size * message for message in some_messages()))
        for mine, theirs in zip(sent, plain, strict=True):
            np.testing.assert_allclose(mine / size, theirs, rtol=1e-5, atol=1e-6)
    zeros = tuple(np.zeros_like(message) for message in some_messages())
    helpers.assert_bitwise_equal(jit_send(cast(defense), jax.random.clone(key), zeros), tuple(map(jnp.asarray, zeros)))

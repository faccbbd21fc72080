"""Discrete gradients, signs and averages: against published numbers, and against twins in plain loops."""

import math
import statistics

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says
from golden_helpers import golden

from vfl_jax.core.record import cast
from vfl_jax.defenses import DiscreteGradients, GradientAveraging, SignSGD

SHAPES = helpers.shapes_of(batch_rows=6, widths=(4, 3, 5), active_party=1)
VIEW = helpers.active_view(range(6))


@helpers.quick_jit
def jit_send(defense, state, messages):
    return defense.on_send(jax.random.key(0), state, VIEW, messages)


def sent_over_steps(defense, steps, shapes=SHAPES):
    """What a defense sends in several steps, each a tuple of messages, and its last state."""
    defense, out = cast(defense), []
    state = defense.init(jax.random.key(0), shapes)
    for messages in steps:
        sent, state = jit_send(defense, state, tuple(map(jnp.asarray, messages)))
        out.append(sent)
    return out, state


def steps_of_messages(num_steps=3):
    """Messages of two parties that shrink; the first party's first one says nothing."""
    steps = [tuple(0.5**t * helpers.normal(6, w, seed=10 * t + w) for w in (4, 5)) for t in range(num_steps)]
    return [(np.zeros_like(steps[0][0]), steps[0][1]), *steps[1:]]


@pytest.mark.parametrize(
    ("name", "bins", "num_steps"), [("vflair_discrete_gradients", 12, 3), ("vflair_discrete_gradients_3party", 5, 2)]
)
def test_discrete_gradients_of_published_code(name, bins, num_steps):
    arrays = golden(name)
    parties = range(len(arrays["s0_bin_size"]) - 1)  # the last one is the active party
    widths = [arrays[f"s0_gradient_{k}"].shape[1] for k in range(len(parties) + 1)]
    shapes = helpers.shapes_of(widths=widths, active_party=len(parties))
    steps = [tuple(arrays[f"s{t}_gradient_{k}"] for k in parties) for t in range(num_steps)]
    found, state = sent_over_steps(DiscreteGradients(bins=float(bins)), steps, shapes)
    for t, messages in enumerate(found):
        for k, message in enumerate(messages):
            np.testing.assert_allclose(message, arrays[f"s{t}_sent_{k}"], rtol=1e-5, atol=1e-7)
    widths_of_steps = [2 * float(stddev) / ((bins + 1) // 2) for stddev in state.stddevs]
    np.testing.assert_allclose(widths_of_steps, arrays["s0_bin_size"][:-1], rtol=1e-5)


def rounded(message, step, largest):
    """Every entry to the nearest multiple of a step, entries clipped before."""
    out = np.zeros_like(message)
    for i, row in enumerate(message):
        for j, entry in enumerate(row):
            out[i, j] = step * round(max(-largest, min(largest, float(entry))) / step)
    return out


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("width", ["fixed", "first_message", "each_message"])
def test_discrete_gradients_match_the_twin(width, clip):
    """Each rule of the width, over steps; a message whose entries are all equal passes, and is no first one."""
    steps, firsts = steps_of_messages(), {}
    found, _ = sent_over_steps(DiscreteGradients(width=width, clip=clip, bins=5.0, bound=0.8), steps)
    for messages, sent in zip(steps, found, strict=True):
        for k, (message, mine) in enumerate(zip(messages, sent, strict=True)):
            entries = [float(entry) for entry in message.ravel()]
            now = statistics.stdev(entries)
            if now > 0:
                firsts.setdefault(k, now)
            sigma = now if width == "each_message" else firsts.get(k, 0.0)
            step, range_of = (2 * 0.8 / 5, 0.8) if width == "fixed" else (2 * sigma / 3, 2 * sigma)
            expected = rounded(message, step, range_of if clip else math.inf) if step else message
            np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-6)


def test_few_bins_leave_few_values_and_clipping_bounds_their_number():
    large = helpers.normal(6, 4) * np.geomspace(0.01, 100, 24, dtype=np.float32).reshape(6, 4)
    for clip, most in ((True, 7), (False, 24)):
        found, _ = sent_over_steps(DiscreteGradients(width="fixed", clip=clip, bins=6.0, bound=1.0), [(large, large)])
        num_values = len(np.unique(found[0][0]))
        assert num_values <= most
        assert clip or num_values > 7
    with pytest.raises(ValueError, match=says("DiscreteGradients.bins is -1")):
        DiscreteGradients(bins=-1.0)


def test_tiny_gradients_have_a_width_too():
    """In float32 the square of 1e-25 is 0; the values are those of ordinary gradients, as many times smaller."""
    size, messages = np.float32(2.0**-83), steps_of_messages()[1]
    (plain,), _ = sent_over_steps(DiscreteGradients(bins=6.0), [messages])
    (tiny,), _ = sent_over_steps(DiscreteGradients(bins=6.0), [tuple(size * message for message in messages)])
    for mine, theirs in zip(tiny, plain, strict=True):
        np.testing.assert_allclose(mine / size, theirs, rtol=1e-5)


@pytest.mark.parametrize("unit", ["mean", "one"])
def test_signs_match_the_twin(unit):
    steps = steps_of_messages()
    found, _ = sent_over_steps(SignSGD(unit=unit, size=0.5), steps)
    for messages, sent in zip(steps, found, strict=True):
        for message, mine in zip(messages, sent, strict=True):
            entries = [float(entry) for entry in message.ravel()]
            size = 0.5 * (sum(map(abs, entries)) / len(entries) if unit == "mean" else 1.0)
            expected = [size * ((entry > 0) - (entry < 0)) for entry in entries]
            np.testing.assert_allclose(mine, np.reshape(expected, message.shape), rtol=1e-5)
    assert len(np.unique(np.abs(found[1][0]))) == 1  # nothing but signs


def test_the_average_of_published_code():
    arrays = golden("secretflow_max_norm_and_average")
    ((sent, _),), _ = sent_over_steps(GradientAveraging(share=1.0), [(arrays["gradient"], helpers.normal(6, 5))])
    np.testing.assert_allclose(sent, arrays["average_sent"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_averages_match_the_twin_and_at_a_share_of_1_rows_are_alike_to_the_bit(share):
    steps = steps_of_messages()
    found, _ = sent_over_steps(GradientAveraging(share=share), steps)
    for messages, sent in zip(steps, found, strict=True):
        for message, mine in zip(messages, sent, strict=True):
            expected = np.zeros_like(message)
            for j in range(message.shape[1]):
                mean = sum(float(row[j]) for row in message) / len(message)
                for i in range(len(message)):
                    expected[i, j] = float(message[i, j]) + share * (mean - float(message[i, j]))
            np.testing.assert_allclose(mine, expected, rtol=1e-5, atol=1e-6)
            if share == 1:
                np.testing.assert_array_equal(mine, np.broadcast_to(mine[:1], mine.shape))

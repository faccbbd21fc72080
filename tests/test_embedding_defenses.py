"""Embeddings of one length, and embeddings with gaps: values, gradients and what happens at inference."""

import math

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vfl_jax.core.record import cast
from vfl_jax.defenses import EmbeddingDropout, EmbeddingNormalisation
from vfl_jax.protocol.views import EmbedView

TRAINING, TEST = EmbedView(is_training=True), EmbedView(is_training=False)


@helpers.quick_jit
def with_gradient(defense, key, view, sent, cotangents):
    """(What the head gets, the messages that go back), for gradients at what the head gets."""
    passed, back = jax.vjp(lambda sent: defense.on_embed({}, key, view, sent)[0], sent)
    return passed, back(cotangents)[0]


def embeddings(rows=5, widths=(3, 4), seed=0):
    found = [helpers.normal(rows, width, seed=seed + width) for width in widths]
    for h in found:
        h[1] = 0.0
        h[2] *= 1e-25  # its square is 0 in float32
        h[3] *= 1e25  # its square is infinite
    return tuple(map(jnp.asarray, found))


@pytest.mark.parametrize("view", [TRAINING, TEST], ids=["training", "inference"])
def test_normalised_rows_and_their_gradients_match_the_twin(view):
    """Row by row in float64: length · h/‖h‖, and (length/‖h‖) · (g − (g·h) h/‖h‖²) on the way back."""
    for step in range(3):
        sent, given = embeddings(seed=step), embeddings(seed=7 + step)
        given = tuple(jnp.clip(g, -3, 3) for g in given)
        passed, back = with_gradient(cast(EmbeddingNormalisation(length=2.0)), jax.random.key(0), view, sent, given)
        for h, g, forward, backward in zip(sent, given, passed, back, strict=True):
            for row, slope, mine, message in zip(*(np.float64(x) for x in (h, g, forward, backward)), strict=True):
                length = math.sqrt(sum(entry**2 for entry in row))
                if length == 0:
                    assert not mine.any()
                    assert not message.any()
                    continue
                unit = row / length
                np.testing.assert_allclose(mine, 2.0 * unit, rtol=1e-5, atol=1e-6)
                expected = 2.0 / length * (slope - sum(slope * unit) * unit)
                np.testing.assert_allclose(message * length, expected * length, rtol=1e-4, atol=1e-5)


def test_a_normalised_trigger_cannot_win_by_its_size():
    """However large one party's embedding is made, the head gets the same."""
    honest = tuple(jnp.asarray(helpers.normal(5, width)) for width in (3, 4))
    large = (30.0 * honest[0], honest[1])
    defense = EmbeddingNormalisation(length=1.0)
    found, _ = defense.on_embed({}, None, TRAINING, honest)
    again, penalty = defense.on_embed({}, None, TRAINING, large)
    for one, other in zip(found, again, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    assert penalty == 0


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("what", ["entry", "row"])
def test_dropped_parts_match_the_twin(what, scaled):
    """Over steps: each party's draws are its own; what is dropped gets no gradient."""
    defense = cast(EmbeddingDropout(what=what, scaled=scaled, rate=0.4))
    sent = tuple(jnp.asarray(helpers.normal(6, width)) for width in (3, 4))
    for step in range(3):
        key = jax.random.key(step)
        passed, back = with_gradient(defense, key, TRAINING, sent, sent)
        for k, (h, mine, message) in enumerate(zip(sent, passed, back, strict=True)):
            shape = h.shape if what == "entry" else (6, 1)
            drawn = jax.random.uniform(jax.random.fold_in(jax.random.clone(key), k), shape)
            expected = np.zeros(h.shape)
            for i, row in enumerate(np.asarray(h)):
                for j, entry in enumerate(row):
                    if drawn[i, j if what == "entry" else 0] >= 0.4:
                        expected[i, j] = entry / (0.6 if scaled else 1.0)
            np.testing.assert_allclose(mine, expected, rtol=1e-5)
            np.testing.assert_allclose(message, expected, rtol=1e-5)  # the gradient given is the embedding itself


def test_dropout_drops_its_share_keeps_the_mean_and_rests_at_inference():
    ones = (jnp.ones((2000, 4)),)
    for what in ("entry", "row"):
        defense = EmbeddingDropout(what=what, rate=0.25)
        (passed,), _ = defense.on_embed({}, jax.random.key(0), TRAINING, ones)
        assert (np.asarray(passed) == 0).mean() == pytest.approx(0.25, abs=0.03)
        assert passed.mean() == pytest.approx(1.0, abs=0.04)
        is_whole = np.ptp(passed, axis=1) == 0
        assert is_whole.all() == (what == "row")
        (tested,), _ = defense.on_embed({}, jax.random.key(0), TEST, ones)
        helpers.assert_bitwise_equal(tested, ones[0])


def test_what_drops_everything_is_finite():
    sent = (jnp.asarray(helpers.normal(6, 3)),)
    passed, back = with_gradient(cast(EmbeddingDropout(rate=1.0)), jax.random.key(0), TRAINING, sent, sent)
    for found in (passed[0], back[0]):
        np.testing.assert_array_equal(found, np.zeros((6, 3)))

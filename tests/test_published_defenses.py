"""Sparsification, clipping and noise of gradient messages against the numbers of published code."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_helpers import golden

from vfl_jax.core.record import cast
from vfl_jax.defenses import Clipping, GaussianNoise, LaplaceNoise, Sparsification


@pytest.mark.parametrize(
    ("name", "drop_rate"), [("vflair_sparsification_75", 0.75), ("vflair_sparsification_ragged", 0.9)]
)
def test_sparsified_messages_and_what_waits(name, drop_rate):
    """The code drops what waits where a batch has another size; here all batches have one, so it begins anew there."""
    arrays = golden(name)
    defense, state = cast(Sparsification(drop_rate=drop_rate)), None
    for t in range(sum(key.endswith("sent_0") for key in arrays)):
        message = jnp.asarray(arrays[f"s{t}_gradient_0"])
        if state is None or state[0].shape != message.shape:
            shapes = helpers.shapes_of(batch_rows=len(message), widths=(4, 4), active_party=1)
            state = defense.init(None, shapes)
        (sent,), state = defense.on_send(None, state, None, (message,))
        np.testing.assert_allclose(sent, arrays[f"s{t}_sent_0"], rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(state[0], arrays[f"s{t}_residual_0"], rtol=1e-5, atol=1e-7)
    assert t == (2 if drop_rate == 0.75 else 3)


@pytest.mark.parametrize(
    ("name", "noise", "is_clipped"),
    [("vflair_dp_gaussian", GaussianNoise(stddev=0.05), True), ("vflair_dp_laplace", LaplaceNoise(scale=0.01), False)],
)
def test_clipped_and_noisy_messages(name, noise, is_clipped, monkeypatch):
    """One factor for the message, then noise of the stated scale. Noise on embeddings is no method here."""
    arrays = golden(name)
    draw = "laplace" if isinstance(noise, LaplaceNoise) else "normal"
    monkeypatch.setattr(jax.random, draw, lambda key, shape: arrays["unit_noise"])
    messages, clipping = (jnp.asarray(arrays["gradient_0"]),), Clipping(by="largest_row_l2", bound=0.2 + 1e-6)
    clipped, _ = clipping.on_send(None, (), None, messages)
    (sent,), _ = cast(noise).on_send(jax.random.key(0), (), None, clipped)
    np.testing.assert_allclose(sent, arrays["sent_0"], rtol=1e-5, atol=1e-7)
    assert is_clipped == (not np.array_equal(clipped[0], messages[0]))


def test_entries_are_clipped_and_noise_is_scaled_as_in_triggerless(monkeypatch):
    """Its bound and its scale come from the message: 0.4 of its largest entry, a twentieth of its length."""
    arrays = golden("triggerless_defenses_and_noise")
    gradient = jnp.asarray(arrays["gradient"])
    (sent,), _ = Clipping(by="value", bound=0.4 * float(jnp.abs(gradient).max())).on_send(None, (), None, (gradient,))
    np.testing.assert_allclose(sent, arrays["clip"], rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(jax.random, "laplace", lambda key, shape: arrays["unit_laplace"])
    noise = cast(LaplaceNoise(scale=float(jnp.linalg.norm(gradient)) / 20))
    (sent,), _ = noise.on_send(jax.random.key(0), (), None, (gradient,))
    np.testing.assert_allclose(sent, arrays["dp"], rtol=1e-5, atol=1e-6)

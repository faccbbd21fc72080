"""Every defense against its slow NumPy twin, and the promises of its docstring one by one."""

import functools
import math

import chex
import helpers
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from vfl_jax.core.record import cast
from vfl_jax.defenses import Clipping, GaussianNoise, LaplaceNoise, Sparsification
from vfl_jax.protocol.chains import ActiveChain

KINDS = ("value", "row_l2", "message_l2", "largest_row_l2")
VIEW = helpers.active_view(range(5))


@helpers.quick_jit
def jit_send(defense, key, state, view, messages):
    return defense.on_send(key, state, view, messages)


def send(defense, messages, key=0, state=(), view=VIEW):
    return jit_send(cast(defense), jax.random.key(key), state, view, tuple(jnp.asarray(m) for m in messages))


def some_messages(seed):
    """Two messages of other widths, with a zero row, a tiny, an ordinary and a large one."""
    sizes = np.array([0.0, 1e-4, 0.3, 1.0, 40.0], np.float32)[:, None]
    order = np.random.default_rng(seed).permutation(5)
    return tuple(sizes[order] * helpers.normal(5, width, seed=seed + width) for width in (3, 4))


@pytest.mark.parametrize("by", KINDS)
@pytest.mark.parametrize("bound", [0.0, 0.05, 1.0, 7.0, 1e9])
def test_clipping_matches_its_oracle_and_keeps_its_bound(by, bound):
    for seed in range(4):
        messages = some_messages(seed)
        sent, _ = send(Clipping(by=by, bound=bound), messages)
        for message, clipped in zip(messages, sent, strict=True):
            np.testing.assert_allclose(clipped, oracles.clip(message, by, bound), rtol=2e-6, atol=1e-9)
            rows = np.linalg.norm(clipped, axis=1)
            bounded = {"value": np.abs(clipped).max(), "message_l2": np.linalg.norm(rows)}.get(by, rows.max())
            assert bounded <= bound * (1 + 1e-5)


def test_row_clipping_leaves_rows_within_the_bound_untouched():
    """The four ways to clip differ: on this message each touches other entries."""
    message = np.array([[3.0, 4.0], [0.3, 0.4], [6.0, 8.0]], np.float32)
    wanted = {
        "value": [[3, 4], [0.3, 0.4], [5, 5]],
        "row_l2": [[3, 4], [0.3, 0.4], [3, 4]],
        "message_l2": message * (5 / math.sqrt(125.25)),
        "largest_row_l2": message / 2,
    }
    for by, expected in wanted.items():
        ((sent,), _) = send(Clipping(by=by, bound=5.0), [message])
        np.testing.assert_allclose(sent, np.asarray(expected), rtol=1e-6)
        if by in ("value", "row_l2"):
            np.testing.assert_array_equal(sent[1], message[1])


@pytest.mark.parametrize("by", KINDS)
def test_clipping_edges(by):
    """A zero message stays zero; inf returns the input; a traced bound below zero acts as 0."""
    zero, some = np.zeros((4, 3), np.float32), helpers.normal(4, 3)
    for bound in (0.0, 1.0, math.inf):
        chex.assert_trees_all_equal(send(Clipping(by=by, bound=bound), [zero])[0][0], zero)
    helpers.assert_bitwise_equal(send(Clipping(by=by), [some])[0][0], jnp.asarray(some))
    negative = send(Clipping(by=by, bound=jnp.float32(-2.0)), [some])[0][0]
    np.testing.assert_array_equal(negative, zero)


@pytest.mark.parametrize("by", KINDS[1:])
@pytest.mark.parametrize("size", [1e20, 3e38, 1e10, 1e-20, 1e-25, 1e-38])
def test_bounds_hold_whatever_the_size_of_a_message(by, size):
    """Squares of such entries are infinite, or none; beside them lies a row of zeros."""
    message = np.float32(size) * np.array([[0, 0, 0], [0.5, -1, 1], [1, 0.25, -0.5]], np.float32)
    exact = message.astype(np.float64)
    for bound in (0.0, 1e-30, 1e-3, 5.0, 1e25):
        ((sent,), _) = send(Clipping(by=by, bound=bound), [message])
        expected = oracles.clip(exact, by, np.float64(np.float32(bound)))
        np.testing.assert_allclose(sent, expected, rtol=1e-6, atol=1e-44, err_msg=str(bound))


@pytest.mark.parametrize("by", KINDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_message_that_is_not_finite_stays_so(by, bad):
    """Unless its entries are bounded one by one; so a replica that diverges is seen to."""
    message = helpers.normal(4, 3)
    message[2, 1] = bad
    ((sent,), _) = send(Clipping(by=by, bound=0.5), [message])
    assert np.isfinite(sent[2, 1]) == (by == "value" and not np.isnan(bad))


NOISES = {
    "gaussian": (GaussianNoise, "stddev", lambda level: level**2, math.sqrt(2 / math.pi)),
    "laplace": (LaplaceNoise, "scale", lambda level: 2 * level**2, math.sqrt(1 / 2)),
}
"""Class, the field of its level, the variance of a level, and E|x| in units of the standard deviation."""


@pytest.mark.parametrize("name", NOISES)
def test_noise_has_the_stated_distribution(name):
    """Mean, standard deviation and shape: E|x|/σ is 0.80 for normal noise and 0.71 for Laplacian."""
    kind, field, variance, mean_size = NOISES[name]
    level, shape = 0.05, (400, 100)
    first, other = send(kind(**{field: level}), [np.zeros(shape, np.float32)] * 2)[0]
    (again,) = send(kind(**{field: level}), [np.zeros(shape, np.float32)], key=1)[0]
    for noise in (first, other):
        noise = np.asarray(noise, np.float64)
        stddev = math.sqrt(variance(level))
        assert abs(noise.mean()) < 5 * stddev / math.sqrt(noise.size)
        assert noise.std() == pytest.approx(stddev, rel=0.03)
        assert np.abs(noise).mean() / noise.std() == pytest.approx(mean_size, rel=0.02)
    # Independent over entries, parties and steps.
    for a, b in [(first, other), (first, again), (first[:-1], first[1:]), (first[:, :-1], first[:, 1:])]:
        assert abs(np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]) < 0.03


@pytest.mark.parametrize("name", NOISES)
def test_noise_matches_its_oracle_on_given_draws(name):
    """Noise of a level is the level times draws that do not depend on it; added, not multiplied."""
    kind, field, variance, _ = NOISES[name]
    messages = some_messages(1)
    units, _ = send(kind(**{field: 1.0}), [np.zeros_like(m) for m in messages], key=5)
    for level in (1e-4, 0.1, 3.0):
        expected = [oracles.add_noise(m, level, np.asarray(u)) for m, u in zip(messages, units, strict=True)]
        as_level, _ = send(kind(**{field: level}), messages, key=5)
        as_variance, _ = send(kind(variance=variance(level)), messages, key=5)
        half_each, _ = send(kind(**{field: level / 2}, variance=variance(level / 2)), messages, key=5)
        for sent in (as_level, as_variance, half_each):
            chex.assert_trees_all_close(list(sent), expected, rtol=1e-5, atol=1e-6)


SPARSE_RATES = [0.0, 0.3, 0.75, 0.95, 1.0]


@functools.partial(helpers.quick_jit, static_argnums=3)
def jit_sparsify(drop_rate, ids, messages, residual, state):
    view = helpers.active_view(ids)
    defense = Sparsification(residual=residual, drop_rate=drop_rate)
    return defense.on_send(jax.random.key(0), state, view, messages)


@pytest.mark.parametrize("with_pair", [False, True])
@pytest.mark.parametrize("residual", ["position", "sample", "none"])
def test_sparsification_matches_its_oracle_over_several_steps(residual, with_pair):
    """Batches overlap, so that a sample comes back at another place; an appended pair repeats ids."""
    shapes = helpers.shapes_of(num_samples=9, batch_rows=7, widths=(3, 5, 4), active_party=1)
    for drop_rate in SPARSE_RATES:
        defense, oracle = Sparsification(residual=residual), oracles.Sparsification(residual, drop_rate)
        state = defense.init(jax.random.key(0), shapes)
        rng = np.random.default_rng(7)
        for t in range(6):
            ids = rng.permutation(9)[:7].astype(np.int32)
            if with_pair:
                ids[6] = ids[2]
            messages = (helpers.normal(7, 3, seed=2 * t), helpers.normal(7, 4, seed=2 * t + 1))
            sent, state = jit_sparsify(jnp.float32(drop_rate), ids, messages, residual, state)
            chex.assert_trees_all_close(list(sent), oracle.on_send(ids, messages), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("residual", ["position", "sample"])
def test_what_is_dropped_waits_and_nothing_is_lost(residual):
    """All that was ever sent and what still waits add up to all gradients."""
    shapes = helpers.shapes_of(num_samples=12, batch_rows=6, widths=(4,))
    defense = Sparsification(residual=residual, drop_rate=0.8)
    state, total_in, total_out = defense.init(jax.random.key(0), shapes), 0.0, 0.0
    for t in range(8):
        ids = np.random.default_rng(t).permutation(12)[:6]
        gradient = helpers.normal(6, 4, seed=t)
        (sent,), state = send(defense, [gradient], state=state, view=helpers.active_view(ids))
        total_in, total_out = total_in + gradient.sum(0), total_out + np.asarray(sent).sum(0)
        np.testing.assert_allclose(total_out + np.asarray(state[0]).sum(0), total_in, rtol=1e-4, atol=1e-5)
    assert np.abs(state[0]).sum() > 1


@pytest.mark.parametrize("shape", [(64, 10), (66, 32), (7, 3), (41, 1)])
@pytest.mark.parametrize("drop_rate", [0.0, 0.5, 0.9, 0.95, 0.99, 0.995, 0.999, 1.0])
def test_the_share_of_sent_entries(shape, drop_rate):
    """Entries at or above the linearly interpolated quantile: with n distinct sizes, n − ⌈rate·(n−1)⌉ of them."""
    message = helpers.normal(*shape)
    ((sent,), _) = send(Sparsification(residual="none", drop_rate=drop_rate), [message])
    count = message.size - math.ceil(round(drop_rate * (message.size - 1), 6))
    largest = np.sort(np.abs(message).ravel())[message.size - count :]
    np.testing.assert_array_equal(np.sort(np.abs(sent)[np.asarray(sent) != 0]), largest)
    np.testing.assert_array_equal(sent[sent != 0], message[np.asarray(sent != 0)])


@pytest.mark.parametrize("drop_rate", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
def test_equal_sizes_at_the_threshold_are_all_sent(drop_rate):
    """Few sizes, so many ties, either sign and zeros; interpolation between equals must not miss them by a bit."""
    for seed in range(8):
        message = np.random.default_rng(seed).integers(-3, 4, (7, 5)).astype(np.float32) * np.float32(0.37 + seed)
        message *= np.random.default_rng(seed + 50).integers(0, 2, (7, 1)).astype(np.float32) if seed % 2 else 1
        ((sent,), _) = send(Sparsification(residual="none", drop_rate=drop_rate), [message])
        (expected,) = oracles.Sparsification("none", drop_rate).on_send(range(7), [message])
        np.testing.assert_array_equal(sent, expected)


def test_interpolation_between_equals_and_beside_infinity_is_exact():
    """A message of one size is sent whole at every rate; an infinite neighbour of weight 0 does not count."""
    rates = np.linspace(0, 1, 41, dtype=np.float32)
    grid = cast(Sparsification(residual="none")).replace(drop_rate=rates)
    send_all = helpers.quick_jit(
        lambda message: jax.vmap(lambda point: point.on_send(jax.random.key(0), (), VIEW, (message,))[0][0])(grid)
    )
    for size in np.random.default_rng(0).uniform(0.1, 2, 20).astype(np.float32):
        message = size * np.array([[1, -1, 1], [-1, -1, 1]], np.float32)
        np.testing.assert_array_equal(send_all(message), np.broadcast_to(message, (41, 2, 3)))
    message = np.array([*range(1, 17), np.inf], np.float32)[:, None]
    ((sent,), _) = send(Sparsification(residual="none", drop_rate=15 / 16), [message])
    np.testing.assert_array_equal(sent[sent != 0], [16, np.inf])


@pytest.mark.parametrize("residual", ["position", "sample", "none"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_drop_rate_of_0_sends_every_bit(residual, dtype):
    """Zeros of either sign, subnormal numbers, and in float64 numbers that float32 does not have."""
    rng = np.random.default_rng(3)
    message = (rng.normal(size=(5, 4)) * 10.0 ** rng.uniform(-9, 2, (5, 4))).astype(dtype)
    message[0] = 0.0, -0.0, np.finfo(dtype).smallest_subnormal, -np.finfo(dtype).tiny
    whole = np.dtype(f"i{np.dtype(dtype).itemsize}")
    with jax.enable_x64(dtype == np.float64):
        shapes = helpers.shapes_of(num_samples=5, batch_rows=5, widths=(4,))
        defense = Sparsification(residual=residual)
        state = defense.init(jax.random.key(0), shapes)
        for t in range(3):
            view = helpers.active_view(rng.permutation(5))
            ((sent,), state) = send(defense, [message * dtype(t + 1)], state=state, view=view)
            assert sent.dtype == dtype
            np.testing.assert_array_equal(np.asarray(sent).view(whole), (message * dtype(t + 1)).view(whole))


@pytest.mark.parametrize("drop_rate", [0.0, 0.3, 0.75, 1.0])
def test_sparsification_in_float64_is_numpys(drop_rate):
    """A threshold that is rounded to float32 lets its neighbours through, or keeps them back."""
    message = 1 + 1e-9 * np.random.default_rng(1).normal(size=(6, 4))
    with jax.enable_x64(True):
        ((sent,), _) = send(Sparsification(residual="none", drop_rate=drop_rate), [message])
    is_sent = np.abs(message) >= np.quantile(np.abs(message), np.float32(drop_rate).astype(float))
    np.testing.assert_array_equal(sent, np.where(is_sent, message, 0.0))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("drop_rate", [0.0, 0.5, 0.99])
def test_an_entry_that_is_not_finite_is_sent_on_and_never_waits(bad, drop_rate):
    """A replica that diverges must be seen to do so; in the residual it would poison every later step."""
    shapes = helpers.shapes_of(num_samples=5, batch_rows=5, widths=(4,))
    defense = Sparsification(drop_rate=drop_rate)
    state = defense.init(jax.random.key(0), shapes)
    message = helpers.normal(5, 4)
    message[2, 1] = bad
    (sent,), (waiting,) = send(defense, [message], state=state)
    np.testing.assert_array_equal(sent[2, 1], bad)
    assert np.isfinite(waiting).all()


def test_sample_residuals_follow_the_sample_and_position_residuals_the_place():
    """What was dropped of sample 0 at place 0 comes back with the sample, or with the place."""
    first = np.array([[1.0, 5.0], [6.0, 7.0]], np.float32)
    second = np.array([[8.0, 8.0], [8.0, 8.0]], np.float32)
    wanted = {"sample": [[8, 8], [9, 8]], "position": [[9, 8], [8, 8]], "none": second}
    for residual, expected in wanted.items():
        shapes = helpers.shapes_of(num_samples=3, batch_rows=2, widths=(2,))
        drop, keep = (Sparsification(residual=residual, drop_rate=rate) for rate in (0.3, 0.0))
        state = drop.init(jax.random.key(0), shapes)
        _, state = send(drop, [first], state=state, view=helpers.active_view([0, 1]))
        ((sent,), _) = send(keep, [second], state=state, view=helpers.active_view([1, 0]))
        np.testing.assert_array_equal(sent, expected, err_msg=residual)


def test_of_rows_of_one_id_the_first_has_the_residual():
    """An appended pair's row may stand in the batch twice; which row is of a pair the defense is not told."""
    shapes = helpers.shapes_of(num_samples=4, batch_rows=3, widths=(2,))
    defense = Sparsification(residual="sample", drop_rate=1.0)
    state = defense.init(jax.random.key(0), shapes)
    view = helpers.active_view([1, 3, 1])
    _, (waiting,) = send(defense, [[[1.0, 2.0], [3.0, 4.0], [5.0, 9.0]]], state=state, view=view)
    np.testing.assert_array_equal(waiting, [[0, 0], [1, 2], [0, 0], [3, 4]])


def test_residuals_are_kept_for_crossing_messages_only():
    shapes = helpers.shapes_of(num_samples=12, batch_rows=5, widths=(3, 4, 6), active_party=1)
    for residual, rows in (("position", 5), ("sample", 12)):
        state = Sparsification(residual=residual).init(jax.random.key(0), shapes)
        assert [leaf.shape for leaf in state] == [(rows, 3), (rows, 6)]


def test_a_chain_applies_its_parts_in_order():
    """Clip, then noise: the noise is on top of the clipped message and not clipped itself."""
    message = 10 * helpers.normal(400, 10)
    chain = ActiveChain(parts=(Clipping(by="value", bound=1.0), GaussianNoise(stddev=2.0)))
    ((sent,), _) = send(chain, [message], state=((), ()))
    noise = np.asarray(sent) - np.clip(message, -1, 1)
    assert noise.std() == pytest.approx(2.0, rel=0.05)
    swapped = ActiveChain(parts=chain.parts[::-1])
    assert np.abs(send(swapped, [message], state=((), ()))[0][0]).max() <= 1.0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Clipping(by="column"), "'value', 'row_l2', 'message_l2', 'largest_row_l2'"),
        (lambda: Clipping(bound=-1.0), "bound is -1.0"),
        (lambda: GaussianNoise(stddev=-1.0), "stddev is -1.0"),
        (lambda: GaussianNoise(variance=float("nan")), "variance is nan"),
        (lambda: LaplaceNoise(scale=-0.5), "scale is -0.5"),
        (lambda: Sparsification(drop_rate=1.1), "drop_rate is 1.1"),
        (lambda: Sparsification(residual="forever"), "'position', 'sample', 'none'"),
        (lambda: ActiveChain(parts=(3,)), "parts.0 is 3; it must be an ActiveTransform"),
    ],
)
def test_misuse_is_refused_by_name(build, message):
    with pytest.raises(ValueError, match=message):
        build()

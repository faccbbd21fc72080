"""Marvell: its solver against published numbers and the conditions of a minimum, its noise against a twin."""

import functools
import itertools
import math

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says
from golden_helpers import golden
from scipy.optimize import LinearConstraint, minimize

from vfl_jax.core.record import cast
from vfl_jax.defenses import Marvell
from vfl_jax.defenses.marvell import noise_of, two_classes
from vfl_jax.defenses.marvell_solver import Covariances, solve

SHAPES = helpers.shapes_of(num_classes=2, batch_rows=10, widths=(3, 4))


@helpers.quick_jit
def solved(variance_0, variance_1, width, share_1, power):
    """The solver on several problems at once, in float64 for who reads it: [problems, 5]."""
    found = jax.vmap(solve)(variance_0, variance_1, width, share_1, power)
    return jnp.stack(found, axis=1)


@functools.partial(helpers.quick_jit, static_argnames="width")
def noise_for(defense, variance_0, variance_1, width, share_1):
    """The noise that a defense finds for two classes, in units of the difference of the means."""
    return defense._solve(variance_0, variance_1, width, share_1)


@helpers.quick_jit
def jit_send(defense, key, labels, messages):
    return defense.on_send(key, (), helpers.active_view(range(len(labels)), labels=labels), messages)[0]


def divergence(noise, u, v, width, square):
    """The sum of both divergences, from the noise (along and across of class 0, then of class 1), as published."""
    a0, c0, a1, c1 = noise
    quotients = (width - 1) * ((c0 + u) / (c1 + v) + (c1 + v) / (c0 + u))
    return (quotients + (a0 + u + square) / (a1 + v) + (a1 + v + square) / (a0 + u)) / 2 - width


def prices(width, share_1):
    """What a unit of each variance costs of the power."""
    return np.array([1 - share_1, (1 - share_1) * (width - 1), share_1, share_1 * (width - 1)])


def test_solutions_of_published_code():
    arrays = golden("marvell_solver")
    u, v, width, square, share_1, power = arrays["instance"].T
    problems = (u / square, v / square, width, share_1, power / square)
    found = np.float64(solved(*(jnp.asarray(x, jnp.float32) for x in problems)))
    expected = arrays["solution"]
    largest = expected[:, :4].max(axis=1, keepdims=True)
    np.testing.assert_allclose(found[:, :4] * square[:, None] / largest, expected[:, :4] / largest, atol=2e-5)
    np.testing.assert_allclose(found[:, 4], expected[:, 4], rtol=1e-5)


def problems(num_problems=60):
    """Random problems of all sizes, in units of the difference of the means: (u, v, E, p, P) each."""
    rng = np.random.default_rng(0)
    variances = 10 ** rng.uniform(-4, 2, (2, num_problems))
    return np.float32((*variances, rng.integers(2, 40, num_problems), rng.uniform(0.03, 0.97, num_problems),
                       10 ** rng.uniform(-2, 2, num_problems)))  # fmt: skip


def slopes(noise, u, v, width):
    """How fast the divergence changes with each of the four variances, by hand: what it falls by, what it rises by."""
    a0, c0, a1, c1 = np.add(noise, [u, u, v, v])
    falls = np.array([(a1 + 1) / a0**2, (width - 1) * c1 / c0**2, (a0 + 1) / a1**2, (width - 1) * c0 / c1**2]) / 2
    return falls, np.array([1 / a1, (width - 1) / c1, 1 / a0, (width - 1) / c0]) / 2


def test_solutions_meet_the_conditions_of_lagrange():
    """All power is spent; no variance buys more per price than another that is there; those at a bound buy no more."""
    found = np.float64(solved(*map(jnp.asarray, problems())))
    for (u, v, width, share_1, power), (*noise, value) in zip(np.float64(problems()).T, found, strict=True):
        price, (falls, rises) = prices(width, share_1), slopes(noise, u, v, width)
        slope = rises - falls
        np.testing.assert_allclose(price @ noise, power, rtol=1e-4)
        np.testing.assert_allclose(value, divergence(noise, u, v, width, 1.0), rtol=1e-4, atol=1e-5 * width)
        free, bound = [], []  # (slope, price) of ways to spend more: all that are free gain the same, others no more
        for along, across in ((0, 1), (2, 3)):
            is_there = noise[along] * price[along] > 1e-5 * power
            is_round = noise[across] >= noise[along] * (1 - 1e-5)
            pair = slope[along] + slope[across], price[along] + price[across]
            if is_round or not is_there:  # along ≥ across binds: only both together, or along alone
                (free if is_there else bound).append(pair)
                bound.append((slope[along], price[along]))
            else:
                free.append((slope[along], price[along]))
                (free if noise[across] > 1e-7 * noise[along] else bound).append((slope[across], price[across]))
        gains = np.array([-s / p for s, p in free])
        rounding = 2e-6 * (falls / price).max()  # float32 variances, of which the slope is a difference
        np.testing.assert_allclose(gains, gains[0], rtol=2e-3, atol=rounding)
        for s, p in bound:
            assert -s / p <= gains[0] + 2e-3 * abs(gains[0]) + rounding


def moments(message, labels):
    """Mean rows and mean variances of class 0 and of class 1, in plain loops."""
    found = []
    for label in (0, 1):
        rows = [row for row, y in zip(np.float64(message), labels, strict=True) if y == label]
        mean = sum(rows) / len(rows)
        found.append((mean, sum(((row - mean) ** 2).mean() for row in rows) / len(rows)))
    return found


def by_a_general_solver(u, v, width, square, share_1, power):
    """The noise of least divergence, by a solver that knows nothing of the problem, from several starts."""
    u, v, power = u / square, v / square, power / square
    price, best = prices(width, share_1), None
    spent = LinearConstraint(price, power, power)
    ordered = LinearConstraint([[1, -1, 0, 0], [0, 0, 1, -1]], 0, np.inf)
    for weights in itertools.product((0.1, 1.0), repeat=3):
        start = np.array([1.0, weights[0] * 0.2, weights[1], weights[2] * 0.2])
        found = minimize(
            divergence, start * power / (price @ start), (u, v, width, 1.0), "SLSQP", bounds=[(0, None)] * 4,
            constraints=[spent, ordered], options={"ftol": 1e-14, "maxiter": 500},
        )  # fmt: skip
        if best is None or found.fun < best.fun:
            best = found
    return best.x * square


LABELS = np.array([1, 0, 0, 1, 0, 0, 1, 0, 0, 0], np.int32)


def two_messages(seed=0):
    """Messages of two parties; classes differ in mean and in spread, of which now one, now the other is wider."""
    spread = np.where(LABELS == 1, 0.2, 0.7)[:, None], np.where(LABELS == 1, 0.7, 0.2)[:, None]
    pairs = zip(spread, (3, 4), strict=True)
    return tuple(np.float32(s * helpers.normal(10, w, seed=seed + w) + LABELS[:, None]) for s, w in pairs)


def test_steps_match_the_twin():
    for step in range(3):
        key, messages = jax.random.key(step), two_messages(10 * step)
        sent = jit_send(cast(Marvell(power=2.0)), key, LABELS, messages)
        keys = jax.random.split(jax.random.clone(key), 2)
        for message, mine, key_here in zip(messages, sent, keys, strict=True):
            (mean_0, u), (mean_1, v) = moments(message, LABELS)
            delta, width = mean_1 - mean_0, message.shape[1]
            square = delta @ delta
            found = by_a_general_solver(u, v, width, square, LABELS.mean(), 2.0 * square)
            along_key, across_key = jax.random.split(key_here)
            along, across = jax.random.normal(along_key, (10, 1)), jax.random.normal(across_key, message.shape)
            for i, label in enumerate(LABELS):
                along_here, across_here = found[2 * label], found[2 * label + 1]
                noise = math.sqrt(max(along_here - across_here, 0)) * float(along[i, 0]) * delta / math.sqrt(square)
                noise = noise + math.sqrt(max(across_here, 0)) * np.float64(across[i])
                np.testing.assert_allclose(mine[i], message[i] + noise, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", ["marvell_perturb_fixed_P", "marvell_perturb_dynamic", "marvell_perturb_zero_uv"])
def test_perturbed_messages_of_published_code(name):
    arrays = golden(name)
    labels, gradient = arrays["labels"], jnp.asarray(arrays["gradient"])
    u, v, width, square, share_1, power, along_0, across_0, along_1, across_1, value = arrays["solver_calls"][-1]
    classes = two_classes(gradient, jnp.asarray(labels == 1))
    np.testing.assert_allclose(classes.difference @ classes.difference, square, rtol=1e-4)
    np.testing.assert_allclose(classes.share_1, share_1, rtol=1e-6)
    defense = {
        "marvell_perturb_fixed_P": Marvell(power=2.0),
        "marvell_perturb_dynamic": Marvell(rule="threshold", power=1.0, threshold=0.16),
        "marvell_perturb_zero_uv": Marvell(power=1.0),
    }[name]
    if name != "marvell_perturb_zero_uv":  # there the published code takes both classes as without spread
        np.testing.assert_allclose((classes.variance_0, classes.variance_1), (u, v), rtol=1e-4)
    found = noise_for(cast(defense), *(jnp.float32(x / square) for x in (u, v)), int(width), jnp.float32(share_1))
    expected = np.array([along_0, across_0, along_1, across_1]) / square
    np.testing.assert_allclose(found[:4], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.divergence, value, rtol=1e-4)
    np.testing.assert_allclose(prices(width, share_1) @ expected, power / square, rtol=1e-5)

    def rows(kind):
        of_one, of_zero = arrays[f"noise_pos_{kind}"], arrays[f"noise_neg_{kind}"]
        return np.where(labels.reshape(-1, *[1] * (of_one.ndim - 1)) == 1, of_one, of_zero)

    published = Covariances(*map(jnp.float32, (*expected, value)))
    noise = noise_of(published, classes.difference, jnp.asarray(labels == 1), rows("along")[:, None], rows("sphere"))
    np.testing.assert_allclose(gradient + noise, arrays["perturbed"], rtol=1e-4, atol=1e-6)


def test_the_threshold_is_met_with_the_least_of_the_growing_powers():
    (message, _), least = two_messages(), []
    classes = two_classes(jnp.asarray(message), jnp.asarray(LABELS == 1))
    square = float(classes.difference @ classes.difference)
    given = classes.variance_0 / square, classes.variance_1 / square, 3, classes.share_1
    for threshold in (1.0, 0.1):
        found = noise_for(cast(Marvell(rule="threshold", power=0.5, threshold=threshold)), *given)
        power = prices(3, 0.3) @ np.float64(found[:4])
        assert found.divergence <= threshold
        assert noise_for(cast(Marvell(power=power / 1.5)), *given).divergence > threshold
        least.append(power)
        assert math.log(power / 0.5, 1.5) == pytest.approx(round(math.log(power / 0.5, 1.5)), abs=1e-3)
    assert least[1] > least[0]


def test_who_knows_both_distributions_errs_as_often_as_the_bound_says():
    """Rows that are normal, many of them: the best line between both classes, on what is sent."""
    labels = np.arange(2000, dtype=np.int32) % 2
    message = 0.5 * helpers.normal(2000, 4) + np.float32([1, 0, 0, 0]) * labels[:, None]
    for power, least in ((0.0, 0.0), (2.0, 0.1), (8.0, 0.25)):
        (sent,) = jit_send(cast(Marvell(power=power)), jax.random.key(0), labels, (message,))
        projected = np.float64(sent) @ (sent[labels == 1].mean(axis=0) - sent[labels == 0].mean(axis=0))
        order = labels[np.argsort(projected)]
        error = ((order == 1).cumsum() + (order == 0).sum() - (order == 0).cumsum()).min() / 2000
        classes = two_classes(jnp.asarray(message), jnp.asarray(labels == 1))
        square = float(classes.difference @ classes.difference)
        given = classes.variance_0 / square, classes.variance_1 / square, 4, classes.share_1
        found = noise_for(cast(Marvell(power=power)), *given)
        bound = 0.5 - math.sqrt(float(found.divergence)) / 4
        assert error > max(bound, least) - 0.03
    assert error > 0.25  # of 0.5; without noise it is below 0.2
    assert bound > 0.2


def test_what_has_nothing_to_hide_passes_and_so_does_everything_without_power():
    messages = two_messages()
    alike = tuple(np.ones_like(message) for message in messages)
    given = [(np.zeros(10, np.int32), messages), (np.ones(10, np.int32), messages), (LABELS, alike)]
    cases = [(Marvell(power=2.0), *pair) for pair in given] + [(Marvell(rule="threshold"), LABELS, messages)]
    for defense, labels, sent in cases:
        found = jit_send(cast(defense), jax.random.key(0), labels, sent)
        helpers.assert_bitwise_equal(found, tuple(map(jnp.asarray, sent)))


def test_noise_scales_with_gradients_of_any_size():
    key, size = jax.random.key(0), np.float32(2.0**-80)
    plain = jit_send(cast(Marvell(power=2.0)), key, LABELS, two_messages())
    tiny = jit_send(cast(Marvell(power=2.0)), jax.random.clone(key), LABELS, tuple(size * m for m in two_messages()))
    for mine, theirs in zip(tiny, plain, strict=True):
        np.testing.assert_allclose(mine / size, theirs, rtol=1e-4)


def test_it_needs_two_classes():
    Marvell().check(SHAPES, False)
    with pytest.raises(ValueError, match=says("two classes", "here are 3", "GradPerturb")):
        Marvell().check(SHAPES._replace(num_classes=3), False)

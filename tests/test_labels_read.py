"""What is read off messages: the method against its purpose, and how much every kind of evidence reads."""

import functools

import chex
import helpers
import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from vfl_jax.attacks import LabelReplacement
from vfl_jax.attacks.evidence import hear, no_evidence, read
from vfl_jax.defenses import GaussianNoise, Sparsification
from vfl_jax.presets import digits_demo
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.hooks import run_hook
from vfl_jax.protocol.knowledge import ORDINARY, POISON, TARGET
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.sweeps.sweep import sweep

N, B, C, STEPS = 9, 5, 3, 6
KINDS = ("last", "sum", "fading", "directions")
SHAPES = helpers.shapes_of(num_samples=N, num_classes=C, batch_rows=B, row_weight=0.2, widths=(C, C))
every_kind = pytest.mark.parametrize("kind", KINDS)
many = functools.partial(hypothesis.settings, max_examples=40, deadline=None, derandomize=True)


@helpers.quick_jit
def download(attack, knowledge, state, ids, roles, gradient):
    view = helpers.party_view(ids, roles, knowledge=knowledge)
    return run_hook(attack, "on_download", jax.random.key(0), state, view, gradient)


def silenced(gradient, rng):
    """As defenses and training leave messages: silent rows, rows without a negative entry, rows that are not finite."""
    fates = rng.integers(0, 6, len(gradient))
    gradient[fates == 0] = 0
    gradient[fates == 1] = np.abs(gradient[fates == 1])
    gradient[fates == 2, 0] = rng.choice([np.nan, np.inf, -np.inf])
    return gradient


@every_kind
@many()
@hypothesis.given(st.integers(0, 10**6), st.booleans(), st.frozensets(st.integers(0, N - 1)), st.integers(0, C - 1))
def test_label_replacement_does_what_it_is_for(kind, seed, by_role, poison, target_class):
    """Over several steps, with silence among the messages, ids in any order, and an appended pair."""
    rng = np.random.default_rng(seed)
    grant = oracles.Grant(poison=poison, by_role=by_role, target_class=target_class)
    known = helpers.knowledge(N, poison, (), target_class, by_role=by_role)
    attack, oracle = LabelReplacement(evidence=kind), oracles.LabelReplacement(grant, N, SHAPES.row_weight, kind)
    state = attack.init(jax.random.key(9), SHAPES, 1)
    for _ in range(STEPS):
        ids = rng.permutation(N)[:B].astype(np.int32)
        roles = rng.permutation([ORDINARY] * (B - 2) + [POISON, TARGET]).astype(np.int32) * by_role
        gradient = silenced(rng.normal(size=(B, C)).astype(np.float32), rng)
        used, state = download(attack, known, state, ids, roles, gradient)
        np.testing.assert_allclose(used, oracle.on_download(ids, roles, gradient), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(attack.report(state)["label_guesses"], oracle.label_guesses)


@every_kind
@pytest.mark.parametrize("row_weight", [1.0, 1 / 64])
def test_softmax_gradients_are_read_exactly_and_the_label_is_swapped(row_weight, kind):
    """The gradient w·(S − e_y) gives y away, and comes out as w·(S − e_τ); honest rows stay as they are."""
    rng = np.random.default_rng(3)
    labels, target_class = rng.integers(0, 4, 40), 2
    softmax = np.asarray(jax.nn.softmax(3 * helpers.normal(40, 4), axis=-1))
    gradient = (row_weight * (softmax - np.eye(4)[labels])).astype(np.float32)
    shapes = helpers.shapes_of(num_samples=50, num_classes=4, batch_rows=40, row_weight=row_weight, widths=(4,))
    attack = LabelReplacement(evidence=kind)
    known = helpers.knowledge(50, range(20), (), target_class)
    used, state = download(attack, known, attack.init(jax.random.key(0), shapes, 0), np.arange(40), None, gradient)
    guesses = np.asarray(attack.report(state)["label_guesses"])
    np.testing.assert_array_equal(guesses[:40], labels)
    np.testing.assert_array_equal(guesses[40:], -1)
    wanted = row_weight * (softmax - np.eye(4)[target_class])
    np.testing.assert_allclose(used[:20], wanted[:20], atol=1e-6 * row_weight)
    np.testing.assert_array_equal(used[20:], gradient[20:])


@every_kind
def test_silence_forgets_nothing_and_swaps_nothing(kind):
    """An all-zero row is no class 0: it names nobody, changes no guess, and is pulled back as it came."""
    attack, known = LabelReplacement(evidence=kind), helpers.knowledge(N, range(N), (), 0)
    state = attack.init(jax.random.key(0), SHAPES, 1)
    silent, ids = np.zeros((B, C), np.float32), np.arange(B)
    used, state = download(attack, known, state, ids, None, silent)
    np.testing.assert_array_equal(used, silent)
    assert (attack.report(state)["label_guesses"] == -1).all()
    spoken = np.tile(np.float32([0.1, 0.1, -0.2]), (B, 1))
    _, state = download(attack, known, state, ids, None, spoken)
    used, state = download(attack, known, state, ids, None, silent)
    np.testing.assert_array_equal(attack.report(state)["label_guesses"][:B], 2)
    np.testing.assert_array_equal(used, silent)  # the label is known, but there is no gradient to take it out of


def test_a_listener_that_is_switched_off_hears_the_same():
    gradient, known, reports = helpers.normal(B, C), helpers.knowledge(N, (0,)), []
    for enabled in (0.0, 1.0):
        attack = LabelReplacement(enabled=enabled)
        used, state = download(attack, known, attack.init(jax.random.key(0), SHAPES, 1), np.arange(B), None, gradient)
        assert helpers.differs(used, gradient) == bool(enabled)
        reports.append(attack.report(state)["label_guesses"])
    chex.assert_trees_all_equal(*reports)
    assert (reports[0][:B] >= 0).all()


def share_read(kind, stddev, visits=40, rows=400, classes=10):
    """Of softmax gradients that shrink as a model learns, under noise."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, rows)
    evidence, view = no_evidence(rows, classes), helpers.party_view(range(rows))
    listen = helpers.quick_jit(functools.partial(hear, kind))
    for visit in range(visits):
        rest = 0.9 * 0.8**visit
        softmax = np.full((rows, classes), rest / (classes - 1))
        softmax[np.arange(rows), labels] = 1 - rest
        message = (softmax - np.eye(classes)[labels]) / 64 + rng.normal(0, stddev, (rows, classes))
        evidence, _ = listen(evidence, view, jnp.asarray(message, jnp.float32))
    return float((np.asarray(read(evidence.total)) == labels).mean())


def test_noise_hides_less_from_those_who_add_up():
    """The last message alone is lost in the noise; messages that say nothing any more drown a plain sum."""
    last, total, fading, directions = (share_read(kind, 0.01) for kind in KINDS)
    assert last < 0.2
    assert total > last + 0.1
    assert fading > total + 0.03
    assert directions > last + 0.1
    assert [share_read(kind, 0.0) for kind in KINDS] == [1, 1, 1, 1]


@pytest.mark.long
def test_sparsification_hides_which_rows_speak_not_what_they_say(digits):
    """Real digits at drop rates of 0.9 and 0.99: what is read is right; what is silent is told apart."""
    scenario = digits_demo(head="sum").replace(
        attacks=(PartyTransform(), LabelReplacement(enabled=0.0)), defense=Sparsification()
    )
    results = sweep(scenario, digits, {"defense.drop_rate": [0, 0.9, 0.99]}, seeds=2, epochs=5, progress=False)
    last = results.isel(epoch=-1)
    assert (last.label_inference_accuracy > 0.97).all()
    assert (last.label_inference_rate.sel({"defense.drop_rate": 0}) > 0.99).all()
    assert (last.label_inference_rate.isel({"defense.drop_rate": 2}) < 0.5).all()
    np.testing.assert_array_equal(last.label_inference_rate_count, 1436)
    np.testing.assert_allclose(last.label_inference_accuracy_count, 1436 * last.label_inference_rate, rtol=1e-5)


@pytest.mark.long
def test_what_is_read_in_several_ways_is_told_apart(digits):
    """Parts of one chain under names of their own; two of one name are refused."""
    parts = LabelReplacement(enabled=0.0), LabelReplacement(evidence="sum", enabled=0.0)

    class Other(LabelReplacement):
        def report(self, state):
            return {"label_guesses_sum": read(state.evidence.total)}

    chain = PartyChain(parts=(parts[0], Other(evidence="sum", enabled=0.0)))
    noisy = digits_demo(head="sum").replace(attacks=(PartyTransform(), chain), defense=GaussianNoise(stddev=0.01))
    last = sweep(noisy, digits, seeds=1, epochs=3, progress=False).isel(epoch=-1, seed=0)
    assert float(last.label_inference_accuracy_sum) > float(last.label_inference_accuracy) + 0.05
    with pytest.raises(ValueError, match="label_guesses"):
        sweep(
            noisy.replace(attacks=(PartyTransform(), PartyChain(parts=parts))),
            digits,
            seeds=1,
            epochs=1,
            progress=False,
        )

"""Every attack against its slow NumPy twin, and the promises of its docstring one by one."""

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

from vfl_jax.attacks import ActivationBlurring, ActiveBackdoor, GradientReplacement, LabelReplacement, PairedReplacement
from vfl_jax.protocol.hooks import run_hook
from vfl_jax.protocol.knowledge import ORDINARY, POISON, TARGET
from vfl_jax.protocol.views import PartyInferView

N, B, C, STEPS = 9, 5, 3, 4
SHAPES = helpers.shapes_of(num_samples=N, num_classes=C, batch_rows=B, row_weight=0.2, widths=(C, C))
PAIR = np.array([ORDINARY] * (B - 2) + [POISON, TARGET], np.int32)

subsets = st.frozensets(st.integers(0, N - 1), max_size=N)
batches = st.lists(st.permutations(range(N)).map(lambda p: np.array(p[:B], np.int32)), min_size=STEPS, max_size=STEPS)
orders = st.lists(st.permutations(range(B)), min_size=STEPS, max_size=STEPS)
grants = st.builds(
    lambda poison, target, by_role, target_class: oracles.Grant(
        poison=poison, target=target - poison, by_role=by_role, target_class=target_class
    ),
    subsets, subsets, st.booleans(), st.integers(0, C - 1),
)  # fmt: skip
many = functools.partial(hypothesis.settings, max_examples=40, deadline=None, derandomize=True)


def granted(grant):
    return helpers.knowledge(N, grant.poison, grant.target, grant.target_class, grant.blur, grant.by_role)


def roles_in(order, grant):
    """The roles of a batch: an appended pair, anywhere in it, where rows are known by role."""
    return PAIR[list(order)] if grant.by_role else np.zeros(B, np.int32)


@functools.partial(helpers.quick_jit, static_argnums=0)
def jit_hook(name, transform, knowledge, key, state, ids, roles, value):
    make = helpers.active_view if name == "on_labels" else helpers.party_view
    return run_hook(transform, name, key, state, make(ids, roles, knowledge=knowledge), value)


def start(transform):
    return transform.init(jax.random.key(9), SHAPES, 1)


@many()
@hypothesis.given(
    *(grants, batches, orders, st.sampled_from([10.0, 1.0, -2.5]), st.sampled_from([0.0, 0.9, 1.0]), st.integers(0, 99))
)
def test_gradient_replacement_matches_its_oracle_over_several_steps(grant, ids_of, order_of, amplify, decay, seed):
    attack = GradientReplacement(amplify=amplify, decay=decay)
    oracle = oracles.GradientReplacement(grant, C, amplify, decay)
    state = start(attack)
    for t, (ids, order) in enumerate(zip(ids_of, order_of, strict=True)):
        roles, gradient = roles_in(order, grant), helpers.normal(B, C, seed=seed + t)
        used, state = jit_hook("on_download", attack, granted(grant), jax.random.key(t), state, ids, roles, gradient)
        rounding = 0.0 if decay in (0.0, 1.0) else 1e-5
        np.testing.assert_allclose(used, oracle.on_download(ids, roles, gradient), rtol=rounding, atol=rounding)
        np.testing.assert_allclose(state.recorded, oracle.recorded, rtol=rounding, atol=rounding)


def test_gradient_replacement_by_hand():
    """Zero before the first target row; the last of several in batch order; recorded before replaced; stale after."""
    attack = GradientReplacement(amplify=10.0)
    known = granted(oracles.Grant(poison=frozenset({0, 1}), target=frozenset({7, 8})))
    state = start(attack)
    gradient = jnp.arange(B * C, dtype=jnp.float32).reshape(B, C) + 1

    def use(ids, state):
        ids, roles = np.array(ids), np.zeros(B, np.int32)
        return jit_hook("on_download", attack, known, jax.random.key(0), state, ids, roles, gradient)

    used, state = use([0, 2, 3, 1, 4], state)
    np.testing.assert_array_equal(used, gradient.at[jnp.array([0, 3])].set(0.0))
    # Poison row 0 stands before both target rows, and still gets the gradient of this batch's last one.
    used, state = use([0, 8, 2, 7, 3], state)
    np.testing.assert_array_equal(used, gradient.at[0].set(10 * gradient[3]))
    used, state = use([2, 3, 4, 5, 1], state)
    np.testing.assert_array_equal(used, gradient.at[4].set(10 * gradient[3]))


def test_a_mean_of_gradients_leaves_out_those_that_say_nothing():
    attack, known = GradientReplacement(decay=0.5), granted(oracles.Grant(poison=frozenset({0}), target=frozenset({1})))
    state, view = start(attack), helpers.party_view(range(B), knowledge=known)
    for row, expected in ((0.0, 0.0), (4.0, 4.0), (np.nan, 4.0), (2.0, 3.0), (0.0, 3.0)):
        gradient = jnp.ones((B, C)).at[1].set(row)
        used, state = run_hook(attack, "on_download", jax.random.key(0), state, view, gradient)
        np.testing.assert_allclose(used[0], 10 * expected * np.ones(C))


@many()
@hypothesis.given(
    grants, batches, orders, st.sampled_from(["none", "zero", "gaussian", "given"]), st.booleans(), st.integers(0, 99)
)
def test_activation_blurring_matches_its_oracle_over_several_steps(grant, ids_of, order_of, kind, wait, seed):
    grant.blur = helpers.normal(N, C, seed=seed + 50) if kind == "given" else None
    attack = ActivationBlurring(kind=kind, wait_for_target=wait, stddev=0.5)
    # The same key shows a step's draws where every row is poisoned and nothing is waited for.
    everything = oracles.Grant(poison=frozenset(range(N)), blur=grant.blur)
    reveal = ActivationBlurring(kind=kind, wait_for_target=False, stddev=0.5)
    state, oracle = start(attack), oracles.ActivationBlurring(grant, kind, wait)
    for t, (ids, order) in enumerate(zip(ids_of, order_of, strict=True)):
        roles, embedding = roles_in(order, grant), helpers.normal(B, C, seed=seed + t)
        shown = start(reveal)
        arguments = jax.random.key(t), shown, ids, np.zeros(B, np.int32), embedding
        draws, _ = jit_hook("on_upload", reveal, granted(everything), *arguments)
        sent, state = jit_hook("on_upload", attack, granted(grant), jax.random.key(t), state, ids, roles, embedding)
        np.testing.assert_array_equal(sent, oracle.on_upload(ids, roles, embedding, np.asarray(draws)))


def test_gaussian_blur_has_the_stated_deviation_and_is_drawn_anew():
    """The paper's variance 1e-6 is stddev 1e-3; every row, entry and step has its own draw."""
    attack = ActivationBlurring(kind="gaussian", wait_for_target=False, stddev=1e-3)
    shapes = helpers.shapes_of(num_samples=500, batch_rows=500, widths=(8,))
    state = attack.init(jax.random.key(0), shapes, 0)
    known = helpers.knowledge(500, poison=range(500))
    view, embedding = helpers.party_view(range(500), knowledge=known), 100 * jnp.ones((500, 8))
    upload = helpers.quick_jit(attack.on_upload)
    first, second = (np.asarray(upload(jax.random.key(t), state, view, embedding)[0]) for t in (1, 2))
    assert abs(float(first.mean())) < 5 * 1e-3 / np.sqrt(4000)
    assert float(first.var()) == pytest.approx(1e-6, rel=0.1)
    assert len(np.unique(first)) > 3990
    assert abs(np.corrcoef(np.ravel(first), np.ravel(second))[0, 1]) < 0.08


@pytest.mark.parametrize("kind", ["zero", "gaussian", "given"])
def test_blurring_is_silent_at_inference(kind):
    """While training only: the backdoor is triggered with honest embeddings."""
    attack, grant = ActivationBlurring(kind=kind, wait_for_target=False), oracles.Grant(poison=frozenset(range(N)))
    grant.blur = helpers.normal(N, C)
    view = PartyInferView(features=jnp.ones((B, 2)), params={}, knowledge=granted(grant))
    embedding = jnp.asarray(helpers.normal(B, C))
    sent = attack.infer_upload(jax.random.key(0), start(attack), view, embedding)
    chex.assert_trees_all_equal(sent, embedding)


@many()
@hypothesis.given(batches, orders, st.sampled_from([10.0, -1.5]), st.integers(0, 99))
def test_paired_replacement_matches_its_oracle_wherever_the_pair_stands(ids_of, order_of, amplify, seed):
    """The pair is told by its roles: the ids say that everything is poison and everything a target."""
    grant = oracles.Grant(poison=frozenset(range(N)), target=frozenset(range(N)), by_role=True)
    attack, oracle = PairedReplacement(amplify=amplify), oracles.PairedReplacement(grant, amplify)
    state = start(attack)
    for t, (ids, order) in enumerate(zip(ids_of, order_of, strict=True)):
        roles, value = roles_in(order, grant), helpers.normal(B, C, seed=seed + t)
        sent, state = jit_hook("on_upload", attack, granted(grant), jax.random.key(t), state, ids, roles, value)
        np.testing.assert_array_equal(sent, oracle.on_upload(ids, roles, value))
        used, state = jit_hook("on_download", attack, granted(grant), jax.random.key(t), state, ids, roles, value)
        np.testing.assert_array_equal(used, oracle.on_download(ids, roles, value))


@pytest.mark.parametrize("attack", [GradientReplacement(), PairedReplacement(), LabelReplacement()])
def test_an_appended_pair_is_found_by_role_even_where_its_id_is_in_the_batch_twice(attack):
    """The target row's id may stand among the ordinary rows too; only the appended copy is touched."""
    grant = oracles.Grant(poison=frozenset({4}), target=frozenset({2}), by_role=True, target_class=1)
    state = start(attack)
    gradient = jnp.asarray(helpers.normal(B, C))
    view = helpers.party_view([2, 0, 1, 4, 2], PAIR, knowledge=granted(grant))
    used, state = attack.on_download(jax.random.key(0), state, view, gradient)
    np.testing.assert_array_equal(used[:3], gradient[:3])
    assert helpers.differs(used[3], gradient[3])
    if isinstance(attack, LabelReplacement):
        # The guess of row 2 is the ordinary copy's; the poison row, none of the training rows, has none.
        guesses = attack.report(state)["label_guesses"]
        assert int(guesses[2]) == int(np.argmin(gradient[0]))
        assert int(guesses[4]) == -1


@many(max_examples=20)
@hypothesis.given(grants, batches, orders, st.integers(0, 99))
def test_active_backdoor_matches_its_oracle(grant, ids_of, order_of, seed):
    attack, oracle = ActiveBackdoor(), oracles.ActiveBackdoor(grant)
    state = attack.init(jax.random.key(0), SHAPES)
    for t, (ids, order) in enumerate(zip(ids_of, order_of, strict=True)):
        roles = roles_in(order, grant)
        targets = np.eye(C, dtype=np.float32)[np.random.default_rng(seed + t).integers(0, C, B)]
        told, state = jit_hook("on_labels", attack, granted(grant), jax.random.key(t), state, ids, roles, targets)
        np.testing.assert_array_equal(told, oracle.on_labels(ids, roles, targets))


def test_amplify_and_enabled_are_swept_by_vmap():
    """A grid of numbers is the same attack with an extra axis."""
    grid = GradientReplacement(amplify=jnp.array([1.0, 5.0, 5.0]), enabled=jnp.array([1.0, 1.0, 0.0]))
    state, known = start(grid), granted(oracles.Grant(poison=frozenset({0}), target=frozenset({1})))
    gradient, view = jnp.asarray(helpers.normal(B, C)), helpers.party_view(range(B), knowledge=known)
    used, _ = jax.vmap(lambda a: run_hook(a, "on_download", jax.random.key(0), state, view, gradient))(grid)
    np.testing.assert_allclose(used[:, 0], jnp.stack([gradient[1], 5 * gradient[1], gradient[0]]), rtol=1e-6)


def blurred(blur):
    """A step of blurring with these vectors."""
    attack, zeros = ActivationBlurring(kind="given"), np.zeros(B, np.int32)
    arguments = granted(oracles.Grant(blur=blur)), jax.random.key(0), start(attack), zeros, zeros, helpers.normal(B, C)
    return jit_hook("on_upload", attack, *arguments)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GradientReplacement(enabled=2.0), "enabled is 2.0"),
        (lambda: GradientReplacement(amplify=float("nan")), "amplify is nan"),
        (lambda: GradientReplacement(decay=1.1), "decay is 1.1"),
        (lambda: PairedReplacement(enabled=-0.1), "enabled is -0.1"),
        (lambda: LabelReplacement(enabled=1.5), "enabled is 1.5"),
        (lambda: ActiveBackdoor(enabled=1.5), "enabled is 1.5"),
        (lambda: ActivationBlurring(kind="ones"), "'none', 'zero', 'gaussian', 'given'"),
        (lambda: ActivationBlurring(stddev=-1.0), "stddev is -1.0"),
        (lambda: PairedReplacement().check(SHAPES, 1, False), "appended_pair"),
        (lambda: LabelReplacement().check(SHAPES._replace(widths=(C, 7)), 1, False), "bottoms.1.width is 7"),
        (lambda: blurred(None), "given.blur has shape None"),
        (lambda: blurred(np.zeros((N, 9))), r"\(9, 9\)"),
    ],
)  # fmt: skip
def test_misuse_is_refused_by_name(build, message):
    with pytest.raises(ValueError, match=message):
        build()

"""Villain: against published code's numbers, against its NumPy twin, and at work on digits."""

import dataclasses

import embedding_oracles
import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_helpers import golden

import vfl_jax as vfl
from vfl_jax.attacks import Villain
from vfl_jax.attacks.villain import WINDOW, fabricate, pattern
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.triggers import EmbeddingTrigger
from vfl_jax.protocol.views import PartyInferView
from vfl_jax.scenario import PoisonPlan

PLAIN = Villain(least_factor=1.0, largest_factor=1.0, classifier=Optimizer(), search_from=0, poison_from=0)
"""Nothing is drawn, and everything begins at once."""


def start(attack, num_samples, batch_rows, width, row_weight=1.0):
    shapes = helpers.shapes_of(num_samples, 3, batch_rows, row_weight, (width, width))
    return attack.init(jax.random.key(0), shapes, 1)


@helpers.quick_jit
def upload(attack, state, ids, embedding, known, epoch=0, seed=1):
    view = helpers.party_view(ids, knowledge=known, epoch=epoch)
    return attack.on_upload(jax.random.key(seed), state, view, jnp.asarray(embedding))


@helpers.quick_jit
def download(attack, state, ids, gradient, known, epoch=0):
    view = helpers.party_view(ids, knowledge=known, epoch=epoch)
    return attack.on_download(jax.random.key(2), state, view, jnp.asarray(gradient))


@pytest.mark.long
def test_two_visits_find_the_rows_that_published_code_finds():
    """The rows that SecretFlow's comparison labels, where the same rows are tested."""
    arrays = golden("villain_swap_test")
    rows, width = arrays["gradient_own"].shape
    candidates, inferred = set(arrays["candidates"].tolist()), set(arrays["inferred"].tolist())
    target = min(set(range(rows)) - candidates)
    attack = PLAIN.replace(ratio=float(arrays["theta"]), largest_norm=float(arrays["mu"]), poison_from=99)
    known, ids = helpers.knowledge(rows, target=[target]), np.arange(rows)
    state = start(attack, rows, rows, width)
    embedding = helpers.normal(rows, width)
    sent, state = upload(attack, state, ids, embedding, known)
    np.testing.assert_array_equal(sent, embedding)  # nothing was visited before
    _, state = download(attack, state, ids, arrays["gradient_own"], known)
    state = dataclasses.replace(state, is_tested=jnp.asarray(~np.isin(ids, list(candidates))))
    sent, state = upload(attack, state, ids, embedding, known, epoch=1)
    expected = np.where(np.isin(ids, list(candidates))[:, None], embedding[target], embedding)
    np.testing.assert_array_equal(sent, expected)
    used, state = download(attack, state, ids, arrays["gradient_swapped"], known, epoch=1)
    np.testing.assert_array_equal(used, arrays["gradient_swapped"])
    assert set(np.flatnonzero(state.is_found).tolist()) == inferred | {target}
    assert attack.report(state)["poisoned_rows"].sum() == len(inferred) + 1


@pytest.mark.long
def test_trigger_follows_the_formulas_of_two_sources():
    """Both vectors were computed from a formula as it was read, by no published code: XDMVFL's own trigger lies on
    coordinates that it draws at random, and Triggerless has its trigger inside a training loop."""
    arrays = golden("villain_trigger")
    rows, width = arrays["embeddings"].shape
    known, view_of = helpers.knowledge(rows, target=[0]), jnp.arange(rows) % 2 == 0
    for fields, expected in (
        ({"share": 0.75, "magnitude": 3.0}, arrays["trigger_by_paper"]),
        ({"share": 1.0, "magnitude": 0.4}, arrays["trigger_triggerless"]),
    ):
        attack = PLAIN.replace(**fields)
        sent, state = upload(attack, start(attack, rows, rows, width), np.arange(rows), arrays["embeddings"], known)
        np.testing.assert_allclose(np.sqrt(state.variance), arrays["std"], rtol=1e-5)
        np.testing.assert_allclose(sent[0] - arrays["embeddings"][0], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(sent[1:], arrays["embeddings"][1:])
        view = PartyInferView(features=jnp.ones((rows, 2)), params={}, knowledge=known, is_attacked=view_of)
        sent = attack.infer_upload(jax.random.key(0), state, view, jnp.zeros((rows, width)))
        np.testing.assert_allclose(sent[0], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(sent[1], np.zeros(width))


@pytest.mark.parametrize("num_candidates", [0, 2, 99])
def test_villain_matches_its_twin_over_several_epochs(num_candidates):
    """Rows of class τ get small gradients for swapped embeddings, so that tests have both outcomes."""
    num_rows, batch, width, weight = 24, 6, 5, 0.25
    attack = Villain(
        search_from=1, poison_from=2, num_candidates=num_candidates, least_factor=1.0, largest_factor=1.0,
        ratio=0.8, largest_norm=1.2, share=0.6, magnitude=1.5,
    )  # fmt: skip
    targets = {3, 10, 11, 14, 18}  # so many that some batches have several
    known = helpers.knowledge(num_rows, target=targets)
    twin = embedding_oracles.Villain(attack, targets, width, weight, WINDOW)
    state, rng = start(attack, num_rows, batch, width, weight), np.random.default_rng(0)
    with jax.numpy_dtype_promotion("standard"):  # Adam's count is a whole number
        for epoch in range(6):
            for ids in rng.permutation(num_rows).reshape(-1, batch):
                own = rng.normal(size=(batch, width)).astype(np.float32) * [3, 1, 2, 0.5, 4] + ids[:, None] % 3
                own = own.astype(np.float32)
                sent, state = upload(attack, state, ids, own, known, epoch)
                np.testing.assert_allclose(sent, twin.on_upload(ids, epoch, own), rtol=2e-4, atol=2e-4)
                gradient = (rng.normal(size=(batch, width)) * 0.1).astype(np.float32)
                gradient[ids % 3 == 0] *= 0.7 ** (epoch + 1)
                _, state = download(attack, state, ids, gradient, known, epoch)
                twin.on_download(ids, gradient)
    assert set(np.flatnonzero(state.is_found).tolist()) == twin.found
    assert set(np.flatnonzero(state.is_tested).tolist()) == twin.tested
    np.testing.assert_allclose(state.classifier["weight"], twin.classifier[0], rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(state.classifier["bias"], twin.classifier[1], rtol=1e-3, atol=1e-5)
    if num_candidates:
        assert targets < twin.found < twin.tested | targets
        assert np.abs(twin.classifier[0]).max() > 0.02
    else:
        assert twin.tested == set()


def test_poisoned_rows_get_a_factor_and_lose_entries():
    rows, width = 400, 8
    attack = PLAIN.replace(least_factor=0.6, largest_factor=1.2, dropout=0.3, magnitude=3.0, share=1.0)
    known, own = helpers.knowledge(rows, target=range(rows)), helpers.normal(rows, width)
    sent, state = upload(attack, start(attack, rows, rows, width), np.arange(rows), own, known)
    deviation = jnp.sqrt(state.variance)
    trigger = fabricate(deviation, pattern(deviation, 1.0), 3.0)
    shares = (np.asarray(sent) - own) / np.asarray(trigger)
    is_kept = np.abs(shares) > 1e-4
    np.testing.assert_allclose(is_kept.mean(), 0.7, atol=0.04)
    factor = shares.max(axis=1)
    np.testing.assert_allclose(shares, np.where(is_kept, factor[:, None], 0.0), atol=1e-4)
    assert 0.6 <= factor[factor > 0].min() < 0.62
    assert 1.18 < factor.max() <= 1.2 + 1e-4
    np.testing.assert_allclose(factor[factor > 0].mean(), 0.9, atol=0.03)


def test_the_trigger_keeps_its_direction_once_rows_are_poisoned():
    """Which coordinates vary most changes during training; the size of the trigger follows them, its signs do not."""
    attack, ids, known = PLAIN.replace(poison_from=2, share=0.5), np.arange(40), helpers.knowledge(40, target=[0])
    state, triggers = start(attack, 40, 40, 8), []
    for epoch in range(5):
        spread = np.roll(np.linspace(1.0, 4.0, 8), 3 * epoch).astype(np.float32)
        own = helpers.normal(40, 8, seed=epoch) * spread
        sent, state = upload(attack, state, ids, own, known, epoch)
        triggers.append(np.asarray(sent - own)[0])
        view = PartyInferView(features=jnp.ones((40, 2)), params={}, knowledge=known, is_attacked=jnp.ones(40, bool))
        at_test = np.asarray(attack.infer_upload(jax.random.key(0), state, view, jnp.zeros((40, 8))))[0]
        assert (np.count_nonzero(triggers[-1]), np.count_nonzero(at_test)) == ((0, 4) if epoch < 2 else (4, 4))
    signs = np.sign(triggers[2:])
    np.testing.assert_array_equal(signs, np.tile(signs[0], (3, 1)))
    np.testing.assert_allclose(at_test, triggers[-1], rtol=1e-5, atol=1e-5)
    sizes = np.abs(triggers[2:]).max(axis=1)
    assert np.ptp(sizes) > 0.01


def test_a_row_whose_label_is_known_is_never_tested():
    """Neither a target row nor one of another class; a row without a gradient is not, either."""
    known = dataclasses.replace(helpers.knowledge(6, target=[0]), known_labels=jnp.array([0, 2, 1, -1, -1, -1]))
    ids, own = np.arange(6), helpers.normal(6, 4)
    _, state = upload(PLAIN, start(PLAIN, 6, 6, 4), ids, own, known)
    gradient = np.ones((6, 4), np.float32)
    gradient[3] = 0.0
    _, state = download(PLAIN, state, ids, gradient, known)
    _, state = upload(PLAIN, state, ids, own, known)
    assert state.is_swapped.tolist() == [False, False, False, False, True, True]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"share": 1.5}, "Villain.share is 1.5"),
        ({"dropout": -0.1}, "Villain.dropout"),
        ({"ratio": -1.0}, "Villain.ratio"),
        ({"search_from": -1}, "Villain.search_from"),
        ({"magnitude": float("nan")}, "Villain.magnitude"),
    ],
)
def test_numbers_outside_their_range_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        Villain(**fields)


@pytest.mark.long
def test_villain_finds_rows_of_its_class_and_leads_others_there(digits):
    """One grid point poisons the known rows; one tests others, and poisons in the last epoch; one is the honest run."""
    num_known = 60
    attack = Villain(magnitude=5.0, search_from=3, poison_from=3, classifier=Optimizer(learning_rate=0.1))
    scenario = vfl.presets.digits_demo(head="trainable").replace(
        attacks=(vfl.PartyTransform(), attack),
        poison=PoisonPlan(trigger=EmbeddingTrigger(), rate=0.0, test_rate=0.2, num_targets=num_known),
    )
    over = {
        ("attack.enabled", "attack.num_candidates", "attack.poison_from"): [(0, 0, 3), (1, 0, 3), (1, 64, 9)],
    }
    last = vfl.sweep(scenario, digits, over, seeds=2, epochs=10, progress=False).isel(epoch=-1)
    (axis,) = set(last.full_attack_success.dims) - {"seed"}
    honest, known, searched = (last.isel({axis: i}) for i in range(3))
    assert (honest.full_attack_success < 0.05).all()
    assert (known.full_attack_success > 0.4).all()
    num_rows = digits.train.num_samples
    np.testing.assert_allclose(known.poisoned_rate * num_rows, num_known, rtol=1e-4)
    num_found = searched.poisoned_rate.values * num_rows - num_known
    num_right = searched.poisoned_purity.values * (num_found + num_known) - num_known
    assert (num_found >= 5).all()
    assert num_right.sum() / num_found.sum() > 0.3  # of the rows that are not known, 0.06 are of the class
    assert (searched.tested_rate > 0.5).all()

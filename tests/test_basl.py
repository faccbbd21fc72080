"""BASL: against published code's numbers, against its NumPy twin, and at work on digits."""

import embedding_oracles
import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_helpers import golden

import vfl_jax as vfl
from vfl_jax.attacks import BASL
from vfl_jax.attacks.basl import correlation_sums, lengthened, shifted
from vfl_jax.protocol.triggers import EmbeddingTrigger
from vfl_jax.protocol.views import PartyEpochView, PartyInferView
from vfl_jax.scenario import PoisonPlan


def start(attack, num_rows, width, batch_rows=4):
    return attack.init(jax.random.key(0), helpers.shapes_of(num_rows, 3, batch_rows, 0.2, (width, width)), 1)


def refreshed(attack, state, embeddings, known):
    """The state after a refresh, for a party whose bottom embeds row i as ``embeddings[i]``."""
    table = jnp.asarray(embeddings)
    view = PartyEpochView(
        epoch=jnp.int32(3),
        num_epochs=jnp.int32(9),
        sample_ids=jnp.arange(len(table)),
        knowledge=known,
        forward=lambda features: features,
        rows=lambda ids: table[ids],
    )
    return attack.on_epoch(jax.random.key(1), state, view, {})[1]


@pytest.mark.long
def test_steps_of_the_trigger_are_those_of_published_code():
    """But for its center, which it takes among rows that it has already shifted."""
    arrays = golden("basl_trigger")
    vectors, bandwidth = arrays["vectors"], float(arrays["bandwidth"])
    everyone, kept = np.ones(len(vectors), bool), np.isin(np.arange(len(vectors)), arrays["selected"])
    sums = np.asarray(correlation_sums(vectors, everyone))
    assert set(np.argsort(-sums)[: kept.sum()].tolist()) == set(arrays["selected"].tolist())
    for row in arrays["selected"]:  # the bandwidth is so wide that a shift from any row ends at one place
        moved = shifted(vectors[row], jnp.asarray(vectors), kept, bandwidth)
        np.testing.assert_allclose(moved, arrays["one_shift"][0], rtol=1e-4, atol=1e-5)
    for scale, expected in ((0.85, arrays["trigger_xdmvfl"][0]), (30.0, arrays["trigger_gbd"])):
        found = lengthened(arrays["center"][0], vectors, everyone, scale)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    attack = BASL(num_kept=int(kept.sum()), bandwidth=bandwidth)
    known = helpers.knowledge(len(vectors), target=range(len(vectors)))
    state = refreshed(attack, start(attack, *vectors.shape), vectors, known)
    mean = vectors[kept].mean(axis=0)
    longest = np.linalg.norm(vectors, axis=1).max()
    np.testing.assert_allclose(state.trigger, 0.85 * longest * mean / np.linalg.norm(mean), rtol=1e-4)


@pytest.mark.parametrize("bandwidth", [0.7, 2.0, 1000.0])
@pytest.mark.parametrize("num_kept", [1, 6, 50])
def test_trigger_matches_its_twin(bandwidth, num_kept):
    num_rows, width = 30, 6
    target = [1, 2, 5, 8, 9, 13, 17, 20, 21, 22, 25, 29]
    embeddings = helpers.normal(num_rows, width, seed=num_kept) + np.arange(width, dtype=np.float32)
    attack = BASL(num_kept=num_kept, bandwidth=bandwidth, scale=1.7)
    state = refreshed(
        attack, start(attack, num_rows, width), embeddings, helpers.knowledge(num_rows, poison=[0], target=target)
    )
    expected = embedding_oracles.basl_trigger(embeddings[target], num_kept, bandwidth, 1.7)
    np.testing.assert_allclose(state.trigger, expected, rtol=1e-3, atol=1e-4)
    assert np.flatnonzero(state.is_poisoned).tolist() == target


def test_only_so_many_rows_shape_the_trigger_but_all_are_overwritten():
    embeddings, known = helpers.normal(10, 4), helpers.knowledge(10, target=[2, 3, 5, 7])
    attack = BASL(most_rows=2)
    state = refreshed(attack, start(attack, 10, 4), embeddings, known)
    np.testing.assert_allclose(
        state.trigger, embedding_oracles.basl_trigger(embeddings[[2, 3]], 50, 1000.0, 0.85), rtol=1e-4
    )
    view = helpers.party_view([7, 1, 2, 4], knowledge=known)
    own = helpers.normal(4, 4, seed=1)
    sent, _ = attack.on_upload(jax.random.key(0), state, view, jnp.asarray(own))
    np.testing.assert_array_equal(sent, [state.trigger, own[1], state.trigger, own[3]])


def test_nothing_is_overwritten_before_the_first_refresh():
    """Later no gradient flows back through overwritten rows, and attacked test rows are sent as the trigger."""
    attack, known, own = BASL(noise=0.0), helpers.knowledge(10, target=[2, 5]), jnp.asarray(helpers.normal(4, 4))
    view = helpers.party_view([5, 1, 2, 4], knowledge=known)
    attacked = jnp.array([False, True, True, False])
    infer_view = PartyInferView(features=own, params={}, knowledge=known, is_attacked=attacked)
    state = start(attack, 10, 4)
    for hook in (attack.on_upload, attack.on_download):
        np.testing.assert_array_equal(hook(jax.random.key(0), state, view, own)[0], own)
    np.testing.assert_array_equal(attack.infer_upload(jax.random.key(0), state, infer_view, own), own)
    state = refreshed(attack, state, helpers.normal(10, 4, seed=2), known)
    gradient, _ = attack.on_download(jax.random.key(0), state, view, own)
    np.testing.assert_array_equal(gradient, np.where([[False], [True], [False], [True]], own, 0.0))
    sent = attack.infer_upload(jax.random.key(0), state, infer_view, own)
    np.testing.assert_array_equal(sent, np.where(attacked[:, None], state.trigger[None], own))
    noisy = attack.replace(noise=0.1).infer_upload(jax.random.key(0), state, infer_view, own)
    spread = np.asarray(noisy - sent)
    assert (spread[[0, 3]] == 0).all()
    assert 0.03 < spread[1:3].std() < 0.3
    assert attack.report(state)["num_refreshes"] == 1


def test_rows_that_say_nothing_give_no_trigger_that_is_not_finite():
    """Zero embeddings, such as those of a dead ReLU."""
    known = helpers.knowledge(5, target=[1, 3])
    state = refreshed(BASL(), start(BASL(), 5, 4), np.zeros((5, 4), np.float32), known)
    np.testing.assert_array_equal(state.trigger, np.zeros(4))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"at_epochs": ()}, "BASL.at_epochs is empty"),
        ({"most_rows": 0}, "BASL.most_rows is 0"),
        ({"num_kept": 0}, "BASL.num_kept is 0"),
        ({"bandwidth": 0.0}, "BASL.bandwidth is 0"),
        ({"noise": -1.0}, "BASL.noise is -1"),
    ],
)
def test_numbers_outside_their_range_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        BASL(**fields)


@pytest.mark.long
def test_basl_leads_rows_of_other_classes_to_its_own(digits):
    """Beside the honest run, whose attacker computes the same trigger and does not use it."""
    scenario = vfl.presets.digits_demo(head="trainable").replace(
        attacks=(vfl.PartyTransform(), BASL(at_epochs=(3, 6), scale=1.5)),
        poison=PoisonPlan(trigger=EmbeddingTrigger(), rate=0.0, test_rate=0.2, num_targets=100),
    )
    last = vfl.sweep(scenario, digits, {"attack.enabled": [0, 1]}, seeds=2, epochs=10, progress=False).isel(epoch=-1)
    honest, attacked = last.sel({"attack.enabled": 0}), last.sel({"attack.enabled": 1})
    assert (honest.full_attack_success < 0.05).all()
    assert (attacked.full_attack_success > 0.4).all()
    assert (attacked.main_task_accuracy > honest.main_task_accuracy - 0.2).all()
    assert (attacked.num_refreshes == 2).all()
    np.testing.assert_allclose(attacked.poisoned_rate, 100 / digits.train.num_samples, rtol=1e-4)
    np.testing.assert_array_equal(attacked.poisoned_purity, 1.0)

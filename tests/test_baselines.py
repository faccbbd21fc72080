"""Baselines without a plan: what each does to its rows, and to no others."""

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vfl_jax as vfl
from vfl_jax.attacks import MissingFeatures, NoisyFeatures, PoisonedData, RandomGradient, SignFlip
from vfl_jax.protocol.knowledge import Plan
from vfl_jax.protocol.triggers import EmbeddingTrigger
from vfl_jax.protocol.views import PartyInferView
from vfl_jax.scenario import PoisonPlan

ROWS = 400
KNOWN = helpers.knowledge(ROWS, poison=range(0, ROWS, 2), target=range(1, ROWS, 4))
IS_POISON = np.arange(ROWS) % 2 == 0
IS_TARGET = np.arange(ROWS) % 4 == 1


def call(hook, value, state=(), seed=1):
    return hook(jax.random.key(seed), state, helpers.party_view(range(ROWS), knowledge=KNOWN), value)[0]


def at_inference(attack, hook, value, state=()):
    view = PartyInferView(features=value, params={}, knowledge=KNOWN, is_attacked=jnp.asarray(IS_TARGET))
    return getattr(attack, hook)(jax.random.key(2), state, view, value)


def test_poisoned_data_stamps_its_target_rows_or_nothing():
    features = jnp.asarray(helpers.normal(ROWS, 2))
    np.testing.assert_array_equal(call(PoisonedData().on_features, features), features)
    stamped = call(PoisonedData(rows="target").on_features, features)
    np.testing.assert_array_equal(stamped, np.where(IS_TARGET[:, None], 9.0, features))
    view = helpers.party_view(range(ROWS), knowledge=KNOWN).replace(stamp=None)
    with pytest.raises(ValueError, match="the scenario has none that changes features"):
        PoisonedData(rows="target").on_features(jax.random.key(1), (), view, features)


def test_signs_of_poison_rows_are_flipped():
    gradient = helpers.normal(ROWS, 3)
    flipped = call(SignFlip(factor=2.0).on_download, jnp.asarray(gradient))
    np.testing.assert_array_equal(flipped, np.where(IS_POISON[:, None], -2 * gradient, gradient))


def test_random_gradients_are_as_long_as_the_true_ones():
    """In the mean of squares; and along no true one."""
    length = np.linspace(1, 5, ROWS)[:, None].astype(np.float32)
    gradient = helpers.normal(ROWS, 30) * length
    drawn = np.asarray(call(RandomGradient(factor=3.0).on_download, jnp.asarray(gradient)))
    np.testing.assert_array_equal(drawn[~IS_POISON], gradient[~IS_POISON])
    unit = drawn[IS_POISON] / np.linalg.norm(gradient[IS_POISON], axis=1, keepdims=True)
    assert abs((unit**2).sum(axis=1).mean() - 9) < 0.5
    assert abs((unit[:100] ** 2).sum(axis=1).mean() - (unit[100:] ** 2).sum(axis=1).mean()) < 1
    cosine = (drawn * gradient).sum(axis=1) / np.linalg.norm(drawn, axis=1) / np.linalg.norm(gradient, axis=1)
    assert abs(cosine[IS_POISON].mean()) < 0.05


@pytest.mark.parametrize("clip", [False, True])
def test_features_get_noise_in_training_and_at_inference(clip):
    features = np.random.default_rng(0).uniform(0, 1, (ROWS, 2, 3)).astype(np.float32)
    attack = NoisyFeatures(stddev=0.5, clip=clip)
    spoilt = (call(attack.on_features, jnp.asarray(features)), IS_POISON)
    for found, rows in (spoilt, (at_inference(attack, "infer_features", jnp.asarray(features)), IS_TARGET)):
        found = np.asarray(found)
        np.testing.assert_array_equal(found[~rows], features[~rows])
        if clip:
            assert (found.min(), found.max()) == (0, 1)
            assert 0.2 < (found[rows] % 1 == 0).mean() < 0.6
        else:
            assert abs((found - features)[rows].std() - 0.5) < 0.05


def test_of_a_bag_the_weights_get_noise_and_absent_ids_stay_absent():
    bag = helpers.bag_data(weighted=False).train.features[1]
    known = helpers.knowledge(48, poison=range(24))
    view = helpers.party_view(range(48), knowledge=known)
    found, _ = NoisyFeatures(stddev=0.5).on_features(jax.random.key(0), (), view, bag)
    dense, before = found.to_sparse().toarray(), bag.to_sparse().toarray()
    np.testing.assert_array_equal(dense[24:], before[24:])
    assert ((before == 0) == (dense == 0)).all()
    assert 0.3 < (dense - before)[:24][before[:24] > 0].std() < 0.9  # some ids are there twice


def test_missing_rows_are_zeros_and_teach_nothing():
    own = jnp.asarray(helpers.normal(ROWS, 3))
    attack = MissingFeatures(rate=0.3)
    view = helpers.party_view(range(ROWS), knowledge=KNOWN)
    sent, state = attack.on_upload(jax.random.key(0), attack.init(jax.random.key(1), helpers.shapes_of(), 1), view, own)
    is_missing = (np.asarray(sent) == 0).all(axis=1)
    assert 0.2 < is_missing.mean() < 0.4
    np.testing.assert_array_equal(np.asarray(sent)[~is_missing], np.asarray(own)[~is_missing])
    np.testing.assert_array_equal(call(attack.on_download, own, state), sent)  # the same rows
    expected = np.where(IS_TARGET[:, None], 0.0, own)
    np.testing.assert_array_equal(at_inference(attack, "infer_upload", own, state), expected)


@pytest.mark.parametrize(
    ("kind", "fields", "words"),
    [
        (PoisonedData, {"rows": "all"}, "rows"),
        (SignFlip, {"factor": float("nan")}, "SignFlip.factor is nan"),
        (RandomGradient, {"factor": float("nan")}, "RandomGradient.factor is nan"),
        (NoisyFeatures, {"stddev": -1.0}, "NoisyFeatures.stddev is -1"),
        (MissingFeatures, {"rate": 1.5}, "MissingFeatures.rate is 1.5"),
    ],
)
def test_numbers_outside_their_range_are_refused(kind, fields, words):
    with pytest.raises(ValueError, match=words):
        kind(**fields)


@pytest.mark.parametrize("attack", [SignFlip(), RandomGradient(), PoisonedData(rows="target")])
def test_a_study_in_which_they_would_do_nothing_is_refused(attack):
    nothing = Plan(num_epochs=3, num_poisons=0, num_known=(5, 0, 0), can_stamp=False)
    with pytest.raises(ValueError, match=f"{type(attack).__name__}.* rows"):
        attack.check_plan(nothing)
    attack.check_plan(nothing._replace(num_poisons=1, can_stamp=True))


def last_epoch(digits, attack, plan=None, epochs=10):
    scenario = vfl.presets.digits_demo().replace(attacks=(vfl.PartyTransform(), attack))
    if plan is not None:
        scenario = scenario.replace(poison=plan)
    over = {"attack.enabled": [0, 1]}
    last = vfl.sweep(scenario, digits, over, seeds=2, epochs=epochs, progress=False).isel(epoch=-1)
    return last.sel({"attack.enabled": 0}), last.sel({"attack.enabled": 1})


@pytest.mark.long
@pytest.mark.parametrize(
    "attack", [MissingFeatures(), NoisyFeatures(stddev=2.0), SignFlip()], ids=["missing", "noisy", "flipped"]
)
def test_spoilt_rows_are_worse_predicted(digits, attack):
    """Clean rows are spared, but where gradients climb."""
    is_flip = isinstance(attack, SignFlip)
    trigger = vfl.presets.digits_demo().poison.trigger if is_flip else EmbeddingTrigger()
    honest, spoilt = last_epoch(digits, attack, PoisonPlan(trigger=trigger, rate=0.1 * is_flip, test_rate=0.2))
    assert (spoilt.full_recovered_utility < honest.full_recovered_utility - 0.1).all()
    assert is_flip or (spoilt.full_clean_accuracy > honest.full_clean_accuracy - 0.1).all()


@pytest.mark.long
def test_trigger_on_target_rows_leads_to_class_τ_without_a_changed_message(digits):
    """Where it is conspicuous and on most of them; with poison rows that keep their labels nothing does."""
    trigger = vfl.presets.digits_demo().poison.trigger.replace(value=4.0)
    plan = PoisonPlan(trigger=trigger, rate=0.0, test_rate=0.2, num_targets=110)
    honest, poisoned = last_epoch(digits, PoisonedData(rows="target"), plan, epochs=30)
    assert (honest.full_attack_success < 0.05).all()
    assert (poisoned.full_attack_success > 0.2).all()
    honest, drawn = last_epoch(digits, PoisonedData(), epochs=3)
    np.testing.assert_array_equal(drawn.full_attack_success, honest.full_attack_success)

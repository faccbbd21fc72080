"""Stay in range: against its NumPy twin, and after an attack that detectors see."""

import math

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vfl_jax as vfl
from vfl_jax.attacks import BASL, StayInRange
from vfl_jax.attacks.stay_in_range import ordinary
from vfl_jax.protocol.triggers import EmbeddingTrigger
from vfl_jax.protocol.views import PartyEpochView, PartyInferView
from vfl_jax.scenario import PoisonPlan

KNOWN = helpers.knowledge(30, poison=range(0, 30, 5))
TABLE = helpers.normal(30, 4) * np.array([1, 3, 0.2, 0], np.float32) + np.array([0, 1, -2, 0.5], np.float32)
"""The clean embedding of every row; the last coordinate is constant."""


def looked(attack):
    table = jnp.asarray(TABLE)
    view = PartyEpochView(
        epoch=jnp.int32(3), num_epochs=jnp.int32(3), sample_ids=jnp.arange(30), knowledge=KNOWN,
        forward=lambda features: features, rows=lambda ids: table[ids],
    )  # fmt: skip
    state = attack.init(jax.random.key(0), helpers.shapes_of(30, 3, 8, 0.1, (4, 4)), 1)
    return attack.on_epoch(jax.random.key(1), state, view, {})[1]


def sizes(row):
    """As detectors measure a row, against the clean rows of the table."""
    clean = TABLE[np.arange(30) % 5 != 0].astype(np.float64)
    mean, spread = clean.mean(axis=0), clean.std(axis=0)
    standard = [(h - m) / s if s > 1e-6 else h - m for h, m, s in zip(row, mean, spread, strict=True)]
    return max(abs(h) for h in row), math.hypot(*row), math.hypot(*standard)


def twin(attack, message, own, drawn):
    """One message, made no larger than a clean row's sizes."""
    clean = TABLE[np.arange(30) % 5 != 0].astype(np.float64)
    mean, spread = clean.mean(axis=0), clean.std(axis=0)
    row = [h0 + attack.share * (h - h0) for h, h0 in zip(message, own, strict=True)]
    for j in range(4):
        if attack.bounds == "range":
            row[j] = min(max(row[j], clean[:, j].min()), clean[:, j].max())
        if attack.bounds == "deviations":
            reach = attack.deviations * spread[j]
            row[j] = min(max(row[j], mean[j] - reach), mean[j] + reach)
    found, row = sizes(row), np.array(row)
    if attack.sizes == "norms":
        return row * min(1, drawn[0] / found[0], drawn[1] / found[1])
    return mean + (row - mean) * min(1, drawn[2] / found[2]) if attack.sizes == "deviations" else row


def test_what_is_ordinary_is_told_by_rows_without_a_trigger():
    state, clean = looked(StayInRange()), TABLE[np.arange(30) % 5 != 0]
    np.testing.assert_array_equal(state.low, clean.min(axis=0))
    np.testing.assert_array_equal(state.high, clean.max(axis=0))
    np.testing.assert_allclose(state.mean, clean.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(state.spread, clean.std(axis=0), rtol=1e-4, atol=1e-6)
    expected = {tuple(np.round(sizes(row)[:2], 3)) for row in clean.astype(np.float64)}
    found = np.asarray(state.sizes, np.float64)[:, :2]
    assert {min(expected, key=lambda e: math.dist(e, row)) for row in found} == expected
    few = looked(StayInRange(most_rows=5))
    assert few.sizes.shape == (5, 3)
    assert (few.low >= state.low).all()
    assert (few.high <= state.high).all()


def test_where_every_row_has_the_trigger_all_are_ordinary():
    assert np.isfinite(ordinary(TABLE, np.ones(30, bool)).sizes).all()


@pytest.mark.parametrize("bounds", ["range", "deviations", "none"])
@pytest.mark.parametrize("kind", ["norms", "deviations", "none"])
@pytest.mark.parametrize("share", [1.0, 0.4])
def test_messages_match_their_twin(bounds, kind, share, monkeypatch):
    """Of poison rows and changed ones; others pass, though they lie outside of all that is ordinary."""
    attack = StayInRange(bounds=bounds, sizes=kind, share=share, deviations=1.5)
    state, drawn = looked(attack), np.array([3, 1, 4, 1, 5, 9, 2, 6])
    monkeypatch.setattr(jax.random, "randint", lambda *_: jnp.asarray(drawn))
    ids = np.array([0, 1, 2, 3, 5, 6, 7, 8])  # 0 and 5 are poison rows
    own = 9 * helpers.normal(8, 4, seed=2)
    message = own.copy()
    message[[2, 4]] += 20 * helpers.normal(2, 4, seed=3)
    view = helpers.party_view(ids, knowledge=KNOWN)
    view = view.replace(features=jnp.asarray(own), forward=lambda features: features)
    sent, _ = attack.on_upload(jax.random.key(0), state, view, jnp.asarray(message))
    expected = message.copy()
    for i in (0, 2, 4):
        expected[i] = twin(attack, message[i], own[i], np.asarray(state.sizes)[drawn[i]])
    np.testing.assert_allclose(sent, expected, rtol=1e-3, atol=1e-3)
    attacked = jnp.asarray(np.isin(np.arange(8), [0, 2, 4]))
    view = PartyInferView(
        features=jnp.asarray(own), params={}, knowledge=KNOWN, is_attacked=attacked, forward=lambda features: features
    )
    sent = attack.infer_upload(jax.random.key(0), state, view, jnp.asarray(message))
    np.testing.assert_allclose(sent, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"most_rows": 0}, "StayInRange.most_rows is 0"),
        ({"deviations": -1.0}, "StayInRange.deviations is -1"),
        ({"share": 1.5}, "StayInRange.share is 1.5"),
        ({"bounds": "box"}, "bounds"),
        ({"sizes": "all"}, "sizes"),
    ],
)
def test_numbers_outside_their_range_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        StayInRange(**fields)


@pytest.mark.long
def test_after_basl_messages_no_longer_show_by_their_size(digits):
    """Alone BASL shows in every row; contained it keeps some of its success."""
    chain = vfl.PartyChain(parts=(BASL(at_epochs=(3, 6), scale=5.0), StayInRange()))
    scenario = vfl.presets.digits_demo(head="trainable").replace(
        attacks=(vfl.PartyTransform(), chain),
        poison=PoisonPlan(trigger=EmbeddingTrigger(), rate=0.0, test_rate=0.2, num_targets=100),
    )
    over = {("attacks.1.parts.0.enabled", "attacks.1.parts.1.enabled"): [(0, 0), (1, 0), (1, 1)]}
    last = vfl.sweep(scenario, digits, over, seeds=2, epochs=10, progress=False).isel(epoch=-1)
    (axis,) = set(last.full_attack_success.dims) - {"seed"}
    honest, plain, contained = (last.isel({axis: i}) for i in range(3))
    assert (honest.full_attack_success < 0.05).all()
    for size in ("linf", "l2"):
        assert (plain[f"full_stealth_{size}"] > 0.95).all()
        assert (contained[f"full_stealth_{size}"] < 0.6).all()
    assert (contained.full_attack_success > honest.full_attack_success + 0.05).all()
    assert (contained.main_task_accuracy > honest.main_task_accuracy - 0.2).all()

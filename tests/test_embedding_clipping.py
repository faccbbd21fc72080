"""Embeddings of bounded size: values and gradients against a twin, and what happens at inference."""

import math

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says
from training_helpers import small_digits

import vfl_jax as vfl
from vfl_jax.attacks import Villain
from vfl_jax.core.record import cast
from vfl_jax.defenses import EmbeddingClipping
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.triggers import EmbeddingTrigger
from vfl_jax.protocol.views import EmbedView
from vfl_jax.scenario import PoisonPlan

TRAINING, TEST = EmbedView(is_training=True), EmbedView(is_training=False)


@helpers.quick_jit
def with_gradient(defense, view, sent, cotangents):
    """(What the head gets, the messages that go back), for gradients at what the head gets."""
    passed, back = jax.vjp(lambda sent: defense.on_embed({}, None, view, sent)[0], sent)
    return passed, back(cotangents)[0]


def rows(seed):
    """Two parties' rows: ordinary, zero, one whose squares are 0 in float32, one whose squares are infinite."""
    found = [helpers.normal(6, width, seed=seed + width) for width in (3, 4)]
    for h in found:
        h[1] = 0.0
        h[2] *= 1e-25
        h[3] *= 1e25
    return found


def clipped(row, slope, bound, by):
    """One row in float64 and the gradient at it."""
    if by == "value":
        inside = [abs(entry) <= bound for entry in row]
        return np.array([max(-bound, min(bound, entry)) for entry in row]), slope * inside
    length = math.sqrt(sum(entry**2 for entry in row))
    if length <= bound:
        return row, slope
    unit = row / length
    return bound * unit, bound / length * (slope - sum(slope * unit) * unit)


@pytest.mark.parametrize("by", ["row_l2", "value"])
def test_rows_and_their_gradients_match_the_twin(by):
    for seed, bound in enumerate((1.2, 0.5, 0.0)):
        defense = cast(EmbeddingClipping(by=by, bound=bound))
        sent, given = rows(seed), [helpers.normal(6, width, seed=9 + width) for width in (3, 4)]
        passed, back = with_gradient(defense, TRAINING, tuple(map(jnp.asarray, sent)), tuple(map(jnp.asarray, given)))
        for k in range(2):
            for row, slope, mine, message in zip(sent[k], given[k], passed[k], back[k], strict=True):
                value, gradient = clipped(np.float64(row), np.float64(slope), bound, by)
                np.testing.assert_allclose(mine, value, rtol=1e-5, atol=1e-7)
                np.testing.assert_allclose(message, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("by", ["row_l2", "value"])
def test_what_is_within_the_bound_passes_bit_for_bit(by):
    """And so does its gradient; infinity, and the bound itself, are within."""
    sent = (jnp.asarray([[3.0, -4.0], [0.0, -0.0], [1e30, 2.0]]),)
    for bound in (math.inf, 1e30 if by == "value" else 2e30):
        passed, back = with_gradient(cast(EmbeddingClipping(by=by, bound=bound)), TRAINING, sent, sent)
        helpers.assert_bitwise_equal((passed, back), (sent, sent))


def test_a_trigger_cannot_win_by_its_size():
    sent = (jnp.asarray(helpers.normal(5, 4)),)
    for by, norm in (("row_l2", lambda h: np.linalg.norm(h, axis=1)), ("value", lambda h: np.abs(h).max(axis=1))):
        (found,), penalty = EmbeddingClipping(by=by, bound=0.5).on_embed({}, None, TEST, (100 * sent[0],))
        assert norm(np.asarray(found)).max() <= 0.5 * (1 + 1e-6)
        assert penalty == 0


def test_training_can_be_left_alone():
    sent = (jnp.asarray(helpers.normal(5, 4)),)
    defense = EmbeddingClipping(only_at_inference=True, bound=0.1)
    helpers.assert_bitwise_equal(defense.on_embed({}, None, TRAINING, sent)[0], sent)
    assert np.linalg.norm(defense.on_embed({}, None, TEST, sent)[0][0], axis=1).max() <= 0.1 * (1 + 1e-6)
    with pytest.raises(ValueError, match=says("EmbeddingClipping.bound is -1")):
        EmbeddingClipping(bound=-1.0)


@pytest.mark.long
def test_on_digits_a_trigger_in_the_embedding_loses_its_size():
    """Villain's trigger wins without a bound; a tight one leaves little of it, and costs accuracy."""
    attack = Villain(magnitude=20.0, search_from=3, poison_from=3, num_candidates=0, classifier=Optimizer())
    scenario = vfl.presets.digits_demo(head="trainable").replace(
        attacks=(vfl.PartyTransform(), attack),
        poison=PoisonPlan(trigger=EmbeddingTrigger(), rate=0.0, test_rate=0.2, num_targets=60),
        defense=EmbeddingClipping(),
    )
    over = {"defense.bound": [math.inf, 2.0, 0.5], "attack.enabled": [0, 1]}
    last = vfl.sweep(scenario, small_digits(1000, 200), over, seeds=2, epochs=10, progress=False).isel(epoch=-1)
    honest, attacked = (last.full_attack_success.sel({"attack.enabled": on}).values for on in (0, 1))
    assert (attacked[0] > 0.9).all()
    assert attacked[1].mean() < attacked[0].mean() - 0.15
    assert (attacked[2] < honest[2] + 0.3).all()
    main = last.main_task_accuracy.sel({"attack.enabled": 0}).values
    assert (main[1] > main[0] - 0.1).all()
    assert (main[2] > 0.35).all()  # ten classes

"""Whole scenarios on real digits: what the paper says each attack can do, and several attackers at once."""

import chex
import jax
import numpy as np
import pytest
from helpers import everyone

import vfl_jax as vfl
from vfl_jax.attacks import ActiveBackdoor, GradientReplacement, LabelReplacement
from vfl_jax.data import PixelTrigger, load_digits
from vfl_jax.defenses import GaussianNoise
from vfl_jax.models import MLP
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.presets import digits_demo
from vfl_jax.protocol.methods import needs_of
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.sweeps.grid import resolve
from vfl_jax.sweeps.sweep import run, sweep

HONEST = PartyTransform()


@pytest.mark.long
def test_the_sum_head_leaks_every_label_until_there_is_noise():
    """Section 5.3: the only negative entry of S − e_y is y. The party listens but acts honestly."""
    scenario = digits_demo(head="sum").replace(attacks=(HONEST, LabelReplacement(enabled=0.0)), defense=GaussianNoise())
    results = sweep(scenario, load_digits(), {"defense.stddev": [0.0, 0.1]}, seeds=2, epochs=2, progress=False)
    read = results.label_inference_accuracy.isel(epoch=-1)
    np.testing.assert_array_equal(read.sel({"defense.stddev": 0.0}), 1.0)
    assert (read.sel({"defense.stddev": 0.1}) < 0.5).all()
    # In each epoch the last partial batch of a new shuffle is left out: not every row is seen. Some seen are silent.
    assert (results.label_inference_rate > 0.95).all()
    np.testing.assert_array_equal(results.label_inference_rate_count, 1436)


@pytest.mark.long
def test_the_active_party_can_plant_its_backdoor_by_labels_alone():
    """Section 5.2: it sends the gradients of the backdoor's loss, and nothing else changes."""
    scenario = digits_demo(head="trainable").replace(attacks=(HONEST, HONEST), active_attack=ActiveBackdoor())
    scenario = scenario.replace(poison=scenario.poison.replace(rate=0.1))
    results = sweep(scenario, load_digits(), {"attack.enabled": [0, 1]}, seeds=3, epochs=40, progress=False)
    success = results.attack_success_rate.isel(epoch=-1)
    assert (success.sel({"attack.enabled": 1}) > 0.9).all()
    assert (success.sel({"attack.enabled": 0}) < 0.1).all()
    assert (results.main_clean.isel(epoch=-1) > 0.85).all()


def colluding(**poison):
    """Four parties hold the quadrants; the two lower ones attack together."""
    scenario = digits_demo(head="sum")
    return scenario.replace(
        bottoms=(MLP(width=10),) * 4,
        optimizers=(Optimizer(learning_rate=0.1),) * 4,
        attacks=(HONEST, HONEST, GradientReplacement(), GradientReplacement()),
        poison=scenario.poison.replace(**poison),
    )


@pytest.mark.long
def test_colluders_know_the_same_and_are_swept_together():
    scenario, data = colluding(), load_digits(by="quadrants", num_parties=4)
    assert resolve(scenario, "attack.amplify") == ("attacks.2.amplify", "attacks.3.amplify")
    _, state = run(scenario, data, jax.random.key(0), epochs=1)
    assert state.attack_states[0] == ()
    assert all(float(np.abs(state.attack_states[k].recorded).max()) > 0 for k in (2, 3))


@pytest.mark.long
def test_a_trigger_over_all_parties_reaches_every_one_of_them():
    """Section 5.2: the poisoned input appears among all parties, each holding a part of the trigger."""
    # No digit has ink in these pixels, so that their weights move only where the trigger is stamped.
    pixels, places = ((0, 0), (4, 0), (4, 7)), {0: 0, 2: 0, 3: 3}
    data = load_digits(by="quadrants", num_parties=4)
    for k, place in places.items():
        assert not data.train.features[k].reshape(-1, 16)[:, place].any()
    spread, one = (
        run(colluding(trigger=PixelTrigger(pixels=chosen), rate=0.2), data, jax.random.key(1), epochs=1)[1]
        for chosen in (pixels, pixels[2:])
    )
    for k, place in places.items():
        weights = [state.params[k]["dense_0"]["kernel"][place] for state in (spread, one)]
        assert np.any(weights[0] != weights[1]), f"party {k} never saw its part of the trigger"


@pytest.mark.long
def test_the_attacker_has_a_learning_rate_of_its_own():
    """Section 5.1: it controls its local hyper-parameters."""
    scenario, data = digits_demo(head="trainable"), load_digits()
    still = scenario.replace(optimizers=(scenario.optimizers[0], Optimizer(learning_rate=0.0)))
    ((_, moving), (_, standing)) = (run(s, data, jax.random.key(2), epochs=1) for s in (scenario, still))
    start = run(still.replace(head_optimizer=Optimizer(learning_rate=0.0)), data, jax.random.key(2), epochs=1)[1]
    chex.assert_trees_all_equal(standing.params[1], start.params[1])
    assert any(
        np.any(a != b) for a, b in zip(*map(jax.tree.leaves, (everyone(moving), everyone(standing))), strict=True)
    )
    assert np.any(moving.params[1]["dense_0"]["kernel"] != standing.params[1]["dense_0"]["kernel"])


def test_a_plan_grants_what_a_chain_of_attacks_needs():
    """The larger number of every kind; the trigger of a feature attack stays, that of a message attack replaces it."""
    chain = vfl.PartyChain(parts=(vfl.attacks.BASL(), vfl.attacks.PassiveModelCompletion()))
    stamp = vfl.protocol.FeatureTrigger(party=1, index=0)
    plan = vfl.PoisonPlan(trigger=stamp, rate=0.2, target_class=1)
    assert plan.granting(needs_of(chain)) == vfl.PoisonPlan(
        trigger=vfl.protocol.EmbeddingTrigger(), target_class=1, rate=0.0, num_targets=500, num_known=4
    )
    assert plan.granting(needs_of(vfl.attacks.PairedReplacement())) == plan.replace(
        mode="appended_pair", rate=0.01, num_targets=10
    )
    assert needs_of(vfl.PartyTransform()) == vfl.protocol.Needs()


@pytest.mark.parametrize("wrong", [{"trigger": "mind"}, {"poison_rate": 2.0}, {"num_targets": 0}, {"num_known": -1}])
def test_wrong_needs_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        vfl.protocol.Needs(**wrong)

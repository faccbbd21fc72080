"""Persistent pairs: against a slow twin of their rules over epochs, and at work on real data."""

import functools

import helpers
import jax
import numpy as np
import pytest
from data_helpers import says, tiny_data, tiny_scenario
from sweep_helpers import interrupted_at

import vfl_jax as vfl
from vfl_jax.attacks import ActivationBlurring, PersistentPairs
from vfl_jax.data import load_digits
from vfl_jax.models import Linear, SumHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.protocol.triggers import FeatureTrigger
from vfl_jax.scenario import BatchPlan, PoisonPlan

KEY = jax.random.key(4)
NUM_ROWS, WIDTH = 24, 3
POISONS, TARGETS = (2, 3, 9, 14), (0, 5, 6, 11, 17, 20)


@helpers.quick_jit
def paired(attack, state, known, seed):
    """The state after the draw of the pairs."""
    return attack.on_epoch(jax.random.key(seed), state, helpers.party_epoch_view(NUM_ROWS, {}, known, epoch=0), {})[1]


@helpers.quick_jit
def step(attack, state, ids, known, kernel, embedding, gradient):
    """One batch of a party whose model multiplies its rows, (i, −i), by a kernel: (sent, used, state)."""
    view = helpers.party_view(ids, knowledge=known).replace(forward=lambda features: features @ kernel)
    sent, state = attack.on_upload(jax.random.key(0), state, view, embedding)
    used, state = attack.on_download(jax.random.key(1), state, view, gradient)
    return sent, used, state


def start(attack):
    shapes = helpers.shapes_of(num_samples=NUM_ROWS, widths=(WIDTH,))
    return attack.init(jax.random.key(0), shapes, 0)


def pairs_of(state):
    """The poison row of every target row, by number."""
    poisons = np.asarray(state.poisons)
    return {int(row): int(poisons[row]) for row in np.flatnonzero(poisons >= 0)}


def test_pairs_are_of_known_rows_drawn_anew_by_every_seed_and_kept():
    attack, known = PersistentPairs(), helpers.knowledge(NUM_ROWS, POISONS, TARGETS)
    drawn = [pairs_of(paired(attack, start(attack), known, seed)) for seed in range(30)]
    assert all(tuple(pairs) == TARGETS for pairs in drawn)
    for target in TARGETS:
        assert {pairs[target] for pairs in drawn} == set(POISONS)
    alone = paired(attack, start(attack), helpers.knowledge(NUM_ROWS, (), TARGETS), 0)
    assert pairs_of(alone) == {}
    assert attack.at_epochs == (0,)


def test_it_sends_and_replaces_like_its_twin_over_epochs():
    """Its rules in plain words: by row, with the first target row of a poison row and its last gradient."""
    attack, known = PersistentPairs(amplify=-3.0), helpers.knowledge(NUM_ROWS, POISONS, TARGETS)
    num_replaced, num_stale, num_early = 0, 0, 0
    for seed in range(4):
        state, rng = paired(attack, start(attack), known, seed), np.random.default_rng(seed)
        pairs, last = pairs_of(state), {}
        for _ in range(3):
            for ids in rng.permutation(NUM_ROWS).reshape(3, 8).astype(np.int32):
                kernel, embedding, gradient = (
                    rng.normal(size=shape).astype(np.float32) for shape in ((2, WIDTH), (8, WIDTH), (8, WIDTH))
                )
                sent, used, state = step(attack, state, ids, known, kernel, embedding, gradient)
                own, heard = (dict(zip(ids.tolist(), message, strict=True)) for message in (embedding, gradient))
                last |= {row: message for row, message in heard.items() if row in TARGETS}
                for row, message, change in zip(ids.tolist(), np.asarray(sent), np.asarray(used), strict=True):
                    features = np.float32([pairs[row], -pairs[row]]) if row in pairs else None
                    expected = own[row] if features is None else features @ kernel
                    np.testing.assert_allclose(message, expected, rtol=1e-5, atol=1e-5)
                    owners = [target for target in TARGETS if pairs[target] == row]
                    is_heard = bool(owners) and owners[0] in last
                    expected = -3.0 * last[owners[0]] if is_heard else heard[row]
                    np.testing.assert_allclose(change, expected, rtol=1e-5)
                    num_replaced += is_heard
                    num_stale += is_heard and owners[0] not in heard
                    num_early += bool(owners) and not is_heard
            assert pairs_of(state) == pairs
        assert float(attack.report(state)["num_pairs"]) == len(set(pairs.values()))
    assert min(num_replaced, num_stale, num_early) > 0


@pytest.mark.long
def test_it_plants_a_backdoor_in_real_data_and_amplify_is_swept():
    """Beside it the honest run, and replacement that is not amplified."""
    attack = PersistentPairs()
    scenario = vfl.presets.digits_demo(head="sum")
    scenario = scenario.replace(
        attacks=(PartyTransform(), attack),
        poison=scenario.poison.granting(attack.needs).replace(rate=0.02, num_targets=20),
    )
    over = {("attack.enabled", "attack.amplify"): [(0.0, 10.0), (1.0, 1.0), (1.0, 10.0)]}
    last = vfl.sweep(scenario, load_digits(), over, seeds=2, epochs=15, progress=False).isel(epoch=-1)
    (axis,) = set(last.full_attack_success.dims) - {"seed"}
    honest, plain, amplified = (last.full_attack_success.isel({axis: i}).values for i in range(3))
    assert (honest < 0.05).all()
    assert (amplified > 0.15).all()
    assert (plain < amplified / 2).all()
    assert (last.num_pairs.values > 10).all()


def bag_study(attack):
    return vfl.Scenario(
        bottoms=(Linear(width=3),) * 2,
        head=SumHead(),
        optimizers=(Optimizer(learning_rate=0.1),) * 2,
        attacks=(PartyTransform(), attack),
        poison=PoisonPlan(trigger=FeatureTrigger(party=1, index=5), rate=0.2, test_rate=0.2, num_targets=4),
        batches=BatchPlan(size=8),
    )


@pytest.mark.long
def test_switched_off_it_is_the_honest_run_bit_for_bit():
    """Bags without weights: with some, the second use of the model makes the compiler round the first otherwise."""
    data = helpers.bag_data(weighted=False)
    study = bag_study(PersistentPairs(enabled=0.0))
    honest = study.replace(attacks=(PartyTransform(), PartyTransform()))
    finals = [vfl.run(scenario, data, KEY, epochs=3)[1] for scenario in (study, honest)]
    helpers.assert_bitwise_equal(finals[0].params, finals[1].params)
    assert len(pairs_of(finals[0].attack_states[1])) == 4  # it listened


@pytest.mark.long
def test_bags_of_ids_are_sent_like_the_rows_they_stand_for_also_in_a_chain():
    chain = PartyChain(parts=(ActivationBlurring(kind="zero"), PersistentPairs(amplify=2.0)))
    data = helpers.bag_data(weighted=False)
    bags, dense = (vfl.run(bag_study(chain), d, KEY, epochs=3)[1] for d in (data, helpers.as_multi_hot(data)))
    assert pairs_of(bags.attack_states[1][1]) == pairs_of(dense.attack_states[1][1]) != {}
    for found, expected in zip(jax.tree.leaves(bags.params), jax.tree.leaves(dense.params), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_a_sweep_goes_on_from_a_checkpoint_bit_for_bit(tmp_path):
    study = tiny_scenario(plan={"num_targets": 3}, attacks=(PartyTransform(), PersistentPairs()))
    over = {"attacks.1.amplify": [1.0, 5.0], "poison.rate": [0.1, 0.2]}
    swept = functools.partial(vfl.sweep, study, tiny_data(), over, seeds=2, epochs=4, progress=False)
    whole = swept()
    interrupted_at(2, swept, tmp_path)
    for name, variable in swept(folder=tmp_path, checkpoint_every=1).data_vars.items():
        np.testing.assert_array_equal(variable.values, whole[name].values, err_msg=name)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"mode": "appended_pair"}, says("PersistentPairs needs poison.mode='in_place'", "PairedReplacement")),
        ({"rate": 0.0}, says("PersistentPairs acts on poison rows", "poison.rate")),
    ],
)
def test_what_does_not_fit_is_refused_by_name(plan, message):
    study = tiny_scenario(plan=plan, attacks=(PartyTransform(), PersistentPairs()))
    with pytest.raises(ValueError, match=message):
        vfl.run(study, tiny_data(), KEY, epochs=1, progress=False)
    with pytest.raises(ValueError, match=says("PersistentPairs", "amplify")):
        PersistentPairs(amplify=float("nan"))

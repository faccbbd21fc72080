"""LFBA: its poison rows against published code and a slow twin, what it feeds, and what it does on real data."""

import functools

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from data_helpers import says, tiny_data, tiny_scenario
from golden_helpers import golden
from sweep_helpers import interrupted_at

import vfl_jax as vfl
from vfl_jax.attacks import LFBA, GradientReplacement
from vfl_jax.data import load_digits
from vfl_jax.models import MLP, Linear, SumHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.presets.digits import DIGITS_PIXELS
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.protocol.triggers import EmbeddingTrigger, FeatureTrigger, NaturalTrigger, PixelTrigger
from vfl_jax.scenario import BatchPlan, PoisonPlan

KEY = jax.random.key(4)
PLAN = PoisonPlan(trigger=PixelTrigger(pixels=DIGITS_PIXELS), rate=0.0, test_rate=0.2)


@helpers.quick_jit
def heard(attack, state, ids, gradient):
    """The state after a batch of messages."""
    return attack.on_download(jax.random.key(0), state, helpers.party_view(ids), gradient)[1]


@helpers.quick_jit
def after_epoch(attack, state, known, seed):
    view = helpers.party_epoch_view(len(known.is_poison), {}, known)
    return attack.on_epoch(jax.random.key(seed), state, view, {})[1]


def start(attack, num_rows, width):
    return attack.init(jax.random.key(0), helpers.shapes_of(num_samples=num_rows, widths=(width,)), 0)


def switched(state):
    return np.flatnonzero(np.asarray(state.donors) != np.arange(len(state.donors)))


@pytest.mark.parametrize("name", ["lfba_poison_set", "lfba_poison_set_small"])
def test_poison_and_switched_rows_are_those_of_the_published_code(name):
    """In the published order, too: a smaller rate takes the first of them."""
    arrays = golden(name)
    ids, gradients = arrays["sample_ids"], arrays["gradients"]
    num_rows, count, given = len(ids), int(arrays["num_poisons"]), int(ids[arrays["given_anchor"]])
    known = helpers.knowledge(num_rows, target=[given])
    state = heard(LFBA(), start(LFBA(), num_rows, gradients.shape[1]), ids, gradients)
    for anchor in ("known", given, int(ids[arrays["anchor"]])):
        rows = ids[arrays["poison_rows" if anchor == ids[arrays["anchor"]] else "poison_rows_given_anchor"]]
        for number in range(1, count + 1):
            found = after_epoch(LFBA(anchor=anchor, poison_rate=number / num_rows), state, known, 0)
            np.testing.assert_array_equal(np.flatnonzero(found.is_poisoned), np.sort(rows[:number]))
    found = after_epoch(LFBA(anchor="contrast", poison_rate=count / num_rows), state, known, 0)
    np.testing.assert_array_equal(np.flatnonzero(found.is_poisoned), np.sort(ids[arrays["poison_rows"]]))
    assert arrays["select_rate"] * count >= arrays["num_replace"] == len(arrays["hard_ids"])
    for number in range(1, len(arrays["hard_ids"]) + 1):
        attack = LFBA(poison_rate=count / num_rows, switch_rate=number / count)
        np.testing.assert_array_equal(
            switched(after_epoch(attack, state, known, 0)), np.sort(arrays["hard_ids"][:number])
        )


@pytest.mark.parametrize("anchor", ["known", 3, "contrast"])
def test_it_chooses_and_switches_like_its_twin_over_epochs(anchor):
    """Batches leave rows out, so that the anchor may be heard late; poison rows stay, the hardest change."""
    num_rows, width, changes, waited = 24, 3, 0, 0
    attack = LFBA(anchor=anchor, poison_rate=0.4, switch_rate=0.6)
    for seed in range(4):
        rng, state = np.random.default_rng(seed), start(attack, num_rows, width)
        twin, known = oracles.LFBA(num_rows, 0.4, 0.6), helpers.knowledge(num_rows, target=[7, 11])
        for epoch in range(4):
            before = twin.switched
            ids = rng.permutation(num_rows)[:16].astype(np.int32)
            ids = ids[ids != 7] if seed == 0 and epoch == 0 else ids
            gradient = rng.normal(size=(len(ids), width)).astype(np.float32)
            state = after_epoch(attack, heard(attack, state, ids, gradient), known, epoch)
            twin.on_download(ids, gradient)
            twin.on_epoch({"known": 7, 3: 3, "contrast": None}[anchor])
            np.testing.assert_array_equal(np.flatnonzero(state.is_poisoned), np.sort(twin.poisons))
            np.testing.assert_array_equal(switched(state), np.sort(twin.switched))
            donors = np.asarray(state.donors)[twin.switched]
            assert len(set(donors)) == len(donors)
            assert not set(donors) & set(twin.poisons)
            changes += before != [] and set(before) != set(twin.switched)
            waited += not twin.poisons
    assert changes >= 4
    assert waited > 0 or anchor == "contrast"


def test_switched_rows_are_fed_triggered_features_of_their_donors_and_no_others():
    attack = LFBA(poison_rate=0.5, switch_rate=0.5)
    ids = np.arange(12, dtype=np.int32)
    state = heard(attack, start(attack, 12, 3), ids, helpers.normal(12, 3))
    donors = []
    for seed in range(20):
        state = after_epoch(attack, state, helpers.knowledge(12, target=[2]), seed)
        batch = np.random.default_rng(seed).permutation(12)[:8]
        features = helpers.normal(8, 2, seed=seed)
        fed, _ = attack.on_features(jax.random.key(0), state, helpers.party_view(batch), jnp.asarray(features))
        for row, own, found in zip(batch, features, np.asarray(fed), strict=True):
            expected = [9.0, 9.0] if row in switched(state) else own  # the trigger of the helpers sets all features
            np.testing.assert_array_equal(found, expected)
        donors.append(np.asarray(state.donors)[switched(state)])
    assert len(switched(state)) == 3
    assert set(np.ravel(donors)) == set(range(12)) - set(np.flatnonzero(state.is_poisoned))


@pytest.mark.parametrize("switch_rate", [0.5, 1.0])
def test_masked_rows_are_fed_their_own_features_against_their_last_message_and_the_trigger(switch_rate):
    """More poison rows than others can all be masked; a trigger on one feature leaves the mask on the other."""
    attack = LFBA(poison_rate=0.75, switch_rate=switch_rate, feed="masked", mask_size=0.3)
    ids, messages = np.arange(12, dtype=np.int32), helpers.normal(12, 3)
    state = heard(attack, start(attack, 12, 3), ids, messages)
    state = after_epoch(attack, state, helpers.knowledge(12, target=[2]), 0)
    plain = after_epoch(attack.replace(feed="switched"), state, helpers.knowledge(12, target=[2]), 0)
    np.testing.assert_array_equal(state.is_poisoned, plain.is_poisoned)
    poisons = np.flatnonzero(state.is_poisoned)
    hardest = sorted(poisons, key=lambda row: -np.linalg.norm(messages[row]))[: round(switch_rate * 9)]
    np.testing.assert_array_equal(switched(state), sorted(hardest))

    batch, features = np.array([11, 0, 5, 2, 8, 3, 7, 1], np.int32), helpers.normal(8, 2)
    view = helpers.party_view(batch).replace(
        features=jnp.asarray(features), stamp=lambda x, is_marked: x.at[:, 0].set(jnp.where(is_marked, 9.0, x[:, 0]))
    )
    fed, _ = attack.on_features(jax.random.key(0), state, view, jnp.asarray(features))
    for row, own, found in zip(batch, features, np.asarray(fed), strict=True):
        slope = -messages[row][0]  # of the second feature, as the helpers' model has it
        expected = [9.0, own[1] + 0.3 * np.sign(slope)] if row in hardest else own
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_row_without_a_message_is_never_chosen():
    attack = LFBA(poison_rate=1.0, switch_rate=1.0)
    state = heard(attack, start(attack, 12, 3), np.array([1, 4, 5, 9]), helpers.normal(4, 3))
    state = heard(attack, state, np.array([5]), np.zeros((1, 3), np.float32))
    for target in (4, 2):  # nothing was heard of row 2
        found = after_epoch(attack, state, helpers.knowledge(12, target=[target]), 0)
        np.testing.assert_array_equal(np.flatnonzero(found.is_poisoned), [1, 4, 9] if target == 4 else [])
        np.testing.assert_array_equal(switched(found), [1, 4, 9] if target == 4 else [])


def digits_study(attack, **plan):
    optimizer = Optimizer(kind="momentum", learning_rate=0.05)
    return vfl.Scenario(
        bottoms=(MLP(hidden=(32,), width=10),) * 2,
        head=SumHead(),
        optimizers=(optimizer,) * 2,
        head_optimizer=optimizer,
        attacks=(PartyTransform(), attack),
        poison=PLAN.replace(**plan),
        batches=BatchPlan(size=32),
    )


@pytest.mark.long
def test_it_plants_a_backdoor_in_real_data_and_rates_are_swept():
    """With one label known; beside it the honest run, which never says the target class for the trigger."""
    over = {"attacks.1.enabled": [0.0, 1.0], "attacks.1.switch_rate": [0.0, 1.0]}
    attack = LFBA(poison_rate=0.08)
    found = vfl.sweep(digits_study(attack), load_digits(), over, seeds=2, epochs=20, progress=False).isel(epoch=-1)
    success = found.full_attack_success.values
    assert (success[1, 1] > 0.2).all()
    assert (success[0] < 0.05).all()
    assert (success[1, 0] < 0.05).all()  # poison rows that are not switched are ordinary rows
    assert (found.poisoned_purity.values > 0.9).all()
    np.testing.assert_allclose(found.poisoned_rate.values, 115 / 1437, rtol=1e-5)


@pytest.mark.long
def test_masks_plant_a_backdoor_too_and_the_trigger_alone_does_not():
    over = {"attacks.1.enabled": [0.0, 1.0], "attacks.1.mask_size": [0.0, 0.5]}
    study = digits_study(LFBA(poison_rate=0.08, feed="masked"))
    success = vfl.sweep(study, load_digits(), over, seeds=2, epochs=20, progress=False).full_attack_success.isel(
        epoch=-1
    )
    assert (success.values[1, 1] > 0.15).all()
    assert (success.values[0] < 0.05).all()
    assert (success.values[1, 0] < 0.05).all()


def bag_study(attack):
    """Two tags are the trigger, which some rows carry with their true labels, too."""
    return vfl.Scenario(
        bottoms=(Linear(width=3),) * 2,
        head=SumHead(),
        optimizers=(Optimizer(learning_rate=0.1),) * 2,
        attacks=(PartyTransform(), attack),
        poison=PoisonPlan(trigger=FeatureTrigger(party=1, index=(5, 7), value=1.5), rate=0.1, test_rate=0.2),
        batches=BatchPlan(size=8),
    )


@pytest.mark.long
def test_switched_off_it_is_the_honest_run_bit_for_bit():
    study = bag_study(LFBA(poison_rate=0.2, enabled=0.0))
    honest = study.replace(attacks=(PartyTransform(), PartyTransform()))
    finals = [vfl.run(scenario, helpers.bag_data(), KEY, epochs=3)[1] for scenario in (study, honest)]
    helpers.assert_bitwise_equal(finals[0].params, finals[1].params)
    assert len(switched(finals[0].attack_states[1])) == 5  # it listened, and half of its 10 rows would be switched


@pytest.mark.long
def test_bags_of_ids_are_switched_like_the_rows_they_stand_for_also_in_a_chain():
    chain = PartyChain(parts=(LFBA(poison_rate=0.3), GradientReplacement(amplify=2.0)))
    data = helpers.bag_data(weighted=False)
    bags, dense = (vfl.run(bag_study(chain), d, KEY, epochs=4)[1] for d in (data, helpers.as_multi_hot(data)))
    assert len(switched(bags.attack_states[1][0])) == 7
    np.testing.assert_array_equal(bags.attack_states[1][0].donors, dense.attack_states[1][0].donors)
    for found, expected in zip(jax.tree.leaves(bags.params), jax.tree.leaves(dense.params), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_a_sweep_goes_on_from_a_checkpoint_bit_for_bit(tmp_path):
    study = tiny_scenario(plan={"rate": 0.0}, attacks=(PartyTransform(), LFBA()))
    swept = functools.partial(
        vfl.sweep, study, tiny_data(), {"attacks.1.poison_rate": [0.1, 0.3]}, seeds=2, epochs=5, progress=False
    )
    whole = swept()
    interrupted_at(3, swept, tmp_path)
    for name, variable in swept(folder=tmp_path, checkpoint_every=1).data_vars.items():
        np.testing.assert_array_equal(variable.values, whole[name].values, err_msg=name)


@pytest.mark.parametrize(
    ("attack", "plan", "message"),
    [
        (LFBA(), {"trigger": NaturalTrigger(), "poison_ids": (0,)}, says("LFBA stamps", "poison.attack_trigger")),
        (LFBA(), {"trigger": EmbeddingTrigger()}, says("LFBA stamps", "changes features", "poison.attack_trigger")),
        (LFBA(), {"mode": "appended_pair", "rate": 0.1}, says("LFBA needs poison.mode='in_place'", "appended_pair")),
        (LFBA(anchor=5000), {}, says("LFBA.anchor is 5000", "0 to 1436", "'contrast'")),
        (LFBA(anchor=-1), {}, says("LFBA.anchor is -1")),
    ],
)
def test_what_does_not_fit_is_refused_by_name(attack, plan, message):
    with pytest.raises(ValueError, match=message):
        vfl.run(digits_study(attack, **plan), load_digits(), KEY, epochs=1, progress=False)


def test_masks_need_numbers():
    with pytest.raises(ValueError, match=says("attacks.1 is LFBA(feed='masked')", "bags of ids", "feed='switched'")):
        bag_study(LFBA(feed="masked")).check(helpers.bag_data())


def test_an_attack_of_before_has_the_json_of_before():
    for name in ("feed", "mask_size"):
        assert name not in LFBA().to_json()
    other = LFBA(feed="masked", mask_size=0.5)
    assert vfl.from_json(other.to_json()) == other


def test_rates_are_shares():
    with pytest.raises(ValueError, match=says("LFBA.mask_size is -1", "0")):
        LFBA(mask_size=-1.0)
    with pytest.raises(ValueError, match=says("LFBA", "poison_rate", "1.5")):
        LFBA(poison_rate=1.5)

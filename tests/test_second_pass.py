"""The second pass: every row of another class is attacked by stamping, and nothing else changes; counts are by hand."""

import dataclasses

import evaluation_helpers as shared
import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import says
from evaluation_helpers import HONEST, Firing, Watch, scenario_of

import vfl_jax as vfl
from vfl_jax.core.bags import BagOfIds, multi_hot
from vfl_jax.core.vertical_data import Rows
from vfl_jax.protocol.triggers import EmbeddingTrigger, FeatureTrigger, NaturalTrigger, PixelTrigger
from vfl_jax.replica import preparation
from vfl_jax.sweeps.sweep import sweep

TAU = 1
COLUMN = FeatureTrigger(party=1, index=2, value=-3.0)


def attack_by_hand(trigger, data, rows):
    """Both parties' test features, with the trigger on some rows; bags become rows of one number per id."""
    blocks = [np.array(multi_hot(x) if isinstance(x, BagOfIds) else x) for x in data.test.features]
    for i in rows:
        if isinstance(trigger, PixelTrigger):
            blocks[1][i][1, 4] = trigger.value  # pixel (4, 4) of a 6×6 image, in the lower half
        elif isinstance(trigger, FeatureTrigger):
            blocks[1][i][trigger.index] = trigger.value
    return tuple(blocks)


def named(data):
    """The same table with names of columns."""
    return dataclasses.replace(data, feature_names=(tuple("abcde"), tuple("fgh")))


def natural(data):
    """The same table, in which every fourth row carries a trigger by nature."""

    def marked(rows):
        return Rows(features=rows.features, labels=rows.labels, has_trigger=np.arange(len(rows.labels)) % 4 == 2)

    return dataclasses.replace(data, train=marked(data.train), test=marked(data.test))


KINDS = {
    "pixel": (PixelTrigger(pixels=((4, 4),), value=3.0), helpers.image_data),
    "column": (COLUMN, helpers.table_data),
    "tag": (FeatureTrigger(party=1, index=5, value=1.0), lambda: helpers.bag_data(weighted=True)),
    "embedding": (EmbeddingTrigger(), helpers.table_data),
}


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_every_row_of_another_class_is_attacked_and_counted(kind, monkeypatch):
    """In blocks of which the last is filled up, with rows of label 0, which do not count."""
    monkeypatch.setattr(preparation, "TEST_BLOCK", 7)
    trigger, make = KINDS[kind]
    data, attack = make(), Firing(shift=0.8 if kind == "embedding" else 0.0)
    scenario = scenario_of((HONEST, attack), plan={"trigger": trigger}, defense=Watch(bound=1.2))
    results, state = shared.trained(scenario, data)
    labels = data.test.labels
    rows = np.flatnonzero(labels != TAU)
    is_attacked = jnp.asarray(labels != TAU)
    twin = helpers.as_multi_hot(data) if kind == "tag" else data
    features = tuple(np.array(multi_hot(x) if isinstance(x, BagOfIds) else x) for x in data.test.features)
    clean = shared.inferred(scenario, twin, state, features)
    attacked = shared.inferred(scenario, twin, state, attack_by_hand(trigger, data, rows), is_attacked)
    shared.assert_found(results, shared.full_by_hand(clean, attacked, labels, [TAU], [1]))
    counts = {c: int((labels == c).sum()) if c != TAU else 0 for c in range(3)}
    assert results.full_attack_success_by_class_count.values.tolist() == list(counts.values())
    assert int(results.full_attack_success_count) == len(rows) == int(results.full_recovered_utility_count)
    assert 0 < float(results.full_attack_success) < 1  # a row more or less would show

    scores = [found.suspicion.score.max(axis=1) for found in (clean, attacked)]
    assert float(results.full_detection_auc) == pytest.approx(shared.auc(scores[1][rows], scores[0]))
    assert float(results.full_detection_recall) == pytest.approx(np.mean(scores[1][rows] > 1.2))
    assert float(results.full_detection_false_alarm_rate) == pytest.approx(np.mean(scores[0] > 1.2))


@pytest.mark.long
def test_a_named_column_is_the_column():
    by_name, by_number = (
        shared.trained(
            scenario_of((HONEST, Firing()), plan={"trigger": COLUMN.replace(index=i)}),
            named(helpers.table_data()),
        )[0]
        for i in ("h", 2)
    )
    assert float(by_name.full_attack_success) == float(by_number.full_attack_success)


def test_rows_with_a_trigger_by_nature_are_attacked_by_the_one_that_is_named():
    data = natural(helpers.table_data())
    plan = {"attack_trigger": COLUMN}
    scenario = scenario_of((HONEST, Firing(shift=0.0)), plan=plan, poison_ids=None)
    scenario = scenario.replace(poison=scenario.poison.replace(test_poison_ids=None))
    results, state = shared.trained(scenario, data)
    rows = np.flatnonzero(data.test.labels != TAU)
    clean = shared.inferred(scenario, data, state, data.test.features)
    attacked = shared.inferred(scenario, data, state, attack_by_hand(COLUMN, data, rows))
    shared.assert_found(results, shared.full_by_hand(clean, attacked, data.test.labels, [TAU], [1]))
    by_nature = data.test.has_trigger & (data.test.labels != TAU)  # the first pass: the rows as they are
    assert float(results.attack_success_rate) == pytest.approx(np.mean(shared.wins(clean.logits, TAU)[by_nature]))
    assert int(results.attack_success_rate_count) == by_nature.sum()


@pytest.mark.parametrize("attack_trigger", [None, NaturalTrigger()])
def test_without_a_trigger_that_can_be_stamped_there_is_no_second_pass(attack_trigger):
    plan = {} if attack_trigger is None else {"attack_trigger": attack_trigger}
    results, _ = shared.trained(
        scenario_of((HONEST, Firing()), plan=plan, poison_ids=None), natural(table := helpers.table_data())
    )
    assert table is not None
    assert not [name for name in results.data_vars if name.startswith("full_")]


class Peeking(vfl.PartyTransform):
    """Test only: would change the messages of the rows that are attacked, if it were told of them."""

    def infer_upload(self, key, state, view, embedding):
        return jnp.where(view.is_attacked[:, None], 0.0 * embedding, embedding)


def test_attacks_alone_are_told_which_rows_are_attacked():
    data, plan = helpers.table_data(), {"trigger": EmbeddingTrigger()}
    plan_of = scenario_of((HONEST, Firing()), plan=plan)
    plan_of = plan_of.replace(poison=plan_of.poison.replace(test_poison_ids=(0, 2, 3, 5)))
    plain, _ = shared.trained(plan_of, data)
    watched, _ = shared.trained(plan_of.replace(attacks=(Peeking(), plan_of.attacks[1])), data)
    assert plain.identical(watched.assign_attrs(plain.attrs))
    assert float(plain.full_attack_success) > float(plain.full_attack_success_by_class.mean()) - 1  # defined
    assert float(plain.backdoor_accuracy) > 0.9  # it fires on the drawn rows of the first pass, too
    assert int(plain.backdoor_accuracy_count) == 4


@pytest.mark.long
def test_an_honest_run_of_the_grid_is_the_floor_and_single_runs_are_the_grid():
    data = helpers.table_data()
    scenario = scenario_of((HONEST, Firing()), plan={"trigger": EmbeddingTrigger()})
    over = {"attack.enabled": [0, 1], "attack.shift": [0.5, 9.0]}
    swept = sweep(scenario.replace(defense=Watch()), data, over, seeds=2, epochs=1, progress=False).isel(epoch=-1)
    for enabled in (0, 1):
        for shift in (0.5, 9.0):
            attack = Firing(shift=shift, enabled=enabled)
            one = scenario.replace(attacks=(HONEST, attack), defense=Watch())
            for seed in range(2):
                alone, _ = vfl.run(one, data, jax.random.key(seed), 1)
                point = swept.sel({"attack.enabled": enabled, "attack.shift": shift, "seed": seed})
                for name in point.data_vars:
                    if name.startswith(("full_", "detection_")):
                        np.testing.assert_allclose(point[name], alone[name][-1], rtol=1e-5, atol=1e-6, err_msg=name)
    floor = swept.sel({"attack.enabled": 0})
    for name in ("l2", "linf", "class_mean"):  # messages that do not change tell nothing
        np.testing.assert_allclose(floor[f"full_stealth_{name}"], 0.5, rtol=1e-6)
    np.testing.assert_array_equal(
        floor.full_stealth_l2.sel({"attack.shift": 0.5}), floor.full_stealth_l2.sel({"attack.shift": 9.0})
    )
    assert (floor.full_attack_success.values < 0.5).all()
    assert (swept.full_attack_success.sel({"attack.enabled": 1, "attack.shift": 9.0}).values > 0.9).all()


def test_the_class_that_the_first_pass_measures_is_one_that_an_attacker_wants():
    data, plan = helpers.table_data(), {"trigger": EmbeddingTrigger(), "party_targets": (0, 2)}
    with pytest.raises(ValueError, match=says("poison.target_class is 1", "want [0, 2]", "take one of these")):
        scenario_of((Firing(), Firing()), plan=plan, target_ids=(0, 2)).check(data)
    scenario_of((Firing(), Firing()), plan=plan, active_attack=vfl.ActiveAttack()).check(data)  # it wants class 1


def test_attackers_that_want_different_classes_are_counted_by_party():
    data = helpers.image_data(num_parties=4, active_party=1)
    attacks = (Firing(towards=0, shift=9.0), HONEST, HONEST, Firing(towards=2, shift=2.0))
    plan = {"trigger": EmbeddingTrigger(), "party_targets": (0, 1, 1, 2), "target_class": 2}
    scenario = scenario_of(attacks, plan=plan, target_ids=(0, 2), poison_ids=(1, 4))
    results, state = shared.trained(scenario, data)
    labels = data.test.labels
    rows, is_attacked = np.flatnonzero(labels == 1), jnp.asarray(labels == 1)
    clean = shared.inferred(scenario, data, state, data.test.features)
    attacked = shared.inferred(scenario, data, state, data.test.features, is_attacked)
    shared.assert_found(results, shared.full_by_hand(clean, attacked, labels, [0, 2], [0, 3]))
    first, second = (np.mean(shared.wins(attacked.logits, c)[rows]) for c in (0, 2))
    by_party = results.full_attack_success_by_party
    np.testing.assert_allclose(by_party, [first, np.nan, np.nan, second], rtol=1e-6)
    assert by_party.coords["party"].values.tolist() == list(data.parties)
    assert results.full_attack_success_by_party_count.values.tolist() == [len(rows), 0, 0, len(rows)]
    assert first > 0.9 > second  # the louder one wins


@pytest.mark.long
def test_attackers_that_are_off_do_not_count_in_the_mean():
    data, plan = helpers.table_data(), {"trigger": EmbeddingTrigger(), "party_targets": (0, 2), "target_class": 2}
    scenario = scenario_of(
        (Firing(towards=0, shift=9.0), Firing(towards=2)), plan=plan, target_ids=(0, 2), poison_ids=(1, 4)
    )
    over = {"attacks.0.enabled": [0, 1], "attacks.1.enabled": [0, 1]}
    found = sweep(scenario, data, over, seeds=1, epochs=1, progress=False).isel(epoch=-1, seed=0)
    mean, (first, second) = found.full_attack_success, found.full_attack_success_by_party.transpose("party", ...)
    assert float(first[1, 0]) > 0.5 > float(second[1, 0])
    np.testing.assert_allclose(mean[1, 0], first[1, 0])
    np.testing.assert_allclose(mean[0, 1], second[0, 1])
    for both in ((0, 0), (1, 1)):
        np.testing.assert_allclose(mean[both], (first[both] + second[both]) / 2)


def test_the_first_pass_counts_every_attacker_by_its_class_too():
    """In two blocks, the last of them filled up. Beside the class of all other numbers, 2."""
    data = helpers.image_data(num_parties=4, active_party=1)
    attacks = (Firing(towards=0, shift=3.0), HONEST, HONEST, Firing(towards=2, shift=2.0))
    plan = {"trigger": EmbeddingTrigger(), "party_targets": (0, 1, 1, 2), "target_class": 2}
    scenario, chosen = scenario_of(attacks, plan=plan, target_ids=(0, 2), poison_ids=(1, 4)), np.arange(3, 17)
    scenario = scenario.replace(poison=scenario.poison.replace(test_poison_ids=tuple(chosen.tolist())))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "TEST_BLOCK", 12)
        results, state = shared.trained(scenario, data)
    labels = data.test.labels
    logits = shared.inferred(scenario, data, state, data.test.features, np.isin(np.arange(20), chosen)).logits
    for party, label in ((0, 0), (3, 2)):
        others = [i for i in chosen if labels[i] != label]
        for name, rows in (("backdoor_accuracy", chosen), ("attack_success_rate", others)):
            share = np.mean(shared.wins(logits, label)[rows])
            assert 0 < share < 1
            np.testing.assert_allclose(results[f"{name}_by_party"][party], share, rtol=1e-6)
            assert results[f"{name}_by_party_count"][party] == len(rows)
            if label == 2:
                np.testing.assert_allclose(results[name], share, rtol=1e-6)
    for name in ("backdoor_accuracy_by_party", "attack_success_rate_by_party"):
        assert np.isnan(results[name][1:3]).all()


@pytest.mark.parametrize("plan", [{}, {"party_targets": (0, 2)}])
def test_without_an_attacking_party_the_rows_are_stamped_all_the_same(plan):
    """Nobody's classes count: rows of other classes than τ are stamped, and no message is an attacker's."""
    data = helpers.table_data()
    results, state = shared.trained(scenario_of(plan={"trigger": COLUMN} | plan), data)
    rows = np.flatnonzero(data.test.labels != TAU)
    scenario = scenario_of(plan={"trigger": COLUMN})
    clean = shared.inferred(scenario, data, state, data.test.features)
    attacked = shared.inferred(scenario, data, state, attack_by_hand(COLUMN, data, rows))
    shared.assert_found(results, shared.full_by_hand(clean, attacked, data.test.labels, [TAU], []))
    assert not [name for name in results.data_vars if "stealth" in name or "by_party" in name]


class BreakingMessages(vfl.Attack):
    """Test only: its message of about every second row is undefined, or not finite, where it attacks."""

    infinite: float = 0.0

    def infer_upload(self, key, state, view, embedding):
        bad = jnp.where(self.infinite > 0, jnp.inf, jnp.nan)
        is_bad = view.is_attacked & (jnp.floor(embedding[:, 0] * 1000) % 2 == 0)
        return jnp.where(is_bad[:, None], bad, embedding)


@pytest.mark.long
def test_undefined_messages_are_no_success_no_utility_and_do_not_count_as_messages():
    data, plan = helpers.table_data(), {"trigger": EmbeddingTrigger()}
    scenario = scenario_of((HONEST, BreakingMessages()), plan=plan)
    over = {"attack.infinite": [0.0, 1.0]}
    swept = sweep(scenario, data, over, seeds=1, epochs=1, progress=False).isel(epoch=-1, seed=0)
    results, state = shared.trained(scenario, data)
    labels = data.test.labels
    is_attacked = jnp.asarray(labels != TAU)
    clean = shared.inferred(scenario, data, state, data.test.features)
    attacked = shared.inferred(scenario, data, state, data.test.features, is_attacked)
    is_bad = np.isnan(attacked.sent[1]).any(axis=1)
    assert 2 < is_bad.sum() < 12
    expected = shared.full_by_hand(clean, attacked, labels, [TAU], [1])  # NaN is left out of every area
    shared.assert_found(results, expected)
    for point in (swept.isel({"attack.infinite": i}) for i in range(2)):
        assert float(point.full_stealth_l2) == pytest.approx(expected["full_stealth_l2"])
        assert float(point.full_stealth_class_mean) == pytest.approx(expected["full_stealth_class_mean"])


@pytest.mark.long
def test_a_replica_that_diverges_disturbs_no_other():
    data = helpers.table_data()
    scenario = scenario_of((HONEST, Firing()), plan={"trigger": EmbeddingTrigger()}, defense=Watch())
    paths = tuple(f"optimizers.{k}.learning_rate" for k in range(2))
    over = {paths: ([0.1, 0.1], [3e38, 3e38])}
    swept = sweep(scenario, data, over, seeds=1, epochs=2, progress=False).isel(epoch=-1, seed=0)
    alone, _ = shared.trained(scenario, data, epochs=2)
    (dimension,) = swept.full_attack_success.dims
    well, broken = swept.isel({dimension: 0}), swept.isel({dimension: 1})
    assert not bool(broken.is_finite)
    for name in ("full_attack_success", "full_recovered_utility", "full_clean_accuracy", "attack_success_rate"):
        assert not float(broken[name]) > 0, name
    assert np.isnan([float(broken[name]) for name in ("full_stealth_l2", "full_detection_auc")]).all()
    for name in well.data_vars:
        if name.startswith(("full_", "detection_")):
            np.testing.assert_allclose(well[name], alone[name], rtol=1e-5, atol=1e-6, err_msg=name)

"""Warnings of studies whose numbers will say little: before training, once, and only where something is attacked."""

import warnings
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from data_helpers import tiny_data, tiny_scenario

import vfl_jax as vfl
from vfl_jax.data import NaturalTrigger
from vfl_jax.data.own import arrays
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.protocol.triggers import EmbeddingTrigger
from vfl_jax.sweeps.cautions import EvidenceWarning, measuring_rows


def said(call):
    """What a call warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [str(found.message) for found in caught if issubclass(found.category, EvidenceWarning)]


def swept(scenario, data, over=None, **options):
    options = {"seeds": 2, "epochs": 1, "progress": False} | options
    return said(lambda: vfl.sweep(scenario, data, over or {}, **options))


@pytest.mark.long
def test_rows_measure_where_they_are_triggered_and_of_another_class():
    """Of 12 test rows with the labels 0, 1, 2, 0, …, those of the lowest ranks carry the trigger."""
    plan = {"test_rate": np.array([0.25, 1.0]), "target_class": 1}
    draws = SimpleNamespace(test_poison_rank=np.arange(12))
    assert measuring_rows(tiny_scenario(plan=plan), tiny_data(num_test=12), draws) == [2, 8]
    assert measuring_rows(tiny_scenario(plan=plan), tiny_data(num_test=12), draws, target=5) == [3, 12]


@pytest.mark.long
def test_few_rows_are_warned_of_once():
    """6 of 12 test rows are triggered; of them those of another class than τ measure something."""
    (message,) = swept(tiny_scenario(), tiny_data(), {"attack.enabled": [0, 1]}, max_replicas=1)
    found = vfl.sweep(tiny_scenario(), tiny_data(), seeds=1, epochs=1, progress=False)
    count = int(found.attack_success_rate_count.item())
    assert message.startswith(f"Little evidence: {count} test rows of data 'tiny' measure the backdoor")
    assert "poison.test_rate" in message
    assert said(lambda: vfl.run(tiny_scenario(), tiny_data(), jax.random.key(0), 1)) == [message]


@pytest.mark.long
@pytest.mark.parametrize(("num_test", "expected"), [(90, 0), (86, 1)])
def test_thirty_rows_are_enough(num_test, expected):
    """Test labels are 0, 1, 2, 0, 1, …: of all rows two thirds are of another class than τ; half carry the trigger."""
    data, few = tiny_data(num_test=num_test), tiny_scenario(plan={"test_rate": 1.0, "target_class": 2})
    others = int((data.test.labels != 2).sum())
    ids = tuple(np.flatnonzero(data.test.labels != 2)[: 30 - expected].tolist())
    assert others > 30
    assert len(swept(few, data)) == 0
    scenario = few.replace(poison=few.poison.replace(test_poison_ids=ids))
    assert len(swept(scenario, data)) == expected


@pytest.mark.long
def test_of_swept_rates_the_smallest_counts():
    scenario, data = tiny_scenario(plan={"test_rate": 1.0}), tiny_data(num_test=90)
    assert swept(scenario, data, {"poison.test_rate": [0.9, 1.0]}) == []
    assert len(swept(scenario, data, {"poison.test_rate": [1.0, 0.1]})) == 1


@pytest.mark.long
def test_of_several_wanted_classes_the_one_with_the_fewest_rows_counts():
    """28 test rows of class 0, 10 of class 1 and 3 of class 2 carry the trigger; two attackers want 0 and 2."""
    data = tiny_data(num_test=90)
    chosen = [
        i for label, count in ((0, 28), (1, 10), (2, 3)) for i in np.flatnonzero(data.test.labels == label)[:count]
    ]
    plan = {"trigger": EmbeddingTrigger(), "party_targets": (0, 2), "test_poison_ids": tuple(map(int, chosen))}
    attack = vfl.attacks.GradientReplacement()
    scenario = tiny_scenario(plan=plan, attacks=(attack, attack))
    found = swept(scenario, data)
    assert any("13 test rows" in message and "of another class than 0" in message for message in found)


def of_two_classes(share):
    """600 rows, so much of them of class 0; every other row carries the trigger."""
    labels = (np.arange(600) >= share * 600).astype(int)
    features = np.random.default_rng(0).normal(size=(600, 4)).astype(np.float32)
    return arrays.from_arrays(
        {"a": features[:, :2], "b": features[:, 2:]},
        labels,
        has_trigger=np.arange(600) % 2 == 0,
        test=np.arange(0, 600, 3),
    )


@pytest.mark.parametrize(
    ("share", "target", "expected"),
    [
        (0.6, 0, 1),
        (0.6, 1, 0),
        pytest.param(0.5, 0, 0, marks=pytest.mark.long),
        pytest.param(0.4, 1, 1, marks=pytest.mark.long),
    ],
)
def test_a_target_class_that_is_the_majority_is_warned_of(share, target, expected):
    scenario = tiny_scenario(plan={"trigger": NaturalTrigger(), "target_class": target})
    scenario = scenario.replace(
        bottoms=tuple(bottom.replace(width=2) for bottom in scenario.bottoms),
        poison=scenario.poison.replace(num_targets=1),
    )
    data = of_two_classes(share)
    found = swept(scenario, data)
    assert len(found) == expected
    assert all("poison.target_class" in message and "%" in message for message in found)


@pytest.mark.long
def test_what_attacks_nothing_is_not_warned_of():
    honest = tiny_scenario(attacks=(PartyTransform(), PartyTransform()))
    assert swept(honest, tiny_data()) == []
    assert swept(tiny_scenario(), tiny_data(), {"attack.enabled": [0]}) == []
    assert len(swept(tiny_scenario(), tiny_data(), {"attack.enabled": [1]})) == 1


@pytest.mark.long
def test_a_trigger_in_the_message_that_no_attack_puts_there_is_warned_of():
    """An attack that reads features alone; beside one that sends another message it is well."""
    in_message, data = tiny_scenario(plan={"trigger": EmbeddingTrigger(), "test_rate": 1.0}), tiny_data(num_test=90)
    (message,) = swept(in_message, data)
    assert "EmbeddingTrigger" in message
    assert "like clean ones" in message
    both = vfl.PartyChain(parts=[vfl.attacks.GradientReplacement(), vfl.attacks.BASL(at_epochs=(-1,))])
    assert swept(in_message.replace(attacks=(PartyTransform(), both)), data) == []
    assert swept(in_message.replace(attacks=(PartyTransform(), PartyTransform())), data) == []


def test_the_category_has_a_name_of_its_own():
    assert issubclass(vfl.EvidenceWarning, UserWarning)
    with warnings.catch_warnings():
        warnings.simplefilter("error", vfl.EvidenceWarning)
        with pytest.raises(vfl.EvidenceWarning):
            vfl.sweep(tiny_scenario(), tiny_data(), seeds=1, epochs=1, progress=False)

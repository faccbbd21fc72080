"""Cases of which some have a second pass, an answering defense or targets by party, joined, saved and loaded."""

import helpers
import numpy as np
import pytest
from evaluation_helpers import HONEST, Firing, Watch, scenario_of, two_classes

import vfl_jax as vfl
from vfl_jax.protocol.triggers import EmbeddingTrigger, FeatureTrigger, NaturalTrigger

STAMPED = FeatureTrigger(party=1, index=2, value=-3.0)
ATTACKS = (HONEST, Firing())
CASES = {
    "without": scenario_of(ATTACKS, plan={"trigger": NaturalTrigger()}),
    "stamped": scenario_of(ATTACKS, plan={"trigger": STAMPED}, defense=Watch()),
    "by party": scenario_of(
        (Firing(), Firing(towards=2)),
        plan={"trigger": EmbeddingTrigger(), "party_targets": (1, 2)},
        target_ids=(1, 5),
    ),
}
OPTIONS = {"over": {"attack.enabled": [0, 1]}, "seeds": 2, "epochs": 2, "progress": False}


@pytest.fixture(scope="module")
def joined():
    return vfl.sweep_cases(CASES, helpers.table_data(), **OPTIONS)


@pytest.mark.long
def test_what_a_case_lacks_is_undefined_and_counts_nothing(joined):
    lacking = {
        "full_attack_success": ["without"],
        "full_attack_success_by_class": ["without"],
        "full_stealth_l2": ["without"],
        "full_detection_auc": ["without", "by party"],
        "detection_false_alarm_rate": ["without", "by party"],
        "full_attack_success_by_party": ["without", "stamped"],
    }
    for name, cases in lacking.items():
        here = joined[name].sel(epoch=2)
        assert here.sel(case=cases).isnull().all(), name
        count = joined[f"{name}_count"]
        assert np.issubdtype(count.dtype, np.integer)
        assert (count.sel(case=cases) == 0).all(), name
        others = [case for case in CASES if case not in cases]
        assert (count.sel(case=others, epoch=2) > 0).any(), name
        if "detection" not in name:
            assert here.sel(case=others).notnull().any(), name
    assert joined["full_attack_success_by_party"].dims[-1] == "party"
    assert joined.coords["party"].values.tolist() == list(helpers.table_data().parties)
    assert joined["full_attack_success_by_class"].dims[-1] == "class"


@pytest.mark.long
def test_a_case_has_the_numbers_of_its_own_sweep(joined):
    alone = vfl.sweep(CASES["by party"], helpers.table_data(), **OPTIONS)
    for name in alone.data_vars:
        if name.startswith("full_"):
            np.testing.assert_array_equal(joined[name].sel(case="by party"), alone[name], err_msg=name)


@pytest.mark.long
def test_what_is_saved_is_loaded(joined, tmp_path):
    assert vfl.load(vfl.save(joined, tmp_path / "cases.nc")).identical(joined)
    folder = tmp_path / "folder"
    options = OPTIONS | {"folder": folder, "max_replicas": 2}
    found = vfl.sweep(
        scenario_of(ATTACKS, width=2, plan={"trigger": STAMPED}, defense=Watch()), two_classes(), **options
    )
    assert {"accuracy_by_class_count", "balanced_accuracy", "full_attack_success_macro"} <= set(found.data_vars)
    assert found.accuracy_by_class_count.dims == ("attack.enabled", "seed", "epoch", "class")
    assert vfl.load(folder / "results.nc").identical(found)
    whole = vfl.sweep(
        scenario_of(ATTACKS, width=2, plan={"trigger": STAMPED}, defense=Watch()), two_classes(), **OPTIONS
    )
    for name in found.data_vars:  # chunk by chunk, or all at once
        np.testing.assert_allclose(found[name], whole[name], rtol=1e-5, atol=1e-6, err_msg=name)


@vfl.measure
def is_right(outcome):
    """Test only: the accuracy once more."""
    return outcome.logits.argmax(axis=-1) == outcome.labels


@pytest.mark.long
def test_a_measure_goes_over_all_rows_and_in_the_second_pass_over_the_attacked_ones():
    scenario = scenario_of(metrics=(is_right,), plan={"trigger": STAMPED})
    found = vfl.sweep(scenario, helpers.table_data(), seeds=1, epochs=2, progress=False)
    np.testing.assert_array_equal(found.is_right, found.main_task_accuracy)
    np.testing.assert_array_equal(found.full_is_right, found.full_recovered_utility)

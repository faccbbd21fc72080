"""Cases: scenarios of different structure, side by side."""

import functools
import json

import numpy as np
import pytest
import xarray as xr
from data_helpers import says, tiny_data, tiny_scenario

from vfl_jax import reports
from vfl_jax.attacks import LabelReplacement
from vfl_jax.core.files import load, save
from vfl_jax.core.record import Record, from_json, with_numbers
from vfl_jax.core.row_ids import row_ids
from vfl_jax.defenses import GaussianNoise
from vfl_jax.models import DenseHead
from vfl_jax.protocol.chains import PartyChain
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.statistics import NoHonestRuns, honest, is_attacked, outcomes
from vfl_jax.sweeps.cases import sweep_cases
from vfl_jax.sweeps.sweep import sweep


class Timing(Record):
    """Test only: a record in a method."""

    enabled: float = 1.0


class Patient(PartyTransform):
    """Test only: a party's own defense."""

    timing: Timing = Timing()


DATA = tiny_data()
CASES = {
    "plain": tiny_scenario(),
    "noise": tiny_scenario(defense=GaussianNoise(stddev=0.1), plan={"rate": 0.1, "num_targets": 2}),
    "inference": tiny_scenario(attacks=(PartyTransform(), LabelReplacement())),
}
OPTIONS = {"over": {"attack.enabled": [0, 1]}, "seeds": 2, "epochs": 2, "progress": False}


@pytest.fixture(scope="module")
def joined():
    return sweep_cases(CASES, DATA, **OPTIONS)


@pytest.mark.long
def test_every_case_is_the_sweep_of_its_scenario(joined):
    assert joined.loss.dims == ("case", "attack.enabled", "seed", "epoch")
    for name, scenario in CASES.items():
        alone, case = sweep(scenario, DATA, **OPTIONS), joined.sel(case=name)
        for metric, variable in alone.data_vars.items():
            np.testing.assert_array_equal(case[metric], variable, err_msg=metric)
        of_case, own = row_ids(case), row_ids(alone)
        for ids in ("poison_ids", "target_ids"):
            length = own[ids].shape[1]
            np.testing.assert_array_equal(of_case[ids][:, :length], own[ids])
            assert (of_case[ids][:, length:] == -1).all()
    assert dict(row_ids(joined).sizes) == {"case": 3, "seed": 2, "poison_row": 6, "target_row": 2}


@pytest.mark.long
def test_a_metric_that_a_case_does_not_have_is_nan(joined):
    guessed = joined["label_inference_accuracy"]
    assert np.isnan(guessed.sel(case=["plain", "noise"])).all()
    assert (joined["label_inference_accuracy_count"].sel(case=["plain", "noise"]) == 0).all()
    assert joined["label_inference_accuracy_count"].dtype == np.int64


@pytest.mark.long
def test_the_scenarios_are_in_the_attributes(joined, tmp_path):
    read = load(save(joined, tmp_path / "cases.nc"))
    assert read.identical(joined)
    scenarios = {name: from_json(json.dumps(plain)) for name, plain in json.loads(read.attrs["scenario"]).items()}
    assert scenarios == CASES


@pytest.mark.long
def test_the_rows_of_every_case_are_in_the_attributes(joined):
    rows = json.loads(joined.attrs["rows"])
    assert rows == {name: json.loads(sweep(CASES[name], DATA, **OPTIONS).attrs["rows"]) for name in CASES}


@pytest.mark.long
def test_switches_are_said_by_case_and_a_record_that_has_one_is_not_taken_for_an_attack(tmp_path):
    """A party's own defense, with a record that is called as a switch is, in a chain with the attack."""
    (honest_party, attack) = tiny_scenario().attacks
    chain = PartyChain(parts=(attack, Patient(timing=Timing(enabled=0.0))))
    cases = {"plain": tiny_scenario(), "patient": tiny_scenario(attacks=(honest_party, chain))}
    found = sweep_cases(cases, DATA, **OPTIONS | {"epochs": 1})
    read = load(save(found, tmp_path / "cases.nc"))
    assert json.loads(read.attrs["switches"]) == {
        "plain": {"attacks.1.enabled": 1.0},
        "patient": {"attacks.1.parts.0.enabled": 1.0},
    }
    for part in (read.sel(case="plain"), read.sel(case="patient")):
        assert is_attacked(part).values.tolist() == [False, True]
        assert honest(part).sizes == {k: n for k, n in part.sizes.items() if k != "attack.enabled"}


@pytest.mark.long
def test_a_case_is_a_row_of_tables_with_its_own_outcomes(joined):
    shown = reports.rows(joined)
    assert [(row["case"], row["attack.enabled"]) for row in shown] == [(name, e) for name in CASES for e in "01"]
    for name, scenario in CASES.items():
        alone = reports.rows(sweep(scenario, DATA, **OPTIONS))
        of_case = [{k: v for k, v in row.items() if k != "case"} for row in shown if row["case"] == name]
        assert [row | {"not judged": row.get("not judged", "–")} for row in of_case] == [
            row | {"not judged": row.get("not judged", "–")} for row in alone
        ]
        counted = outcomes(sweep(scenario, DATA, **OPTIONS))
        xr.testing.assert_equal(outcomes(joined).sel(case=name, drop=True), counted)
        np.testing.assert_array_equal(honest(joined).loss.sel(case=name), joined.loss.sel(case=name)[0])


@pytest.mark.long
def test_of_cases_without_a_switch_the_honest_ones_have_no_outcome():
    switches = {"honest": 0, "attacked": 1}
    scenarios = {name: with_numbers(CASES["plain"], {"attacks.1.enabled": value}) for name, value in switches.items()}
    found = sweep_cases(scenarios, DATA, seeds=2, epochs=1, progress=False)
    assert outcomes(found).outcome.values[..., -1].tolist() == [["", ""], ["no reference"] * 2]
    with pytest.raises(NoHonestRuns):
        honest(found)


@pytest.mark.long
def test_cases_have_folders_of_their_own(joined, tmp_path):
    again = sweep_cases(CASES, DATA, folder=tmp_path, **OPTIONS)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(CASES)
    xr.testing.assert_identical(again, joined)
    assert load(tmp_path / "noise" / "results.nc").identical(sweep(CASES["noise"], DATA, **OPTIONS))


BAD_CASES = {
    "none": ({}, ("scenarios is {}", "at least one case")),
    "no dict": ([CASES["plain"]], ("scenarios is [", "name to scenario")),
    "a folder's name": ({"a/b": CASES["plain"]}, ("'a/b'", "a folder can have")),
    "no text": ({3: CASES["plain"]}, ("called 3", "a folder can have")),
    "no scenario": (CASES | {"last": None}, ("case 'last'", "scenario is None", "a Scenario")),
    "one that does not fit": (
        CASES | {"last": CASES["plain"].replace(head=DenseHead(), optimizers=())},
        ("case 'last'", "optimizers has 0 entries"),
    ),
    "one without the path": (
        CASES | {"last": tiny_scenario(attacks=(PartyTransform(),) * 2)},
        ("case 'last'", "over names 'attack.enabled'"),
    ),
}


@pytest.mark.parametrize("name", BAD_CASES)
def test_bad_cases_are_refused_before_the_first_is_trained(name, monkeypatch):
    cases, message = BAD_CASES[name]
    monkeypatch.setattr("vfl_jax.sweeps.cases.sweep", _no_sweep)
    with pytest.raises(ValueError, match=says(*message)):
        sweep_cases(cases, DATA, **OPTIONS)


@functools.wraps(sweep)
def _no_sweep(*_, **__):
    pytest.fail("a case was trained")


def test_bad_arguments_are_those_of_sweep():
    for options, message in (({"seeds": 0}, "seeds"), ({"epochs": 0}, "epochs is 0"), ({"over": 3}, "over is 3")):
        with pytest.raises(ValueError, match=message):
            sweep_cases(CASES, DATA, **(OPTIONS | options))
    with pytest.raises(ValueError, match=says("data is 'data.csv'")):
        sweep_cases(CASES, "data.csv", **OPTIONS)

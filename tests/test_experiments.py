"""The experiments' cases: what is trained again and what is not, and whether every case fits its data."""

import dataclasses
import importlib
import json
import re
import sys

import h5py
import numpy as np
import pytest
from data_helpers import says, tiny_data, tiny_scenario
from experiment_helpers import EXPERIMENTS, cases_of, quick_compilation, small_task, told_scenarios

from experiments.liu2020.claims_without_a_figure.listening import LISTENINGS
from experiments.shared import cases
from experiments.shared import command as command_module
from experiments.shared.cases import Case, run_cases
from experiments.shared.command import command
from experiments.shared.outcomes import EXPERIMENTS as HOME
from experiments.shared.outcomes import results_of
from experiments.zhao2026.cases import OneOf
from vfl_jax.core.files import load
from vfl_jax.core.record import from_json
from vfl_jax.defenses import GaussianNoise
from vfl_jax.sweeps.grid import parse

CASE = Case("noise", "a little noise", "mnist", tiny_scenario(defense=GaussianNoise(stddev=0.1)), seeds=2)
EVERY_CASE = [
    pytest.param(experiment, case, id=f"{experiment}-{case.name}")
    for experiment in EXPERIMENTS
    for case in cases_of(experiment).values()
]


@pytest.fixture(autouse=True)
def tiny_task(monkeypatch):
    monkeypatch.setattr(cases, "load_task", lambda task: tiny_data())


def refuse(*arguments, **options):
    raise Refused


class Refused(Exception):
    """Instead of what takes long, or at the moment of an interruption."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with the results of the case, two epochs; it was interrupted just before they were saved."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch, quick_compilation():
        patch.setattr(cases, "load_task", lambda task: tiny_data())
        with pytest.MonkeyPatch.context() as interruption:
            interruption.setattr(cases, "save", refuse)
            with pytest.raises(Refused):
                run_cases([CASE], folder, epochs=2)
        assert [path.name for path in folder.rglob("noise*")] == ["noise"]
        # It goes on: what is there already is not trained a second time.
        patch.setattr(sys.modules["vfl_jax.sweeps.work"], "train", refuse)
        run_cases([CASE], folder, epochs=2)
    return folder


@pytest.fixture
def untrained(monkeypatch):
    monkeypatch.setattr(cases, "sweep", refuse)


@pytest.mark.long
def test_an_interrupted_case_goes_on_and_keeps_what_is_small(trained):
    results = load(trained / "noise.nc")
    assert dict(results.sizes) == {"attack.enabled": 2, "seed": 2, "epoch": 2, "class": 3}
    assert results.class_score.dims == ("attack.enabled", "seed", "class")
    assert set(results.data_vars) - {name for name in results.data_vars if name.endswith("_count")} == {
        *("main_task_accuracy", "main_clean", "backdoor_accuracy", "attack_success_rate", "loss", "is_finite"),
        "class_score",
    }
    assert results.encoding["run"]["wall_seconds"] > 0
    assert {path.name for path in trained.iterdir()} == {"noise.nc", "noise.nc.run.json", "runs"}
    assert not list((trained / "runs").iterdir())


@pytest.mark.long
def test_a_finished_case_is_not_trained_again(trained, untrained, capsys):
    run_cases([CASE], trained, epochs=2)
    assert capsys.readouterr().out.count("noise.nc is there; remove it to train again.") == 1
    with pytest.raises(Refused):  # more than there are
        run_cases([CASE], trained, seeds=5, epochs=2)


CHANGES = {
    "scenario": {"scenario": tiny_scenario(defense=GaussianNoise(stddev=0.2))},
    "seeds": {"seeds": 3},
    "values": {"over": {"attack.enabled": [1]}},
    "settings": {"over": {"attack.enabled": [0, 1], "defense.stddev": [0.1]}},
}


@pytest.mark.long
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_case_is_trained(trained, untrained, change):
    with pytest.raises(Refused):
        run_cases([dataclasses.replace(CASE, **change)], trained, epochs=2)


@pytest.mark.long
def test_more_epochs_and_other_data_are_trained(trained, untrained, monkeypatch):
    with pytest.raises(Refused):
        run_cases([CASE], trained, epochs=3)
    monkeypatch.setattr(cases, "load_task", lambda task: tiny_data(num_train=33))
    with pytest.raises(Refused):
        run_cases([CASE], trained, epochs=2)


@pytest.mark.parametrize("fewer", [pytest.param({"seeds": 1, "epochs": 2}, marks=pytest.mark.long), {"epochs": 1}])
def test_results_are_not_replaced_by_fewer(trained, untrained, fewer):
    before = (trained / "noise.nc").read_bytes()
    with pytest.raises(ValueError, match=r"noise\.nc has 2 seeds and 2 epochs, more than the .*--out"):
        run_cases([CASE], trained, **fewer)
    assert (trained / "noise.nc").read_bytes() == before


def test_a_picked_case_brings_the_one_whose_honest_runs_it_needs(tmp_path, monkeypatch):
    borrower = dataclasses.replace(CASE, name="borrower", honest_of="noise")
    other = dataclasses.replace(CASE, name="other")
    chosen = []
    monkeypatch.setattr(command_module, "run_cases", lambda cases, *_: chosen.append([case.name for case in cases]))
    for only in ("borrower", "noise", "other"):
        command([CASE, borrower, other], lambda folder: None, tmp_path, ["--only", only])
    command([CASE, borrower, other], lambda folder: None, tmp_path, [])
    assert chosen == [["noise", "borrower"], ["noise"], ["other"], ["noise", "borrower", "other"]]


def test_the_command_lists_its_cases(tmp_path, untrained, capsys):
    command([CASE], pytest.fail, tmp_path, ["--list"])
    assert capsys.readouterr().out == "noise\n"
    assert not list(tmp_path.iterdir())


def test_an_unknown_case_ends_with_one_line(tmp_path, untrained):
    with pytest.raises(SystemExit, match=says("error: only names ['loud']; the cases are noise.")) as ended:
        command([CASE], pytest.fail, tmp_path, ["--only", "loud", "--only", "noise"])
    assert "\n" not in str(ended.value)


def test_the_command_trains_and_reports_where_it_is_told(tmp_path, trained, monkeypatch):
    calls, reported = [], []

    def record(scenario, data, over, seeds, epochs, evaluate_every, folder):
        assert evaluate_every is None
        folder.mkdir(parents=True)
        calls.append((seeds, epochs))

    monkeypatch.setattr(cases, "sweep", record)
    monkeypatch.setattr(cases, "kept", lambda nothing, metrics: load(trained / "noise.nc"))
    for flags in (["--quick"], ["--seeds", "1", "--epochs", "7"], ["--report-only"], ["--out", str(tmp_path / "here")]):
        command([CASE], reported.append, tmp_path, flags)
    assert calls == [(2, 2), (1, 7), (2, 50)]
    assert reported == [tmp_path / "quick", tmp_path / "results", tmp_path / "results", tmp_path / "here"]
    assert (tmp_path / "here" / "noise.nc").is_file()


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_an_experiment_without_results_says_so(experiment, tmp_path):
    report = importlib.import_module(f"experiments.liu2020.{experiment}.report")
    with pytest.raises(SystemExit, match=says("error: ", str(tmp_path), "run the experiment first")):
        command((), report.write_report, tmp_path, ["--report-only"])


@pytest.mark.parametrize(("experiment", "case"), EVERY_CASE)
def test_a_case_fits_its_data(experiment, case):
    """Every grid point of it; names are files, each of its own."""
    data = small_task(case.task)
    for point in parse(case.scenario, case.over).scenarios(case.scenario):
        point.check(data)
    assert re.fullmatch(r"[\w.]+", case.name)
    assert case.title


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_names_are_unique_and_honest_runs_are_there(experiment):
    module = sys.modules[f"experiments.liu2020.{experiment}.cases"]
    by_name = cases_of(experiment)
    assert len(by_name) == len(module.CASES)
    for case in module.CASES:
        own, borrowed = switches(case), None if case.honest_of is None else by_name[case.honest_of]
        if borrowed is None:
            assert 0 in own
            continue
        assert 0 not in own
        assert 0 in switches(borrowed)
        assert (borrowed.honest_of, borrowed.task) == (None, case.task)
        assert borrowed.seeds >= case.seeds
        # An honest run knows of no attack and of no target row.
        poison = case.scenario.poison.replace(target_ids=borrowed.scenario.poison.target_ids)
        assert case.scenario.replace(attacks=borrowed.scenario.attacks, poison=poison) == borrowed.scenario


def switches(case):
    """The values that ``attack.enabled`` takes."""
    _, values = parse(case.scenario, case.over).coordinates()["attack.enabled"]
    return np.unique(values).tolist()


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_committed_results_are_those_of_their_cases_in_full(experiment):
    listened = {one.name for one in LISTENINGS}  # no sweeps: an epoch's messages, and what was read off them
    paths = [path for path in results_of(f"liu2020/{experiment}").glob("*.nc") if path.stem not in listened]
    assert paths
    for path in paths:
        case, found = cases_of(experiment)[path.stem], load(path)
        assert found.attrs["scenario"] == case.scenario.to_json()
        np.testing.assert_array_equal(found.seed, np.arange(case.seeds))
        np.testing.assert_array_equal(found.epoch, np.arange(1, cases.EPOCHS + 1))
        for name, (_, values) in parse(case.scenario, case.over).coordinates().items():
            np.testing.assert_array_equal(found[name], values)


def contains(whole, part):
    """Whether plain JSON says all that another says; a field that was added since is more."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(name in whole and contains(whole[name], part[name]) for name in part)
    if isinstance(part, list):
        return isinstance(whole, list) and len(whole) == len(part) and all(map(contains, whole, part))
    return type(whole) is type(part) and whole == part


def test_every_committed_scenario_loads():
    """Old ones too, which lack fields that have defaults. Only attributes are read: whole files take their time."""
    paths = sorted(HOME.rglob("results/**/*.nc"))
    assert len(paths) > 150
    assert OneOf.__module__ == "experiments.zhao2026.cases"  # a record of an experiment is known once it is imported
    for path in paths:
        with h5py.File(path) as file:
            told = told_scenarios(file.attrs)
        for scenario in told:
            assert contains(json.loads(from_json(json.dumps(scenario)).to_json()), scenario), path


def test_what_is_lacking_is_not_contained():
    old, new = {"a": [1, {"b": None}]}, {"a": [1, {"b": None, "c": 2}], "d": 3}
    assert contains(new, old)
    assert not any(contains(old, other) for other in (new, {"a": [1]}, {"a": [1, {"b": 0}]}, {"a": [True, {}]}))

"""The experiment on the data sets: its command, what it compares with, and the numbers that stand in its README."""

import json
import warnings

import helpers
import numpy as np
import pytest
from data_helpers import needs_data, says
from sklearn.linear_model import LogisticRegression

from experiments.data.clean_accuracy import cases as own_cases
from experiments.data.clean_accuracy import report
from experiments.data.clean_accuracy.__main__ import main
from experiments.data.clean_accuracy.baseline import facts, joined
from experiments.data.clean_accuracy.cases import HEADS
from experiments.data.clean_accuracy.data_sets import DATA_SETS
from experiments.shared import cases, readme
from vfl_jax.core.files import load
from vfl_jax.data import NaturalTrigger, load_digits
from vfl_jax.data.sets.breast_cancer import load_breast_cancer
from vfl_jax.protocol.transforms import PartyTransform

FOLDER = report.README.with_name("results")


@pytest.mark.long
def test_the_quick_study(tmp_path, monkeypatch):
    """Of the two data sets that need no files, with one head: what takes the time is compiling."""
    for module in (own_cases, report):
        monkeypatch.setattr(module, "HEADS", ("sum",))
    main(["--quick", "--only", "breast_cancer", "--only", "digits", "--out", str(tmp_path)])
    assert sorted(path.name for path in tmp_path.glob("*.nc")) == [
        *("breast_cancer_stamped.nc", "breast_cancer_sum.nc", "digits_stamped.nc", "digits_sum.nc")
    ]
    attacked, honest = load(tmp_path / "breast_cancer_sum.nc"), load(tmp_path / "digits_sum.nc")
    assert attacked["attack.enabled"].values.tolist() == [0, 1]
    assert "attack.enabled" not in honest.coords
    for dataset in (attacked, honest):
        assert (dataset.sizes["seed"], dataset.epoch.values.tolist()) == (2, [1, 2])
    # Eight test rows carry the trigger, two of them benign, which is the target class.
    assert (attacked.attack_success_rate_count == 6).all()
    tables = (tmp_path / "tables.md").read_text()
    assert [line.split(" | ")[0] for line in tables.splitlines() if line.startswith("| ")] == [
        *("| data set", "| ---", "| breast cancer", "| digits"),
        *("| data set", "| ---", "| breast cancer"),  # of two classes
        *("| data set", "| ---", "| breast cancer"),
        *("| data set", "| ---", "| breast cancer", "| breast cancer", "| digits", "| digits"),  # stamped
    ]
    (tmp_path / "tables.md").unlink()
    main(["--report-only", "--out", str(tmp_path)])
    assert (tmp_path / "tables.md").read_text() == tables


def test_bad_arguments_are_refused(tmp_path):
    with pytest.raises(SystemExit, match=says("error", "only names ['letters']", "breast_cancer", "mnist")):
        main(["--only", "letters", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match=says("error", str(tmp_path), "no results", "run the experiment first")):
        main(["--report-only", "--out", str(tmp_path)])


@pytest.mark.long
def test_the_readme_has_the_tables_of_the_saved_results():
    text = report.README.read_text()
    assert text.count(readme.BEGIN) == text.count(readme.END) == 1
    assert f"{readme.BEGIN}\n\n{report.tables(FOLDER)}\n{readme.END}" in text


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_row_of_the_readme_against_single_seeds(name):
    known = json.loads((FOLDER / f"{name}.json").read_text())
    honest_row = next(line for line in report.README.read_text().splitlines() if f"| {DATA_SETS[name].title} |" in line)
    cells = honest_row.strip("| ").split(" | ")
    assert cells[6:8] == [f"{known['majority']:.3f}", f"{known['logistic_regression']:.3f}"]
    for head, cell in zip(HEADS, cells[8:], strict=True):
        found = load(FOLDER / f"{name}_{head}.nc").isel(epoch=-1)
        accuracy = found.main_task_accuracy
        if any(known["triggers"]):
            accuracy = accuracy.sel({"attack.enabled": 0})
        assert (accuracy.shape, int(found.epoch)) == ((10,), DATA_SETS[name].epochs)
        assert cell.startswith(f"{np.median(accuracy.values):.3f} [")


@pytest.mark.parametrize("name", ["breast_cancer", "default_credit", "adult", "bank_marketing", "phishing"])
def test_a_row_of_two_classes_against_single_seeds(name):
    known = json.loads((FOLDER / f"{name}.json").read_text())
    rows = [line for line in report.README.read_text().splitlines() if f"| {DATA_SETS[name].title} |" in line]
    cells = rows[1].strip("| ").split(" | ")
    assert cells[1:3] == [f"{known[model]:.3f}" for model in ("logistic_regression", "boosted_trees")]
    assert cells[5:7] == [f"{known[f'{model}_auc']:.3f}" for model in ("logistic_regression", "boosted_trees")]
    for head, accuracy, area in zip(HEADS, cells[3:5], cells[7:], strict=True):
        last = load(FOLDER / f"{name}_{head}.nc").isel(epoch=-1).sel({"attack.enabled": 0})
        assert accuracy.startswith(f"{np.median(last.main_task_accuracy.values):.3f} [")
        assert area.startswith(f"{np.median(last.test_auc.values):.3f} [")


@pytest.mark.parametrize("name", ["breast_cancer", "digits"])
def test_committed_results_are_not_trained_again(name, monkeypatch):
    data = DATA_SETS[name].load()
    monkeypatch.setattr(cases, "sweep", pytest.fail)
    cases.run_cases([own_cases.case(name, head, data) for head in HEADS], FOLDER)


def test_the_saved_facts_are_those_of_the_data():
    data = load_breast_cancer()
    known = facts(data)
    saved = json.loads((FOLDER / "breast_cancer.json").read_text())
    assert known.keys() == saved.keys()
    trees = [name for name in known if name.startswith("boosted_trees")]  # Another version may grow others.
    for name in trees:
        assert known[name] == pytest.approx(saved[name], abs=0.02)
    assert {name: value for name, value in known.items() if name not in trees} == {
        name: value for name, value in saved.items() if name not in trees
    }
    assert (known["rows"], known["features"], known["triggers"]) == ([455, 114], [10, 20], [37, 8])
    assert known["majority"] == np.mean(data.test.labels == 1)
    train, test = (np.concatenate(rows.features, axis=1) for rows in (data.train, data.test))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        regression = LogisticRegression(max_iter=10_000).fit(train, data.train.labels)
    assert known["logistic_regression"] == np.mean(regression.predict(test) == data.test.labels)
    of_one, of_zero = (regression.decision_function(test)[data.test.labels == label] for label in (1, 0))
    pairs = of_one[:, None] - of_zero  # How often a benign row is said to be more benign than a malignant one.
    assert known["logistic_regression_auc"] == pytest.approx(np.mean((pairs > 0) + 0.5 * (pairs == 0)))


@pytest.mark.parametrize(
    ("name", "expected"), [("breast_cancer", 0.965), pytest.param("citeseer", 0.725, marks=needs_data)]
)
def test_logistic_regression_with_a_hundredth_of_its_penalty(name, expected):
    data = DATA_SETS[name].load()
    regression = LogisticRegression(C=100, max_iter=10_000).fit(joined(data.train), data.train.labels)
    assert round(regression.score(joined(data.test), data.test.labels), 3) == expected
    assert f"{expected:.3f}" in report.README.read_text()


@pytest.mark.parametrize("weighted", [True, False])
def test_bags_and_dense_features_are_joined(weighted):
    data = helpers.bag_data(weighted=weighted)
    dense = helpers.as_multi_hot(data)
    expected = joined(dense.train)
    assert expected.shape == (48, 16)
    np.testing.assert_array_equal(expected, np.concatenate(dense.train.features, axis=1))
    np.testing.assert_allclose(joined(data.train).toarray(), expected, rtol=1e-6)


def test_images_are_joined_as_they_lie():
    data = helpers.image_data()
    expected = np.concatenate(data.test.features, axis=1).reshape(20, -1)
    np.testing.assert_array_equal(joined(data.test), expected)


@pytest.mark.parametrize("head", HEADS)
def test_scenarios_attack_where_a_trigger_is_and_nowhere_else(head):
    for name, data, attacks in (("digits", load_digits(), False), ("breast_cancer", load_breast_cancer(), True)):
        scenario = DATA_SETS[name].scenario(data, head)
        scenario.check(data)
        assert [type(attack) is not PartyTransform for attack in scenario.attacks] == [False, attacks]
        assert isinstance(scenario.poison.trigger, NaturalTrigger)

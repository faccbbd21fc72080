"""The experiment on devices: how far the results of two machines are apart, and its page."""

import numpy as np
import pytest
from result_helpers import COLLAPSED, FAILURE, SUCCESS, results_of, save_results, table_rows

from experiments.devices import report
from experiments.devices.cases import AGAIN, CASES
from experiments.shared import outcomes, readme
from vfl_jax.core.files import save

WHERE = "liu2020/claims_without_a_figure"
LISTENING = "label_inference_accuracy"


def case_named(name):
    (case,) = [case for case in CASES if case.name == name]
    return case


def values(seeds, read=0.5):
    """Attacked seeds with these outcomes; honest ones read this share of labels, whatever the defense."""
    names = {name for outcome in seeds for name in outcome} | {"main_task_accuracy"}
    plain = {"main_task_accuracy": 0.95, "main_clean": 0.95, "backdoor_accuracy": 0.1, "attack_success_rate": 0.0}
    attacked = {name: np.array([outcome.get(name, plain[name]) for outcome in seeds]) for name in names}
    return lambda settings: (attacked if settings["attack.enabled"] else {}) | {LISTENING: read}


def both(there, here):
    case = case_named(AGAIN[0])
    return {case.name: results_of(case, there)}, {case.name: results_of(case, here)}


@pytest.mark.long
def test_outcomes_are_compared_seed_by_seed():
    there = values([SUCCESS, SUCCESS, COLLAPSED, FAILURE])
    here = values([SUCCESS, COLLAPSED, SUCCESS, FAILURE])  # as many of each, on other seeds
    (row,) = table_rows(report.tables(*both(there, here)), "other outcome")
    assert row["successes, CPU"] == row["successes, here"] == "2/4 [0.15, 0.85]"
    assert row["collapsed, CPU"] == row["collapsed, here"] == "1/4 [0.05, 0.70]"
    assert row["other outcome"].startswith("2/4")


@pytest.mark.long
def test_numbers_are_compared_by_setting_and_seed():
    there, here = both(values([FAILURE] * 4, read=0.5), values([FAILURE] * 4, np.array([0.5, 0.6, 0.5, 0.3])))
    rows = {row["measure"]: row for row in table_rows(report.tables(there, here), "measure")}
    assert list(rows["labels read"].values())[2:] == ["0.0000", "0.2000", "0.0750", "0.0000"]
    assert list(rows["main accuracy"].values())[2:] == ["0.0000"] * 4


def test_other_data_are_not_compared():
    case = case_named(AGAIN[0])
    there, here = both(values([FAILURE] * 4), values([FAILURE] * 4))
    here[case.name] = results_of(case, values([FAILURE] * 4), fingerprint="of other data")
    assert report.tables(there, here).startswith("No sweep is of the same scenario, data, seeds and epochs")


def test_only_the_same_scenario_is_compared(tmp_path, monkeypatch):
    """Earlier results on a CPU stand in where claims_without_a_figure has changed what is run."""
    monkeypatch.setenv("VFL_JAX_RESULTS", str(tmp_path))
    monkeypatch.setattr(report, "EARLIER", tmp_path / "cpu")
    case = case_named(AGAIN[0])
    here = {case.name: results_of(case, values([FAILURE] * 4))}
    other = here[case.name].assign_attrs(scenario="{}")
    save(other, tmp_path / WHERE / f"{case.name}.nc")
    assert report.of_cpu(here) == {}
    save(here[case.name], tmp_path / "cpu" / f"{case.name}.nc")
    assert list(report.of_cpu(here)) == [case.name]


def test_the_command_writes_beside_its_results(tmp_path, monkeypatch):
    monkeypatch.setenv("VFL_JAX_RESULTS", str(tmp_path))
    for folder in (WHERE, "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
        save_results(tmp_path / folder, CASES, AGAIN[1], values([SUCCESS] * 4))
    before = report.README.read_text()
    report.write_report(tmp_path / "elsewhere")
    rows = table_rows((tmp_path / "elsewhere" / "tables.md").read_text(), "successes, here")
    assert [row["sweep"] for row in rows] == [case_named(AGAIN[1]).title]
    assert report.README.read_text() == before


def test_the_page_shows_the_saved_results():
    folder = report.README.with_name("results")
    here = outcomes.read(folder, CASES)
    there = report.of_cpu(here)
    assert sorted(there) == sorted(here) == sorted(AGAIN)
    tables = report.tables(there, here)
    assert f"{readme.BEGIN}\n\n{tables}\n{readme.END}" in report.README.read_text()

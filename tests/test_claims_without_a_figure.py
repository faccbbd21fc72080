"""Claims that no figure shows: tables by hand, every case in a section, reports of single cases."""

import importlib
import math
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from data_helpers import needs_data
from result_helpers import COLLAPSED, FAILURE, SUCCESS, attacked, results_of, save_results, table_rows
from scipy.stats import t

from experiments.liu2020.claims_without_a_figure import results
from experiments.liu2020.claims_without_a_figure.cases import BOUNDS, CASES, TASKS
from experiments.liu2020.claims_without_a_figure.clipping import clipped, clipping, noised
from experiments.liu2020.claims_without_a_figure.comparisons import comparison_section, comparisons
from experiments.liu2020.claims_without_a_figure.leakage import LARGEST_CLASS, all_readings
from experiments.liu2020.claims_without_a_figure.report import write_report
from experiments.liu2020.claims_without_a_figure.results import Found
from experiments.liu2020.claims_without_a_figure.validation import (
    ROWS,
    compared,
    mean_with_interval,
    signed_rank,
    validation_row,
)
from experiments.shared.cases import PRESETS, load_task
from experiments.shared.defended import CHANGE
from vfl_jax.data.sets.nus_wide_twin import load_nus_wide_twin

pytestmark = pytest.mark.usefixtures("results_in_memory")

OTHERS = {
    name: importlib.import_module(f"experiments.liu2020.{name}.cases").CASES for name in ("gamma", "head", "noise")
}
BY_NAME = {case.name: case for case in CASES} | {
    f"{name}/{case.name}": case for name, cases in OTHERS.items() for case in cases
}


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Pictures of few pixels are drawn faster."""
    monkeypatch.setitem(matplotlib.rcParams, "savefig.dpi", 20)


@pytest.fixture
def found(monkeypatch):
    """Makes ``Found`` of results by name, those of other experiments as ``<experiment>/<case>``, without files."""

    def make(values, seeds=4):
        datasets = {name: results_of(BY_NAME[name], of_case, seeds) for name, of_case in values.items()}

        class Others:
            def __init__(self, home, folder):
                self.find = datasets.get

        monkeypatch.setattr(
            results, "read", lambda folder, cases: {c.name: datasets[c.name] for c in cases if c.name in datasets}
        )
        monkeypatch.setattr(results, "Results", Others)
        return Found(results.HOME)

    return make


def at_gamma_10(**numbers):
    return lambda settings: numbers if settings["attack.enabled"] and settings["attack.amplify"] == 10 else {}


def test_clean_validation_by_hand(found):
    honest, lost = np.array([0.94, 0.95, 0.96, 0.97]), np.array([0.001, 0.002, 0.012, 0.021])

    def values(settings):
        is_attacked = settings["attack.enabled"] and settings["attack.amplify"] == 10
        return (
            {"main_clean": honest - lost * bool(is_attacked)} if is_attacked or not settings["attack.enabled"] else {}
        )

    runs = compared(found({"gamma/liu2020_code_mnist": values, "head/liu2020_paper_nus_wide": attacked(**SUCCESS)}))
    assert list(runs) == ["liu2020_code, mnist, sum head", "liu2020_paper, nus_wide, trainable head"]
    row = validation_row("run", runs["liu2020_code, mnist, sum head"], "main_clean")
    reach = t.ppf(0.975, 3) * lost.std(ddof=1) / 2
    assert row["attacked − honest, mean"] == f"-0.0090 [{-lost.mean() - reach:.4f}, {-lost.mean() + reach:.4f}]"
    assert row["median"].startswith("-0.007 [")
    assert row["Wilcoxon"] == "p = 0.12"  # all four signs agree: 2 / 2⁴
    assert row["two standard errors"] == f"{2 * math.sqrt(0.955 * 0.045 / 9900):.4f}" == "0.0042"
    assert row["seeds that lose more"].startswith("2/4 [")
    assert row["spread of honest runs"] == f"{honest.std(ddof=1):.4f}"
    # Above the attacked ones (0.939, 0.948, 0.948, 0.949) the honest ones are in 1, 4, 4 and 4 of 4 pairs.
    assert row["told apart"].startswith("0.81 [")
    assert (row["data"], row["accuracy on"]) == ("MNIST", ROWS["main_clean"])
    other = validation_row("run", runs["liu2020_paper, nus_wide, trainable head"], "main_task_accuracy")
    assert (other["Wilcoxon"], other["seeds that lose more"].split()[0]) == ("–", "0/4")


def test_results_of_other_studies_are_looked_at_where_they_have_the_same_seeds(found):
    """Not beside a trial of a few seeds in a folder of its own."""
    active = "liu2020_code_active_mnist_sum"
    looked = found({active: attacked(**SUCCESS), "gamma/liu2020_code_mnist": at_gamma_10(**SUCCESS)})
    assert looked.published("mnist", "sum", "liu2020_code") is not None
    looked.own = {active: looked.own[active].isel(seed=[0, 1])}
    assert looked.published("mnist", "sum", "liu2020_code") is None


def test_intervals_of_one_seed_and_of_no_difference(found):
    runs = compared(found({"gamma/liu2020_code_mnist": at_gamma_10(main_clean=0.9)}, seeds=1))
    row = validation_row("run", runs["liu2020_code, mnist, sum head"], "main_clean")
    assert (row["attacked − honest, mean"], row["spread of honest runs"]) == ("-0.0500 –", "–")
    zeros = runs["liu2020_code, mnist, sum head"].honest.main_clean.isel(epoch=0)
    assert (mean_with_interval(zeros), signed_rank(zeros)) == ("0.0000 –", "–")


def test_clipping_beside_noise(found, tmp_path):
    def values(setting, costly, blocks):
        def at(settings):
            cost = {"main_task_accuracy": 0.85} if settings[setting] == costly else {}
            return cost | (SUCCESS if settings["attack.enabled"] and settings[setting] != blocks else {})

        return at

    name, noise = "liu2020_code_clipping_nus_wide_trainable", "noise/liu2020_code_gaussian"
    bound, stddev = values("defense.bound", 1e-4, math.inf), values("defense.stddev", 0.1, 0.05)
    both = found({name: bound, noise: stddev})
    assert [list(line.levels) for line in clipped(both)] == [[math.inf, *BOUNDS]]
    rows = table_rows(clipping(tmp_path, both), "runs", "level")
    assert [row["level"] for row in rows[:6]] == ["∞", "0.01", "0.003", "0.001", "0.0003", "0.0001"]
    assert [row["successes"].split()[0] for row in rows[:6]] == ["0/4", *["4/4"] * 5]
    changes = [row[CHANGE].split()[0] for row in rows]
    assert changes == ["0.000"] * 5 + ["-0.100"] + ["0.000"] * 8 + ["-0.100"]
    noisy = {row["level"]: row["successes"].split()[0] for row in rows[6:]}
    assert noisy["0.05"] == "0/4"
    assert set(noisy.values()) == {"0/4", "4/4"}
    assert {row["runs"] for row in rows} == {
        "liu2020_code, nus_wide, trainable head: clipping",
        "liu2020_code, nus_wide, trainable head: Gaussian noise, stddev",
    }
    only_noise = found({noise: stddev})
    assert len(noised(only_noise)) == 1
    assert clipping(tmp_path, only_noise) is None


def test_the_largest_class_of_nus_wide():
    labels = load_nus_wide_twin(num_train=6000, num_test=200).train.labels
    assert np.bincount(labels).max() / 6000 == pytest.approx(LARGEST_CLASS["nus_wide"], abs=1e-3)


@pytest.mark.long
@needs_data
def test_the_largest_class_of_mnist():
    assert np.bincount(load_task("mnist").train.labels).max() / 60_000 == LARGEST_CLASS["mnist"]


@pytest.mark.long
def test_every_case_is_in_a_section(found):
    plain = {"label_inference_accuracy": 0.5, "label_inference_rate": 1.0}
    everything = {name: lambda settings: plain for name in BY_NAME if not name.startswith("noise/")}
    whole = found(everything, seeds=1)
    points = [point for c in comparisons(whole) for panel in c.panels.values() for point in panel.values()]
    assert None not in points
    scenarios = {point.attacked.attrs["scenario"] for point in points}
    scenarios |= {line.levels[math.inf].attacked.attrs["scenario"] for line in clipped(whole)}
    assert {case.scenario.to_json() for case in CASES} <= scenarios
    assert len(all_readings(Path("nowhere"), whole)) == len(PRESETS) * len(TASKS) * 2
    assert len(compared(whole)) == 8


def test_other_attacks_stand_beside_the_published_one(found, tmp_path):
    some = found(
        {
            "gamma/liu2020_code_mnist": at_gamma_10(**SUCCESS),
            "head/liu2020_code_nus_wide": attacked(**SUCCESS),
            "liu2020_code_active_mnist_sum": attacked(**COLLAPSED),
            "liu2020_code_labels_mnist_trainable": attacked(**FAILURE),
        }
    )
    text = comparison_section(tmp_path, comparisons(some)[0])
    rows = [
        (row["runs"], row["setting"], row["successes"][:3], row["collapsed"]) for row in table_rows(text, "setting")
    ]
    assert rows == [
        ("liu2020_code, mnist, sum head", "gradient replacement", "4/4", "0/4"),
        ("liu2020_code, mnist, sum head", "active party", "0/4", "4/4"),
        ("liu2020_code, mnist, trainable head", "label replacement", "0/4", "0/4"),
    ]
    assert "![backdoor accuracy, every seed a point](results/attacks.png)" in text
    assert (tmp_path / "attacks.png").is_file()
    assert comparison_section(tmp_path, comparisons(some)[1]) is None


@pytest.mark.parametrize(
    ("name", "section"),
    [
        ("liu2020_code_clipping_mnist_sum", "Clipping and noise"),
        ("liu2020_code_labels_nus_wide_sum", "Leaked labels"),
        ("liu2020_code_local_rate_mnist_sum", "The attacker's own learning rate"),
    ],
)
def test_a_report_of_a_single_case(tmp_path, monkeypatch, name, section):
    monkeypatch.setattr(results, "HOME", tmp_path)
    folder = tmp_path / "claims_without_a_figure" / "results"
    inferred = {"label_inference_accuracy": 0.5, "label_inference_rate": 1.0} if "labels" in name else {}
    save_results(folder, CASES, name, lambda s: inferred | (SUCCESS if s["attack.enabled"] else {}))
    write_report(folder)
    text = (folder / "tables.md").read_text()
    headings = [line.removeprefix("### ").partition(" (")[0] for line in text.splitlines() if line.startswith("### ")]
    wanted = [section, "Runtime"]
    assert headings == (["Other attacks", *wanted] if "labels" in name else wanted)
    assert len(list(folder.glob("*.png"))) == len(headings) - 1
    assert "Not trained yet" in text


def test_other_experiments_are_read_beside_this_one(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "HOME", tmp_path)
    save_results(
        tmp_path / "claims_without_a_figure" / "quick",
        CASES,
        "liu2020_code_active_mnist_sum",
        attacked(**SUCCESS),
        seeds=2,
    )
    save_results(tmp_path / "gamma" / "quick", OTHERS["gamma"], "liu2020_code_mnist", at_gamma_10(**FAILURE), seeds=2)
    quick = Found(tmp_path / "claims_without_a_figure" / "quick")
    assert quick.published("mnist", "sum", "liu2020_code") is not None
    assert quick.published("mnist", "trainable", "liu2020_code") is None
    assert quick.attacked("liu2020_code_active_nus_wide_sum") is None
    assert quick.attacked("liu2020_code_active_mnist_sum").counted.is_success.isel(epoch=-1).all()

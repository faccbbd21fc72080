"""The pages of the experiments on defenses: their tables say what the results are, whichever cases are there."""

import importlib
import math

import matplotlib
import numpy as np
import pytest
from result_helpers import results_of, save_results, table_rows

from experiments.liu2020.combination import report as combination
from experiments.liu2020.gamma.cases import CASES as GAMMA_CASES
from experiments.liu2020.head import report as head
from experiments.liu2020.noise import report as noise
from experiments.liu2020.sparsification import report as sparsification
from experiments.shared import readme
from experiments.shared.defended import CHANGE, backdoors, blocks, mitigates
from experiments.shared.outcomes import at, read
from vfl_jax.core.files import save

pytestmark = pytest.mark.usefixtures("results_in_memory")

SEEDS = 3


def save_case(folder, cases, name, numbers):
    """Saves results that were not trained.

    ``numbers`` gives honest main accuracy, attacked main accuracy and backdoor of a grid point from its settings; seed
    s has s hundredths more main accuracy, honest and attacked.
    """

    def values(settings):
        honest, attacked, backdoor = numbers(settings)
        is_attacked = settings["attack.enabled"] == 1
        success = backdoor if is_attacked else 0.0
        main = (attacked if is_attacked else honest) + np.arange(SEEDS) / 100
        return {"main_task_accuracy": main, "backdoor_accuracy": success, "attack_success_rate": success}

    save_results(folder, cases, name, values, seeds=SEEDS)


def table(folder, *columns):
    """The rows of the first table of a written page that has these columns."""
    return table_rows((folder / "tables.md").read_text(), *columns)


def row_of(rows, **settings):
    (row,) = (row for row in rows if all(row[name.replace("_", " ")] == value for name, value in settings.items()))
    return row


def pictures(folder):
    return {path.name for path in folder.glob("*.png") if path.read_bytes().startswith(b"\x89PNG")}


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Pictures of few pixels are drawn faster."""
    monkeypatch.setitem(matplotlib.rcParams, "savefig.dpi", 20)


@pytest.fixture
def undrawn(monkeypatch):
    """Figures are made and files are there, but nothing is drawn into them."""
    monkeypatch.setattr(readme, "save_figure", lambda figure, path: path.write_bytes(b"\x89PNG"))


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "results"
    made.mkdir()
    return made


# Noise.


def blocked_from(level, setting, cost):
    """The attack succeeds below a level; every unit of the setting costs so much main accuracy."""

    def numbers(settings):
        value = settings[setting]
        return 0.8 - cost * value, 0.79 - cost * value, 0.9 if value < level else 0.02

    return numbers


@pytest.mark.usefixtures("undrawn")
def test_noise_names_the_level_that_blocks_and_what_it_costs(folder):
    save_case(folder, noise.CASES, "liu2020_code_laplace", blocked_from(0.05, "defense.scale", cost=1.0))
    save_case(folder, noise.CASES, "liu2020_paper_gaussian", blocked_from(1.0, "defense.variance", cost=0.0))
    noise.write_report(folder)
    first = table(folder, "blocks from", "there: successes")
    laplace = row_of(first, noise="Laplacian noise")
    assert (laplace["level is the"], laplace["blocks from"]) == ("scale", "0.05")
    assert laplace["undefended: with a backdoor"].startswith("3/3 ")
    assert laplace["there: with a backdoor"].startswith("0/3 ")
    assert laplace[f"there: {CHANGE}"] == "-0.050 [-0.050, -0.050]"
    gaussian = row_of(first, noise="Gaussian noise")
    assert (gaussian["level is the"], gaussian["blocks from"]) == ("variance", "at none")
    assert gaussian["there: successes"] == "–"
    second = table(folder, "level", "standard deviation")
    assert len(second) == 2 * 9
    loud = row_of(second, noise="Laplacian noise", level="0.1")
    assert loud["standard deviation"] == f"{0.1 * math.sqrt(2):.2g}" == "0.14"
    assert loud["main, honest"].startswith("0.710 ")
    assert loud["difference"].startswith("-0.010 ")
    assert row_of(second, noise="Gaussian noise", level="0.1")["standard deviation"] == "0.32"
    assert pictures(folder) == {"figure_6.png", "figure_6_deviation.png", "figure_6_epochs.png"}
    assert "honest runs to borrow: liu2020_code, gaussian" in (folder / "tables.md").read_text()


def test_a_level_does_not_block_where_a_higher_one_fails_or_runs_end_in_the_target_class(folder):
    def numbers(settings):
        level = settings["defense.stddev"]
        if level == 0.1:
            return 0.8, 0.1, 1.0  # collapsed: no seed succeeds, but all is τ
        return 0.8, 0.8, 0.9 if level in (0, 0.025) else 0.0

    save_case(folder, noise.CASES, "liu2020_code_gaussian", numbers)
    (sweep,) = noise.read_sweeps(folder)
    levels = sweep.levels
    assert noise.blocking_row(levels, {})["blocks from"] == "at none"
    del levels[0.1]
    assert noise.blocking_row(levels, {})["blocks from"] == "0.05"
    del levels[0.025]
    assert noise.blocking_row(levels, {})["blocks from"] == "0.0001"


def test_where_the_attack_fails_undefended_there_is_nothing_to_block(folder):
    save_case(folder, noise.CASES, "liu2020_code_gaussian", lambda settings: (0.8, 0.8, 0.0))
    noise.write_report(folder)
    (found,) = table(folder, "blocks from")
    assert found["blocks from"] == "nothing to block"
    assert pictures(folder) == {"figure_6.png", "figure_6_deviation.png", "figure_6_epochs.png"}


# Sparsification.


@pytest.mark.usefixtures("undrawn")
def test_drop_rate_0_is_joined_and_costs_are_against_it(folder):
    numbers = blocked_from(0.99, "defense.drop_rate", cost=0.1)
    for residual in ("position", "sample"):
        save_case(folder, sparsification.CASES, f"liu2020_code_mnist_sum_{residual}", numbers)
    sparsification.write_report(folder)
    rows = table(folder, "drop rate")
    assert len(rows) == 7 + 7
    joined, lender = (row_of(rows, residual=residual, drop_rate="0") for residual in ("sample", "position"))
    assert {**joined, "residual": "position"} == lender
    assert row_of(rows, residual="sample", drop_rate="0.5")[CHANGE] == "-0.050 [-0.050, -0.050]"
    for residual in ("position", "sample"):
        found = row_of(table(folder, "blocks from"), residual=residual)
        assert (found["blocks from"], found[f"there: {CHANGE}"]) == ("0.99", "-0.099 [-0.099, -0.099]")
    assert pictures(folder) == {"figure_7.png", "figure_7_epochs.png"}


@pytest.mark.usefixtures("undrawn")
def test_without_a_run_at_drop_rate_0_there_is_no_cost(folder):
    numbers = blocked_from(0.9, "defense.drop_rate", cost=0.1)
    save_case(folder, sparsification.CASES, "liu2020_code_nus_wide_trainable_none", numbers)
    sparsification.write_report(folder)
    rows = table(folder, "drop rate")
    assert [row["drop rate"] for row in rows] == ["0.5", "0.9", "0.95", "0.99", "0.995", "0.999"]
    assert {row[CHANGE] for row in rows} == {"–"}
    (found,) = table(folder, "blocks from")
    assert (found["undefended: with a backdoor"], found["blocks from"]) == ("–", "0.9")
    assert pictures(folder) == {"figure_7.png"}  # no curves: nothing of the published residual


# Combination.


def combined(settings):
    """Both defenses together block, a drop rate of 0.99 alone too; it costs too much, and so does noise of 0.05."""
    rate, deviation = settings["defense.drop_rate"], settings["defense.stddev"]
    cost = 0.2 * deviation + {0: 0.0, 0.9: 0.004, 0.99: 0.05}[rate]
    is_blocked = rate == 0.99 or (rate == 0.9 and deviation > 0)
    return 0.8 - cost, 0.8 - cost, 0.0 if is_blocked else 0.95


def test_the_cheapest_combination_that_blocks_stands_first(folder):
    save_case(folder, combination.CASES, "liu2020_code_trainable", combined)
    combination.write_report(folder)
    found = table(folder, "spares")
    assert [(row["drop rate"], row["noise"], row["spares"]) for row in found] == [
        ("0.9", "0.01", "yes"),
        ("0.9", "0.05", "no"),
        ("0.99", "0", "no"),
        ("0.99", "0.01", "no"),
        ("0.99", "0.05", "no"),
    ]
    assert found[0][CHANGE] == "-0.006 [-0.006, -0.006]"
    assert "of 8 settings, 5 block, 1 of them spare." in (folder / "tables.md").read_text()
    assert len(table(folder, "blocks")) == 9
    rows = table(folder, "blocks", "successes")
    assert len(rows) == 9
    undefended = row_of(rows, drop_rate="0", noise="0")
    assert undefended["successes"].startswith("3/3 ")
    assert (undefended["blocks"], undefended["spares"], undefended[CHANGE]) == ("no", "yes", "0.000 [0.000, 0.000]")
    assert pictures(folder) == {"combination.png", "seeds.png"}


@pytest.mark.parametrize("main", [0.95, 0.5])
def test_a_defense_may_leave_two_of_twenty_backdoors_and_none_counts_as_gone_for_what_it_costs(main):
    """Seeds with a backdoor that lose too much main accuracy are no successes, but backdoors."""

    def point(num_backdoors, otherwise=0.0):
        left = np.where(np.arange(20) < num_backdoors, 0.9, otherwise)
        numbers = {"backdoor_accuracy": left, "attack_success_rate": left, "main_task_accuracy": main}
        return at(results_of(GAMMA_CASES[0], lambda s: numbers if s["attack.enabled"] else {}, seeds=20), amplify=1)

    assert blocks(point(2))
    assert not blocks(point(3))
    assert backdoors(point(3)).sum() == 3
    assert mitigates(point(9), point(20))
    assert not mitigates(point(11), point(20))
    assert not mitigates(point(9, 0.48), point(20))  # the others are just below a backdoor
    assert not mitigates(point(9), point(17))
    assert mitigates(point(8), point(17))


def test_one_backdoor_of_three_is_not_blocked(folder):
    def numbers(settings):
        honest, attacked, success = combined(settings)
        return honest, attacked, success or np.array([0.9, 0.0, 0.0])

    save_case(folder, combination.CASES, "liu2020_code_sum", numbers)
    points = combination.combinations(read(folder, combination.CASES)["liu2020_code_sum"])
    assert combination.blocking(points) == {}


@pytest.mark.usefixtures("undrawn")
def test_a_head_without_a_backdoor_has_nothing_to_block(folder):
    save_case(folder, combination.CASES, "liu2020_code_sum", lambda settings: (0.8, 0.8, 0.0))
    combination.write_report(folder)
    assert "sum head (NUS-WIDE twin)**: there is nothing to block" in (folder / "tables.md").read_text()
    assert len(table(folder, "spares")) == 9  # of every combination; there is no other


# Head.


def by_amplify(settings):
    return 0.7, 0.6, 0.9 if settings["attack.amplify"] == 10 else 0.3


def weak(settings):
    return 0.75, 0.75, 0.1


@pytest.fixture
def sum_head(tmp_path, monkeypatch):
    """The folder where the results of the sum head are looked for."""
    monkeypatch.setenv("VFL_JAX_RESULTS", str(tmp_path))
    made = tmp_path / "liu2020" / "gamma"
    made.mkdir(parents=True)
    return made


@pytest.mark.usefixtures("undrawn")
def test_table_2_is_paired_with_the_sum_head(folder, sum_head):
    save_case(sum_head, GAMMA_CASES, "liu2020_code_mnist", by_amplify)
    for name in ("liu2020_code_mnist", "liu2020_paper_nus_wide", "liu2020_code_mnist_depth_3"):
        save_case(folder, head.CASES, name, weak)
    head.write_report(folder)
    mnist, nus_wide = table(folder, "paper: trainable")
    assert (mnist["task"], mnist["preset"]) == ("mnist", "liu2020_code")
    assert (mnist["paper: not trainable"], mnist["paper: trainable"]) == ("0.957", "0.971")
    assert (mnist["sum head"][:5], mnist["trainable head"][:5]) == ("0.710", "0.760")
    assert (mnist["trainable − sum"], mnist["paper: difference"]) == ("0.050 [0.050, 0.050]", "+0.014")
    assert (nus_wide["task"], nus_wide["sum head"], nus_wide["trainable − sum"]) == ("nus_wide", "–", "–")
    rows = table(folder, "head", "successes")
    assert [row["head"] for row in rows] == ["sum", "1 hidden", "3 hidden", "1 hidden"]
    assert (rows[0]["backdoor"][:5], rows[0]["collapsed"]) == ("0.900", "3/3")
    assert pictures(folder) == {"figure_5.png", "depth.png"}


def test_a_sum_head_of_other_length_or_data_is_not_compared(folder, sum_head):
    save_case(folder, head.CASES, "liu2020_code_mnist", weak)
    found = read(folder, head.CASES)
    assert head.read_sum_head(folder, found) == {}
    (case,) = (case for case in GAMMA_CASES if case.name == "liu2020_code_mnist")
    path = sum_head / "liu2020_code_mnist.nc"
    like = results_of(case, lambda settings: {}, seeds=SEEDS)
    other_data = results_of(case, lambda settings: {}, seeds=SEEDS, fingerprint="of others")
    for unlike in (like.isel(epoch=[1]), like.isel(seed=[0, 1]), other_data):
        save(unlike, path)
        assert head.read_sum_head(folder, found) == {}
    save(like, path)
    assert list(head.read_sum_head(folder, found)) == ["liu2020_code_mnist"]


def test_a_quick_run_is_compared_with_a_quick_run(folder, monkeypatch):
    save_case(folder, head.CASES, "liu2020_code_mnist", weak)
    found = read(folder, head.CASES)
    quick = folder.with_name("quick")
    quick.mkdir()
    monkeypatch.setattr(head, "QUICK", quick)
    assert head.read_sum_head(quick, found) == {}
    save_case(quick, GAMMA_CASES, "liu2020_code_mnist", by_amplify)
    assert list(head.read_sum_head(quick, found)) == ["liu2020_code_mnist"]


@pytest.mark.usefixtures("sum_head", "undrawn")
def test_a_deep_head_alone_makes_a_page(folder):
    save_case(folder, head.CASES, "liu2020_code_nus_wide_depth_2", weak)
    head.write_report(folder)
    text = (folder / "tables.md").read_text()
    assert [line for line in text.splitlines() if line.startswith("### ")] == [
        "### Main and backdoor accuracy at the last epoch, γ = 10",
        "### Runtime",
    ]
    assert pictures(folder) == {"depth.png"}


# All.


@pytest.mark.parametrize("experiment", ["gamma", "head", "noise", "sparsification", "combination"])
def test_without_results_the_page_says_so(experiment, folder):
    report = importlib.import_module(f"experiments.liu2020.{experiment}.report")
    with pytest.raises(FileNotFoundError, match="has no results"):
        report.write_report(folder)
    text = report.README.read_text()
    assert text.count(readme.BEGIN) == text.count(readme.END) == 1


@pytest.mark.usefixtures("undrawn")
def test_committed_pages_show_pictures_by_the_path_from_the_readme(folder, monkeypatch):
    page = folder.with_name("README.md")
    page.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")
    monkeypatch.setattr(combination, "README", page)
    save_case(folder, combination.CASES, "liu2020_code_sum", combined)
    combination.write_report(folder)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "](results/combination.png)" in text
    assert pictures(folder) == {"combination.png", "seeds.png"}

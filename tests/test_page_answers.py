"""Answers at the top of pages say what the committed results say, and change with them."""

import copy
import json

import pytest
from result_helpers import results_of

from experiments.benchmarks import page as benchmarks
from experiments.benchmarks.__main__ import README, RESULTS
from experiments.benchmarks.tpu import page as tpu
from experiments.benchmarks.tpu import report as tpu_report
from experiments.benchmarks.tpu.__main__ import RESULTS as PROGRAMS
from experiments.data.clean_accuracy import answer as clean
from experiments.devices import answer as devices
from experiments.devices.cases import CASES
from experiments.faults import answer as faults
from experiments.faults.__main__ import COUNTS, STOPPED
from experiments.liu2020.table_1 import answer as table_1
from experiments.liu2020.table_1 import report as counts
from experiments.shared.outcomes import rounded_up
from experiments.shared.readme import BEGIN_ANSWER


@pytest.fixture
def measured():
    """What the benchmark measured."""
    return json.loads(RESULTS.read_text())


@pytest.mark.parametrize(
    ("module", "found", "readme"),
    [
        (benchmarks, lambda: [json.loads(RESULTS.read_text())], README),
        (tpu, lambda: [tpu_report.read(PROGRAMS)], PROGRAMS.with_name("README.md")),
        (faults, lambda: [json.loads(path.read_text()) for path in (COUNTS, STOPPED)], COUNTS.parents[1] / "README.md"),
        (
            table_1,
            lambda: [json.loads((counts.README.with_name("results") / counts.FILE).read_text())],
            counts.README,
        ),
    ],
)
def test_a_page_begins_with_the_answer_of_its_results(module, found, readme):
    assert f"{BEGIN_ANSWER}\n\n{module.answer(*found())}\n![" in readme.read_text()


def test_a_benchmark_is_told_by_the_turn_that_speaks_least_for_us(measured):
    slower = copy.deepcopy(measured)
    slower["times"]["nus, noise"]["eager"][0] = 3.5 * slower["times"]["nus, noise"]["vfl_jax, 160"][0]
    assert "eager loop takes at least 11 times" in benchmarks.answer(measured)
    assert "eager loop takes at least 3 times" in benchmarks.answer(slower)
    assert benchmarks.operations() == pytest.approx(6.0e6, rel=0.01)


def test_what_does_not_compile_is_not_counted():
    lines = tpu_report.read(PROGRAMS)[:4]  # three programs of no method, and a line that is no program
    failed = lines[0] | {"method": "Clipping", "error": "no"}
    assert "**3 of 4 programs of 2 methods" in tpu.answer([*lines, failed])


def test_input_that_does_not_hold_ends_the_word_all():
    found = json.loads(COUNTS.read_text())
    found["csv"]["right"] -= 1
    stopped = {"kill": {"tried": 50, "failed": {"7": "results.nc has other bytes"}}, "ask": {"tried": 3, "failed": {}}}
    said = faults.answer(found, stopped)
    assert said.startswith("**99,999 of 100,000 damaged")
    assert "52 of 53 sweeps that were stopped" in said
    assert "77 are not tried yet" in said


def test_a_count_that_differs_from_the_paper_is_not_counted():
    found = json.loads((counts.README.with_name("results") / counts.FILE).read_text())
    found["nus_wide"]["test"]["triggers"][0] += 1
    assert table_1.answer(found).startswith("**19 of 20 counts")


def test_seeds_with_another_outcome_are_counted():
    def values(settings):
        return {"backdoor_accuracy": 0.9 if settings.get("attack.enabled") else 0.0, "main_task_accuracy": 0.9}

    one = results_of(CASES[0], values, seeds=3)
    assert devices.answer({CASES[0].title: (one, one)}).startswith("**None of 3 attacked seeds has another outcome")
    ruined = one.assign(main_task_accuracy=one.main_task_accuracy.where(one["attack.enabled"] == 0, 0.2))
    said = devices.answer({CASES[0].title: (one, ruined)})
    assert said.startswith("**3 of 3 attacked seeds have another outcome")
    assert "more than 70.0 percentage points of main accuracy" in said


@pytest.mark.parametrize(("cell", "is_won"), [("6/10", True), ("5/10", False), ("–", False)])
def test_a_backdoor_comes_where_more_than_half_of_the_seeds_are_successes(cell, is_won):
    row = {"data set": "digits", "head": "sum", "success": cell}
    assert ("in 1 of 1 setting (digits, sum head)" in clean.answer({}, {}, [row])) == is_won


@pytest.mark.parametrize(("points", "expected"), [(0.53, 0.6), (1.0000001, 1.0), (0.0, 0.0), (0.5, 0.5)])
def test_no_more_than_stays_true(points, expected):
    assert rounded_up(points) == expected

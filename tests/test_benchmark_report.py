"""The benchmark's page shows what was measured, and a part of the benchmark does not replace it. Needs no PyTorch."""

import json

import pytest
from data_helpers import says

from experiments.benchmarks import report
from experiments.benchmarks.__main__ import RESULTS, Arguments, main


def test_the_page_has_the_tables_of_the_committed_results():
    assert report.tables(json.loads(RESULTS.read_text())) in RESULTS.with_name("README.md").read_text()


def test_a_part_is_shown_without_what_was_not_measured():
    """One peer, no evaluation, two numbers of replicas of which neither is the main one."""
    times = {
        "vfl_jax, 1": [10.0, 12.0],
        "vfl_jax, 8": [5.0, 4.0],
        "vfl_jax, unmapped": [20.0, 16.0],
        "eager": [50.0, 60.0],
    }
    found = {
        "machine": "a machine",
        "versions": {"jax": "1"},
        "settings": {"rounds": 2},
        "times": {"mnist, none": times},
        "alone": {},
    }
    text = report.tables(found)
    assert "| vfl_jax | 11 | 4 |" in text
    assert "- PyTorch eager loop: 12.5 times (10.0 to 15.0)" in text
    assert "Evaluation" not in text
    assert "one thread" not in text


def test_a_part_needs_a_file_of_its_own():
    before = RESULTS.read_bytes()
    with pytest.raises(SystemExit, match=says("error: a part of the benchmark", "--out")):
        main(Arguments(cases=("nus",)))
    assert RESULTS.read_bytes() == before

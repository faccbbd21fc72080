"""Little data in place of the paper's, and one case of some experiments trained on it, for what reads results."""

import contextlib
import functools
import importlib
import json
import sys

import pytest
from data_helpers import large_images
from helpers import hardly_optimized

from experiments.shared import cases
from vfl_jax.data import load_nus_wide_twin

EXPERIMENTS = (
    *("gamma", "head", "noise", "sparsification", "combination"),
    *("what_success_depends_on", "claims_without_a_figure"),
)
"""Those on the paper whose cases are of its two tasks."""
ONE_CASE = {
    "gamma": "liu2020_code_mnist",
    "head": "liu2020_code_mnist",
    "noise": "liu2020_code_gaussian",
    "sparsification": "liu2020_code_mnist_sum_position",
}
"""A cheap one of every experiment that a notebook reads."""


@functools.cache
def small_task(task):
    """In place of ``load_task``: noise of MNIST's size with poisoned rows of every class, a small twin of NUS-WIDE."""
    if task == "mnist":
        return large_images(num_train=6000, num_test=200, num_labels=10)
    return load_nus_wide_twin(num_train=640, num_test=200)


def cases_of(experiment):
    """The cases of an experiment by their names."""
    return {case.name: case for case in importlib.import_module(f"experiments.liu2020.{experiment}.cases").CASES}


@contextlib.contextmanager
def quick_compilation():
    """For sweeps that take a moment, most of it compilation: hardly optimized, and no memory is planned for them."""
    with hardly_optimized(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["vfl_jax.sweeps.sweep"], "most_replicas", lambda *_: 1000)
        yield


@pytest.fixture(scope="session")
def quick_results(tmp_path_factory):
    """A folder with a folder per experiment: one case each, two seeds and two epochs on little data."""
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch, quick_compilation():
        patch.setattr(cases, "load_task", small_task)
        for experiment, name in ONE_CASE.items():
            cases.run_cases([cases_of(experiment)[name]], folder / "liu2020" / experiment, seeds=2, epochs=2)
    return folder


def told_scenarios(attributes):
    """The scenario of results, or of an arena those of its boards, each with its epochs beside; an audit tells none."""
    if "scenario" in attributes:
        return [json.loads(attributes["scenario"])]
    boards = json.loads(attributes.get("boards", "{}")).values()
    return [{name: value for name, value in board.items() if name != "epochs"} for board in boards]

"""Labelled results: what they hold."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from data_helpers import tiny_data, tiny_scenario

from vfl_jax.core.record import from_json
from vfl_jax.core.row_ids import row_ids
from vfl_jax.replica.draws import Given, draw, epoch_ids
from vfl_jax.scenario import BatchPlan
from vfl_jax.sweeps import study
from vfl_jax.sweeps.sweep import run, sweep

SCENARIO, DATA, KEY = tiny_scenario(), tiny_data(), jax.random.key(3)
OVER = {"attack.enabled": [0, 1], ("attack.amplify", "learning_rate"): [(1, 0.1), (5, 0.2), (9, 0.1)]}
AXES = ("attack.enabled", "attack.amplify+learning_rate", "seed")
METRICS = {
    "backdoor_ties",
    "attack_ties",
    "main_task_accuracy",
    "main_clean",
    "backdoor_accuracy",
    "attack_success_rate",
    "class_score",
    "loss",
    "test_loss",
    "train_accuracy",
}
SECOND_PASS = {
    "attack_success",
    "clean_accuracy",
    "recovered_utility",
    "stealth_class_mean",
    "stealth_l2",
    "stealth_linf",
}


@pytest.fixture(scope="module")
def swept():
    return sweep(SCENARIO, DATA, OVER, seeds=[3, 0], epochs=2, progress=False)


@pytest.fixture(scope="module")
def ran():
    return run(SCENARIO, DATA, KEY, 2)


def test_a_sweep_has_a_dimension_per_axis(swept):
    sizes = {"attack.enabled": 2, "attack.amplify+learning_rate": 3, "seed": 2, "epoch": 2, "class": 3}
    assert dict(swept.sizes) == sizes
    coordinates = {name: coordinate.values.tolist() for name, coordinate in swept.coords.items()}
    assert coordinates == {
        "attack.enabled": [0, 1],
        "attack.amplify": [1, 5, 9],
        "learning_rate": [0.1, 0.2, 0.1],
        "seed": [3, 0],
        "epoch": [1, 2],
        "class": ["0", "1", "2"],
    }
    assert swept["attack.amplify"].dims == swept["learning_rate"].dims == ("attack.amplify+learning_rate",)


def test_a_sweep_has_the_documented_variables(swept):
    names = METRICS | {f"{name}_count" for name in METRICS} | {"is_finite"}
    names.add("rows_left_out")
    second = {f"full_{name}" for name in SECOND_PASS}
    by_class = {"full_attack_success_by_class", "full_attack_success_by_class_count"}
    names |= second | {f"{name}_count" for name in second} | by_class | {"full_attack_success_macro"}
    assert set(swept.data_vars) == names
    for name in second:  # at the last epoch alone
        assert np.isfinite(swept[name].isel(epoch=-1)).all()
        assert np.isnan(swept[name].isel(epoch=slice(-1))).all()
        assert (swept[f"{name}_count"].isel(epoch=slice(-1)) == 0).all()
    for name in by_class:
        assert swept[name].dims == (*AXES, "epoch", "class")
    for name in METRICS:
        extra = ("class",) if name == "class_score" else ()
        assert swept[name].dims == (*AXES, "epoch", *extra)
        assert swept[name].dtype == np.float32
        assert swept[f"{name}_count"].dims == (*AXES, "epoch")
        assert swept[f"{name}_count"].dtype == np.int64
        assert np.isfinite(swept[name]).all()
    assert swept["is_finite"].dims == (*AXES, "epoch")
    assert swept["is_finite"].dtype == bool
    assert swept["is_finite"].all()
    ids = row_ids(swept)
    assert (ids["poison_ids"].dims, ids["poison_ids"].shape) == (("seed", "poison_row"), (2, 6))
    assert (ids["target_ids"].dims, ids["target_ids"].shape) == (("seed", "target_row"), (2, 1))


def test_counts_are_denominators(swept):
    # 12 test rows, half of them triggered; 3 batches of 8 rows in an epoch.
    counts = {"main_task_accuracy": 12, "test_loss": 12, "main_clean": 6, "backdoor_accuracy": 6, "class_score": 6}
    counts |= {"loss": 3, "train_accuracy": 24}
    for name, count in counts.items():
        assert (swept[f"{name}_count"] == count).all(), name
    other = swept["attack_success_rate_count"]
    assert (other < 6).all()
    assert (other > 0).all()
    hits = swept["main_task_accuracy"] * 12
    np.testing.assert_allclose(hits, np.round(hits), atol=1e-5)
    np.testing.assert_allclose(swept["class_score"].sum("class"), 1, atol=1e-5)


def test_rows_in_the_results_are_those_that_were_used(swept):
    for seed in range(2):
        poison, target = (row_ids(swept)[name].values[seed] for name in ("poison_ids", "target_ids"))
        assert len(set(poison.tolist())) == 6
        assert not set(poison.tolist()) & set(target.tolist())
        assert (DATA.train.labels[target] == 0).all()
    assert row_ids(swept)["poison_ids"].values[0].tolist() != row_ids(swept)["poison_ids"].values[1].tolist()


def test_attributes_say_what_was_run(swept):
    assert set(swept.attrs) == {"scenario", "data", "rows", "given", "versions", "switches"}
    assert from_json(swept.attrs["scenario"]) == SCENARIO
    expected = {"name": "tiny", "parties": ["party 0", "party 1"], "fingerprint": DATA.fingerprint()}
    assert json.loads(swept.attrs["data"]) == expected
    rows = {"train": 30, "test": 12, "steps_per_epoch": 3, "left_out_per_epoch": 6}
    rows |= {"train_majority": np.bincount(DATA.train.labels).max() / 30, "test_majority": 4 / 12}
    assert json.loads(swept.attrs["rows"]) == rows
    assert json.loads(swept.attrs["switches"]) == {"attacks.1.enabled": 1.0}
    versions = json.loads(swept.attrs["versions"])
    assert versions["jax"] == jax.__version__
    assert set(versions) == {*study.PACKAGES, "matmul_precision"}
    assert swept.attrs["given"] == "nothing"


def epoch_of(scenario, seed, epoch, given=Given()):
    """Every row that a step of the epoch uses."""
    drawn = jax.tree.map(jnp.asarray, draw(scenario, DATA, jax.random.key(seed), given))
    return set(np.asarray(epoch_ids(scenario, drawn, jnp.int32(epoch))[0]).ravel().tolist())


TWO_EPOCHS = np.stack([np.arange(16).reshape(2, 8), np.array([range(8), range(1, 9)])])
LEFT_OUT = {
    "shuffled": ({}, {}, Given()),
    "file": ({}, {"batches": BatchPlan(size=4, order="file")}, Given()),
    "sampled": ({}, {"batches": BatchPlan(size=8, order="sampled")}, Given()),
    # Of 6 poison rows, all of which leave the batches, each of 3 steps appends one.
    "appended_pair": ({"mode": "appended_pair"}, {}, Given()),
    "given": ({}, {}, Given(batch_ids=TWO_EPOCHS)),
}
KNOWN = {"shuffled": 6, "file": 2, "given": (14 + 21) / 2}


@pytest.mark.long
@pytest.mark.parametrize("case", LEFT_OUT)
def test_rows_left_out_are_those_that_no_step_of_an_epoch_used(case):
    plan, fields, given = LEFT_OUT[case]
    scenario = tiny_scenario(plan=plan, **fields)
    counted = [[30 - len(epoch_of(scenario, seed, e, given)) for e in range(2)] for seed in (3, 0, 4)]
    results = sweep(scenario, DATA, {"attack.enabled": [0, 1]}, [3, 0, 4], 2, given, progress=False, max_replicas=2)
    assert results.rows_left_out.dims == ("seed", "epoch")
    np.testing.assert_array_equal(results.rows_left_out, counted)
    in_words = json.loads(results.attrs["rows"])["left_out_per_epoch"]
    assert in_words == pytest.approx(np.mean(counted), abs=1e-3)
    assert in_words == KNOWN.get(case, in_words)
    if case == "sampled":
        alone, _ = run(scenario, DATA, jax.random.key(3), 2, given)
        np.testing.assert_array_equal(alone.rows_left_out, counted[0])


def test_one_run_has_neither_grid_nor_seeds(ran):
    dataset, state = ran
    assert dict(dataset.sizes) == {"epoch": 2, "class": 3}
    assert dict(row_ids(dataset).sizes) == {"target_row": 1, "poison_row": 6}
    assert dataset["class_score"].dims == ("epoch", "class")
    assert all(dataset[name].dims == ("epoch",) for name in METRICS - {"class_score"})
    assert from_json(dataset.attrs["scenario"]) == SCENARIO
    assert len(state.params) == 2


def test_what_is_given_is_in_the_results_by_its_hash():
    choice = Given(poison_ids=np.array([4, 5, 7]), target_ids=np.array([6]))
    dataset, _ = run(SCENARIO, DATA, KEY, 1, choice)
    assert dataset.attrs["given"] == choice.fingerprint()
    assert row_ids(dataset)["poison_ids"].values.tolist() == [4, 5, 7]
    assert row_ids(dataset)["target_ids"].values.tolist() == [6]


def test_a_mean_of_nothing_is_nan():
    dataset, _ = run(tiny_scenario(plan={"test_rate": 0.0}), DATA, KEY, 1)
    for name in ("backdoor_accuracy", "attack_success_rate", "class_score"):
        assert np.isnan(dataset[name]).all()
        assert (dataset[f"{name}_count"] == 0).all()
    assert (dataset["main_clean_count"] == 12).all()
    np.testing.assert_array_equal(dataset["main_clean"], dataset["main_task_accuracy"])

"""Statistics over seeds: intervals against known ones, pairing by seed, and what counts as a success."""

import numpy as np
import pytest
import xarray as xr
from data_helpers import properties
from hypothesis import given
from hypothesis import strategies as st

from vfl_jax.statistics import honest, interval, outcomes, paired_difference, share_interval, summarize


def sweep_of(main, backdoor, finite=True, dimension="attack.enabled"):
    """Results of a sweep over honest (0) and attacked (1), float[2, S], at one epoch."""
    main, backdoor = (np.asarray(values, np.float32)[..., None] for values in (main, backdoor))
    dims = (dimension, "seed", "epoch")
    variables = {
        "main_task_accuracy": (dims, main),
        "backdoor_accuracy": (dims, backdoor),
        "is_finite": (dims, np.broadcast_to(np.asarray(finite), main.shape[:2])[..., None]),
    }
    return xr.Dataset(variables, {dimension: [0, 1], "seed": np.arange(main.shape[1])})


def test_the_interval_of_a_mean_is_the_normal_one():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    low, high = interval(values, np.mean)
    half = 1.96 * values.std() / np.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)
    narrow = interval(values, np.mean, level=0.5)
    assert low < narrow[0] < values.mean() < narrow[1] < high


def test_the_interval_of_a_median_follows_order_statistics():
    # The exact 95 % interval of 25 values is from the 8th to the 18th; a percentile bootstrap comes close.
    low, high = interval(np.arange(1.0, 26.0))
    assert 7 <= low <= 9
    assert 17 <= high <= 19


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.25], (0.25, 0.25)),
        ([0.5] * 7, (0.5, 0.5)),
        ([0.5, np.nan, 0.5], (0.5, 0.5)),
        ([], (np.nan, np.nan)),
        ([np.nan, np.nan], (np.nan, np.nan)),
    ],
)
def test_intervals_of_few_or_equal_values(values, expected):
    np.testing.assert_array_equal(interval(values), expected)


@properties
@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=20))
def test_an_interval_lies_within_the_values_and_is_reproducible(values):
    low, high = interval(values, resamples=200)
    assert min(values) <= low <= high <= max(values)
    assert interval(values, resamples=200) == (low, high)


@pytest.mark.parametrize(
    ("count", "total", "expected"),
    # Wilson 1927, computed by hand: (p + z²/2n ± z√(p(1−p)/n + z²/4n²)) / (1 + z²/n).
    [(0, 20, (0.0, 0.16113)), (20, 20, (0.83887, 1.0)), (10, 20, (0.29929, 0.70071)), (1, 10, (0.01788, 0.40415))],
)
def test_wilson_intervals(count, total, expected):
    assert share_interval(count, total) == pytest.approx(expected, abs=1e-5)


def test_a_summary_is_over_seeds_alone():
    rng = np.random.default_rng(0)
    array = xr.DataArray(rng.uniform(size=(3, 9, 2)), dims=("defense.stddev", "seed", "epoch"))
    summary = summarize(array.assign_coords({"defense.stddev": [0.0, 0.1, 1.0]}))
    assert dict(summary.sizes) == {"defense.stddev": 3, "epoch": 2}
    assert summary["defense.stddev"].values.tolist() == [0.0, 0.1, 1.0]
    for i in range(3):
        for j in range(2):
            seeds = array.values[i, :, j]
            found = [summary[name].values[i, j] for name in ("low", "median", "high")]
            assert found == [interval(seeds)[0], np.median(seeds), interval(seeds)[1]]


def test_pairs_are_of_the_same_seed():
    dataset = sweep_of(main=[[0.9, 0.5, 0.7], [0.8, 0.5, 0.9]], backdoor=[[0.1, 0.1, 0.1], [1.0, 0.9, 0.2]])
    difference = paired_difference(dataset, "main_task_accuracy").isel(epoch=0)
    np.testing.assert_allclose(difference.sel({"attack.enabled": 1}), [-0.1, 0.0, 0.2], atol=1e-6)
    np.testing.assert_array_equal(difference.sel({"attack.enabled": 0}), [0, 0, 0])
    assert honest(dataset)["main_task_accuracy"].dims == ("seed", "epoch")


def test_pairs_are_of_the_same_other_settings():
    main = np.arange(12.0).reshape(2, 3, 2)  # enabled, stddev, seed
    dataset = xr.Dataset(
        {"main_task_accuracy": (("attack.enabled", "defense.stddev", "seed"), main)}, {"attack.enabled": [1, 0]}
    )
    difference = paired_difference(dataset, "main_task_accuracy")
    np.testing.assert_array_equal(difference, main - main[1])


@pytest.mark.parametrize("dimension", ["attack.enabled", "attacks.1.enabled", "active_attack.enabled"])
def test_honest_runs_are_found_under_any_path(dimension):
    dataset = sweep_of([[0.5], [0.6]], [[0.1], [0.2]], dimension=dimension)
    assert honest(dataset)["main_task_accuracy"].values.item() == pytest.approx(0.5)


def test_honest_runs_are_found_on_a_zipped_axis():
    dataset = sweep_of([[0.5], [0.6]], [[0.1], [0.2]], dimension="point").drop_vars("point")
    dataset = dataset.assign_coords({"attack.enabled": ("point", [1, 0]), "attack.amplify": ("point", [10, 1])})
    assert honest(dataset)["main_task_accuracy"].values.item() == pytest.approx(0.6)


def zipped(enabled, stddevs, amplify, main):
    """Results along one zipped axis over an attack's numbers and a defense's, one seed, one epoch."""
    dataset = sweep_of([[0.0], [0.0]], [[0.0], [0.0]]).isel({"attack.enabled": [0] * len(enabled)})
    dataset = dataset.drop_vars("attack.enabled").rename({"attack.enabled": "point"})
    values = {"attack.enabled": enabled, "defense.stddev": stddevs, "attack.amplify": amplify}
    dataset["main_task_accuracy"] = (("point", "seed", "epoch"), np.asarray(main, np.float32)[:, None, None])
    return dataset.assign_coords({name: ("point", list(numbers)) for name, numbers in values.items()})


def test_a_zipped_axis_compares_every_defended_run_with_the_honest_one_of_its_defense():
    """Noise of 0.1 costs 0.35, the attack 0.01 or nothing: the defense's cost is not the attack's."""
    dataset = zipped([0, 0, 1, 1, 1], [0, 0.1, 0.1, 0, 0.1], [1, 1, 5, 5, 9], [0.95, 0.6, 0.59, 0.95, 0.6])
    difference = paired_difference(dataset, "main_task_accuracy")
    np.testing.assert_allclose(difference.values.ravel(), [0, 0, -0.01, 0, 0], atol=1e-6)
    assert difference["attack.enabled"].values.tolist() == [0, 0, 1, 1, 1]
    assert not outcomes(dataset)["is_collapsed"].any()
    np.testing.assert_allclose(honest(dataset)["main_task_accuracy"].values.ravel(), [0.95, 0.6, 0.6, 0.95, 0.6])


def test_several_honest_runs_that_differ_in_the_attack_alone_are_one():
    dataset = zipped([0, 0, 1, 1], [0, 0, 0, 0], [1, 5, 1, 5], [0.9, 0.9, 0.8, 0.7])
    assert honest(dataset)["main_task_accuracy"].dims == ("seed", "epoch")
    np.testing.assert_allclose(
        paired_difference(dataset, "main_task_accuracy").values.ravel(), [0, 0, -0.1, -0.2], atol=1e-6
    )


def test_a_single_honest_run_on_a_zipped_axis_is_that_of_all():
    dataset = zipped([0, 1, 1], [0, 0, 0.1], [1, 1, 1], [0.9, 0.8, 0.7])
    assert honest(dataset)["main_task_accuracy"].dims == ("seed", "epoch")


def test_a_setting_that_no_honest_run_has_is_refused():
    dataset = zipped([0, 0, 1], [0, 0.1, 0.2], [1, 1, 1], [0.9, 0.8, 0.7])
    with pytest.raises(ValueError, match=r"No honest run on the zipped axis 'point' has .*'defense.stddev': 0.2"):
        honest(dataset)


@pytest.mark.parametrize("enabled", [None, [0.5, 1]])
def test_results_without_honest_runs_are_refused(enabled):
    dataset = sweep_of([[0.5], [0.6]], [[0.1], [0.2]]).drop_vars("attack.enabled")
    if enabled is not None:
        dataset = dataset.assign_coords({"attack.enabled": enabled})
    with pytest.raises(ValueError, match=r"no honest runs: sweep 'attack\.enabled'"):
        outcomes(dataset)


# (honest main, main, backdoor, finite) of one seed → (success, collapsed)
CASES = {
    "a backdoor at no cost": ((0.95, 0.95, 0.99, True), (True, False)),
    "better than honest": ((0.95, 0.97, 0.99, True), (True, False)),
    "0.02 below is allowed": ((0.95, 0.93, 0.99, True), (True, False)),
    "0.021 below is not": ((0.95, 0.929, 0.99, True), (False, True)),
    "no backdoor": ((0.95, 0.95, 0.10, True), (False, False)),
    "half is not above half": ((0.95, 0.95, 0.5, True), (False, False)),
    "just above half": ((0.95, 0.95, 0.5001, True), (True, False)),
    "always the target class": ((0.95, 0.10, 1.0, True), (False, True)),
    "diverged": ((0.95, 0.95, 0.99, False), (False, True)),
    "diverged to nan": ((0.95, np.nan, np.nan, False), (False, True)),
    "nan, called finite": ((0.95, np.nan, 0.99, True), (False, True)),
    "no triggered rows": ((0.95, 0.95, np.nan, True), (False, False)),
}


@pytest.mark.parametrize("case", CASES)
def test_what_counts_as_a_success(case):
    (baseline, main, backdoor, finite), expected = CASES[case]
    dataset = sweep_of([[baseline], [main]], [[0.1], [backdoor]], finite=[[True], [finite]])
    found = outcomes(dataset).sel({"attack.enabled": 1})
    assert (found["is_success"].item(), found["is_collapsed"].item()) == expected


def test_honest_runs_are_never_collapsed_against_themselves():
    found = outcomes(sweep_of([[0.9, 0.3], [0.1, 0.1]], [[0.1, 0.9], [1, 1]])).sel({"attack.enabled": 0})
    assert not found["is_collapsed"].any()
    assert found["is_success"].dtype == bool

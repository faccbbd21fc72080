"""Statistics over seeds: intervals against known ones, pairing by seed, and which runs are honest."""

import json

import numpy as np
import pytest
import xarray as xr
from data_helpers import properties, says
from hypothesis import given
from hypothesis import strategies as st
from result_helpers import scenario_json, sweep_of

from vfl_jax import plots, reports, summary
from vfl_jax.statistics import (
    NoHonestRuns,
    honest,
    interval,
    is_attacked,
    outcomes,
    paired_difference,
    share_interval,
    summarize,
    undefended,
)
from vfl_jax.statistics.intervals import t_interval


def test_the_interval_of_a_mean_is_the_normal_one():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    low, high = interval(values, np.mean)
    half = 1.96 * values.std() / np.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.03)
    assert high == pytest.approx(values.mean() + half, abs=0.03)
    assert interval(values, np.mean, level=0.95) == (low, high) != interval(values, np.mean, level=0.975)
    narrow = interval(values, np.mean, level=0.5)
    assert low < narrow[0] < values.mean() < narrow[1] < high


def test_intervals_are_of_95_percent_unless_asked_otherwise():
    values = np.random.default_rng(2).normal(size=60)
    assert interval(values) == interval(values, level=0.95)
    assert interval(values) != interval(values, level=0.975)
    # By normal theory, of which the width tells the level: 1.96 standard errors at 95 %, 2.24 at 97.5 %.
    low, high = interval(np.random.default_rng(3).normal(size=4000), np.mean)
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(4000), rel=0.06)
    assert share_interval(3, 20) == share_interval(3, 20, level=0.95)
    array = xr.DataArray(values[None], dims=("point", "seed"))
    assert (summarize(array)["low"].item(), summarize(array)["high"].item()) == interval(values, level=0.95)


def test_the_interval_of_a_median_follows_order_statistics():
    # The exact 95 % interval of 25 values is from the 8th to the 18th; a percentile bootstrap comes close.
    low, high = interval(np.arange(1.0, 26.0))
    assert 7 <= low <= 9
    assert 17 <= high <= 19


def test_the_interval_that_decides_is_students():
    """By hand: the mean of 1, 2, 3 is 2, its standard error 1/√3, and t with 2 degrees of freedom 4.303."""
    assert t_interval([1.0, np.nan, 2.0, 3.0]) == pytest.approx((2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5), abs=1e-3)
    assert t_interval([0.5, 0.5]) == (0.5, 0.5)
    assert np.isnan(t_interval([0.5])).all()


ROWS = ("median, normal values", "mean, normal values", "mean, log-normal values")


def held(row, seeds, draws, ends):
    """Beside what the docstring says of some seeds, how often intervals of draws of a distribution hold the truth."""
    (line,) = (line for line in interval.__doc__.splitlines() if line.strip().startswith(row))
    said = dict(zip((2, 3, 5, 10, 20), map(float, line.split(row)[1].split()), strict=True))[seeds]
    values = np.random.default_rng(0).normal(size=(draws, seeds))
    is_skewed = "log-normal" in row
    low, high = ends(np.exp(values) if is_skewed else values, np.median if row.startswith("median") else np.mean)
    truth = np.exp(0.5) if is_skewed else 0.0
    return said, np.mean((low <= truth) & (truth <= high))


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("row", ROWS)
def test_the_docstring_says_how_often_an_interval_holds_the_truth(row, seeds):
    """300 draws have a standard error of at most 0.03."""

    def ends(drawn, statistic):
        return np.transpose([interval(values, statistic, resamples=400) for values in drawn])

    said, share = held(row, seeds, 300, ends)
    assert share == pytest.approx(said, abs=0.09)


@pytest.mark.long
@pytest.mark.parametrize("seeds", [2, 3, 5, 10, 20])
@pytest.mark.parametrize("row", ROWS)
def test_the_docstring_says_so_of_all_seeds(row, seeds):
    """This is what measures the table: 4,000 draws have a standard error of at most 0.008. 2 and 3 are exact."""
    rng = np.random.default_rng(1)

    def ends(drawn, statistic):
        """The same for many draws at once."""
        places = rng.integers(0, seeds, (2000, seeds))
        return np.transpose([np.quantile(statistic(values[places], axis=1), [0.025, 0.975]) for values in drawn])

    said, share = held(row, seeds, 4000, ends)
    assert share == pytest.approx(said, abs=0.025)


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
    """What shares the axis then changes with the attack on purpose: its own numbers, its local learning rate."""
    dataset = zipped([0, 1, 1], [0.1, 0.1, 0.1], [1, 1, 5], [0.9, 0.8, 0.7])
    for name in ("optimizers.1.learning_rate", "attacks.1.amplify"):
        swept = dataset.assign_coords({name: ("point", [0.1, 0.1, 0.2])})
        assert honest(swept)["main_task_accuracy"].dims == ("seed", "epoch")
        difference = paired_difference(swept, "main_task_accuracy").values.ravel()
        np.testing.assert_allclose(difference, [0, -0.1, -0.2], atol=1e-6)


@pytest.mark.parametrize("name", ["defense.stddev", "attacks.0.digits", "attacks.1.parts.0.digits"])
def test_a_single_honest_run_is_none_for_what_has_another_defense(name):
    """The price of the defense would be the attack's; a party's own defense is one, also in an attacker's chain."""
    rounding = {"record": "Rounding", "digits": 2.0}
    scenario = scenario_json(attacks=[rounding, {"record": "PartyChain", "parts": [rounding, ATTACK]}])
    dataset = zipped([0, 1, 1], [0, 0, 0.1], [1, 1, 1], [0.95, 0.95, 0.9]).rename({"defense.stddev": name})
    dataset["backdoor_accuracy"] = dataset["main_task_accuracy"] * 0 + xr.Variable("point", np.float32([0.1, 0.9, 0.9]))
    for said in (dataset.assign_attrs(scenario=scenario), dataset.assign_attrs(switches=IN_CHAIN)):
        found = outcomes(said).outcome.values.ravel()
        assert found.tolist() == ["", "success", "no reference"]
        clean = honest(said)
        np.testing.assert_allclose(clean["main_task_accuracy"].values.ravel(), [0.95, 0.95, np.nan], atol=1e-6)
        assert clean["is_finite"].values.ravel().tolist() == [True, True, False]
        assert clean["is_finite"].dtype == bool
        assert clean[name].values.tolist() == [0, 0, 0.1]
        assert not outcomes(said)["is_collapsed"].any()
    both = dataset.isel(point=[0, 1, 2, 0]).assign_coords({name: ("point", [0, 0, 0.1, 0.1])})
    both["main_task_accuracy"][-1] = 0.9
    assert outcomes(both.assign_attrs(scenario=scenario)).outcome.values.ravel().tolist() == ["", *["success"] * 2, ""]


def test_a_setting_that_no_honest_run_has_is_without_reference_alone():
    dataset = zipped([0, 0, 1, 1, 1], [0, 0.1, 0, 0.1, 0.2], [1] * 5, [0.9, 0.8, 0.9, 0.8, 0.7])
    dataset["backdoor_accuracy"] = dataset["main_task_accuracy"] * 0 + dataset["attack.enabled"].variable
    assert outcomes(dataset).outcome.values.ravel().tolist() == ["", "", "success", "success", "no reference"]
    difference = paired_difference(dataset, "main_task_accuracy").values.ravel()
    np.testing.assert_allclose(difference, [0, 0, 0, 0, np.nan], atol=1e-6)
    dataset["attack_success_rate"] = dataset["backdoor_accuracy"]
    table = summary(dataset)
    assert table["no reference"].tolist() == [0, 0, 0, 0, 1]
    assert table["main_task_accuracy_honest_median"].tolist() == pytest.approx(
        [0.9, 0.8, 0.9, 0.8, np.nan], nan_ok=True
    )
    assert [row["clean floor"] == "no honest run" for row in reports.rows(dataset)] == [False] * 4 + [True]
    assert len(plots.overview(dataset, ["main_task_accuracy"]).axes) > 0


@pytest.mark.parametrize("enabled", [None, [0.5, 1]])
def test_results_without_honest_runs_are_refused(enabled):
    dataset = sweep_of([[0.5], [0.6]], [[0.1], [0.2]]).drop_vars("attack.enabled")
    if enabled is not None:
        dataset = dataset.assign_coords({"attack.enabled": enabled})
    with pytest.raises(NoHonestRuns, match=r"no honest runs: sweep 'attack\.enabled'"):
        honest(dataset)


ATTACK = {"record": "Shouting", "enabled": 1.0}
IN_CHAIN = json.dumps({"attacks.1.parts.1.enabled": 1.0})
PLAIN = {"record": "PartyTransform"}


def with_defense(values, name="defense.enabled", scenario=None):
    """Results over an attack's switch and another axis: main accuracies [enabled, level] of one seed."""
    main = np.asarray(values, np.float32)[..., None, None]
    levels = np.arange(main.shape[1]) / (main.shape[1] - 1)
    dims = ("attack.enabled", name, "seed", "epoch")
    variables = dict.fromkeys(("main_task_accuracy", "backdoor_accuracy"), (dims, main))
    variables["is_finite"] = (dims, np.ones(main.shape, bool))
    found = xr.Dataset(variables, {"attack.enabled": [0, 1], name: levels, "seed": [0]})
    return found.assign_attrs(scenario=scenario or scenario_json())


def test_a_defense_with_a_switch_keeps_its_own_floor():
    """The defense alone costs 0.3; an attack that costs nothing more is not blamed for it."""
    dataset = with_defense([[0.9, 0.6], [0.9, 0.6]])
    assert honest(dataset)["main_task_accuracy"].dims == ("defense.enabled", "seed", "epoch")
    np.testing.assert_allclose(honest(dataset)["main_task_accuracy"].values.ravel(), [0.9, 0.6], atol=1e-6)
    assert not paired_difference(dataset, "main_task_accuracy").any()
    bare = dataset.drop_attrs()
    np.testing.assert_array_equal(honest(bare)["main_task_accuracy"], honest(dataset)["main_task_accuracy"])


def test_a_switch_of_a_defense_alone_makes_no_honest_run():
    dataset = with_defense([[0.9, 0.6], [0.9, 0.6]]).sel({"attack.enabled": 1})
    with pytest.raises(NoHonestRuns):
        honest(dataset)
    assert not outcomes(dataset.drop_attrs())["is_success"].any()


def test_a_party_that_defends_itself_is_none_of_the_attackers():
    """Its numbers are settings, of which the honest runs have their own."""
    scenario = scenario_json(attacks=[{"record": "Rounding", "digits": 2.0}, ATTACK])
    dataset = sweep_of([[0.0], [0.0]], [[0.0], [0.0]]).isel({"attack.enabled": [0] * 4})
    dataset = dataset.drop_vars("attack.enabled").rename({"attack.enabled": "point"}).assign_attrs(scenario=scenario)
    dataset["main_task_accuracy"] = (("point", "seed", "epoch"), np.float32([0.9, 0.5, 0.9, 0.5])[:, None, None])
    values = {"attack.enabled": [0, 0, 1, 1], "attacks.0.digits": [5, 1, 5, 1]}
    dataset = dataset.assign_coords({name: ("point", numbers) for name, numbers in values.items()})
    assert not paired_difference(dataset, "main_task_accuracy").any()


def test_an_attack_that_is_on_everywhere_leaves_no_honest_run():
    scenario = scenario_json(attacks=[ATTACK, {"record": "PartyChain", "parts": [PLAIN, ATTACK]}])
    dataset = sweep_of([[0.5], [0.6]], [[0.1], [0.2]], dimension="attacks.0.enabled").assign_attrs(scenario=scenario)
    with pytest.raises(NoHonestRuns, match=says("'attacks.1.parts.1.enabled' is on in all of them")):
        honest(dataset)
    short = dataset.rename({"attacks.0.enabled": "attack.enabled"})
    assert honest(short)["main_task_accuracy"].item() == pytest.approx(0.5)


def test_results_of_a_scenario_without_an_attack_are_honest():
    dataset = sweep_of([[0.5], [0.6]], [[0.1], [0.2]], dimension="defense.stddev")
    dataset = dataset.assign_attrs(scenario=scenario_json(attacks=[PLAIN, PLAIN]))
    xr.testing.assert_identical(honest(dataset), dataset)
    assert set(outcomes(dataset)["outcome"].values.ravel()) == {""}


def test_of_two_axes_of_attacks_the_honest_runs_have_none():
    main = np.arange(4.0).reshape(2, 2, 1, 1)
    dims = ("attacks.0.enabled", "active_attack.enabled", "seed", "epoch")
    dataset = xr.Dataset({"main_task_accuracy": (dims, main)}, {dims[0]: [1, 0], dims[1]: [0, 1]})
    assert honest(dataset)["main_task_accuracy"].item() == 2.0


def test_of_several_attackers_on_a_zipped_axis_the_honest_runs_have_none():
    """Where one of two attackers is off, the other attacks."""
    dataset = zipped([1, 0, 0], [0, 0, 0], [1, 1, 1], [0.7, 0.8, 0.9]).rename({"attack.enabled": "attacks.0.enabled"})
    dataset = dataset.assign_coords({"attacks.1.enabled": ("point", [0, 1, 0])})
    shouting = {"record": "Shouting", "enabled": 1.0}
    for named in (dataset, dataset.assign_attrs(scenario=scenario_json(attacks=[shouting, shouting]))):
        assert honest(named)["main_task_accuracy"].item() == pytest.approx(0.9)


NOISE = {"record": "GaussianNoise", "stddev": 0.0, "variance": 0.0}
CHAINED = {"record": "ActiveChain", "parts": [{"record": "Clipping", "by": "row_l2", "bound": "inf"}, NOISE]}


@pytest.mark.parametrize(
    ("defense", "name", "expected"),
    [
        (NOISE, "defense.stddev", 0.9),
        (CHAINED, "defense.stddev", 0.9),
        (CHAINED, "defense.parts.1.stddev", 0.9),
        (CHAINED | {"parts": [CHAINED["parts"][0] | {"bound": 1.0}, NOISE]}, "defense.stddev", None),
        (CHAINED | {"parts": [{"record": "OwnDefense", "bound": 1.0}, NOISE]}, "defense.stddev", None),
        ({"record": "OwnDefense", "enabled": 1.0}, "defense.enabled", None),
    ],
)
def test_undefended_runs_are_found_where_that_is_certain(defense, name, expected):
    dataset = with_defense([[0.9, 0.6], [0.9, 0.6]], name, scenario_json(defense=defense))
    found = undefended(dataset)
    assert (found is None) == (expected is None)
    if found is not None:
        assert found["main_task_accuracy"].dims == ("seed", "epoch")
        assert found["main_task_accuracy"].item() == pytest.approx(expected)


@pytest.mark.parametrize("defense", [{"record": "ActiveTransform"}, NOISE, CHAINED])
def test_where_nobody_defends_all_honest_runs_are_undefended(defense):
    dataset = with_defense([[0.9, 0.6], [0.9, 0.6]], "learning_rate", scenario_json(defense=defense))
    xr.testing.assert_identical(undefended(dataset), honest(dataset))
    noisy = with_defense([[0.9, 0.6], [0.9, 0.6]], "learning_rate", scenario_json(defense=NOISE | {"stddev": 0.1}))
    assert undefended(noisy) is None


def test_on_an_axis_with_a_single_honest_run_that_is_the_undefended_one():
    dataset = zipped([1, 0, 1], [0, 0, 0.1], [1, 1, 1], [0.8, 0.9, 0.7]).assign_attrs(
        scenario=scenario_json(defense=NOISE)
    )
    assert undefended(dataset)["main_task_accuracy"].item() == pytest.approx(0.9)
    defended = dataset.assign_coords({"defense.stddev": ("point", [0, 0.1, 0.1])})
    assert undefended(defended) is None


SWITCHES = {
    "a party's own defense has one": ([{"record": "Rounding", "enabled": 1.0}, ATTACK], {"attacks.1.enabled": 1.0}),
    "a record in an attack has one": (
        [PLAIN, ATTACK | {"options": {"record": "Options", "enabled": 0.0}}],
        {"attacks.1.enabled": 1.0},
    ),
    "a defense in an attacker's chain": (
        [PLAIN, {"record": "PartyChain", "parts": [{"record": "Rounding", "enabled": 1.0}, ATTACK]}],
        {"attacks.1.parts.1.enabled": 1.0},
    ),
    "a deeper one": (
        [PLAIN, {"record": "PartyChain", "parts": [ATTACK, {"record": "Holding", "options": ATTACK}]}],
        {"attacks.1.parts.0.enabled": 1.0},
    ),
}


@pytest.mark.parametrize("name", SWITCHES)
def test_results_that_say_their_switches_are_not_guessed_at(name):
    attacks, switches = SWITCHES[name]
    (path,) = switches
    said = {"scenario": scenario_json(attacks=attacks), "switches": json.dumps(switches)}
    dataset = sweep_of([[0.9], [0.8]], [[0.1], [0.9]], dimension=path).assign_attrs(said)
    for dimension in (path, "attack.enabled"):
        swept = dataset.rename({path: dimension}) if dimension != path else dataset
        assert is_attacked(swept).values.tolist() == [False, True]
        assert honest(swept)["main_task_accuracy"].item() == pytest.approx(0.9)


def test_a_switch_that_is_no_attacks_makes_no_honest_run():
    """Of results in which nobody attacks all are honest, whatever else is switched."""
    kept = {"record": "Careful", "kept": {"record": "Kept", "enabled": 1.0}}
    said = {"scenario": scenario_json(attacks=[PLAIN, kept]), "switches": "{}"}
    dataset = sweep_of([[0.9], [0.8]], [[0.1], [0.9]], dimension="attacks.1.kept.enabled").assign_attrs(said)
    assert not is_attacked(dataset).values.any()
    xr.testing.assert_identical(honest(dataset), dataset)
    assert set(outcomes(dataset)["outcome"].values.ravel()) == {""}


def test_undefended_runs_are_found_on_an_axis_zipped_with_the_attack():
    dataset = zipped([0, 0, 1, 1], [0.1, 0, 0.1, 0], [1, 1, 5, 5], [0.6, 0.95, 0.6, 0.95])
    dataset = dataset.assign_attrs(scenario=scenario_json(defense=NOISE))
    assert undefended(dataset)["main_task_accuracy"].item() == pytest.approx(0.95)
    both = dataset.assign_coords({"defense.variance": ("point", [0, 0.2, 0, 0.2])})
    assert undefended(both) is None  # at every point one of the two is at work
    mixed = dataset.assign_coords({"learning_rate": ("point", [0.1, 0.2, 0.1, 0.2])})
    assert undefended(mixed) is None

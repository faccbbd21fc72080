"""What counts as what: every attacked replica has one outcome, by stated thresholds, beside honest runs of any kind."""

import json

import numpy as np
import pytest
import xarray as xr
from data_helpers import properties, says
from hypothesis import given
from hypothesis import strategies as st
from result_helpers import scenario_json, sweep_of

from vfl_jax import ActiveChain, ActiveTransform, defenses, statistics, summary
from vfl_jax.statistics import OUTCOMES, outcomes

NOISE = {"record": "GaussianNoise", "stddev": 0.0, "variance": 0.0}
CHAIN_OF_BOTH = {"record": "ActiveChain", "parts": [NOISE, {"record": "OwnDefense"}]}


def one(honest=(0.95, 0.1, True), attacked=(0.95, 0.9, True), rows=10_000, **attributes):
    """Results of one seed, honest and attacked: (main accuracy, backdoor accuracy, is finite)."""
    (main, backdoor, finite) = zip(honest, attacked, strict=True)
    found = sweep_of(*([[value] for value in values] for values in (main, backdoor, finite)))
    found["main_task_accuracy_count"] = xr.full_like(found["main_task_accuracy"], rows, int)
    return found.assign_attrs({name: json.dumps(value) for name, value in attributes.items()})


def judged(dataset, **options):
    """(outcome, success, collapsed) of the attacked run."""
    found = outcomes(dataset, **options).sel({"attack.enabled": 1})
    return tuple(found[name].item() for name in ("outcome", "is_success", "is_collapsed"))


# (honest main, main, backdoor, finite) of one seed → (outcome, success, collapsed)
CASES = {
    "a backdoor at no cost": ((0.95, 0.95, 0.99, True), ("success", True, False)),
    "better than honest": ((0.95, 0.97, 0.99, True), ("success", True, False)),
    "0.02 below is allowed": ((0.95, 0.93, 0.99, True), ("success", True, False)),
    "0.021 below is not": ((0.95, 0.929, 0.99, True), ("collapsed", False, True)),
    "no backdoor": ((0.95, 0.95, 0.10, True), ("none", False, False)),
    "half is not above half": ((0.95, 0.95, 0.5, True), ("none", False, False)),
    "just above half": ((0.95, 0.95, 0.5001, True), ("success", True, False)),
    "always the target class": ((0.95, 0.10, 1.0, True), ("collapsed", False, True)),
    "diverged": ((0.95, 0.95, 0.99, False), ("collapsed", False, True)),
    "diverged to nan": ((0.95, np.nan, np.nan, False), ("collapsed", False, True)),
    "nan, called finite": ((0.95, np.nan, 0.99, True), ("collapsed", False, True)),
    "no triggered rows": ((0.95, 0.95, np.nan, True), ("nothing to attack", False, False)),
}


@pytest.mark.parametrize("case", CASES)
def test_what_counts_as_a_success(case):
    (baseline, *attacked), expected = CASES[case]
    assert judged(one((baseline, 0.1, True), attacked)) == expected


@pytest.mark.parametrize(
    ("honest", "attacked", "expected"),
    [
        # A model that diverged to τ as its honest twin did: neither is worth an attack, and it is ruined.
        ((0.1, 1.0, True), (0.1, 1.0, True), ("nothing to attack", False, True)),
        ((0.1, 0.0, True), (0.1, 1.0, True), ("nothing to attack", False, True)),
        ((0.1, 0.1, True), (0.9, 1.0, True), ("nothing to attack", False, False)),
        ((0.95, 0.1, False), (0.95, 0.9, True), ("nothing to attack", False, False)),
        ((np.nan, 0.1, True), (0.95, 0.9, True), ("nothing to attack", False, True)),
        ((0.95, np.nan, True), (0.95, 0.9, True), ("none", False, False)),
        ((0.95, 0.51, True), (0.95, 1.0, True), ("floor too high", False, False)),
        ((0.95, 0.51, True), (0.5, 1.0, True), ("floor too high", False, True)),
        ((0.95, 0.5, True), (0.95, 1.0, True), ("success", True, False)),
        ((0.95, 0.4, True), (0.95, 0.65, True), ("success", True, False)),
        ((0.95, 0.4, True), (0.95, 0.649, True), ("none", False, False)),
    ],
)
def test_beside_an_honest_run_that_is_ruined_or_has_the_backdoor(honest, attacked, expected):
    assert judged(one(honest, attacked), test_majority=0.2) == expected


@pytest.mark.parametrize(
    ("accuracy", "expected"), [(0.518, "nothing to attack"), (0.522, "success"), (0.45, "nothing to attack")]
)
def test_an_honest_run_must_be_above_the_majority_by_two_standard_errors(accuracy, expected):
    """Of 2,500 rows half are of one class: two standard errors are 0.02."""
    found = one((accuracy, 0.1, True), (accuracy, 0.9, True), rows=2500)
    assert judged(found, test_majority=0.5)[0] == expected
    assert judged(found.assign_attrs(rows=json.dumps({"test_majority": 0.5})))[0] == expected
    assert judged(found, test_majority=0.5, standard_errors=3.0)[0] == "nothing to attack"
    without_count = found.drop_vars("main_task_accuracy_count")
    said = without_count.assign_attrs(rows=json.dumps({"test_majority": 0.5, "test": 2500}))
    assert judged(said)[0] == expected


def test_where_the_majority_is_not_known_it_is_at_least_one_of_the_classes():
    found = one((0.12, 0.1, True), (0.12, 0.9, True))
    assert judged(found)[0] == "success"
    assert judged(found.assign_coords({"class": list("0123456789")}))[0] == "success"
    assert judged(found.assign_coords({"class": list("01234567")}))[0] == "nothing to attack"


def over_noise(honest, attacked=(0.9, 0.9), **attributes):
    """Results over noise of 0 and 0.1, two seeds: honest and attacked main accuracies [stddev, seed]."""
    main = np.float32([np.broadcast_to(honest, (2, 2)), np.broadcast_to(attacked, (2, 2))])[..., None]
    dims = ("attack.enabled", "defense.stddev", "seed", "epoch")
    variables = {
        "main_task_accuracy": (dims, main),
        "backdoor_accuracy": (dims, np.broadcast_to(np.float32([0.1, 0.9])[:, None, None, None], main.shape)),
        "is_finite": (dims, np.ones(main.shape, bool)),
    }
    coordinates = {"attack.enabled": [0, 1], "defense.stddev": [0.0, 0.1], "seed": [3, 5]}
    return xr.Dataset(variables, coordinates, {"scenario": scenario_json(defense=NOISE)} | attributes)


def test_a_defense_that_ruins_the_honest_run_leaves_nothing_to_attack():
    """Of the undefended 0.9 and 0.5, 0.75 is a loss of 0.15 in the first seed alone; 0.1 is allowed."""
    swept = over_noise(honest=[[0.9, 0.5], [0.75, 0.75]], attacked=[[0.9, 0.5], [0.75, 0.75]])
    found = outcomes(swept).isel(epoch=0).sel({"attack.enabled": 1})
    assert found.outcome.sel({"defense.stddev": 0}).values.tolist() == ["success", "success"]
    assert found.outcome.sel({"defense.stddev": 0.1}).values.tolist() == ["nothing to attack", "success"]
    lenient = outcomes(swept, defense_loss_at_most=0.16).sel({"attack.enabled": 1})
    assert (lenient.outcome == "success").all()


@pytest.mark.parametrize(("loss", "expected"), [(0.1, "success"), (0.11, "nothing to attack")])
def test_what_a_defense_may_cost(loss, expected):
    swept = over_noise([[0.9, 0.9], [0.9 - loss, 0.9]], [[0.9, 0.9], [0.9 - loss, 0.9]])
    assert outcomes(swept).outcome.sel({"attack.enabled": 1, "defense.stddev": 0.1, "seed": 3}).item() == expected


def test_undefended_runs_can_be_given():
    defended = over_noise(honest=0.75, attacked=0.75).sel({"defense.stddev": [0.1]})
    assert (outcomes(defended).outcome.sel({"attack.enabled": 1}) == "success").all()
    others = over_noise(honest=[[0.9, 0.8], [0.2, 0.2]])
    for undefended in (others, others.main_task_accuracy.sel({"attack.enabled": 0, "defense.stddev": 0}, drop=True)):
        found = outcomes(defended, undefended=undefended).outcome.sel({"attack.enabled": 1})
        assert found.values.ravel().tolist() == ["nothing to attack", "success"]
        turned = outcomes(defended, undefended=undefended.isel(seed=[1, 0])).outcome.sel({"attack.enabled": 1})
        np.testing.assert_array_equal(turned, found)  # by seed, not by place
        first = outcomes(defended.isel(epoch=0, seed=0), undefended=undefended.assign_coords(epoch=[1]).isel(epoch=0))
        assert first.outcome.values.ravel().tolist() == ["", "nothing to attack"]
        unknown = outcomes(defended, undefended=undefended.isel(seed=[1])).outcome.sel({"attack.enabled": 1})
        assert unknown.values.ravel().tolist() == ["success", "success"]


def test_undefended_runs_that_cannot_be_found_are_refused():
    swept = over_noise(honest=0.9)
    with pytest.raises(ValueError, match=says("undefended", "no honest runs", "'attack.enabled' 0")):
        outcomes(swept, undefended=swept.sel({"attack.enabled": [1]}))
    with pytest.raises(ValueError, match=says("undefended", "bound", "select")):
        outcomes(swept, undefended=swept.main_task_accuracy.expand_dims(bound=2))


def test_undefended_runs_of_other_seeds_or_epochs_are_refused():
    """They said nothing, and every loss to a defense was allowed."""
    defended = over_noise(honest=0.75, attacked=0.75).sel({"defense.stddev": [0.1]}).assign_coords(epoch=[2])
    clean = over_noise(honest=0.9).assign_coords(epoch=[2])
    alone = clean.main_task_accuracy.sel({"attack.enabled": 0, "defense.stddev": 0}, drop=True)
    others = [
        (clean.assign_coords(seed=[7, 9]), ("undefended", "seed", "[7, 9]", "[3, 5]")),
        (alone.assign_coords(seed=[7, 9]), ("undefended", "seed", "[7, 9]", "[3, 5]")),
        (alone.assign_coords(seed=[7, 9]).isel(seed=0), ("undefended", "seed", "[7]", "[3, 5]")),
        (clean.assign_coords(epoch=[1]), ("undefended", "epoch", "[1]", "[2]")),
    ]
    for undefended, message in others:
        with pytest.raises(ValueError, match=says(*message)):
            outcomes(defended, undefended=undefended)
    with pytest.raises(ValueError, match=says("undefended", "seed", "[7, 9]", "[3]")):
        outcomes(defended.isel(seed=0), undefended=clean.assign_coords(seed=[7, 9]))
    found = outcomes(defended, undefended=alone.isel(seed=1)).outcome.sel({"attack.enabled": 1})
    assert found.values.ravel().tolist() == ["success", "nothing to attack"]  # of the seed that it is of


@pytest.mark.parametrize("defense", [NOISE | {"stddev": 0.3}, {"record": "OwnDefense"}, CHAIN_OF_BOTH])
def test_undefended_runs_that_are_defended_are_refused(defense):
    found = one((0.6, 0.1, True), (0.6, 0.9, True)).assign_attrs(scenario=scenario_json(defense=defense))
    with pytest.raises(
        ValueError, match=says("undefended", defense["record"].removeprefix("ActiveChain"), "without a")
    ):
        outcomes(found, undefended=found)
    assert judged(found, undefended=found.main_task_accuracy.isel({"attack.enabled": 0}, drop=True))[0] == "success"
    clean = one().assign_attrs(scenario=scenario_json())
    assert judged(found, undefended=clean)[0] == "nothing to attack"
    swept = over_noise(0.9).sel({"defense.stddev": [0.1]})
    with pytest.raises(ValueError, match=says("undefended", "GaussianNoise")):
        outcomes(swept, undefended=swept)


class HalfGradients(ActiveTransform):
    """A defense of one's own that says at which number it changes nothing."""

    neutral = {"share": 0.0}
    share: float = 0.5


def record(defense, **changes):
    """The JSON of a defense, with other fields."""
    return {"defense": json.loads(defense.to_json()) | changes}


OTHER_OPTIMIZER = {"optimizer": {"record": "OwnOptimizer", "rate": 0.1}}


@pytest.mark.parametrize(
    ("defense", "is_neutral"),
    [
        (record(defenses.MID()), True),
        (record(defenses.MID(weight=0.1)), False),
        (record(defenses.MID(), **OTHER_OPTIMIZER), True),  # at a weight of 0 nothing else counts
        (record(defenses.MID(weight=0.1), **OTHER_OPTIMIZER), False),
        (record(defenses.LaplaceNoise(variance=0.1)), False),
        (record(HalfGradients(share=0.0)), True),
        (record(HalfGradients()), False),
        (record(ActiveChain(parts=(HalfGradients(share=0), defenses.Clipping()))), True),
        (record(ActiveChain(parts=(HalfGradients(), defenses.Clipping()))), False),
        (record(defenses.CAE(encoded=0.0)), True),
        (record(defenses.CAE()), False),
        (record(defenses.EmbeddingFilter(start=1.0)), True),
        (record(defenses.EmbeddingFilter()), False),
        (record(defenses.VFLIP()), False),
        (record(defenses.VFLMonitor()), False),
        (record(defenses.GBD(action="reject")), False),
    ],
)
def test_a_defense_is_no_reference_where_it_may_act_at_its_defaults(defense, is_neutral):
    found = by_case(noise=(0.6, DEFENDED), other=(0.95, defense))
    judged = outcomes(found).outcome.sel({"attack.enabled": 1}).values.ravel().tolist()
    assert judged == ["nothing to attack" if is_neutral else "success", "success"]
    assert len(summary(found)) == 4  # a table of a method with an optimizer of its own


@pytest.mark.parametrize(
    ("defense", "is_found"),
    [
        (defenses.DiscreteGradients(), True),  # at 0 bins its bound, which is swept, changes nothing
        (defenses.DiscreteGradients(bins=4), False),
        (ActiveChain(parts=(defenses.Clipping(), defenses.EmbeddingClipping())), False),  # the name fits two numbers
    ],
)
def test_a_swept_number_that_switches_nothing_off_has_no_say(defense, is_found):
    swept = over_noise(honest=0.9, scenario=scenario_json(**record(defense))).rename(
        {"defense.stddev": "defense.bound"}
    )
    found = statistics.undefended(swept)
    assert (found is not None) == is_found
    if is_found:
        assert found["main_task_accuracy"].dims == ("defense.bound", "seed", "epoch")


def by_case(**defenses):
    """Results of cases by defense and main accuracy; no attack costs anything."""
    parts = [one((main, 0.1, True), (main, 0.9, True)) for main, _ in defenses.values()]
    scenarios = {name: json.loads(scenario_json(**fields)) for name, (_, fields) in defenses.items()}
    joined = xr.concat(parts, xr.Variable("case", list(defenses)))
    joined["attack_success_rate"] = joined["backdoor_accuracy"]
    return joined.assign_attrs(scenario=json.dumps(scenarios))


NONE = {}
DEFENDED = {"defense": NOISE | {"stddev": 0.3}}
OWN = {"defense": {"record": "OwnDefense"}}


@pytest.mark.parametrize(
    ("cases", "expected"),
    [
        ({"none": (0.95, NONE), "noise": (0.6, DEFENDED)}, ["success", "nothing to attack"]),
        ({"noise": (0.6, DEFENDED), "none": (0.95, NONE)}, ["nothing to attack", "success"]),
        ({"noise": (0.6, DEFENDED), "neutral": (0.95, {"defense": NOISE})}, ["nothing to attack", "success"]),
        (
            {"none": (0.95, NONE), "own": (0.6, OWN), "noise": (0.9, DEFENDED)},
            ["success", "nothing to attack", "success"],
        ),
        # None without a defense, several, and one that differs in more than its defense: nothing is certain.
        ({"own": (0.95, OWN), "noise": (0.6, DEFENDED)}, ["success", "success"]),
        ({"a": (0.95, NONE), "b": (0.95, {"defense": NOISE}), "noise": (0.6, DEFENDED)}, ["success"] * 3),
        ({"none": (0.95, {"loss": {"record": "Hinge"}}), "noise": (0.6, DEFENDED)}, ["success", "success"]),
    ],
)
def test_of_several_cases_the_one_without_a_defense_says_what_the_others_cost(cases, expected):
    found = by_case(**cases)
    assert outcomes(found).outcome.sel({"attack.enabled": 1}).values.ravel().tolist() == expected
    attacked = summary(found).xs(1, level="attack.enabled")
    assert attacked[["success", "nothing to attack"]].to_numpy().tolist() == [
        [outcome == "success", outcome == "nothing to attack"] for outcome in expected
    ]


def test_given_undefended_runs_are_those_of_all_cases():
    found = by_case(none=(0.95, NONE), noise=(0.6, DEFENDED))
    for undefended in (found.sel(case="none"), found.sel(case=["none"])):
        judged = outcomes(found, undefended=undefended).outcome.sel({"attack.enabled": 1})
        assert judged.values.ravel().tolist() == ["success", "nothing to attack"]
    with pytest.raises(ValueError, match=says("undefended", "GaussianNoise")):
        outcomes(found, undefended=found)
    wider = by_case(none=(0.95, NONE), noise=(0.6, DEFENDED), other=(0.6, DEFENDED))
    with pytest.raises(ValueError, match=says("['none', 'noise']", "'other'")):
        outcomes(wider, undefended=by_case(none=(0.95, NONE), noise=(0.6, NONE)))


def test_without_an_honest_run_there_is_no_reference():
    found = one().sel({"attack.enabled": [1]})
    assert judged(found) == ("no reference", False, False)
    ruined = one(attacked=(0.1, 1.0, True)).sel({"attack.enabled": [1]})
    assert judged(ruined, test_majority=0.11) == ("no reference", False, True)
    assert outcomes(found.drop_vars("attack.enabled").isel({"attack.enabled": 0})).outcome.item() == "no reference"


def test_honest_runs_have_no_outcome():
    found = outcomes(sweep_of([[0.9, 0.3], [0.1, 0.1]], [[0.1, 0.9], [1, 1]], [[True, False]] * 2))
    honest = found.sel({"attack.enabled": 0})
    assert set(honest.outcome.values.ravel()) == {""}
    assert not honest.is_collapsed.any()
    assert not honest.is_success.any()
    assert found["is_success"].dtype == bool
    assert found.outcome.dims == ("attack.enabled", "seed", "epoch")


def test_triggered_rows_of_the_target_class_alone_measure_nothing():
    """Its backdoor accuracy is defined, of rows that are of class τ anyway; its attack success is not."""
    found = one()
    found["attack_success_rate"] = xr.full_like(found["backdoor_accuracy"], np.nan)
    assert judged(found) == ("nothing to attack", False, False)
    found["attack_success_rate"] = xr.full_like(found["backdoor_accuracy"], 0.9)
    assert judged(found) == ("success", True, False)


def test_thresholds_are_arguments():
    found = one((0.95, 0.3, True), (0.94, 0.6, True))
    assert judged(found)[0] == "success"
    assert judged(found, backdoor_above=0.61)[0] == "none"
    assert judged(found, backdoor_above=0.2)[0] == "floor too high"
    assert judged(found, above_floor=0.31)[0] == "none"
    assert judged(found, main_loss_at_most=0.005)[0] == "collapsed"


def test_the_main_accuracy_is_chosen():
    found = one((0.95, 0.1, True), (0.9, 0.9, True))
    found["main_clean"] = xr.full_like(found["main_task_accuracy"], 0.9)
    assert judged(found)[0] == "collapsed"
    assert judged(found, main="main_clean")[0] == "success"


def test_what_is_asked_for_reaches_the_results_of_every_case():
    """Of results of several scenarios every option does what it does for each of them alone."""
    alone = one((0.95, 0.3, True), (0.94, 0.6, True), rows=400)
    alone["main_clean"] = alone["main_task_accuracy"] - xr.where(alone["attack.enabled"] == 1, np.float32(0.1), 0)
    scenarios = {name: json.loads(scenario_json()) for name in ("first", "second")}
    cases = xr.concat([alone, alone], "case").assign_coords(case=list(scenarios))
    cases = cases.assign_attrs(scenario=json.dumps(scenarios))
    reference = xr.full_like(alone["main_task_accuracy"].isel({"attack.enabled": 0}, drop=True), 0.99)
    asked = [
        ({}, "success"),
        ({"main": "main_clean"}, "collapsed"),
        ({"undefended": reference, "defense_loss_at_most": 0.03}, "nothing to attack"),
        ({"test_majority": 0.94}, "nothing to attack"),
        ({"test_majority": 0.94, "standard_errors": 0.5}, "success"),
        ({"backdoor_above": 0.2}, "floor too high"),
        ({"above_floor": 0.31}, "none"),
        ({"main_loss_at_most": 0.005}, "collapsed"),
    ]
    for options, expected in asked:
        assert judged(alone, **options)[0] == expected, options
        assert (outcomes(cases, **options).sel({"attack.enabled": 1}).outcome == expected).all(), options


accuracies = st.one_of(st.floats(0, 1, width=32), st.just(float("nan")))
runs = st.lists(st.tuples(accuracies, accuracies, st.booleans()), min_size=6, max_size=6)


@properties
@given(runs, runs, st.floats(0, 1), st.integers(0, 3))
def test_every_attacked_replica_has_exactly_one_outcome(honest, attacked, majority, seed):
    both = [honest, attacked]
    main, backdoor, finite = ([[run[i] for run in side] for side in both] for i in range(3))
    found = outcomes(sweep_of(main, backdoor, finite), test_majority=majority).isel(epoch=0)
    there = found.sel({"attack.enabled": 1})
    assert sum(int((there.outcome == name).sum()) for name in OUTCOMES) == 6
    np.testing.assert_array_equal(there.is_success, there.outcome == "success")
    assert not (there.is_success & there.is_collapsed).any()
    assert there.is_collapsed.values[there.outcome.values == "collapsed"].all()
    own = sweep_of(*([[values[seed]] for values in both] for both in (main, backdoor, finite)))
    alone = outcomes(own, test_majority=majority)
    assert alone.outcome.sel({"attack.enabled": 1}).item() == there.outcome.values[seed]  # whatever its neighbours are
    successes = there.outcome.values == "success"
    for name, values in (("main", main), ("backdoor", backdoor)):
        kept = np.float32(values)[1][successes] - np.float32(values)[0][successes]
        assert (kept >= {"main": -0.0201, "backdoor": 0.2499}[name]).all()


def of_attackers(honest, attacked, whole=(0.1, 0.1), measured=(0.5, 0.5), dimension="attack.enabled", on=None, **more):
    """Results of one seed in which parties 1 and 2 attack, each with its own backdoor accuracy; honest, then attacked.

    Args:
      honest, attacked: the backdoor accuracies of both parties.
      whole: the backdoor accuracies by the target class, honest and attacked.
      measured: what both parties' attack success is, where any row measures it.
      dimension: the switch that is swept.
      on: the switches of the scenario, by path.
    """
    found = sweep_of([[0.95], [0.95]], [[value] for value in whole], dimension=dimension)
    places = [[np.nan, *pair, np.nan] for pair in (honest, attacked)]
    dims = (*found["backdoor_accuracy"].dims, "party")
    found["backdoor_accuracy_by_party"] = dims, np.array(places, np.float32)[:, None, None]
    rates = np.broadcast_to(np.array([np.nan, *measured, np.nan], np.float32), (2, 1, 1, 4))
    found["attack_success_rate_by_party"] = dims, rates
    found["attack_success_rate"] = found["backdoor_accuracy"]
    on = {"attacks.1.enabled": 1.0, "attacks.2.parts.0.enabled": 1.0} if on is None else on
    return found.assign_coords(party=list("abcd")).assign_attrs(switches=json.dumps(on), **more)


@pytest.mark.parametrize(
    ("honest", "attacked", "measured", "expected"),
    [
        ((0.1, 0.1), (0.1, 0.9), (0.5, 0.5), ("success", "none", "success")),
        ((0.1, 0.1), (0.5, 0.5), (0.5, 0.5), ("none", "none", "none")),
        ((0.6, 0.1), (0.1, 0.9), (0.5, 0.5), ("success", "floor too high", "success")),
        ((0.6, 0.1), (0.9, 0.1), (0.5, 0.5), ("none", "floor too high", "none")),
        ((0.6, 0.7), (0.9, 0.9), (0.5, 0.5), ("floor too high",) * 3),
        ((0.1, 0.1), (0.9, 0.1), (np.nan, 0.5), ("none", "nothing to attack", "none")),
        ((0.4, 0.1), (0.55, 0.4), (0.5, 0.5), ("none", "none", "none")),  # no rise of the one, no half of the other
    ],
)
def test_attackers_that_want_different_classes_are_judged_each_by_its_own(honest, attacked, measured, expected):
    """By number and by name; what the target class of all other numbers says does not count."""
    for whole in ((0.1, 0.1), (0.1, 0.9), (0.9, 0.9)):
        found = of_attackers(honest, attacked, whole, measured)
        assert [judged(found, party=party)[0] for party in (None, 1, 2)] == list(expected)
        assert [judged(found, party=party)[0] for party in ("b", "c")] == list(expected[1:])
        table = summary(found)
        assert table.loc[1, expected[0]] == 1
        np.testing.assert_allclose(table.loc[1, "backdoor_accuracy_of_c_median"], attacked[1], rtol=1e-6)
        np.testing.assert_allclose(table.loc[1, "backdoor_accuracy_of_c_honest_median"], honest[1], rtol=1e-6)
        assert not [name for name in table if "_of_a_" in name or "_of_d_" in name]


def test_only_attackers_that_are_on_are_judged():
    """The second attacker is off in all points: that its class became frequent is no success of its own."""
    on = {"attacks.1.enabled": 1.0, "attacks.2.enabled": 0.0}
    found = of_attackers((0.1, 0.1), (0.2, 0.9), dimension="attacks.1.enabled", on=on)
    outcome = [outcomes(found, party=party)["outcome"].values.ravel().tolist() for party in (None, 1, 2)]
    assert outcome == [["", "none"], ["", "none"], ["", ""]]


def test_an_attack_by_the_active_party_beside_them_is_judged_by_the_target_class():
    on = {"attacks.1.enabled": 0.0, "attacks.2.enabled": 0.0, "active_attack.enabled": 1.0}
    for whole, expected in ((0.1, "none"), (0.9, "success")):
        found = of_attackers((0.1, 0.1), (0.9, 0.9), (0.1, whole), dimension="active_attack.enabled", on=on)
        assert outcomes(found)["outcome"].values.ravel().tolist() == ["", expected]


def test_results_without_switches_count_as_attacked_by_every_party():
    found = of_attackers((0.1, 0.1), (0.1, 0.9))
    found = found.isel({"attack.enabled": 1}).drop_vars("attack.enabled").drop_attrs()
    assert outcomes(found)["outcome"].values.ravel().tolist() == ["no reference"]


def test_a_case_of_one_class_beside_one_of_several_is_judged_by_it():
    first = of_attackers((0.1, 0.1), (0.1, 0.9))
    second = first.drop_vars([f"{name}_by_party" for name in ("backdoor_accuracy", "attack_success_rate")])
    both = xr.concat([first, second], xr.Variable("case", ["several", "one"]), data_vars="all", join="exact")
    plain = json.loads(scenario_json())
    both = both.assign_attrs(scenario=json.dumps({"several": plain, "one": plain}))
    both = both.assign_attrs(switches=json.dumps({name: json.loads(first.switches) for name in ("several", "one")}))
    assert outcomes(both)["outcome"].sel({"attack.enabled": 1}).values.ravel().tolist() == ["success", "none"]


def test_a_party_that_nothing_is_known_of_is_refused():
    with pytest.raises(ValueError, match=says("party is 1", "one class", "poison.party_targets")):
        outcomes(one(), party=1)
    for party in ("e", 4, -1, 1.0):
        with pytest.raises(ValueError, match=says(f"party is {party!r}", "0 to 3", "'a', 'b', 'c', 'd'")):
            outcomes(of_attackers((0.1, 0.1), (0.1, 0.9)), party=party)

"""Who wins in an arena: ranks, ties, costs and the score of VFLAIR, on results made by hand."""

import re

import numpy as np
import pytest
import xarray as xr
from golden_helpers import golden

from vfl_jax.arenas import dcs
from vfl_jax.arenas.holding import attacks_through, boards_held
from vfl_jax.arenas.leaderboard import (
    attack_rows,
    board_rows,
    defense_rows,
    detection_rows,
    leakage_rows,
    refusal_rows,
    trace_rows,
)
from vfl_jax.arenas.pictures import heat_map, pareto, spread
from vfl_jax.arenas.standings import (
    at_common_seeds,
    is_judged,
    met_evenly,
    rank_attacks,
    rank_defenses,
    shared_boards,
    shared_cells,
)

DIMS = ("data", "attack", "defense", "seed")
NOISE = np.array([-0.02, 0.0, 0.01, 0.0, 0.01])
"""What the five seeds add to every success; its mean is 0."""


@pytest.fixture
def results():
    """Two boards; "loud" beats "quiet" everywhere, "echo" is loud but for seeds; "none", a weak and a ruinous defense.

    The weak defense leaves all attacks half; the ruinous one leaves nothing, and takes 0.4 of the main accuracy.
    "absent" meets nobody on the second board.
    """
    strength = np.array([0.8, 0.8, 0.2])[:, None] * np.array([1.0, 0.5, 0.0])  # attack × defense
    success = np.broadcast_to(strength[None, :, :, None], (2, 3, 3, 5)) + NOISE
    success = np.concatenate([success, success[:, :, :1]], axis=2)
    success[:, 1] += np.array([0.03, -0.03, 0.02, -0.02, 0.0])  # "echo" differs by seed alone
    success[1, :, 3] = np.nan
    honest = np.array([0.9, 0.88, 0.5, 0.9])[None, None, :, None] + np.zeros((2, 3, 4, 5))
    main = honest - 0.01
    reason = np.full((2, 3, 4), "", dtype=object)
    reason[1, :, 3] = "needs two classes"
    is_there = np.where(np.isnan(success), np.nan, 1.0)
    detection = np.full(success.shape, np.nan)
    detection[:, :, 1] = 0.75
    return xr.Dataset(
        {
            "attack_success": (DIMS, success),
            "attack_success_honest": (DIMS, 0.1 * is_there),
            "main_accuracy": (DIMS, main * is_there),
            "main_accuracy_honest": (DIMS, honest * is_there),
            "is_finite_honest": (DIMS, is_there),
            "detection_auc": (DIMS, detection),
            "detection_auc_mixed": (DIMS, detection),
            "detection_recall": (DIMS, detection),
            "detection_false_alarm_rate_honest": (DIMS, detection),
            "label_inference_accuracy": (DIMS, np.where(np.arange(3)[:, None, None] == 0, 0.6 * is_there, np.nan)),
            "reason": (DIMS[:3], reason.astype(str)),
            "majority": ("data", [0.5, 0.2]),
            "attacker_share": ("data", [0.5, 0.25]),
            "target_class": ("data", ["3", "yes"]),
            "num_parties": ("data", [2, 4]),
            "num_classes": ("data", [10, 2]),
            "num_test": ("data", [360, 1000]),
        },
        {
            "data": ["one", "two"],
            "attack": ["loud", "echo", "quiet"],
            "defense": ["none", "weak", "ruinous", "absent"],
            "seed": np.arange(5),
        },
    )


def test_few_seeds_tell_apart_what_a_t_interval_does(results):
    """Two seeds at which "echo" differs from "loud" by 0.03 and 0.02 do not tell: the interval is -0.04 to 0.09."""
    found = rank_attacks(results.isel(seed=[0, 2]))
    assert [(place.name, place.rank) for place in found] == [("echo", 1), ("loud", 1), ("quiet", 3)]
    assert [place.rank for place in rank_attacks(results.isel(seed=[0]))] == [1, 1, 1]


def test_attacks_are_ranked_over_judged_cells_that_all_have_and_ties_are_ties(results):
    assert shared_cells(results).values.tolist() == [[True, True, False, True], [True, True, False, False]]
    first, second, third = rank_attacks(results)
    assert {first.name, second.name} == {"loud", "echo"}
    assert (first.rank, second.rank, third.rank) == (1, 1, 3)
    assert third.name == "quiet"
    assert third.num_cells == 5
    assert third.success[0] == pytest.approx(((0.2 + 0.1 + 0.2) / 3 + (0.2 + 0.1) / 2) / 2)  # boards weigh the same
    assert third.lift[0] == pytest.approx(third.success[0] - 0.1)
    assert third.cost[0] == pytest.approx(0.01)
    assert third.success[1] < third.success[0] < third.success[2]


def test_defenses_are_ranked_by_the_strongest_attack_unless_they_ruin_the_task(results):
    by_name = {place.name: place for place in rank_defenses(results)}
    assert list(by_name)[:2] == ["weak", "none"]
    assert by_name["weak"].success[0] == pytest.approx(0.4, abs=0.011)
    assert by_name["weak"].cost[0] == pytest.approx(0.02)
    assert by_name["ruinous"].cost[0] == pytest.approx(0.4)
    assert by_name["ruinous"].rank is None
    assert by_name["none"].cost[0] == 0
    assert by_name["none"].num_cells == 2
    assert (by_name["absent"].rank, by_name["absent"].num_cells) == (None, 1)


def test_who_cannot_be_on_a_board_takes_it_from_nobody(results):
    """A defense for two classes, or an attack that takes no bags of ids, has no rank; all others have all boards."""
    third = results.isel(data=[1]).assign_coords(data=["three"])
    more = xr.concat([results, third], "data")
    assert shared_boards(more) == ["one", "two", "three"]
    more["attack_success"].loc[{"attack": "quiet", "data": ["two", "three"]}] = np.nan
    *others, last = rank_attacks(more)
    assert (last.name, last.rank, last.num_cells) == ("quiet", None, 3)
    assert {place.num_cells for place in others} == {7}
    assert attack_rows(more)[-1]["rank"] == "–"


def test_the_strongest_attack_is_the_one_with_the_largest_lift(results):
    """One whose honest runs lead many rows to τ by themselves is not made stronger by that."""
    results["attack_success"].loc[{"attack": "quiet", "defense": "weak"}] = 0.60
    results["attack_success_honest"].loc[{"attack": "quiet", "defense": "weak"}] = 0.49
    by_name = {place.name: place for place in rank_defenses(results)}
    assert by_name["weak"].lift[0] == pytest.approx(0.3, abs=0.011)


def test_an_attack_that_met_few_defenses_moves_no_defense(results):
    """It would make the row without a defense look worse, and the others better than they are."""
    before = rank_defenses(results), dcs.by_defense(results).values
    late = results.sel(attack=["loud"]).assign_coords(attack=["late"]).copy(deep=True)
    late["attack_success"].loc[{"defense": "none"}] = 1.0
    late["attack_success"].loc[{"defense": ["weak", "ruinous", "absent"]}] = np.nan
    more = xr.concat([results, late], "attack", data_vars="minimal")
    assert met_evenly(more).values.tolist() == [[True, True, True, False]] * 2
    assert rank_defenses(more) == before[0]
    np.testing.assert_array_equal(dcs.by_defense(more), before[1])
    assert all("late" not in row["strongest attack"] for row in defense_rows(more))
    more["attack_success"].loc[{"attack": "late", "defense": ["weak", "ruinous"]}] = 1.0
    assert met_evenly(more).values.tolist() == [[True, True, True, False], [True, True, True, True]]
    of_weak = next(row for row in defense_rows(more) if row["defense"] == "weak")
    assert of_weak["strongest attack"].count("late ×1") == 1


def test_an_attack_that_a_defense_refuses_competes(results):
    """Else one weak attack that nobody refuses would stand for all."""
    results["attack_success"].loc[{"attack": ["loud", "echo"], "defense": "weak", "data": "one"}] = np.nan
    assert met_evenly(results).sel(data="one").values.tolist() == [False, False, True]
    results["reason"] = results["reason"].copy()
    results["reason"].loc[{"attack": ["loud", "echo"], "defense": "weak", "data": "one"}] = "needs rows of its own"
    assert met_evenly(results).all()
    assert {place.name: place for place in rank_defenses(results)}["none"].success[0] > 0.7


def test_where_nobody_met_nearly_all_defenses_all_count(results):
    results["attack_success"].loc[{"attack": ["loud", "echo"], "defense": "weak"}] = np.nan
    results["attack_success"].loc[{"attack": "quiet", "defense": ["none", "ruinous"]}] = np.nan
    assert met_evenly(results).all()


def test_ties_do_not_chain(results):
    """Three attacks, each tied with the next; the third is not tied with the first."""
    sure, spread = np.zeros(5), np.array([-0.06, 0.05, -0.04, 0.06, -0.01])
    for name, mean, noise in (("loud", 0.80, sure), ("echo", 0.76, spread), ("quiet", 0.72, sure)):
        results["attack_success"].loc[{"attack": name}] = mean + noise
    assert [(place.name, place.rank) for place in rank_attacks(results)] == [("loud", 1), ("echo", 1), ("quiet", 3)]


def test_a_cell_whose_honest_run_is_ruined_is_not_judged(results):
    judged = is_judged(results)
    assert not judged.sel(defense="ruinous").any()
    assert judged.sel(defense=["none", "weak"]).all()
    assert not judged.sel(defense="absent", data="two").any()
    results["attack_success_honest"].loc[{"attack": "loud"}] = 0.6  # the honest runs lead most rows to τ themselves
    assert not is_judged(results).sel(attack="loud").any()
    assert is_judged(results).sel(attack="echo", defense="none").all()


def test_tables_say_what_the_results_say(results):
    results["attack_success"].loc[{"attack": "echo", "defense": ["weak", "absent"]}] += 0.01
    assert attack_rows(results)[2]["attack"] == "quiet"
    assert attack_rows(results)[2]["lift"].startswith("0.058 [")
    rows = {row["defense"]: row for row in defense_rows(results)}
    assert rows["weak"]["strongest attack"] == "echo ×2"
    assert rows["ruinous"]["strongest attack"] == "–"
    assert rows["absent"]["strongest attack"] == "echo ×1"
    assert rows["weak"]["cost, points"] == "2.0 [2.0, 2.0]"
    assert [row["attack"] for row in detection_rows(results)] == ["loud", "echo", "quiet"]
    assert detection_rows(results)[0]["AUC"] == "0.750 [0.750, 0.750]"
    assert detection_rows(results.drop_vars("detection_auc")) == []
    read = leakage_rows(results)
    assert len(read) == 7
    assert read[0]["accuracy"] == "0.600 [0.600, 0.600]"
    results["label_inference_accuracy_norm"] = results["label_inference_accuracy"].sel(data=["two"]) + 0.1
    by_name = leakage_rows(results)
    assert [row["attack"] for row in by_name if row not in read] == ["loud, norm"] * 3
    assert by_name[-1]["accuracy"] == "0.700 [0.700, 0.700]"
    (refused,) = refusal_rows(results)
    assert refused == {
        "why": "needs two classes",
        "data": "two",
        "attacks": "loud, echo, quiet",
        "defenses": "absent",
        "cells": "3",
    }
    assert [row["τ"] for row in board_rows(results)] == ["3", "yes"]
    assert board_rows(results)[1]["attacker's share of features"] == "25%"
    assert board_rows(results)[1]["seeds"] == "5"


def test_the_strongest_attack_has_the_largest_mean_and_gets_through(results):
    two_of_five = np.array([0.9, 0.9, 0.1, 0.1, 0.1])  # by the median it does nothing
    results["attack_success"].loc[{"attack": "quiet", "defense": "weak"}] = two_of_five
    results["attack_success"].loc[{"attack": ["loud", "echo"], "defense": "weak"}] = 0.3
    by_name = {place.name: place for place in rank_defenses(results)}
    assert by_name["weak"].success[0] == pytest.approx(two_of_five.mean())
    results["attack_success"].loc[{"defense": "weak"}] = 0.15  # 0.05 above the floor
    rows = {row["defense"]: row for row in defense_rows(results)}
    assert rows["weak"]["strongest attack"] == "–"
    assert rows["absent"]["T-DCS"] == "–"  # of one board of two
    assert rows["weak"]["T-DCS"] != "–"


def test_attacks_are_told_by_size_and_counted_where_they_ruin_the_model(results):
    results["stealth_linf"] = results["attack_success"] * 0 + np.array([0.05, 0.5, 0.8])[None, :, None, None]
    results["main_accuracy"].loc[{"attack": "loud", "defense": "none", "seed": [0, 1]}] -= 0.2
    results["main_accuracy"].loc[{"attack": "loud", "defense": "ruinous"}] -= 0.2  # not judged
    rows = {row["attack"]: row for row in trace_rows(results)}
    assert {name: row["told by size, AUC"] for name, row in rows.items()} == {
        **{"loud": "0.950", "echo": "0.500", "quiet": "0.800"}
    }
    # Two boards with "none" and "weak", one with "absent": 4 of 25 judged runs lose.
    assert {name: row["runs that lose over 2 points"] for name, row in rows.items()} == {
        **{"loud": "16%", "echo": "0%", "quiet": "0%"}
    }


def with_more_seeds(results, attack, defense, **values):
    """The results, where an attack has five more seeds with other numbers, with one defense or some."""
    more = results.assign_coords(seed=np.arange(5, 10)).where(
        (results["attack"] == attack) & results["defense"].isin(defense)
    )
    more["reason"] = results["reason"]
    for name, value in values.items():
        more[name] = more[name].where(more[name].isnull(), value)
    return xr.concat([results, more], "seed", data_vars="minimal", coords="minimal", compat="override")


def test_more_seeds_of_one_meeting_change_no_table(results):
    """They are trained where attacks are strongest, so that they would weigh some cells more."""
    results["stealth_linf"] = results["attack_success"] * 0 + 0.8
    ruined = with_more_seeds(results, "loud", "none", main_accuracy=0.1, stealth_linf=1.0)
    assert ruined.sizes["seed"] == 10
    assert trace_rows(ruined) == trace_rows(results)
    stronger = with_more_seeds(results, "quiet", "weak", attack_success=1.0)
    assert defense_rows(stronger) == defense_rows(results)


def test_who_met_few_defenses_takes_no_seeds_from_the_ranks(results):
    """Its own mean is over the seeds that all its cells have: one cell alone would be another board's mean."""
    ten = xr.concat([results, results.assign_coords(seed=np.arange(5, 10))], "seed", data_vars="minimal")
    late = ten.sel(attack=["loud"]).assign_coords(attack=["late"]).copy(deep=True)
    late["attack_success"].loc[{"data": "one", "defense": "none"}] = 0.3
    late["attack_success"].loc[{"data": "two", "defense": "none"}] = 0.5
    numbers = [name for name, values in late.items() if "seed" in values.dims]
    lacks = (late["defense"] != "none") | ((late["data"] == "two") & (late["seed"] >= 5))
    late[numbers] = late[numbers].where(~lacks)
    more = xr.concat([ten, late], "attack", data_vars="minimal")
    assert at_common_seeds(more).sizes["seed"] == 10
    *others, last = rank_attacks(more)
    assert others == rank_attacks(ten)
    assert (last.name, last.rank, last.num_cells) == ("late", None, 2)
    assert last.success == pytest.approx((0.4, 0.4, 0.4))
    assert rank_defenses(more) == rank_defenses(ten)


def test_boards_without_a_common_seed_are_ranked_all_the_same(results):
    """Over the seeds that there are; nobody loses a rank."""
    second = results.sel(data=["two"]).assign_coords(seed=np.arange(5, 10))
    apart = xr.concat([results.sel(data=["one"]), second], "data", join="outer", data_vars="minimal")
    apart["reason"] = results["reason"]
    found, before = rank_attacks(apart), rank_attacks(results)
    assert {place.name: place.rank for place in found} == {place.name: place.rank for place in before}
    assert all(np.isfinite(place.lift).all() for place in found)


def test_more_seeds_take_a_holding_as_the_answer_says(results):
    """Ranks compare at equal seeds; a defense that one more seed lets through holds no more, in tables too."""
    results["attack_success"].loc[{"defense": "weak"}] = 0.1  # the floor

    def held(of):
        return {row["defense"]: row["holds on"] for row in defense_rows(of)}["weak"]

    assert held(results) == "2 of 2"
    more = with_more_seeds(results, "quiet", ["none", "weak"])
    assert held(more) == "2 of 2"
    let_through = more["attack_success"].copy()
    let_through.loc[{"data": "one", "attack": "quiet", "defense": "weak", "seed": more["seed"][-1]}] = 1.0
    assert held(more.assign(attack_success=let_through)) == "1 of 2"


def test_results_without_the_size_of_messages_say_nothing_of_it(results):
    assert {row["told by size, AUC"] for row in trace_rows(results)} == {"–"}


def test_figures_have_every_cell_and_every_defense(results):
    texts = [text.get_text() for text in heat_map(results).axes[0].texts]
    assert len(texts) == 12
    assert all(re.fullmatch(r"\(?[-–]?[\d.]*\)?(\n\d of [12])?", text) for text in texts), texts
    strong = heat_map(results.sel(defense=["none"], attack=["loud"])).axes[0].texts[0].get_text()
    assert strong.endswith("\n2 of 2")
    assert "\n" not in heat_map(results.isel(data=[0])).axes[0].texts[0].get_text()
    assert sum(text.startswith("(") for text in texts) == 3  # the ruinous defense
    names = {text.get_text() for text in pareto(results).axes[0].texts}
    assert names == {"none", "weak"}  # those that have a rank


def test_a_defense_holds_where_it_spares_the_task_and_no_seed_of_any_attack_gets_through():
    shape = (1, 2, 2, 5)
    honest = np.full(shape, 0.9)
    success = np.full(shape, 0.05)
    success[:, 0, 0] = 0.9  # without the wall
    made = xr.Dataset(
        {
            "attack_success": (DIMS, success),
            "attack_success_honest": (DIMS, np.full(shape, 0.02)),
            "main_accuracy_honest": (DIMS, honest),
            "is_finite_honest": (DIMS, np.ones(shape)),
            "majority": ("data", [0.1]),
        },
        {"data": ["one"], "attack": ["loud", "odd"], "defense": ["none", "wall"], "seed": np.arange(5)},
    )
    assert boards_held(made, "none") == ([], ["one"])
    assert boards_held(made, "wall") == (["one"], ["one"])
    ruined = made.copy(deep=True)
    ruined["main_accuracy_honest"].loc[{"defense": "wall"}] = 0.2
    assert boards_held(ruined, "wall") == ([], ["one"])
    imbalanced = made.copy(deep=True)  # a model that says the most frequent class to all rows holds off any attack
    imbalanced["majority"].loc[{"data": "one"}] = 0.85
    imbalanced["main_accuracy_honest"].loc[{"defense": "wall"}] = 0.86
    assert boards_held(imbalanced, "wall") == ([], ["one"])
    imbalanced["main_accuracy_honest"].loc[{"defense": "wall"}] = 0.88
    assert boards_held(imbalanced, "wall") == (["one"], ["one"])
    let_through = made.copy(deep=True)  # by two seeds of five: the median does not show it
    let_through["attack_success"].loc[{"defense": "wall", "attack": "odd", "seed": [3, 4]}] = 0.9
    assert boards_held(let_through, "wall") == ([], ["one"])
    met = ["loud", "odd"]
    assert [attacks_through(let_through, "one", name) for name in ("none", "wall")] == [(["loud"], met), (["odd"], met)]
    unsure = made.copy(deep=True)  # by a mean lift of 0.08 it does not get through, nor is it held off
    unsure["attack_success"].loc[{"defense": "wall", "attack": "odd", "seed": 3}] = 0.3
    assert boards_held(unsure, "wall") == ([], ["one"])
    assert attacks_through(unsure, "one", "wall") == ([], met)
    absent = made.copy(deep=True)
    absent["attack_success"].loc[{"attack": "odd"}] = np.nan
    assert attacks_through(absent, "one", "none") == (["loud"], ["loud"])
    diverged = made.copy(deep=True)  # one seed of five, beside one attack
    diverged["is_finite_honest"].loc[{"defense": "wall", "attack": "odd", "seed": 3}] = 0
    assert boards_held(diverged, "wall") == ([], ["one"])


def test_names_beside_a_figure_keep_their_order_and_a_gap():
    heights = spread([0.5, 0.99, 0.5, 0.98, 0.0], 0.1)
    assert sorted(range(5), key=lambda i: heights[i]) == [4, 0, 2, 3, 1]
    assert np.diff(sorted(heights)).min() >= 0.1 - 1e-9
    assert max(heights) <= 1


@pytest.mark.parametrize("name", ["vflair_dcs", "vflair_dcs_missing_types"])
def test_the_score_is_that_of_its_published_code(name):
    vector = golden(name)
    np.testing.assert_allclose(dcs.score(vector["main"], vector["attack"], vector["main_clean"]), vector["dcs"])
    for (main, attack, clean, ideal), beta, wanted in zip(
        vector["pair_mp_ap_mp0_ap0"], vector["pair_beta"], vector["pair_dcs"], strict=True
    ):
        assert dcs.score(main, attack, clean, ideal, beta) == pytest.approx(wanted)
    of_kinds, all_kinds = dcs.means(vector["dcs"], vector["attack_type"])
    np.testing.assert_allclose(of_kinds, np.where(vector["t_dcs"] < 0, np.nan, vector["t_dcs"]))
    assert all_kinds == pytest.approx(vector["c_dcs"])


def test_the_score_of_a_defense_is_the_mean_over_what_met_it(results):
    results["attack_success"].loc[{"defense": "none"}] = 0.6
    wanted = 1 / (1 + np.sqrt((0.01**2 + 0.6**2) / 2))  # attacks cost 0.01 of main accuracy
    assert float(dcs.by_defense(results).sel(defense="none")) == pytest.approx(wanted)
    results["attack_success"].loc[{"defense": "none", "data": "one"}] = np.nan
    assert float(dcs.by_defense(results).sel(defense="none")) == pytest.approx(wanted)


def test_the_score_of_a_defense_by_readers_is_the_mean_over_their_ways(results):
    """A row that is left out counts as wrong, and a way that is not there does not count."""
    assert np.isnan(dcs.by_readers(results.drop_vars("label_inference_accuracy"))).all()
    results["label_inference_rate"] = results["label_inference_accuracy"] * 0 + 0.5
    results["label_inference_accuracy_norm"] = results["label_inference_accuracy"].sel(data=["two"]) * 0 + 0.4
    results["label_inference_rate_norm"] = results["label_inference_accuracy_norm"] * 0 + 1.0
    results["label_inference_accuracy_honest"] = results["label_inference_accuracy"]
    little, more = (1 / (1 + np.sqrt((0.01**2 + right**2) / 2)) for right in (0.3, 0.4))
    wanted = (little + (little + more) / 2) / 2  # a board weighs no more because more readers were there
    assert float(dcs.by_readers(results).sel(defense="none")) == pytest.approx(wanted)
    names_none = results["label_inference_accuracy"].where(results["data"] != "one")
    results["label_inference_accuracy"], results["label_inference_rate"] = names_none, names_none.fillna(0.0)
    assert float(dcs.by_readers(results.sel(data=["one"])).sel(defense="none")) == pytest.approx(
        1 / (1 + np.sqrt(0.01**2 / 2))
    )

"""Parts of results, selected or joined: what they are counted as, how they are repeated, and what is refused."""

import shlex

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from data_helpers import says, tiny_scenario
from result_helpers import sweep_of
from test_audit import results as audited

import vfl_jax as vfl
from vfl_jax import statistics
from vfl_jax.audits.numbers import findings
from vfl_jax.reports.answers import answer
from vfl_jax.reports.readings import read


def swept():
    """Results over honest and attacked runs, two amplifications, three seeds and two epochs."""
    one = sweep_of([[0.9, 0.9, 0.8], [0.9, 0.8, 0.9]], [[0.1, 0.1, 0.2], [0.9, 0.2, 0.9]])
    grid = xr.concat([one, one], pd.Index([1.0, 5.0], name="attack.amplify"))
    both = xr.concat([grid, grid], "epoch").assign_coords(epoch=[1, 2])
    attributes = {"scenario": tiny_scenario().to_json(), "data": '{"name": "tiny"}'}
    attributes["switches"] = '{"attacks.1.enabled": 1.0}'
    return both.assign(attack_success_rate=both["backdoor_accuracy"]).assign_attrs(attributes)


def command_of(results):
    (command,) = (text for title, text in read(results, "x").repeat.items() if title.startswith("The command"))
    return command


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (lambda r: r, "sweep --epochs 2 --seeds 3 --over attack.amplify=1,5 --over attack.enabled=0,1"),
        (lambda r: r.isel(epoch=-1), "sweep --epochs 2 --seeds 3 --over attack.amplify=1,5 --over attack.enabled=0,1"),
        (lambda r: r.isel(epoch=[0]), "sweep --epochs 1 --seeds 3 --over attack.amplify=1,5 --over attack.enabled=0,1"),
        (
            lambda r: r.sel({"attack.amplify": 5}),
            "sweep --epochs 2 --seeds 3 --over attack.enabled=0,1 --set attack.amplify=5",
        ),
        (vfl.honest, "sweep --epochs 2 --seeds 3 --over attack.amplify=1,5 --set attack.enabled=0"),
        (vfl.attacked, "sweep --epochs 2 --seeds 3 --over attack.amplify=1,5 --set attack.enabled=1"),
        (
            lambda r: r.sel({"attack.amplify": 5, "attack.enabled": 1, "seed": 2}),
            "run --epochs 2 --seed 2 --set attack.amplify=5 --set attack.enabled=1",
        ),
    ],
)
def test_a_part_is_repeated_by_its_own_command(part, words):
    found = shlex.split(command_of(part(swept())))
    assert found[:1] == ["vfl-jax"]
    flags = {tuple(found[i : i + 2]) for i in range(len(found)) if found[i].startswith("--") and found[i] != "--data"}
    wanted = words.split()
    assert found[1] == wanted[0]
    assert flags == {tuple(wanted[i : i + 2]) for i in range(1, len(wanted), 2)}


def test_a_single_seed_of_a_grid_is_repeated_by_a_sweep_that_holds_it():
    command, comment = command_of(swept().sel(seed=[1])).splitlines()
    assert command.startswith("vfl-jax sweep ")  # run has no --over
    assert "--seeds 2" in command
    assert comment == "# of these seeds the results hold 1"


def test_joined_results_say_that_no_command_repeats_the_join():
    one = swept().isel({"attack.amplify": 0})
    reading = read(xr.concat([one, one], pd.Index(["plain", "noise"], name="run")), "x")
    assert "joined along 'run'" in reading.repeat["What is missing, too"]
    assert "run=" not in command_of(xr.concat([one, one], pd.Index(["plain", "noise"], name="run")))


def test_a_seed_that_is_there_twice_is_no_second_seed():
    twice = xr.concat([swept(), swept()], "seed")
    for reader in (vfl.summary, vfl.reports.rows, vfl.report, lambda r: vfl.compare(r, r)):
        with pytest.raises(ValueError, match=says("has the seed 0 twice", "too narrow", "drop_duplicates")):
            reader(twice)
    assert vfl.summary(twice.drop_duplicates("seed"))["seeds"].unique().tolist() == [3]
    with pytest.raises(ValueError, match="has the seed 0 twice"):
        findings(xr.concat([audited(), audited()], "seed"))


@pytest.mark.parametrize("name", ["outcome", "success", "is_attacked"])
def test_a_dimension_does_not_take_the_place_of_an_outcome(name):
    joined = xr.concat([swept(), swept()], pd.Index(["a", "b"], name=name))
    for reader in (vfl.tidy, vfl.reports.rows):
        with pytest.raises(ValueError, match=says(f"a coordinate {name!r}", "call it something else")):
            reader(joined)


def test_stacked_results_are_reported():
    stacked = swept().stack(point=["attack.amplify", "attack.enabled"])
    assert len(vfl.summary(stacked)) == 4
    assert len(read(stacked, "x").figures) == 1


@pytest.mark.parametrize("name", ["scenario", "data", "rows", "versions", "switches", "metrics"])
def test_attributes_of_another_kind_say_nothing(name):
    results = swept().isel({"attack.amplify": 0})
    without = results.copy()
    without.attrs.pop(name, None)
    for content in ("[1]", "3", '"text"', "{", "[" * 100_000):
        assert answer(results.assign_attrs({name: content})) == answer(without)
    read(results.assign_attrs({name: "[1]"}), "x")


@pytest.mark.parametrize(
    "given", [{"test_majority": 90}, {"backdoor_above": np.nan}, {"above_floor": -0.1}, {"main_loss_at_most": "2 %"}]
)
def test_thresholds_are_shares(given):
    ((name, value),) = given.items()
    with pytest.raises(ValueError, match=says(f"{name} is {value!r}", "a share, from 0 to 1")):
        statistics.outcomes(swept(), **given)
    with pytest.raises(ValueError, match="standard_errors is nan"):
        statistics.outcomes(swept(), standard_errors=np.nan)


def test_counts_and_values_of_intervals_are_checked():
    assert statistics.share_interval(np.int64(2), np.int32(3)) == statistics.share_interval(2, 3)
    mistakes = ((0, 0, "total is 0"), (-1, 3, "count is -1"), (4, 3, "count is 4"), (2.0, 3, "count is 2.0"))
    for count, total, said in mistakes:
        with pytest.raises(ValueError, match=said):
            statistics.share_interval(count, total)
    with pytest.raises(ValueError, match="values has masked values"):
        statistics.interval(np.ma.masked_array([0.1, 0.2, 9.0], [0, 0, 1]))
    for array in (swept()["backdoor_accuracy"].isel(seed=0), swept()["backdoor_accuracy"].isel(seed=[]), 3):
        with pytest.raises(ValueError, match="at least one seed"):
            statistics.summarize(array)
    with pytest.raises(ValueError, match="name is 'los'"):
        statistics.paired_difference(swept(), "los")


def test_differences_of_nothing_are_dashes():
    results = swept()
    nothing = results.assign(main_task_accuracy=results["main_task_accuracy"] * np.nan)
    found = vfl.compare(results, nothing, ["main_task_accuracy"])
    assert "nan" not in repr(found)
    assert "0/0" not in repr(found)
    assert found._rows()[0] | {"a": "–", "b": "–", "difference": "–", "b>a": "–"} == found._rows()[0]


def test_results_joined_on_an_index_of_pandas_are_compared():
    one = swept().isel({"attack.amplify": 0})
    joined = xr.concat([one, one], pd.Index(["plain", "noise"], name="method"))
    table = vfl.compare(joined, joined, ["main_task_accuracy"]).table
    assert table.index.get_level_values("method").tolist() == ["plain", "plain", "noise", "noise"]
    said = {row["what"]: row["here"] for row in read(joined, "x").assumed}
    assert said["joined along method"] == "plain, noise; what stands above is said of the first part"
    assert not any(what.startswith("joined") for what in (row["what"] for row in read(one, "x").assumed))


def test_columns_of_a_frame_do_not_take_each_others_place():
    results = swept().isel({"attack.amplify": 0})
    of_class = xr.DataArray(np.ones((2, 2)), {"class": ["1", "count_1"]}, ("epoch", "class"))
    results = results.assign(score=of_class, score_count=of_class + 1)
    with pytest.raises(ValueError, match=says("two columns 'score_count_1'", "other labels")):
        vfl.tidy(results)
    frame = vfl.tidy(results.assign_coords({"class": ["1", "2"]}))
    assert frame["score_count_1"].unique().tolist() == [2.0]


def test_a_dimension_that_the_other_lacks_is_selected_by_its_label():
    one = swept().isel({"attack.amplify": 0})
    joined = xr.concat([one, one], pd.Index(["plain", "noise"], name="method"))
    with pytest.raises(ValueError, match=says("a has the dimension 'method'", "a.sel({'method': 'noise'})")):
        vfl.compare(joined, one)
    with pytest.raises(ValueError, match=says("'method': 'noise'")):
        vfl.plots.curves({"joined": joined.isel({"attack.enabled": 0})}, ["main_task_accuracy"])


def test_a_place_without_a_replica_is_no_seed():
    one, other = swept().isel({"attack.amplify": [0]}), swept().isel({"attack.amplify": [1], "seed": [0, 2]})
    joined = xr.concat([one, other.assign_coords(seed=[7, 8])], "attack.amplify", join="outer")
    assert joined.sizes["seed"] == 5
    table = vfl.summary(joined)
    parts = [vfl.summary(one), vfl.summary(other)]
    assert table["seeds"].tolist() == [seeds for part in parts for seeds in part["seeds"]] == [3, 3, 2, 2]
    counts = table[list(statistics.OUTCOMES)]
    assert counts.sum(axis=1).tolist() == [0, 3, 0, 2]
    shares = [share for part in parts for share in part["success_share"]]
    np.testing.assert_array_equal(table["success_share"], shares)
    assert (statistics.outcomes(joined)["outcome"].sel(seed=7, **{"attack.amplify": 1.0}) == "").all()


def test_undefended_is_an_accuracy():
    results = swept()
    for given, said in (
        (0.9, "undefended is 0.9; it must be results"),
        (results["main_task_accuracy"] * 100, "holds 90"),
    ):
        with pytest.raises(ValueError, match=said):
            statistics.outcomes(results, undefended=given)


def test_seeds_that_are_texts_are_counted():
    assert "--seeds 3" in command_of(swept().assign_coords(seed=["a", "b", "c"]))

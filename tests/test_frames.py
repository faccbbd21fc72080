"""Frames with a row per replica and epoch; attacked and honest parts, whichever way a grid switches attacks."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from data_helpers import says
from result_helpers import scenario_json
from sweep_helpers import swept

import vfl_jax as vfl
from vfl_jax.statistics.judging import outcomes

ARENA = Path(__file__).parents[1] / "experiments" / "arena" / "results" / "handwritten.nc"
OVER = {"attack.enabled": [0, 1], ("attack.amplify", "learning_rate"): [(1.0, 0.1), (10.0, 0.2)]}
ZIPPED = "attack.amplify+learning_rate"


@pytest.fixture(scope="module")
def results():
    return swept(over=OVER, seeds=[4, 2], epochs=3, evaluate_every=2)


@pytest.fixture(scope="module")
def arena():
    return vfl.load(ARENA)


def by_hand(dims, enabled, **coordinates):
    """Backdoors over some axes: 0.1 for honest replicas, 0.9 for attacked ones, of the scenario's one attack."""
    values = np.where(enabled, 0.9, 0.1).astype(np.float32)
    attributes = {"scenario": scenario_json(), "switches": json.dumps({"attacks.1.enabled": 1.0})}
    return xr.Dataset(
        {"backdoor_accuracy": (dims, values), "is_finite": (dims, np.ones(values.shape, bool))}, coordinates, attributes
    )


@pytest.mark.long
def test_a_row_is_a_replica_at_an_epoch(results):
    frame = vfl.tidy(results)
    assert len(frame) == 2 * 2 * 2 * 3
    first = ["attack.enabled", "attack.amplify", "learning_rate", "seed", "epoch", "is_attacked", "outcome"]
    assert list(frame.columns[:7]) == first
    assert not frame.duplicated(first[:5]).any()
    here = frame.query("`attack.enabled` == 1 and learning_rate > 0.15 and seed == 2 and epoch == 3")
    at = results.isel({"attack.enabled": 1, ZIPPED: 1, "seed": 1, "epoch": 2})
    assert here["loss"].item() == at["loss"].item()
    assert here["class_score_2"].item() == at["class_score"].values[2]
    assert here["rows_left_out"].item() == at["rows_left_out"].item()
    assert (frame["is_attacked"] == (frame["attack.enabled"] == 1)).all()
    judged = outcomes(results)["outcome"]
    assert (
        frame["outcome"].tolist() == judged.transpose("attack.enabled", ZIPPED, "seed", "epoch").values.ravel().tolist()
    )
    not_evaluated = frame[frame["epoch"] == 1]
    assert not_evaluated["main_task_accuracy"].isna().all()
    assert (not_evaluated["outcome"] == "").all()


def test_parts_and_single_runs_have_frames_too(results):
    part = vfl.tidy(results.isel(epoch=-1, seed=0))
    assert len(part) == 4
    assert (part["seed"] == 4).all()
    assert len(vfl.tidy(results[["loss"]])) == 24
    assert len(vfl.tidy(results.isel({"attack.enabled": 1, ZIPPED: 0, "seed": 0}).drop_vars("seed"))) == 3
    with pytest.raises(ValueError, match=says("results is a DataArray", "xarray.Dataset")):
        vfl.tidy(results["loss"])


def test_cases_have_a_column(results):
    cases = xr.concat([results, results], xr.Variable("case", ["a", "b"]), combine_attrs="override")
    by_case = {
        name: json.dumps(dict.fromkeys("ab", json.loads(results.attrs[name]))) for name in ("scenario", "switches")
    }
    frame = vfl.tidy(cases.assign_attrs(by_case))
    assert frame.columns[0] == "case"
    assert frame.groupby("case").size().tolist() == [24, 24]
    assert frame["is_attacked"].sum() == 24


def test_of_an_arena_a_row_is_a_meeting_with_a_seed(arena):
    frame = vfl.tidy(arena)
    assert list(frame.columns[:4]) == ["data", "attack", "defense", "seed"]
    assert len(frame) == np.prod([arena.sizes[dim] for dim in ("data", "attack", "defense", "seed")])
    row = frame.iloc[len(frame) // 3]
    where = {dim: row[dim] for dim in ("data", "attack", "defense", "seed")}
    np.testing.assert_equal(row["attack_success"], arena["attack_success"].sel(where).item())
    assert row["majority"] == arena["majority"].sel(data=row["data"]).item()
    attacked, honest = vfl.attacked(arena), vfl.honest(arena)
    assert set(honest.data_vars) <= set(attacked.data_vars)
    assert not any(str(name).endswith("_honest") for name in attacked.data_vars)
    np.testing.assert_array_equal(honest["main_accuracy"], arena["main_accuracy_honest"])


@pytest.mark.parametrize("name", ["attack.enabled", "attacks.1.enabled"])
def test_a_switch_of_any_path_divides_results(name):
    found = by_hand((name, "seed"), [[False] * 2, [True] * 2], **{name: [0, 1], "seed": [0, 1]})
    assert vfl.attacked(found)["backdoor_accuracy"].values.tolist() == pytest.approx([0.9, 0.9])
    assert vfl.honest(found)["backdoor_accuracy"].values.tolist() == pytest.approx([0.1, 0.1])


def test_a_zipped_switch_divides_results():
    axis = "attack.enabled+defense.stddev"
    along = {"attack.enabled": (axis, [0, 1, 1]), "defense.stddev": (axis, [0.0, 0.0, 0.1])}
    found = vfl.attacked(by_hand((axis,), [False, True, True], **along))
    assert found["defense.stddev"].values.tolist() == [0.0, 0.1]
    assert (found["backdoor_accuracy"] > 0.5).all()


def test_of_two_switches_a_replica_is_attacked_where_one_is_on():
    names = ("attacks.0.enabled", "attacks.1.enabled")
    found = by_hand(names, [[False, True], [True, True]], **{name: [0, 1] for name in names})
    found.attrs["switches"] = json.dumps(dict.fromkeys(names, 1.0))
    attacked = vfl.attacked(found)
    assert dict(attacked.sizes) == dict.fromkeys(names, 2)
    assert np.isnan(attacked["backdoor_accuracy"].values[0, 0])
    assert np.isnan(attacked["backdoor_accuracy"].values).sum() == 1
    assert attacked["is_finite"].values.tolist() == [[False, True], [True, True]]


def test_row_ids_that_lie_in_results_make_no_rows():
    """As older files hold them."""
    found = by_hand(("attack.enabled", "seed"), [[False, False], [True, True]], **{"attack.enabled": [0, 1]})
    held = found.assign(poison_ids=(("attack.enabled", "seed", "poison_row"), np.zeros((2, 2, 3), int)))
    assert vfl.tidy(held).equals(vfl.tidy(found))


def test_both_parts_know_what_they_are(results):
    assert vfl.tidy(vfl.attacked(results))["is_attacked"].all()
    honest = vfl.honest(results)
    assert not vfl.tidy(honest)["is_attacked"].any()
    assert (vfl.tidy(honest)["outcome"] == "").all()
    assert vfl.honest(honest).identical(honest)
    with pytest.raises(vfl.statistics.NoAttackedRuns, match=says("no attacked runs", "Sweep 'attack.enabled'")):
        vfl.attacked(honest)
    assert vfl.row_ids(honest).identical(vfl.row_ids(results))

"""Summaries in numbers, and the tables that are made from them."""

import io
import json

import jax
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from data_helpers import tiny_data, tiny_scenario
from result_helpers import scenario_json, sweep_of
from rich.console import Console

import vfl_jax
from vfl_jax import reports, summary
from vfl_jax.statistics import OUTCOMES, honest, interval, outcomes, share_interval
from vfl_jax.sweeps.sweep import run, sweep

SEEDS, EPOCHS = 5, 2


@pytest.fixture(scope="module")
def results():
    over = {"attack.enabled": [0, 1], "attack.amplify": [1.0, 5.0, 20.0]}
    return sweep(tiny_scenario(), tiny_data(), over, seeds=SEEDS, epochs=EPOCHS, progress=False)


def mixed():
    """Attacked runs of nine seeds with every outcome that there is beside honest ones, in twos and ones."""
    main = [[0.9] * 5 + [0.1, 0.9, 0.9, 0.9], [0.9, 0.9, 0.9, 0.5, 0.9, 0.9, 0.9, 0.5, 0.9]]
    backdoor = [[0.1] * 8 + [0.8], [0.9, 0.8, 0.2, 1.0, 0.1, 0.9, 0.3, 0.2, 0.9]]
    found = sweep_of(main, backdoor)
    found["attack_success_rate"] = found["backdoor_accuracy"]
    for name, count in (("backdoor_accuracy", 80), ("attack_success_rate", 72)):
        found[f"{name}_count"] = xr.full_like(found[name], count, int)
    return found.assign_attrs(rows=json.dumps({"test": 1000, "test_majority": 0.2}))


COUNTS = {"success": 2, "collapsed": 2, "none": 3, "nothing to attack": 1, "floor too high": 1, "no reference": 0}


@pytest.mark.long
def test_a_summary_is_numbers_with_the_settings_as_its_index(results):
    table = summary(results, "main_task_accuracy")
    assert all(np.issubdtype(kind, np.number) for kind in table.dtypes)
    assert table.index.names == ["attack.enabled", "attack.amplify"]
    assert table.index.tolist() == [(e, a) for e in (0, 1) for a in (1.0, 5.0, 20.0)]
    last, floor = results.isel(epoch=-1), honest(results).isel(epoch=-1)
    for (enabled, amplify), row in table.iterrows():
        point = last.sel({"attack.enabled": enabled, "attack.amplify": amplify})
        clean = floor.sel({"attack.amplify": amplify})
        for name in ("main_task_accuracy", "backdoor_accuracy", "attack_success_rate"):
            for column, values in ((name, point[name]), (f"{name}_honest", clean[name])):
                found = row[[f"{column}_{end}" for end in ("median", "low", "high")]].tolist()
                assert found == pytest.approx([float(values.median()), *interval(values)])
        difference = point.main_task_accuracy - clean.main_task_accuracy
        assert row.main_task_accuracy_difference_median == pytest.approx(float(difference.median()))
        assert (row.seeds, row.rows_triggered, row.rows_measured) == (
            SEEDS,
            6,
            int(point.attack_success_rate_count.min()),
        )
        assert row[list(OUTCOMES)].sum() == SEEDS * enabled


def test_the_counts_add_up_to_the_seeds():
    table = summary(mixed())
    assert table.loc[1, list(COUNTS)].to_dict() == COUNTS
    assert sum(COUNTS.values()) == table.loc[1, "seeds"] == 9
    assert table.loc[1, ["success_share_low", "success_share_high"]].tolist() == pytest.approx(share_interval(2, 9))
    assert table.loc[0, list(COUNTS)].tolist() == [0] * 6
    assert np.isnan(table.loc[0, "success_share"])


def test_a_table_says_what_the_summary_does():
    first, second = reports.rows(mixed())
    assert (first["success"], first["collapsed"], first["not judged"]) == ("–", "–", "–")
    assert (second["success"], second["collapsed"]) == ("2/9", "2/9")
    assert second["not judged"] == "1/9 nothing to attack, 1/9 floor too high"
    assert second["rows measured"] == "72"
    low, high = summary(mixed()).loc[1, ["attack_success_rate_low", "attack_success_rate_high"]]
    assert second["attack success"] == f"0.800 [{low:.3f}, {high:.3f}]"
    assert second["clean floor"].startswith("0.100 [")
    assert "not judged" not in reports.rows(mixed().isel(seed=[0, 2]))[1]


def test_where_no_seed_can_be_judged_nothing_is_counted():
    for unjudged in (mixed().sel({"attack.enabled": [1]}), mixed().assign_attrs(rows=json.dumps({"test_majority": 1}))):
        row = summary(unjudged).loc[1]
        assert row[["success", "seeds"]].tolist() == [0, 9]
        assert row[["success_share", "success_share_low", "success_share_high"]].isna().all()
    (alone,) = reports.rows(mixed().sel({"attack.enabled": [1]}))
    assert (alone["success"], alone["clean floor"], alone["not judged"]) == ("–", "no honest run", "9/9 no reference")
    unmeasured = mixed()
    unmeasured["attack_success_rate"] = unmeasured.attack_success_rate * np.nan
    shown = reports.rows(unmeasured)[1]
    assert (shown["success"], shown["attack success"], shown["not judged"]) == ("–", "–", "9/9 nothing to attack")


@pytest.mark.long
def test_a_table_has_one_row_per_point(results):
    rows = reports.rows(results)
    assert [(row["attack.enabled"], row["attack.amplify"]) for row in rows] == [
        (enabled, amplify) for enabled in "01" for amplify in ("1", "5", "20")
    ]
    text = reports.to_markdown(rows).splitlines()
    assert len(text) == 2 + len(rows)
    assert len({line.count("|") for line in text}) == 1
    shown = io.StringIO()
    Console(file=shown, width=100).print(reports.to_terminal(rows, "a title"))
    assert f"rows measured: {rows[0]['rows measured']}" in shown.getvalue()
    rows[0]["rows measured"] = "other"
    shown = io.StringIO()
    Console(file=shown, width=100).print(reports.to_terminal(rows, "a title"))
    assert "other" in shown.getvalue()


def test_names_are_settings_and_do_not_break_a_table(results):
    named = xr.concat([results, results], pd.Index(["plain|one", "other"], name="data set"), combine_attrs="override")
    named = named.isel({"attack.amplify": 0})
    rows = reports.rows(named)
    assert [(row["data set"], row["attack.enabled"]) for row in rows] == [
        (name, enabled) for name in ("plain|one", "other") for enabled in "01"
    ]
    assert [row["attack.amplify"] for row in rows] == ["1"] * 4
    assert "plain\\|one" in reports.to_markdown(rows)
    places = reports.rows(named.drop_vars("data set"))
    assert [row["data set"] for row in places] == ["0", "0", "1", "1"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (10.0, "10"),
        (1e-4, "0.0001"),
        (np.float32(0.1), "0.1"),
        (0.12345678, "0.12345678"),
        ("a name", "a name"),
        (np.inf, "inf"),
        (np.int64(12345678), "12345678"),
        (True, "True"),
        (np.bool_(False), "False"),
    ],
)
def test_settings_are_as_short_as_tells_them_apart(value, text):
    assert reports.setting_text(value) == text


def test_results_of_one_run_are_those_of_one_seed():
    dataset, _ = run(tiny_scenario(), tiny_data(), jax.random.key(0), 1)
    table = vfl_jax.summary(dataset)
    assert len(table) == 1
    assert (table.seeds.item(), table["no reference"].item()) == (1, 1)
    assert table.main_task_accuracy_median.item() == pytest.approx(dataset.main_task_accuracy.values[-1])


def test_options_reach_the_outcomes():
    swept = mixed()
    assert summary(swept, test_majority=0.95).loc[1, "nothing to attack"] == 9
    better = honest(swept).main_task_accuracy + 0.09
    assert summary(swept, undefended=better).loc[1, "nothing to attack"] == 1
    assert summary(swept, undefended=better + 0.02).loc[1, "nothing to attack"] == 9
    assert reports.rows(swept, undefended=better + 0.02)[1]["success"] == "–"
    assert reports.rows(swept, test_majority=0.95)[1]["success"] == "–"
    wide, narrow = (summary(swept, level=level).loc[1] for level in (0.95, 0.5))
    assert wide.success_share_low < narrow.success_share_low
    assert wide.backdoor_accuracy_low < narrow.backdoor_accuracy_low


def test_the_epoch_and_the_main_accuracy_are_chosen(results):
    table = summary(results, main="main_clean", epoch=0)
    point = results.isel({"attack.enabled": 1, "attack.amplify": 2, "epoch": 0})
    assert table.loc[(1, 20.0), "main_clean_median"] == pytest.approx(float(point.main_clean.median()))
    counted = outcomes(results, "main_clean").isel({"attack.enabled": 1, "attack.amplify": 2, "epoch": 0})
    assert table.loc[(1, 20.0), "collapsed"] == int((counted.outcome == "collapsed").sum())


def test_honest_scenarios_have_a_floor_of_their_own():
    found = mixed().rename({"attack.enabled": "defense.stddev"}).assign_attrs(scenario=scenario_json(attacks=[]))
    for row in reports.rows(found):
        assert row["clean floor"] == row["attack success"]
        assert row["success"] == "–"


def test_undefined_numbers_are_a_dash():
    assert reports.median_with_interval([np.nan, np.nan]) == "–"
    assert reports.median_with_interval([0.5]) == "0.500 [0.500, 0.500]"
    assert reports.rows_text({"rows_measured": np.nan}) == "–"

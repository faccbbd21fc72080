"""What tables say of the second pass, of detection and of two classes, and that they stay narrow."""

import io
import json

import numpy as np
import pytest
import xarray as xr
from result_helpers import sweep_of
from rich.console import Console

from vfl_jax import plots, reports, summary
from vfl_jax.statistics import interval

SEEDS = 5
MORE = (
    *("full_attack_success", "full_recovered_utility", "full_detection_auc"),
    *("detection_auc", "balanced_accuracy", "test_auc"),
)


def results(*names, majority=0.7):
    """Honest and attacked runs with random numbers under these names."""
    rng = np.random.default_rng(0)
    found = sweep_of(rng.uniform(0.8, 0.9, (2, SEEDS)), rng.uniform(0, 1, (2, SEEDS)))
    found["attack_success_rate"] = found["backdoor_accuracy"]
    for name in names:
        found[name] = (found["backdoor_accuracy"].dims, rng.uniform(0, 1, (2, SEEDS, 1)).astype("f4"))
    return found.assign_attrs(rows=json.dumps({"test": 1000, "test_majority": majority}))


def terminal(rows, width=80):
    shown = io.StringIO()
    Console(file=shown, width=width).print(reports.to_terminal(rows, "a title"))
    return shown.getvalue()


def test_a_summary_has_medians_and_intervals_with_the_floor_of_the_same_seeds():
    found = results(*MORE)
    table, last = summary(found), found.isel(epoch=-1)
    for enabled in (0, 1):
        row, point, clean = table.loc[enabled], last.sel({"attack.enabled": enabled}), last.sel({"attack.enabled": 0})
        for name in MORE:
            expected = [float(point[name].median()), *interval(point[name])]
            assert row[[f"{name}_{end}" for end in ("median", "low", "high")]].tolist() == pytest.approx(expected)
        for name in MORE[:2]:
            expected = [float(clean[name].median()), *interval(clean[name])]
            floor = row[[f"{name}_honest_{end}" for end in ("median", "low", "high")]].tolist()
            assert floor == pytest.approx(expected)
        assert row.test_majority == 0.7
    assert summary(found, test_majority=0.6).loc[1].test_majority == 0.6


def test_what_results_lack_has_no_column():
    without = results()
    assert not [name for name in summary(without).columns if name.startswith(MORE) or name == "test_majority"]
    assert list(reports.rows(without)[0]) == [
        *("attack.enabled", "main accuracy", "attack success", "clean floor"),
        *("success", "collapsed", "not judged", "rows measured"),
    ]
    assert reports.note(reports.rows(without)) == reports.NOTE


def test_a_table_says_what_the_summary_does_of_all_rows():
    found = results(*MORE)
    table = summary(found)
    for enabled, row in enumerate(reports.rows(found)):
        numbers = table.loc[enabled].to_dict()
        for column, name in {
            "attack success, all rows": "full_attack_success",
            "clean floor, all rows": "full_attack_success_honest",
            "recovered utility": "full_recovered_utility",
            "detection AUC": "full_detection_auc",
            "balanced accuracy": "balanced_accuracy",
        }.items():
            assert row[column] == reports.interval_text(numbers, name)
        assert row["majority"] == "0.700"
    said = reports.note(reports.rows(found))
    assert all(word in said for word in ("second pass", "Utility", "Detection AUC", "Balanced accuracy"))


def test_detection_is_that_of_the_first_pass_where_there_is_no_second():
    found = results("detection_auc")
    (row,) = reports.rows(found.sel({"attack.enabled": [1]}))
    assert row["detection AUC"] == reports.interval_text(summary(found).loc[1].to_dict(), "detection_auc")
    assert "all rows attacked" not in " ".join(terminal(reports.rows(found)).split())


def test_a_case_without_a_second_pass_has_dashes_beside_one_that_has_it():
    one, other = results("full_attack_success", "full_recovered_utility"), results()
    joined = xr.concat(
        [one, other], xr.Variable("kind", [0, 1]), data_vars="all", combine_attrs="override", join="exact"
    )
    rows = reports.rows(joined)
    assert [row["attack success, all rows"] == "–" for row in rows] == [False, False, True, True]
    assert [row["clean floor, all rows"] == "–" for row in rows] == [False, False, True, True]
    assert "utility –" in terminal(rows)


def test_without_honest_runs_there_is_no_floor_to_say():
    (row,) = reports.rows(results(*MORE).sel({"attack.enabled": [1]}))
    assert row["clean floor, all rows"] == "no honest run"
    assert "floor –" in terminal([row])


@pytest.mark.parametrize("names", [(), MORE, MORE[:3], MORE[3:]])
def test_a_terminal_of_80_columns_shows_every_number_whole(names):
    rows = reports.rows(results(*names).expand_dims({"defense.stddev": [0.001]}))
    text = terminal(rows)
    assert max(map(len, text.splitlines())) <= 80
    for row in rows:
        for name, cell in row.items():
            median = cell.split(" [")[0]
            if name not in ("attack.enabled", "success", "collapsed", "not judged"):
                assert median in text, name
            if name == "main accuracy":
                assert cell.split("[")[1].rstrip("]").replace(", ", "–") in text
    if names == MORE:
        assert "majority: 0.700" in text
        assert f"success {rows[1]['attack success, all rows'].split()[0]}" in text
        assert f"AUC {rows[1]['detection AUC'].split()[0]}" in text


def test_axes_have_words():
    figure = plots.overview(results(*MORE), names=("full_attack_success", "balanced_accuracy"))
    assert [panel.get_ylabel() for panel in figure.axes] == ["attack success, all rows", "balanced accuracy"]

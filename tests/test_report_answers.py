"""What a report says of results: the answer in plain sentences, and how to repeat them."""

import json

import numpy as np
import pytest
import xarray as xr

import vfl_jax as vfl
from vfl_jax.reports import answer, to_csv, to_latex
from vfl_jax.reports.readings import differing_rows, read
from vfl_jax.reports.reporting import names_of

SEEDS, ROWS = 10, 200


def results(success=(0.9,), floor=0.02, rows=ROWS, main=0.95, stddevs=None, switched=(0, 1)):
    """A sweep over honest and attacked runs, and maybe a defense, whose attack succeeds as said in every seed."""
    success = np.asarray(success, np.float32)
    shown = np.stack([np.full_like(success, floor), success])[[0 if not on else 1 for on in switched]]
    values = np.broadcast_to(shown[:, :, None, None], (len(switched), len(success), SEEDS, 2))
    dims = ("attack.enabled", "defense.stddev", "seed", "epoch")
    found = xr.Dataset(
        {
            "main_task_accuracy": (dims, np.full(values.shape, main, np.float32)),
            "main_task_accuracy_count": (dims, np.full(values.shape, 1000)),
            "is_finite": (dims, np.full(values.shape, True)),
            **dict.fromkeys(("backdoor_accuracy", "attack_success_rate"), (dims, values)),
            **{f"{name}_count": (dims, np.full(values.shape, rows)) for name in ("attack_success_rate",)},
        },
        {
            "attack.enabled": list(switched),
            "defense.stddev": [0.0] if stddevs is None else list(stddevs),
            "seed": np.arange(SEEDS),
            "epoch": [1, 2],
        },
        {
            "scenario": vfl.presets.digits_demo().to_json(),
            "data": json.dumps({"name": "digits", "parties": ["left", "right"], "fingerprint": "f"}),
            "rows": json.dumps({"train": 1437, "test": 360, "test_majority": 0.1}),
            "given": "nothing",
            "versions": json.dumps({"vfl_jax": "0.1.0"}),
            "switches": json.dumps({"attacks.1.enabled": 1.0}),
        },
    )
    return found.isel({"defense.stddev": 0}, drop=True) if stddevs is None else found


def test_yes_with_level_floor_seeds_and_rows():
    yes, level = answer(results())
    assert yes == "Yes, the attack got through in 10 of 10 seeds that can be judged."
    assert level == (
        "Attack success is 0.900 [0.900, 0.900] against a floor of 0.020 in honest runs, over 10 seeds and 200 test "
        "rows each."
    )


def with_many_triggers(main_clean):
    """Results in which a sixth of the test rows carries the trigger, so that a backdoor alone costs main accuracy."""
    found = results()
    dims, is_on = found["main_task_accuracy"].dims, found["attack.enabled"] == 1
    found["main_task_accuracy"] = xr.where(is_on, 0.8, found["main_task_accuracy"]).transpose(*dims)
    found["main_clean"] = xr.where(is_on, main_clean, xr.full_like(found["main_task_accuracy"], 0.95)).transpose(*dims)
    found["main_clean_count"] = found["main_task_accuracy_count"] - 167
    return found


def test_a_backdoor_in_many_test_rows_is_no_broken_model():
    reading = read(with_many_triggers(main_clean=0.945), "r")
    assert reading.answer[0] == "Yes, the attack got through in 10 of 10 seeds that can be judged."
    assert [row["main accuracy"][:5] for row in reading.tables["Every setting"]] == ["0.950", "0.945"]
    assert "Main accuracy is here of test rows without the trigger" in reading.notes
    assert "without the trigger, because" not in read(results(), "r").notes


def test_where_many_test_rows_carry_the_trigger_everything_takes_the_accuracy_of_the_others():
    """The command's table said that an attack breaks the model, and the report of the same results that it does not."""
    found = with_many_triggers(main_clean=0.945)
    numbers = vfl.summary(found).loc[1]
    assert numbers["main_clean_median"] == pytest.approx(0.945)
    assert "main_task_accuracy_median" in numbers  # what read it before goes on
    assert numbers["success"] == numbers["seeds"]
    on = {"attack.enabled": 1}
    assert set(vfl.statistics.outcomes(found).sel(on)["outcome"].values.ravel()) == {"success"}
    assert set(vfl.statistics.outcomes(found, "main_task_accuracy").sel(on)["outcome"].values.ravel()) == {"collapsed"}
    assert vfl.reports.rows(found) == read(found, "r").tables["Every setting"]
    assert set(vfl.tidy(vfl.attacked(found))["outcome"]) == {"no reference"}
    assert set(vfl.tidy(found).query("is_attacked")["outcome"]) == {"success"}
    assert (
        vfl.plots.overview(found).axes[0].get_title() == vfl.plots.overview(found, ["main_clean"]).axes[0].get_title()
    )


def test_a_broken_model_is_said():
    assert answer(with_many_triggers(main_clean=0.9))[0] == (
        "No, the attack did not get through: it succeeded in 0 of 10 seeds that can be judged. But most seeds "
        "collapsed: the attack took more than 2 percentage points of main accuracy."
    )


def test_no():
    assert answer(results([0.1]))[0] == (
        "No, the attack did not get through: it succeeded in 0 of 10 seeds that can be judged."
    )


def test_several_settings_name_the_strongest_and_the_weakest():
    through, levels = answer(results([0.9, 0.6, 0.1], stddevs=[0, 0.01, 0.1]))
    assert through.startswith("The attack got through at 2 of 3 settings;")
    assert through.endswith("It did not at defense.stddev 0.1 (main accuracy 0.950).")
    assert "at most 0.900 [0.900, 0.900] (defense.stddev 0)" in levels
    assert "at the least 0.100 [0.100, 0.100] (defense.stddev 0.1)" in levels


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (results(rows=29), "Not enough to say whether a backdoor gets through: at most 29 test rows measure it, and"),
        (results(switched=(1,)), "no run can be judged, as there are no honest runs"),
        (results(main=0.1), "no run can be judged, as their honest runs are no better than guessing"),
        (results(floor=0.8), "no run can be judged, as honest runs show the backdoor by themselves"),
        (results(switched=(0,)), "No attack is on in these results. Main accuracy is 0.950"),
    ],
)
def test_what_says_nothing_is_not_said(found, words):
    (said,) = answer(found)
    assert words in said


def test_many_settings_without_a_backdoor_are_not_named():
    through, _ = answer(results([0.9, 0.1, 0.1, 0.1, 0.1], stddevs=[0, 0.01, 0.1, 0.2, 0.3]))
    assert through.endswith("are successes.")


def test_one_seed_has_no_interval():
    assert answer(results().isel(seed=[0]))[1].startswith("Attack success is 0.900 against a floor of")


def test_thirty_rows_are_enough():
    assert answer(results(rows=30))[0].startswith("Yes")


def test_labels_read_come_with_their_share():
    found = results(switched=(1,), success=[0.0])
    found["label_inference_accuracy"] = xr.full_like(found["main_task_accuracy"], 0.75)
    found["label_inference_rate"] = xr.full_like(found["main_task_accuracy"], 0.5)
    assert answer(found)[0] == (
        "The attacker named the labels of 50% of the training rows that it was not given, 75.0% of these rightly."
    )


def test_a_report_repeats_by_a_command_that_the_command_reads(tmp_path):
    reading = read(results([0.9, 0.1], stddevs=[0, 0.1]), "noise")
    (command,) = (text for title, text in reading.repeat.items() if title.startswith("The command"))
    assert command == (
        "vfl-jax sweep json scenario.json --data digits --epochs 2 --seeds 10 --over attack.enabled=0,1 "
        "--over defense.stddev=0,0.1"
    )
    (scenario,) = (text for title, text in reading.repeat.items() if title.startswith("The scenario"))
    assert vfl.from_json(scenario) == vfl.presets.digits_demo()


def test_one_report_of_two_results_tells_them_apart(tmp_path):
    other = results([0.1]).assign_attrs(data=json.dumps({"name": "mnist", "parties": ["left", "right"]}))
    page = vfl.report(
        {"first": results(), "second": other},
        html=tmp_path / "r.html",
        csv=tmp_path / "r.csv",
        markdown=tmp_path / "r.md",
        latex=tmp_path / "r.tex",
    )
    assert (tmp_path / "r.html").read_text() == page
    assert "<td>data set</td><td>digits</td><td>mnist</td>" in page
    lines = (tmp_path / "r.csv").read_text().splitlines()
    assert lines[0].startswith("result,attack.enabled,main accuracy,attack success")
    assert [line.split(",")[0] for line in lines[1:]] == ["first", "first", "second", "second"]
    assert "| data.name | digits | mnist |" in (tmp_path / "r.md").read_text()
    assert (tmp_path / "r.tex").read_text().count(r"\begin{tabular}") == 1


def test_what_is_no_result_is_named():
    with pytest.raises(ValueError, match=r"results is an xarray\.Dataset without a variable"):
        vfl.report(xr.Dataset())
    with pytest.raises(ValueError, match="results is empty"):
        vfl.report([])
    with pytest.raises(ValueError, match=r"results\['a'\] is 3"):
        vfl.report({"a": 3})


def test_names_tell_files_apart():
    assert names_of(["a/x.nc", "b/x.nc", "sweep/results.nc"]) == ["a/x", "b/x", "sweep"]
    with pytest.raises(ValueError, match="twice"):
        names_of(["x.nc", "x.nc"])


def test_differences_are_told_by_path():
    assert differing_rows({"a": {"x": "1", "y": "2"}, "b": {"x": "1", "z": "3"}}) == [
        {"what": "y", "a": "2", "b": "–"},
        {"what": "z", "a": "–", "b": "3"},
    ]


def test_latex_and_csv_escape_every_cell():
    row = {"a_b": "5 % & $x$ #1 {y} ~ ^ \\", "γ": 'x,"y"\nz – ≤ [1]'}
    latex = to_latex([row], "50 %", "tab:a")
    assert r"a\_b & \ensuremath{\gamma} \\" in latex
    assert r"5 \% \& \$x\$ \#1 \{y\} \textasciitilde{} \textasciicircum{} \textbackslash{} & x,''y'' z --" in latex
    assert r"\caption{50 \%}" in latex
    assert r"\label{tab:a}" in latex
    assert latex.isascii()
    assert to_csv([row]) == 'a_b,γ\n5 % & $x$ #1 {y} ~ ^ \\,"x,""y""\nz – ≤ [1]"\n'
    with pytest.raises(ValueError, match="label is"):
        to_latex([row], label="a}b")

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
    assert yes == (
        "Yes, the attack got through in 10 of 10 seeds that can be judged, 100 % (95 % interval 72 to 100 %)."
    )
    assert level == (
        "The median of attack success is 0.900 [0.900, 0.900] against a floor of 0.020 in honest runs, over 10 seeds "
        "and 200 test rows each."
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
    assert reading.answer[0].startswith("Yes, the attack got through in 10 of 10 seeds that can be judged, 100 %")
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
        "No, the attack did not get through: it succeeded in none of 10 seeds that can be judged; more than 28 % of "
        "trainings is ruled out (95 % interval). But most seeds collapsed: the attack took more than 2 percentage "
        "points of main accuracy."
    )


def test_no_says_what_it_rules_out():
    """Of n seeds without a success Wilson's interval ends at z² / (n + z²): 0.28 of 10, 0.66 of 2."""
    for seeds, most in ((10, 28), (2, 66)):
        assert answer(results([0.1]).isel(seed=range(seeds)))[0] == (
            f"No, the attack did not get through: it succeeded in none of {seeds} seeds that can be judged; more than "
            f"{most} % of trainings is ruled out (95 % interval)."
        )


def with_successes(counts, unjudged=0, seeds=20):
    """Settings of which so many seeds are successes; so many others have a ruined honest run, and a strong backdoor."""
    found = results(np.full(len(counts), 0.9), stddevs=np.arange(len(counts)))
    found = xr.concat([found, found], "seed").assign_coords(seed=range(2 * SEEDS)).isel(seed=range(seeds))
    for place, count in enumerate(counts):
        failed = {"attack.enabled": 1, "defense.stddev": place, "seed": slice(count, seeds - unjudged)}
        for name in ("backdoor_accuracy", "attack_success_rate"):
            found[name] = found[name].copy()
            found[name][failed] = 0.1
    found["main_task_accuracy"] = found["main_task_accuracy"].copy()
    found["main_task_accuracy"][{"seed": slice(seeds - unjudged, None)}] = 0.1
    return found.isel({"defense.stddev": 0}, drop=True) if len(counts) == 1 else found


def test_nine_of_twenty_seeds_are_no_no():
    assert answer(with_successes([9]))[0] == (
        "In some trainings the attack got through: in 9 of 20 seeds that can be judged, 45 % (95 % interval 26 to "
        "66 %)."
    )
    assert answer(with_successes([10]))[0].startswith("Yes, the attack got through in 10 of 20 seeds")
    assert answer(with_successes([1]))[0].startswith("In some trainings the attack got through: in 1 of 20 seeds")
    assert answer(with_successes([0]))[0].startswith("No, the attack did not get through: it succeeded in none of 20")


def test_half_of_the_seeds_at_every_setting_is_not_none():
    through = answer(with_successes([10, 10, 10, 10]))[0]
    assert through.startswith(
        "The attack got through in at least half of the seeds that can be judged at 4 of 4 settings, in fewer at 0, "
        "and in none at 0. It did so most often at 4 settings, such as defense.stddev 0: in 10 of 20 seeds"
    )


def test_the_setting_with_most_successes_is_named():
    through = answer(with_successes([2, 9, 0]))[0]
    assert "at 0 of 3 settings, in fewer at 2, and in none at 1. It did so most often at defense.stddev 1:" in through
    assert "in 9 of 20 seeds that can be judged, 45 % (95 % interval 26 to 66 %)." in through
    assert "It did not at defense.stddev 2 (none of 20 seeds that can be judged; more than 16 % of" in through


def test_most_often_is_a_share_of_the_seeds_that_can_be_judged():
    """All of 6 seeds come before half of 20, and these before 1 of 1."""
    found = with_successes([10, 6, 1])
    main = found["main_task_accuracy"]
    for place, judged in ((1, 6), (2, 1)):
        main[{"defense.stddev": place, "seed": slice(judged, None)}] = 0.1
    assert "It did so most often at defense.stddev 1: in 6 of 6 seeds that can be judged (of 20)" in " ".join(
        answer(found)
    )
    main[{"defense.stddev": 1}] = 0.1
    assert "It did so most often at defense.stddev 0: in 10 of 20 seeds that can be judged" in " ".join(answer(found))


def test_the_only_setting_that_can_be_judged_is_named():
    found = with_successes([10, 10])
    found["main_task_accuracy"][{"defense.stddev": 0}] = 0.1
    _, yes, level, rest = answer(found)
    assert yes.startswith("Yes, the attack got through at defense.stddev 1 in 10 of 20 seeds")
    assert "(defense.stddev 1)" in level
    assert rest.startswith("1 more setting says nothing")


def test_of_several_reasons_the_most_frequent_is_called_so():
    found = with_successes([2], unjudged=4, seeds=10)
    for name in ("backdoor_accuracy", "attack_success_rate"):
        found[name][{"attack.enabled": 0, "seed": slice(3, 6)}] = 0.9  # a floor too high
    first = answer(found)[0]
    assert first.startswith("7 of 10 seeds cannot be judged, mostly as their honest runs are no better than guessing")


def test_settings_without_any_success_say_what_they_rule_out():
    through = answer(with_successes([0, 0]))[0]
    assert through.endswith("and in none at 2. More than 16 % of trainings is ruled out at every one (95 % interval).")


def test_seeds_that_cannot_be_judged_come_first():
    first, verdict, _ = answer(with_successes([2], unjudged=8, seeds=10))
    assert first.startswith("8 of 10 seeds cannot be judged, as their honest runs are no better than guessing")
    assert verdict.startswith("Yes, the attack got through in 2 of 2 seeds that can be judged (of 10), 100 % (95 %")
    first, *_ = answer(with_successes([2, 2], unjudged=8, seeds=10))
    assert first.startswith("At 2 of 2 settings most seeds cannot be judged, as their honest runs")
    verdict, *_ = answer(with_successes([5], unjudged=5, seeds=10))
    assert verdict.startswith("Yes, the attack got through in 5 of 5 seeds that can be judged (of 10)")


def test_a_summary_has_the_share_of_the_judged_seeds():
    columns = [f"success_share_of_judged{end}" for end in ("", "_low", "_high")]
    numbers = vfl.summary(with_successes([2], unjudged=6, seeds=10)).loc[1]
    assert numbers["success_share"] == pytest.approx(0.2)
    assert numbers[columns].tolist() == pytest.approx([0.5, *vfl.statistics.share_interval(2, 4)])
    assert vfl.summary(results(main=0.1)).loc[1, columns].isna().all()


def test_several_settings_name_the_strongest_and_the_weakest():
    through, levels = answer(results([0.9, 0.6, 0.1], stddevs=[0, 0.01, 0.1]))
    assert "at 2 of 3 settings, in fewer at 0, and in none at 1." in through
    assert through.endswith(
        "It did not at defense.stddev 0.1 (none of 10 seeds that can be judged; more than 28 % of trainings is ruled "
        "out (95 % interval); main accuracy 0.950)."
    )
    assert "The largest median of attack success is 0.900 [0.900, 0.900] (defense.stddev 0)" in levels
    assert "; the smallest is 0.100 [0.100, 0.100] (defense.stddev 0.1)" in levels


@pytest.mark.parametrize(("seeds", "held"), [(1, None), (2, 50), (3, 75), (4, 88), (5, None)])
def test_few_seeds_are_said_to_have_too_narrow_intervals(seeds, held):
    said = answer(results().isel(seed=range(seeds)))[2:]
    told = f"Intervals of {seeds} seeds are too narrow: they hold the true median {held} times of 100, not 95."
    assert said == ([] if held is None else [told])
    few = answer(results(rows=29).isel(seed=range(seeds)))
    assert few[0].startswith("Not enough to say")
    assert few[1:] == said


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
    assert through.endswith("in 10 of 10 seeds that can be judged, 100 % (95 % interval 72 to 100 %).")


def test_one_seed_has_no_interval():
    assert answer(results().isel(seed=[0]))[1].startswith("The median of attack success is 0.900 against a")


def test_thirty_rows_are_enough():
    assert answer(results(rows=30))[0].startswith("Yes")


def with_labels_read(right, rate=1.0, rows=None):
    """Attacked runs alone, which read labels; by setting, of every seed how many of the labels are right."""
    right = np.asarray(right, np.float32)
    found = results(switched=(1,), success=np.zeros(len(right)), stddevs=np.arange(len(right)))
    dims = found["main_task_accuracy"].dims
    whole = np.broadcast_to(right[None, :, :, None], found["main_task_accuracy"].shape)
    found["label_inference_accuracy"] = (dims, whole)
    found["label_inference_rate"] = xr.full_like(found["main_task_accuracy"], rate)
    return found if rows is None else found.assign_attrs(rows=json.dumps(rows))


def test_labels_read_come_with_what_the_largest_class_gives():
    found = with_labels_read([np.full(SEEDS, 0.75)], 0.5, {"train_majority": 0.7805, "test_majority": 0.77})
    assert answer(found)[0] == (
        "The attacker named the labels of 50 % of the training rows that it was not given, 75.0 % of these rightly "
        "(over 10 seeds). Naming the most frequent class for all would be right for 78.0 % of the training rows."
    )
    older = found.assign_attrs(rows=json.dumps({"test_majority": 0.77}))
    assert answer(older)[0].endswith("for all would be right for 77.0 % of the test rows.")
    assert answer(found.assign_attrs(rows="{}"))[0].endswith(
        "Compare it with the share of the most frequent class, which these results do not say."
    )


def test_the_best_reading_of_labels_has_an_interval_and_its_setting():
    values = np.array([np.linspace(0.2, 0.3, SEEDS), np.linspace(0.7, 0.8, SEEDS)])
    (said, *_) = answer(with_labels_read(values, rows={"train_majority": 0.5}))
    low, high = (100 * end for end in vfl.statistics.interval(values[1]))
    assert f"75.0 % of these rightly (95 % interval {low:.1f} to {high:.1f} %, over 10 seeds). Naming" in said
    assert said.endswith(" That is its best of 2 settings, defense.stddev 1.")


def test_the_largest_class_is_that_of_the_case():
    cases = [with_labels_read([np.full(SEEDS, share)]).isel({"defense.stddev": 0}, drop=True) for share in (0.6, 0.9)]
    joined = xr.concat(cases, xr.Variable("case", ["plain", "noise"]))
    by_case = {"rows": {"plain": {"train_majority": 0.25}, "noise": {"train_majority": 0.5}}}
    for name in ("scenario", "switches"):
        by_case[name] = dict.fromkeys(("plain", "noise"), json.loads(joined.attrs[name]))
    said = answer(joined.assign_attrs({name: json.dumps(content) for name, content in by_case.items()}))[0]
    assert "90.0 % of these rightly" in said
    assert "would be right for 50.0 % of the training rows. That is its best of 2 settings, case noise." in said


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

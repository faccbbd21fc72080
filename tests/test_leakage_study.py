"""The study of all readers beside all defenses: whether its cases fit, and what its report says of results."""

import json

import numpy as np
import pytest
import xarray as xr

from experiments.leakage import answer, chance, readings, report
from experiments.leakage.cases import CASES, DEFENSES, NONE
from vfl_jax.core.files import save
from vfl_jax.data import load_breast_cancer, load_digits
from vfl_jax.sweeps.grid import parse

SMALL = {"mnist": load_digits(), "default_credit": load_breast_cancer()}
"""Data of as many classes."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_fits_its_data(case):
    data = SMALL["mnist" if case.name.startswith("mnist") else "default_credit"]
    for point in parse(case.scenario, case.over).scenarios(case.scenario):
        point.check(data)


def test_names_are_unique_and_every_grid_point_changes_something():
    assert len({case.name for case in CASES}) == len(CASES) == 2 * 17 + 2 * 18 + 2
    for case in CASES:
        assert parse(case.scenario, case.over).size == max(1, *(len(values) for values in case.over.values()), 0)


def test_who_was_built_against_a_defense_listens_where_it_acts():
    """Of ten classes; two share one axis."""
    listens = {case.name for case in CASES if any(way(part) == "axis" for part in case.scenario.attacks[1].parts)}
    heads = ("sum", "trainable")
    assert listens == {f"mnist_{head}_{name}" for head in heads for name in ("max_norm_noise", "label_smoothing")}


def way(part):
    """The ending of a reader's metrics; model completion has none."""
    return getattr(part, "way", "")


def saved(folder, name, main, values, levels=None):
    """Results of two seeds and one epoch: {metric: by level}."""
    dims = ("seed", "epoch") if levels is None else ("defense.stddev", "seed", "epoch")
    sizes = (2, 1) if levels is None else (len(levels), 2, 1)
    start = "label_inference_"
    numbers = {"main_task_accuracy": main} | {start + metric: value for metric, value in values.items()}
    arrays = {k: (dims, np.full(sizes, np.reshape(v, (-1, 1, 1)) if levels else v, "f4")) for k, v in numbers.items()}
    coordinates = {"seed": [0, 1], "epoch": [1]} | ({} if levels is None else {"defense.stddev": levels})
    found = xr.Dataset(arrays, coordinates)
    save(
        found.assign_attrs(data=json.dumps({"name": "here"}), scenario="{}", rows=json.dumps({"test_majority": 0.1})),
        folder / f"{name}.nc",
    )


def test_the_report_names_the_best_reader_its_floor_and_the_price(tmp_path):
    """Of ten classes by rows read, of two by the area: there accuracy would choose another reader."""
    kinds = {"accuracy_direction": 0.9, "rate_direction": 0.5, "accuracy_cluster": 0.6, "rate_cluster": 1.0}
    alone = {"accuracy_alone": 0.3, "rate_alone": 1.0}
    saved(tmp_path, "mnist_sum_none", 0.95, kinds | alone)
    hidden = {"accuracy_direction": [0.8, 0.2], "rate_direction": [1, 1], "accuracy_cluster": [0.1, 0.4]}
    hidden |= {"rate_cluster": [1, 1], "accuracy_alone": [0.3, 0.2], "rate_alone": [1, 1]}
    saved(tmp_path, "mnist_sum_gaussian_noise", [0.93, 0.75], hidden, [0.001, 0.025])
    areas = {"auc_direction": 0.7, "auc_cluster": 0.8, "auc_alone": 0.6}
    saved(
        tmp_path,
        "default_credit_sum_none",
        0.8,
        kinds | {"accuracy_direction": 1.0, "rate_direction": 1.0} | areas | alone,
    )
    groups = readings.all_readings(tmp_path)
    rows = {row["defense"]: row for row in report.headline(groups)}
    assert rows["none"]["MNIST, sum"] == "0.600 cluster, without 0.300"  # the other reads half of the rows
    assert rows["gaussian noise 0.001"]["MNIST, sum"] == "0.800 direction, without 0.300 (-0.020)"
    assert rows["gaussian noise 0.025"]["MNIST, sum"] == "0.400 cluster, without 0.200 (-0.200)"
    assert rows["none"]["default of credit, sum"] == "0.800 cluster, without 0.600"
    assert rows["gaussian noise 0.001"]["default of credit, sum"] == "–"
    report.write_report(tmp_path)
    text = (tmp_path / "tables.md").read_text()
    assert (tmp_path / "leakage.png").is_file()
    assert text.count("areas under the curve") == 1
    assert "0.600 cluster, without 0.300" in text


def reading(defense, loud, silent, main=0.8):
    """What one reader of messages and one without read of two classes, by seed."""
    areas = {"sign": np.array(loud), "alone": np.array(silent)}
    return readings.Reading(defense, "1", {}, areas, np.full(len(loud), main))


def test_readers_that_leave_rows_out_stand_apart():
    """A reader that is right of all that it names, and names half, is not one that is right of half."""
    right = {"sure": np.array([0.5, 0.5]), "alone": np.array([0.5, 0.5])}
    named = {"sure": np.array([0.5, 0.5]), "alone": np.array([1.0, 1.0])}
    quiet = readings.Reading("noise", "1", right, {}, np.array([0.9, 0.9]), 0.1, named)
    whole = quiet._replace(level="2", named=dict.fromkeys(named, np.array([1.0, 1.0])))
    plain = whole._replace(defense="none", level="")
    assert report.leaving_rows_out([plain, quiet, whole]) == [{"defense": "noise 1", "sure": "1.000 of 0.500"}]
    silent = quiet._replace(right=right | {"sure": np.zeros(2)}, named=named | {"sure": np.zeros(2)})
    assert report.leaving_rows_out([plain, silent]) == [{"defense": "noise 1", "sure": "names none"}]
    assert report.leaving_rows_out([plain, whole]) == []
    ruined = quiet._replace(main=np.array([0.1, 0.1]))
    assert report.leaving_rows_out([plain, ruined]) == []


def test_the_figure_has_a_mark_for_every_defense():
    found = [reading(name, [0.9, 0.9], [0.7, 0.7]) for name in (NONE, *DEFENSES)]
    (panel,) = report.figure({("default_credit", "sum"): found}).axes
    lines = [line for line in panel.get_lines() if line.get_label().replace(" ", "_") in DEFENSES]
    assert len({line.get_marker() for line in lines}) == len(lines) == len(DEFENSES)


def test_the_answer_names_the_settings_at_which_nobody_was_shown_to_read_more():
    """Where the difference differs by seed so much that its t interval holds 0, and where there is none."""
    plain = reading("none", [1.0, 1.0, 1.0], [0.7, 0.7, 0.7])
    more = reading("clipping", [0.8, 0.81, 0.8], [0.7, 0.7, 0.71])
    unsure = reading("alibi", [0.9, 0.7, 0.72], [0.7, 0.71, 0.69])
    level = reading("marvell", [0.7, 0.7, 0.7], [0.7, 0.7, 0.7])
    ruined = reading("sign_sgd", [0.5, 0.5, 0.5], [np.nan] * 3)
    place = ("default_credit", "sum")
    said = answer.answer({place: [plain, more, unsure, level, ruined]}, 5)
    assert said.startswith(
        "**Behind 1 of 3 settings of defenses that spare the model, a reader of messages reads more than the best "
        "reader that uses none.** Behind the other 2 no reader was shown to. All parties train honestly; who changes "
    )
    hidden = answer.answer({place: [plain, unsure, level]}, 5)
    assert hidden.startswith(
        "**Behind none of 2 settings of defenses that spare the model, a reader of messages was shown"
    )
    assert " 1 more do not spare it, or end without a model, and are in the table alone. So far 5 of 72 " in said
    assert "* default of credit, sum head: 3 settings spare the model. No reader of messages was shown to read" in said
    assert "alibi 1 (AUC 0.720 [0.700, 0.900] by sign; without messages 0.700 [0.690, 0.710] by alone)" in said
    assert said.endswith(
        "Of 3 that cost at most one percentage point, least is read behind "
        "marvell 1 (AUC 0.700 [0.700, 0.700] by sign; without messages 0.700 [0.700, 0.700] by alone).\n"
    )
    assert "clipping" not in said
    every = answer.answer({place: [plain, more]}, len(CASES))
    assert every.startswith(
        "**Behind each of 1 setting of defenses that spare the model, a reader of messages reads more"
    )
    assert "So far" not in every
    slight = reading("clipping", [0.72, 0.72, 0.73], [0.7, 0.7, 0.71])
    few = answer.answer({place: [plain, more, slight]}, len(CASES))
    assert "more than the best reader that uses none, in 1 of them by less than 0.05 of share or AUC.** All" in few


def test_without_a_defense_or_without_honest_runs_nothing_is_claimed():
    plain, more = reading("none", [1.0, 1.0], [0.7, 0.7]), reading("clipping", [0.9, 0.9], [0.7, 0.7])
    for found in ([plain], [more]):
        said = answer.answer({("default_credit", "sum"): found}, len(CASES))
        assert said.startswith("**No defense that spares the model is trained yet.**")


def test_a_defense_that_leaves_less_than_half_of_what_is_known_spares_nothing():
    """It costs five points, and naming the most frequent class would cost four."""
    plain = reading("none", [1.0, 1.0], [0.7, 0.7], main=0.82)._replace(majority=0.78)
    guessing = reading("clipping", [0.9, 0.9], [0.7, 0.7], main=0.77)._replace(majority=0.78)
    said = answer.answer({("default_credit", "sum"): [plain, guessing]}, len(CASES))
    assert said.startswith("**No defense that spares the model is trained yet.** 1 more do not spare it")


def test_a_defense_that_costs_more_than_a_point_is_not_called_the_cheap_one():
    plain = reading("none", [1.0, 1.0], [0.7, 0.7], main=0.8)
    dear = reading("alibi", [0.75, 0.75], [0.7, 0.7], main=0.78)
    cheap = reading("marvell", [0.9, 0.9], [0.7, 0.7], main=0.795)
    said = answer.answer({("default_credit", "sum"): [plain, dear, cheap]}, 3)
    assert (
        "2 settings spare the model. Of 1 that cost at most one percentage point, least is read behind marvell" in said
    )
    assert "percentage point" not in answer.answer({("default_credit", "sum"): [plain, dear]}, 2)


def test_many_readers_that_know_nothing_more_are_rarely_called_better():
    """The best of 20 by the seeds that are compared is above the one floor far more often."""
    called, naive = chance.shares(200, seed=0)
    assert naive > 0.1
    assert called < min(0.1, naive / 2)

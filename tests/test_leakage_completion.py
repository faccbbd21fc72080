"""Completion at full length beside malicious SGD, and labels from one summed gradient: cases, shares and tables."""

import functools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from experiments.leakage import completion, one_batch
from vfl_jax.core.files import save
from vfl_jax.data import load_breast_cancer, load_digits
from vfl_jax.sweeps.grid import parse

SMALL = {
    "handwritten": functools.partial(load_digits, num_parties=6),
    "bank_marketing": load_breast_cancer,
    "default_credit": load_breast_cancer,
}
"""Data of as many parties and classes."""


@pytest.mark.parametrize("case", completion.CASES, ids=lambda case: case.name)
def test_a_case_fits_its_data_and_its_last_party_alone_trains_in_three_ways(case):
    data = next(SMALL[task]() for task in completion.TASKS if task in case.name)
    rates, boosts = zip(*completion.TRAINS, strict=True)
    points = list(parse(case.scenario, case.over).scenarios(case.scenario))
    assert [point.optimizers[-1].learning_rate for point in points] == list(rates)
    assert [point.optimizers[-1].boost for point in points] == list(boosts)
    assert len({point.optimizers[:-1] for point in points}) == 1
    assert case.scenario.attacks[-1].num_steps == 20_480
    for point in points:
        point.check(data)


def test_the_table_has_shares_of_ten_classes_and_areas_of_two(tmp_path):
    assert completion.rows(tmp_path / "none") == []
    axis = "optimizers.1.learning_rate+optimizers.1.boost"
    dims, shape = (axis, "seed", "epoch"), (3, 2, 1)
    numbers = {"accuracy": [0.1, 0.2, 0.3], "auc": [0.5, 0.7, 0.9]}
    for name in ("completion_handwritten_sum", "completion_default_credit_trainable"):
        arrays = {
            f"label_inference_{of}": (dims, np.broadcast_to(np.reshape(values, (3, 1, 1)), shape))
            for of, values in numbers.items()
        }
        arrays["main_task_accuracy"] = dims, np.broadcast_to(np.reshape([0.6, 0.9, 0.8], (3, 1, 1)), shape)
        found = xr.Dataset(arrays, {"seed": [0, 1], "epoch": [20]})
        save(found.assign_attrs(data=json.dumps({"name": "here"}), scenario="{}"), tmp_path / f"{name}.nc")
    tens, twos = completion.rows(tmp_path)
    assert (tens["data"], tens["head"], tens["of"]) == ("handwritten", "sum", "share")
    assert [tens[title].split()[0] for title in completion.TITLES] == ["0.100", "0.200", "0.300"]
    assert (twos["data"], twos["head"], twos["of"]) == ("default of credit", "trainable", "AUC")
    assert [twos[title].split()[0] for title in completion.TITLES] == ["0.500", "0.700", "0.900"]
    assert twos["honest beyond untrained"] == "+0.200 [+0.200, +0.200]"
    assert twos["main accuracy, malicious beyond honest"] == "-0.100 [-0.100, -0.100]"


def test_summed_gradients_tell_a_small_batch_under_the_sum_head(tmp_path, monkeypatch):
    """One learned head may name the classes as it likes; what is saved is not measured again."""
    tasks = {"handwritten": completion.TASKS["handwritten"]._replace(load=SMALL["handwritten"])}
    for module in (completion, one_batch):
        monkeypatch.setattr(module, "TASKS", tasks)
    for name, value in {"SIZES": (4,), "SEEDS": 2, "BATCHES": 5}.items():
        monkeypatch.setattr(one_batch, name, value)
    one_batch._guessed.cache_clear()
    one_batch.measure(tmp_path)
    found = json.loads((tmp_path / one_batch.FILE).read_text())["handwritten"]
    assert found["majority"] == pytest.approx(0.1, abs=0.01)
    assert min(found["sum_4"]) > 0.7
    assert max(found["trainable_4"]) < 0.5
    summed, learned = one_batch.rows(tmp_path)
    assert (summed["head"], learned["head"]) == ("sum", "trainable")
    assert summed["batch of 4"].startswith(f"{np.mean(found['sum_4']):.3f} (")
    monkeypatch.setattr(one_batch, "_share", None)
    one_batch.measure(tmp_path)
    assert one_batch.rows(tmp_path / "none") == []


RESULTS = Path(completion.__file__).with_name("results")


def test_sentences_on_completion_have_the_numbers_of_the_table():
    page, rows = RESULTS.with_name("README.md").read_text(), completion.rows(RESULTS)
    beyond = [[float(n) for n in re.findall(r"[+-]\d\.\d+", row["honest beyond untrained"])] for row in rows]
    assert all(low <= 0 <= high for _, low, high in beyond)
    _, low, high = max(beyond, key=lambda numbers: numbers[2] - numbers[1])
    assert f"hold 0 in all six places, the widest from {low:+.3f} to {high:+.3f}" in page
    told_apart = [
        f"on {row['data']} under the {row['head']} head it reads {-mean:.3f} less"
        for row in rows
        for mean, low, high in [map(float, re.findall(r"[+-]\d\.\d+", row["malicious beyond honest"]))]
        if not low <= 0 <= high
    ]
    assert len(told_apart) == 1
    assert told_apart[0] in page


def test_sentences_on_one_batch_have_the_numbers_of_the_table():
    sentence = RESULTS.with_name("README.md").read_text().partition("**A mean over a batch")[2]
    found = {row["data"]: row for row in one_batch.rows(RESULTS) if row["head"] == "sum"}
    numbers = re.findall(r"0\.\d\d", sentence.partition("Under the trainable head")[0])
    rows = (found[name] for name in ("handwritten", "bank marketing", "default of credit"))
    assert numbers == [f"{float(row[name][:5]):.2f}" for row in rows for name in ("batch of 64", "most frequent")]

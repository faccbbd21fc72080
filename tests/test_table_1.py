"""Table 1: what is counted, by hand; the page shows the saved counts."""

import json

import jax
import numpy as np
import pytest
from data_helpers import says
from experiment_helpers import small_task

from experiments.liu2020.table_1 import count, report
from experiments.liu2020.table_1.__main__ import main
from experiments.shared import readme
from vfl_jax.data.sets.nus_wide import CONCEPTS, PAPER
from vfl_jax.presets import liu2020_code
from vfl_jax.replica.draws import draw

RESULTS = report.README.with_name("results")


@pytest.fixture(autouse=True)
def small_data(tmp_path, monkeypatch):
    monkeypatch.setattr(count, "load_task", small_task)
    monkeypatch.setenv("VFL_JAX_DATA", str(tmp_path / "data"))


def cells(text, heading):
    """The table below a heading, by row and column."""
    lines = text.split(f"### {heading}\n\n")[1].split("\n\n")[0].strip().splitlines()
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: dict(zip(header, row, strict=True)) for row in rows}


def test_rows_and_triggers_by_class(tmp_path):
    main(["--quick", "--out", str(tmp_path)])
    text = (tmp_path / "tables.md").read_text()
    nus_wide, mnist = cells(text, "NUS-WIDE"), cells(text, "MNIST")
    assert list(nus_wide) == [*CONCEPTS, "all"]
    train = small_task("nus_wide").train
    for i, name in enumerate(CONCEPTS):
        rows, triggers = (train.labels == i).sum(), train.has_trigger[train.labels == i].sum()
        assert nus_wide[name]["train, NUS-WIDE twin"] == f"{triggers} / {rows}"
        assert nus_wide[name]["test, paper"] == f"{PAPER['test'].triggers[i]} / {PAPER['test'].rows[i]}"
    assert nus_wide["all"]["train, paper"] == "152 / 60000"
    assert "train, real labels" not in nus_wide["all"]
    assert mnist["all"]["train, MNIST"] == "60 / 6000"
    assert mnist["all"]["test, MNIST"] == "2 / 200"
    assert mnist["all"]["train, paper"] == "600 / 60000"
    assert mnist["3"]["train, MNIST"].endswith(" / 600")


def test_the_stamped_rows_are_those_of_every_seed():
    data = small_task("mnist")
    counts = count.stamped(data)["train"]
    for seed in (0, 7):
        poisoned = draw(liu2020_code(), data, jax.random.key(seed)).poison_ids
        np.testing.assert_array_equal(np.bincount(data.train.labels[poisoned], minlength=10), counts.triggers)


def test_real_labels_make_the_five_class_task(tmp_path):
    """Of rows with exactly one of the five concepts, the first 60,000 and 40,000."""
    rng = np.random.default_rng(0)
    concepts = sorted([*CONCEPTS, *(f"concept {i}" for i in range(76))])
    labels = {split: rng.random((size, 81)) < 0.2 for split, size in (("train", 200_000), ("test", 500))}
    (tmp_path / "data" / "nus_wide").mkdir(parents=True)
    packed = {f"{split}_packed": np.packbits(flags, axis=1) for split, flags in labels.items()}
    np.savez(tmp_path / "data" / count.REAL_LABELS, concepts=np.array(concepts), **packed)
    found = count.real_labels()
    for split, limit in (("train", 60_000), ("test", 500)):
        five = labels[split][:, [concepts.index(concept) for concept in CONCEPTS]]
        chosen = five[five.sum(axis=1) == 1][:limit]
        np.testing.assert_array_equal(found[split], chosen.sum(axis=0))
    assert found["train"].sum() == 60_000


def test_without_counts_the_report_ends_with_one_line(tmp_path):
    with pytest.raises(SystemExit, match=says("error: ", count.FILE)):
        main(["--report-only", "--out", str(tmp_path)])


def test_the_page_shows_the_saved_counts():
    assert f"{readme.BEGIN}\n\n{report.tables(RESULTS)}\n{readme.END}" in report.README.read_text()
    found = json.loads((RESULTS / count.FILE).read_text())
    for split, paper in PAPER.items():
        assert found["nus_wide"][split] == {"rows": paper.rows.tolist(), "triggers": paper.triggers.tolist()}
        assert found["real_labels"][split] == paper.rows.tolist()
    assert [sum(found["mnist"][split]["triggers"]) for split in PAPER] == [600, 100]

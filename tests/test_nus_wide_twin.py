"""The NUS-WIDE twin: Table 1 exactly, the real statistics closely, the same rows everywhere; its page."""

import json

import numpy as np
import pytest
from data_helpers import needs_data, says

from experiments.data.nus_wide_twin import report
from experiments.data.nus_wide_twin.__main__ import main
from experiments.data.nus_wide_twin.cases import CASES
from experiments.data.nus_wide_twin.compare import COMPARISON, Line, accuracy_of_tags, binary_accuracy
from experiments.data.nus_wide_twin.fit import fit_themes
from experiments.data.nus_wide_twin.real import read_real
from experiments.shared import readme
from experiments.shared.outcomes import TABLE_2
from vfl_jax.core.bags import ABSENT
from vfl_jax.core.files import load
from vfl_jax.data import load_nus_wide_twin, table_1
from vfl_jax.data.sets import nus_wide_twin
from vfl_jax.data.sets.nus_wide import PAPER, TARGET_ROW, TRIGGER_TAG

FOLDER = report.README.with_name("results")
FINGERPRINT = "cca407445e7f5a1fe52c58a98355f3a9f253a888d0411169172eb2a74dd84ad7"
# From the real parts: tags per image of the sample without labels, standard deviations and minima by block.
TAG_QUANTILES = {0.1: 1, 0.5: 5, 0.9: 12.1, 0.99: 25}
BLOCK_DEVIATIONS = {(0, 64): 0.278, (64, 289): 0.322, (289, 433): 0.320, (433, 506): 0.318, (506, 634): 0.280}


@pytest.fixture(scope="module")
def whole():
    return load_nus_wide_twin()


@pytest.fixture(scope="module")
def small():
    return load_nus_wide_twin(num_train=600, num_test=400)


@pytest.mark.long
def test_table_1_is_exact(whole):
    for split, counts in table_1(whole).items():
        np.testing.assert_array_equal(counts.rows, PAPER[split].rows)
        np.testing.assert_array_equal(counts.triggers, PAPER[split].triggers)
    assert (whole.name, whole.parties, whole.num_classes) == ("nus_wide_twin", ("image", "tags"), 5)
    assert whole.train.labels[TARGET_ROW] == 0
    assert not whole.train.has_trigger[TARGET_ROW]


@pytest.mark.long
def test_the_trigger_is_the_last_tag_and_nothing_else(whole):
    for rows in (whole.train, whole.test):
        ids = rows.features[1].ids
        np.testing.assert_array_equal((ids == TRIGGER_TAG).any(axis=1), rows.has_trigger)


@pytest.mark.long
def test_tags_are_ascending_and_none_is_there_twice(whole):
    ids = whole.train.features[1].ids.astype(np.int64)
    there = np.where(ids == ABSENT, np.iinfo(np.int64).max - np.arange(ids.shape[1])[::-1], ids)
    assert (np.diff(there, axis=1) > 0).all()
    assert whole.train.features[1].weights is None


@pytest.mark.long
def test_tags_are_as_many_and_as_frequent_as_real_ones(whole):
    counts = (whole.train.features[1].ids != ABSENT).sum(axis=1)
    for level, real in TAG_QUANTILES.items():
        assert np.quantile(counts, level) == pytest.approx(real, abs=1)
    assert np.mean(counts == 0) == pytest.approx(0.0368, abs=0.003)
    shares = np.asarray(whole.train.features[1].to_sparse().mean(axis=0)).ravel()
    assert shares[:10].mean() == pytest.approx(0.0736, rel=0.2)
    assert shares[10:100].mean() == pytest.approx(0.0203, rel=0.1)
    assert shares[300:600].mean() == pytest.approx(0.0041, rel=0.15)


@pytest.mark.long
def test_images_have_the_real_marginals(whole):
    images = whole.train.features[0]
    assert images.dtype == np.float32
    for (start, end), real in BLOCK_DEVIATIONS.items():
        assert images[:, start:end].std(axis=0).mean() == pytest.approx(real, rel=0.1)
    quantiles = nus_wide_twin._model()["quantiles"]
    assert (images >= quantiles[0]).all()
    assert (images <= quantiles[-1]).all()
    correlogram = images[:, 289:433]
    assert np.mean(correlogram == correlogram.min(axis=0)) == pytest.approx(0.434, abs=0.05)


def test_the_last_bit_is_pinned(small):
    """Published numbers stand on these rows. They may change in a new version, but never by accident."""
    assert small.fingerprint() == FINGERPRINT


def test_equal_seeds_make_equal_rows_and_splits_do_not_depend_on_each_other(small):
    again = load_nus_wide_twin(num_train=600, num_test=300)
    np.testing.assert_array_equal(again.train.features[0], small.train.features[0])
    np.testing.assert_array_equal(again.train.features[1].ids, small.train.features[1].ids)
    assert load_nus_wide_twin(num_train=600, num_test=400).fingerprint() == small.fingerprint()
    assert load_nus_wide_twin(num_train=600, num_test=400, seed=1).fingerprint() != small.fingerprint()


def test_images_do_not_depend_on_the_order_of_sums():
    """Whatever multiplies the matrices may add in any order: all terms are whole numbers."""
    model = nus_wide_twin._model()
    generator = np.random.default_rng(3)
    factors = np.rint(nus_wide_twin.STEP * generator.standard_normal((50, len(model["loadings"]))))
    order = generator.permutation(len(model["loadings"]))
    loadings = model["loadings"].astype(np.float64)
    one_by_one = sum(np.outer(factors[:, k], loadings[k]) for k in order)
    np.testing.assert_array_equal(one_by_one, factors @ loadings)


@pytest.mark.parametrize("sizes", [(200, 200), (601, 399), (1234, 777)])
def test_other_sizes_are_proportional(sizes):
    data = load_nus_wide_twin(num_train=sizes[0], num_test=sizes[1])
    for (split, counts), size in zip(table_1(data).items(), sizes, strict=True):
        scale = size / PAPER[split].rows.sum()
        assert counts.rows.sum() == size
        assert (np.abs(counts.rows - scale * PAPER[split].rows) < 1).all()
        assert counts.triggers.sum() == max(1, round(scale * PAPER[split].triggers.sum()))


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match=says("num_test is 100", "200")):
        load_nus_wide_twin(num_train=600, num_test=100)


def test_the_twin_over_sixteen_parties(small):
    data = load_nus_wide_twin(num_train=600, num_test=400, num_parties=16, active_party=0)
    assert (data.num_parties, data.active_party) == (16, 0)
    assert sum(features.vocabulary for features in data.train.features if hasattr(features, "ids")) == 1000
    last = data.train.features[-1]
    np.testing.assert_array_equal((last.ids == last.vocabulary - 1).any(axis=1), small.train.has_trigger)


@needs_data
@pytest.mark.long
def test_tags_tell_the_class_as_well_as_real_ones_do(whole):
    """A logistic regression on 1,000 rows: both kinds of rows through the same code."""
    real = read_real()
    generator = np.random.default_rng(0)
    rows = np.concatenate(
        [
            generator.choice(np.flatnonzero(whole.train.labels == c), np.sum(real.labels == c), replace=False)
            for c in range(5)
        ]
    )
    twin, _ = accuracy_of_tags(whole.train.features[1].to_sparse()[rows], whole.train.labels[rows], 1000)
    measured, _ = accuracy_of_tags(real.labelled_tags, real.labels, 1000)
    assert twin == pytest.approx(measured, abs=0.04)


@needs_data
def test_the_real_parts_are_read_as_their_calibration_says():
    real = read_real()
    assert real.images.shape == (612, 634)
    assert np.bincount(real.labels).tolist() == [841, 673, 574, 1292, 739]
    assert binary_accuracy(real.images, real.image_tags, real.image_labels, "both") == pytest.approx(0.899, abs=0.01)
    counts = np.diff(real.joint_tags.indptr)
    assert counts.mean() == pytest.approx(real.calibration["tags_joint_rows"]["mean"], abs=1e-3)


@needs_data
def test_the_model_in_the_package_is_the_one_that_is_fitted():
    weights, tags, _ = fit_themes(read_real())
    model = nus_wide_twin._model()
    np.testing.assert_allclose(model["theme_weights"], weights, atol=1e-4)
    np.testing.assert_allclose(model["trigger_weights"], tags[:, -1], atol=1e-6)


@pytest.mark.long
def test_the_page_shows_the_saved_results(whole, monkeypatch):
    monkeypatch.setattr(report, "load_nus_wide_twin", lambda: whole)
    assert f"{readme.BEGIN}\n\n{report.tables(FOLDER)}\n{readme.END}" in report.README.read_text()


def test_saved_results_are_near_the_paper_and_the_real_statistics():
    for case in CASES:
        found = load(FOLDER / f"{case.name}.nc").main_task_accuracy.isel(epoch=-1)
        paper = TABLE_2["nus_wide"][case.name.rpartition("_")[2]]
        assert found.sizes["seed"] == 10
        assert float(found.median()) == pytest.approx(paper, abs=0.015)
    lines = {(line["group"], line["name"]): Line(**line) for line in json.loads((FOLDER / COMPARISON).read_text())}
    for (group, name), line in lines.items():
        if group == "tags alone, five classes" and name.startswith("accuracy"):
            assert line.twin[0] == pytest.approx(line.calibrated[0], abs=0.03)
        if group.startswith("variance in"):
            assert line.twin[0] == pytest.approx(line.calibrated[0], abs=0.03)


def test_without_the_real_parts_the_study_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("VFL_JAX_DATA", str(tmp_path))
    for flags in ([], ["--fit"]):
        with pytest.raises(SystemExit, match=says("error: ", "nus_wide/calibration.json", "real parts of NUS-WIDE")):
            main([*flags, "--quick", "--out", str(tmp_path)])
    assert list(tmp_path.iterdir()) == []

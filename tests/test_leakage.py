"""What is read off messages in experiments: readers by hand, an epoch that is really listened to, tables, verdicts."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from experiment_helpers import small_task
from helpers import hardly_optimized
from result_helpers import results_of

from experiments.liu2020.claims_without_a_figure import listening
from experiments.liu2020.claims_without_a_figure.cases import CASES, LISTENED
from experiments.liu2020.claims_without_a_figure.leakage import (
    KNOWN,
    Reading,
    all_prices,
    all_readings,
    best_reader,
    headline_row,
    leakage,
    num_known,
    of_kept,
    of_signs,
    price_cells,
    short_row,
    without_messages,
)
from experiments.liu2020.claims_without_a_figure.readers import Smoother, as_matrix, known_rows, nearest_known, score
from experiments.liu2020.verdict import labels
from experiments.shared.defended import CHANGE
from vfl_jax.core.bags import BagOfIds
from vfl_jax.core.files import load, save

BY_NAME = {case.name: case for case in CASES}


def test_a_row_gets_the_label_of_the_known_row_that_points_the_same_way():
    """Directions count, not lengths, be it a known row's; a silent row is not read."""
    heard = np.float32([[1, 0], [0, 20], [5, 1], [0.1, 3], [0, 0], [-1, 0.1]])
    guesses = nearest_known(heard, np.array([0, 1]), np.array([7, 8]))
    np.testing.assert_array_equal(guesses[:5], [7, 8, 7, 8, -1])


def test_smoothing_tells_each_row_what_rows_like_it_are_told():
    """One message in ten is right about the class that the features show; the others are noise."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 3000)
    features = np.eye(3, dtype=np.float32)[labels] + rng.normal(0, 0.3, (3000, 3)).astype(np.float32)
    heard = 0.1 * (1 / 3 - np.eye(3)[labels]) + rng.normal(0, 1, (3000, 3))
    alone, smoothed = ((evidence.argmin(1) == labels).mean() for evidence in (heard, Smoother(features)(heard)))
    assert alone < 0.45
    assert smoothed > 0.8


def test_smoothing_keeps_what_all_rows_are_told():
    """Whatever the features are, which here say nothing and are 0 on average."""
    features = np.random.default_rng(0).normal(0, 1, (500, 2)).astype(np.float32)
    np.testing.assert_allclose(Smoother(features)(np.full((500, 1), 3.0)), 3, atol=0.1)


def test_features_of_bags_and_images_are_rows():
    bags = BagOfIds.of([[0, 2], [], [1]], 4)
    np.testing.assert_array_equal(as_matrix(bags), [[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]])
    assert as_matrix(np.zeros((2, 3, 4))).shape == (2, 12)


def test_known_rows_are_of_every_class_and_do_not_count():
    truth = np.repeat([0, 1, 2], 10)
    known = known_rows(truth, 2, seed=1)
    np.testing.assert_array_equal(truth[known], [0, 0, 1, 1, 2, 2])
    assert len(set(known)) == 6
    assert not np.array_equal(known, known_rows(truth, 2, seed=2))
    np.testing.assert_array_equal(np.sort(known_rows(truth, 10, seed=3)), np.arange(30))  # none is drawn twice
    guesses = np.where(np.isin(np.arange(30), known), truth, -1)
    guesses[np.setdiff1d(np.arange(30), known)[:6]] = 0
    right, rate = score(guesses, truth, known)
    assert rate == 6 / 24
    assert right == 1.0
    assert np.isnan(score(np.full(30, -1), truth, known)[0])


@pytest.mark.long
@pytest.mark.parametrize("name", ["liu2020_code_listened_mnist_sum", "liu2020_code_listened_nus_wide_trainable_own"])
def test_an_epoch_is_listened_to(tmp_path, monkeypatch, name):
    """A real epoch on little data: without a defense signs read all; embeddings of other widths have no signs."""
    monkeypatch.setattr(listening, "load_task", small_task)
    with hardly_optimized():
        listening.main(["--quick", "--only", name, "--out", str(tmp_path)])
    found = load(tmp_path / f"{name}.nc")
    assert list(found["defense"].values) == list(LISTENED)
    assert found.sizes["seed"] == 2
    assert ((found["rate"] >= 0) & (found["rate"] <= 1)).all()
    if name.endswith("_sum"):
        assert (found["accuracy"].sel(defense="none", reader="signs") > 0.99).all()
        assert (found["accuracy"].sel(defense="Gaussian noise 0.05", reader="signs") < 0.6).all()
        assert (found["rate"].sel(defense="sparsification 0.99", reader="signs") < 0.5).all()
    else:
        assert "signs" not in found["reader"]
    before = (tmp_path / f"{name}.nc").read_bytes()
    listening.main(["--quick", "--only", name, "--out", str(tmp_path)])  # there: nothing is trained again
    assert (tmp_path / f"{name}.nc").read_bytes() == before
    with pytest.raises(SystemExit, match="only is 'none'"):
        listening.main(["--only", "none", "--out", str(tmp_path)])


def heard(**right):
    """What was kept of an epoch, the same under every defense: reader to share, all rows read, two seeds."""
    values = np.stack([np.broadcast_to(np.array([[share] * 2 for share in right.values()]), (len(right), 2))] * 7)
    dims = "defense", "reader", "seed"
    readers = [name.replace("_", " ") for name in right]
    return xr.Dataset(
        {"accuracy": (dims, values), "rate": (dims, np.ones_like(values))},
        {"defense": list(LISTENED), "reader": readers, "seed": [0, 1]},
        {"data": json.dumps({"name": "mnist"})},
    )


def read_off(**numbers):
    """The label case of MNIST with these numbers wherever nobody attacks."""
    case = BY_NAME["liu2020_code_labels_mnist_sum"]
    return results_of(case, lambda s: {} if s["attack.enabled"] else numbers, seeds=2)


def test_two_numbers_belong_to_a_reader():
    trained = read_off(label_inference_accuracy=0.9, label_inference_rate=0.5, label_inference_accuracy_sum=0.6)
    trained["label_inference_rate_sum"] = xr.ones_like(trained["label_inference_accuracy_sum"])
    found = of_signs(trained, "sparsification 0.9")
    assert list(found) == ["last message, 2 epochs", "sum, 2 epochs"]
    np.testing.assert_allclose(found["last message, 2 epochs"].right, 0.45, rtol=1e-6)
    assert found["last message, 2 epochs"].shown() == "0.900 of 0.50"
    assert found["sum, 2 epochs"].shown() == "0.600"
    assert Reading(np.array([np.nan]), np.array([0.0])).right == 0


def test_signs_are_those_of_the_honest_run_of_a_defense():
    """Wherever on their axis the runs stand in which the label is replaced."""
    case, places = BY_NAME["liu2020_code_labels_mnist_sum"], {name: i for i, name in enumerate(LISTENED)}
    trained = results_of(case, lambda s: {"label_inference_accuracy": 0.0, "label_inference_rate": 1.0}, seeds=2)
    switch = trained["attack.enabled"]
    honest = np.flatnonzero(switch == 0)
    for i in places.values():
        trained["label_inference_accuracy"][{switch.dims[0]: honest[i]}] = i / 10
    attacked_first = trained.isel({switch.dims[0]: np.argsort(-switch.values, kind="stable")})
    for defense, i in places.items():
        (reading,) = of_signs(attacked_first, defense).values()
        np.testing.assert_allclose(reading.right, i / 10, rtol=1e-6)


def test_the_best_reader_by_what_it_knows():
    """Whoever hears nothing is no reader of messages, but the floor; more labels known never read less."""
    found = of_kept(
        heard(**{"features alone, 1 known": 0.4, "signs": 0.3, "messages, 1 known": 0.5, "messages, 4 known": 0.8}),
        "none",
    )
    assert [num_known(name) for name in found] == [1, 0, 1, 4]
    best = [best_reader(found, known) for known in KNOWN.values()]
    assert best == ["signs", "messages, 1 known", "messages, 4 known"]
    floors = [without_messages("mnist", found, known) for known in KNOWN.values()]
    assert floors == [pytest.approx(0.112, abs=1e-3), 0.4, 0.4]
    row = short_row("mnist", {"none": found}, "none")
    assert row["1 of each class known"] == "0.500 [0.500, 0.500]: messages, 1 known"
    assert row["without messages, 1"] == "0.400"


def test_what_is_read_stands_beside_its_price(tmp_path):
    """Noise of 0.05 costs the two seeds 0.3 and 0.5, and the second ends with a loss that is not finite."""
    case = BY_NAME["liu2020_code_labels_mnist_sum"]

    def values(settings):
        numbers = {"label_inference_accuracy": 0.6, "label_inference_rate": 1.0}
        return numbers | ({"main_task_accuracy": [0.65, 0.45]} if settings["defense.stddev"] == 0.05 else {})

    trained = results_of(case, values, seeds=2)
    loud = np.flatnonzero(np.isclose(trained["defense.stddev"], 0.05))
    trained["is_finite"][{trained["defense.stddev"].dims[0]: loud, "seed": 1}] = False
    found = SimpleNamespace(own={case.name: trained})
    prices = all_prices(found)
    place = ("liu2020_code", "mnist", "sum head")
    assert list(prices) == [place]
    assert price_cells(prices[place]["Gaussian noise 0.05"]) == {
        "main, honest": "0.550 [0.450, 0.650]",
        CHANGE: "-0.400 [-0.500, -0.300]",
        "finite": "1/2",
    }
    assert price_cells(None)["finite"] == "–"
    save(heard(**{"messages, 1 known": 0.5}), tmp_path / "liu2020_code_listened_mnist_sum.nc")
    (readings,) = all_readings(tmp_path, found).values()
    row = headline_row("mnist", readings, prices[place])
    assert (row["none"], row["Gaussian noise 0.01"]) == ("0.600", "0.600 (+0.000)")
    assert row["Gaussian noise 0.05"] == "0.600 (-0.400, 1/2 finite)"
    assert headline_row("mnist", readings, {})["Gaussian noise 0.05"] == "0.600"
    text = leakage(tmp_path, found)
    headline, *opened = text.split("<details>")
    assert "0.600 (-0.400, 1/2 finite)" in headline
    assert [CHANGE in part for part in opened] == [True, False]
    assert text.count("</details>") == 2


@pytest.mark.parametrize(("trainable", "held"), [(0.69, 1.0), (0.71, 0.0)])
def test_a_head_alleviates_where_half_of_the_leak_is_hidden(trainable, held):
    """Between what needs no messages, 0.4, and the sum head's 1.0; the reader that knows four rows is not asked."""
    silent = read_off(label_inference_accuracy=0.1, label_inference_rate=1.0)
    spoken = read_off(label_inference_accuracy=1.0, label_inference_rate=1.0)
    alone = {"features alone, 1 known": 0.4}
    beside = (
        heard(**alone, **{"messages, 1 known": trainable, "messages, 4 known": 0.99}),
        heard(**alone, **{"messages, 1 known": 0.9}),
    )
    finding = labels._hides(labels.HEADLINE)(silent, spoken, *beside)
    assert finding.held == held
    assert finding.evidence.startswith(f"at least 50% hidden on {int(2 * held)}/2 seeds, in the median ")
    assert "messages, 1 known" in finding.evidence
    assert "without messages 0.400" in finding.evidence

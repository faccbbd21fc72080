"""Two to sixteen parties: who holds the trigger, that training runs, and the experiment on the number of parties."""

import jax
import numpy as np
import pytest
from data_helpers import large_images, numbered_images, says

from experiments.liu2020.parties import cases, report
from experiments.shared import readme
from experiments.shared.command import command
from vfl_jax.core.files import load
from vfl_jax.data import PixelTrigger, load_nus_wide_twin, partition_images
from vfl_jax.presets import MNIST_PIXELS, liu2020_code, liu2020_paper
from vfl_jax.sweeps.sweep import run


@pytest.mark.parametrize(("num_parties", "holders"), [(2, [1]), (4, [3]), (8, [7]), (16, [14, 15])])
def test_the_trigger_is_stamped_at_all_parties_that_hold_it(num_parties, holders):
    data = partition_images(
        "numbered", numbered_images(5, (28, 28)), numbered_images(3, (28, 28)), num_parties=num_parties
    )
    trigger = PixelTrigger(pixels=MNIST_PIXELS, value=-1.0)
    masks = trigger.masks(data)
    assert [k for k, mask in enumerate(masks) if mask is not None] == holders
    is_poisoned = np.array([True, False, True, False, True])
    stamped = [
        trigger.stamp(mask, features, is_poisoned) for mask, features in zip(masks, data.train.features, strict=True)
    ]
    image = np.concatenate(stamped, axis=1)
    expected = numbered_images(5, (28, 28))[0].copy()
    for row, column in MNIST_PIXELS:
        expected[is_poisoned, row, column] = -1
    np.testing.assert_array_equal(image, expected)


def test_a_trigger_without_a_pixel_of_the_attacker_is_refused():
    data, scenario = large_images(num_parties=16), liu2020_code(num_parties=16)
    scenario.check(data)
    above = scenario.replace(poison=scenario.poison.replace(trigger=PixelTrigger(pixels=((25, 27), (0, 0)))))
    with pytest.raises(ValueError, match=says("poison.trigger touches only parties [0, 14]", "attackers are [15]")):
        above.check(data)


@pytest.mark.long
def test_dense_features_and_bags_over_sixteen_parties_are_trained():
    data = load_nus_wide_twin(num_train=640, num_test=200, num_parties=16)
    scenario = liu2020_paper(head="trainable", task="nus_wide", num_parties=16)
    results, _ = run(scenario, data, jax.random.key(0), epochs=1)
    assert results.is_finite.all()
    assert np.isfinite(results.backdoor_accuracy).all()


@pytest.mark.long
def test_the_study_runs_and_writes_its_table(tmp_path, monkeypatch):
    monkeypatch.setattr(cases, "load_mnist", large_images)
    command(cases.CASES, report.write_report, tmp_path, ["--quick", "--only", "sum_16", "--out", str(tmp_path)])
    written = (tmp_path / "tables.md").read_text()
    assert written == report.table(report.read_points(tmp_path))
    assert written.count("\n| ") == 2 * (2 + 1)  # a short table and a folded one, of one row each
    assert (tmp_path / "parties.png").read_bytes().startswith(b"\x89PNG")
    results = load(tmp_path / "sum_16.nc")
    assert results.sizes["seed"] == 2
    assert results.is_finite.all()


def test_missing_results_end_with_one_line(tmp_path):
    with pytest.raises(SystemExit, match=says("error: ", str(tmp_path), "run the experiment first")):
        command(cases.CASES, report.write_report, tmp_path, ["--report-only", "--out", str(tmp_path)])


def test_the_page_shows_the_saved_results():
    text, folder = report.README.read_text(), report.README.with_name("results")
    assert f"{readme.BEGIN}\n\n{report.table(report.read_points(folder))}\n{readme.END}" in text
    for case in cases.CASES:
        assert load(folder / f"{case.name}.nc").is_finite.all()

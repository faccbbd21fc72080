"""Figures and tables: every seed is drawn, the floor stands beside the numbers, intervals are shown."""

import numpy as np
import pytest
from data_helpers import tiny_data, tiny_scenario

from vfl_jax import plots, reports, statistics
from vfl_jax.statistics import honest
from vfl_jax.sweeps.sweep import sweep

SEEDS, EPOCHS = 5, 2


@pytest.fixture(scope="module")
def results():
    over = {"attack.enabled": [0, 1], "attack.amplify": [1.0, 5.0, 20.0]}
    return sweep(tiny_scenario(), tiny_data(), over, seeds=SEEDS, epochs=EPOCHS, progress=False)


def test_curves_show_every_seed_the_median_and_its_interval(results):
    runs = {
        "honest": results.isel({"attack.enabled": 0, "attack.amplify": 0}),
        "attacked": results.isel({"attack.enabled": 1, "attack.amplify": 2}),
    }
    figure = plots.curves(runs, ("loss", "backdoor_accuracy"))
    for panel, name in zip(figure.axes, ("loss", "backdoor_accuracy"), strict=True):
        assert len(panel.lines) == 2 * (SEEDS + 1)
        assert len(panel.collections) == 2  # one band each
        drawn = np.array([line.get_ydata() for line in panel.lines[:SEEDS]])
        np.testing.assert_array_equal(drawn, runs["honest"][name].values)
        np.testing.assert_allclose(panel.lines[SEEDS].get_ydata(), runs["honest"][name].median("seed"))
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["honest", "attacked"]


def test_one_seed_and_one_epoch_are_drawn_as_such(results):
    one = results.isel({"attack.enabled": 0, "attack.amplify": 0, "seed": 0})
    (panel,) = plots.curves({"one seed": one}, ("loss",)).axes
    np.testing.assert_array_equal(panel.lines[0].get_ydata(), one.loss.values)
    (panel,) = plots.curves({"its end": one.isel(epoch=-1)}, ("loss",)).axes
    np.testing.assert_array_equal(panel.lines[0].get_ydata(), [one.loss.values[-1]])


def test_against_a_setting_shows_every_seed_and_the_floor(results):
    attacked = results.isel({"attack.enabled": 1})
    floor = honest(results)
    figure = plots.against(attacked, "attack.amplify", ("main_task_accuracy",), floor=floor)
    (panel,) = figure.axes
    dots = panel.collections[0].get_offsets()
    assert sorted(dots[:, 1]) == sorted(attacked.main_task_accuracy.isel(epoch=-1).values.ravel())
    assert len(set(dots[:, 0].round(4))) == 3 * SEEDS  # no seed hides another
    assert [tick.get_text() for tick in panel.get_xticklabels()] == ["1", "5", "20"]
    dashed = [line for line in panel.lines if line.get_linestyle() == "--"]
    np.testing.assert_allclose(dashed[0].get_ydata(), floor.main_task_accuracy.isel(epoch=-1).median("seed"))
    one_level = plots.against(attacked, "attack.amplify", ("loss",), floor=floor.isel({"attack.amplify": 0}))
    assert len(set(one_level.axes[0].lines[-1].get_ydata())) == 1


def test_the_overview_suits_the_grid(results):
    (panel, _) = plots.overview(results).axes
    assert panel.get_xlabel() == "attack.amplify"
    (dashed,) = [line for line in panel.lines if line.get_linestyle() == "--"]
    shown = honest(results)[statistics.main_of(results)].isel(epoch=-1)
    np.testing.assert_allclose(dashed.get_ydata(), shown.median("seed"))
    one_axis = plots.overview(results.isel({"attack.enabled": 1}))
    assert one_axis.axes[0].get_xlabel() == "attack.amplify"


def test_undefined_numbers_are_a_dash():
    assert reports.median_with_interval([np.nan, np.nan]) == "–"
    assert reports.median_with_interval([0.5]) == "0.500 [0.500, 0.500]"

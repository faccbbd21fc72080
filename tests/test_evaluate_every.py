"""Evaluation at some epochs alone: which, what stands at the others, and that folders, workers and readers follow."""

import concurrent.futures
import json

import jax
import numpy as np
import pytest
from data_helpers import says, tiny_data, tiny_scenario
from evaluation_helpers import Firing, Watch
from sweep_helpers import content, record_training

import vfl_jax as vfl
from vfl_jax import plots
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.statistics import outcomes
from vfl_jax.sweeps.store.checkpoints import Checkpoints
from vfl_jax.sweeps.sweep import run, sweep

EPOCHS = 5
OVER = {"attack.enabled": [0, 1]}
SCENARIO = tiny_scenario(attacks=(PartyTransform(), Firing(shift=1.0, towards=0)), defense=Watch())
TRAINED = ("loss", "train_accuracy", "is_finite", "rows_left_out")


def swept(evaluate_every=None, **options):
    fields = {"over": OVER, "seeds": 2, "epochs": EPOCHS, "progress": False} | options
    return sweep(SCENARIO, tiny_data(), evaluate_every=evaluate_every, **fields)


@pytest.fixture(scope="module")
def always():
    """Evaluated, by both passes, after every epoch."""
    return swept(1)


@pytest.fixture(scope="module")
def sometimes():
    return swept(2)


def of_epochs(results):
    """The names of the variables with a value per epoch, without counts."""
    names = [str(name) for name, variable in results.data_vars.items() if "epoch" in variable.dims]
    return [name for name in names if not name.endswith("_count")]


@pytest.mark.long
def test_both_passes_follow_the_epochs_that_are_asked_for_and_the_last(always, sometimes):
    assert {"full_attack_success", "detection_auc", "full_stealth_l2", "class_score"} <= set(of_epochs(sometimes))
    assert set(always.data_vars) == set(sometimes.data_vars)
    for name in of_epochs(always):
        for epoch in range(1, EPOCHS + 1):
            here, there = (results[name].sel(epoch=epoch) for results in (sometimes, always))
            if name in TRAINED or epoch in (2, 4, 5):
                np.testing.assert_array_equal(here, there, err_msg=name)
            else:
                assert here.isnull().all(), name
                assert f"{name}_count" not in sometimes or (sometimes[f"{name}_count"].sel(epoch=epoch) == 0).all()


@pytest.mark.long
def test_by_default_the_first_pass_follows_every_epoch_and_the_second_the_last(always):
    by_default = swept()
    for name in of_epochs(always):
        epochs = [EPOCHS] if name.startswith("full_") else range(1, EPOCHS + 1)
        there = by_default[name].notnull() & (by_default.get(f"{name}_count", 1) > 0)
        assert not there.sel(epoch=[e for e in range(1, EPOCHS + 1) if e not in epochs]).any(), name
        np.testing.assert_array_equal(by_default[name].sel(epoch=list(epochs)), always[name].sel(epoch=list(epochs)))


@pytest.mark.long
def test_rarer_than_the_training_is_long_evaluates_the_last_epoch_alone(always):
    results, _ = run(SCENARIO, tiny_data(), jax.random.key(0), EPOCHS, evaluate_every=100)
    known = results.main_task_accuracy.notnull().values
    assert known.tolist() == [False] * (EPOCHS - 1) + [True]
    last = always.isel({"attack.enabled": 1, "seed": 0, "epoch": -1})
    np.testing.assert_allclose(results.full_attack_success[-1], last.full_attack_success, rtol=1e-6)


@pytest.mark.parametrize("evaluate_every", [0, -1, 1.5, True, "2"])
def test_bad_numbers_are_refused(evaluate_every):
    with pytest.raises(ValueError, match=says("evaluate_every is")):
        swept(evaluate_every)
    with pytest.raises(ValueError, match=says("evaluate_every is")):
        run(SCENARIO, tiny_data(), jax.random.key(0), 1, evaluate_every=evaluate_every)


class Stop(Exception):
    pass


@pytest.mark.long
def test_a_folder_of_another_number_is_refused_and_a_stopped_one_goes_on_bit_for_bit(sometimes, tmp_path, monkeypatch):
    whole, folder = tmp_path / "whole", tmp_path / "folder"
    assert vfl.load(_path(swept(2, folder=whole), tmp_path)).equals(sometimes)
    save = Checkpoints.save

    def save_and_stop(self, epoch, tree):
        save(self, epoch, tree)
        if epoch == 3:  # an epoch without an evaluation
            raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", save_and_stop)
        with pytest.raises(Stop):
            swept(2, folder=folder, checkpoint_every=1)
    with pytest.raises(ValueError, match=says("evaluate_every was 2 there, is 3 here")):
        swept(3, folder=folder)
    with pytest.raises(ValueError, match=says("evaluate_every was 2 there, is None here")):
        swept(folder=folder)
    log = tmp_path / "log.jsonl"
    swept(2, folder=folder, checkpoint_every=1, log_json=log)
    assert content(folder) == content(whole)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["epochs"] for line in lines if line["event"] == "resumed"] == [3]
    trained = record_training(monkeypatch)
    swept(2, folder=folder)
    assert not trained


def _path(results, folder):
    path = folder / "saved.nc"
    vfl.save(results, path)
    return path


@pytest.mark.long
def test_workers_evaluate_at_the_same_epochs(sometimes, tmp_path):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        found = sweep(
            SCENARIO, tiny_data, OVER, 2, EPOCHS, progress=False, evaluate_every=2, folder=tmp_path, executor=pool
        )
    assert found.main_task_accuracy.notnull().equals(sometimes.main_task_accuracy.notnull())
    np.testing.assert_allclose(found.full_attack_success, sometimes.full_attack_success, rtol=1e-5)


@pytest.mark.long
def test_an_epoch_that_was_not_evaluated_has_no_outcome(always, sometimes):
    judged, all_judged = outcomes(sometimes), outcomes(always)
    for name in judged.data_vars:
        np.testing.assert_array_equal(judged[name].sel(epoch=[2, 4, 5]), all_judged[name].sel(epoch=[2, 4, 5]))
    assert (judged.outcome.sel(epoch=[1, 3]) == "").all()
    assert not judged.is_collapsed.sel(epoch=[1, 3]).any()
    assert not judged.is_success.sel(epoch=[1, 3]).any()
    assert (all_judged.outcome.sel({"attack.enabled": 1}) != "").all()
    there, nowhere = (vfl.summary(sometimes, epoch=epoch).loc[1] for epoch in (3, 2))
    assert there.main_task_accuracy_median == vfl.summary(always, epoch=3).loc[1].main_task_accuracy_median
    assert np.isnan([nowhere.main_task_accuracy_median, nowhere.success_share]).all()
    assert vfl.reports.rows(sometimes, epoch=2)[1]["main accuracy"] == vfl.reports.UNDEFINED


@pytest.mark.long
def test_curves_go_through_the_epochs_that_were_evaluated(sometimes):
    figure = plots.overview(sometimes)
    lines = [line for panel in figure.axes[:1] for line in panel.get_lines()]
    assert lines
    for line in lines:
        assert line.get_xdata().tolist() == [2, 4, 5]
        assert np.isfinite(line.get_ydata()).all()

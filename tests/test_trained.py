"""Trained replicas at hand: what they say of rows is what the sweep counted, from memory and from folders."""

import contextlib
import re
import shutil

import helpers
import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from data_helpers import says, tiny_data, tiny_scenario
from flax import linen as nn
from sweep_helpers import content, record_training

from vfl_jax.core.files import load, save
from vfl_jax.models import Bottom, DenseHead, Linear
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.protocol.triggers import NaturalTrigger
from vfl_jax.replica import predict as predict_one
from vfl_jax.replica import prepare
from vfl_jax.sweeps import embeddings, predict
from vfl_jax.sweeps.cases import sweep_cases
from vfl_jax.sweeps.sweep import run, sweep

DATA = tiny_data(num_test=13)
RATES = "optimizers.0.learning_rate", "optimizers.1.learning_rate"
OVER = {"attack.enabled": [0.0, 1.0], RATES: [(0.1, 0.2), (2, 1)]}
ZIPPED = "+".join(RATES)


class HeldMeansNet(nn.Module):
    width: int

    @nn.compact
    def __call__(self, x, train):
        return nn.Dense(self.width)(nn.BatchNorm(use_running_average=not train)(x))


class HeldMeansBottom(Bottom):
    """Running means, which are no parameters, but without which nothing can be predicted."""

    def module(self):
        return HeldMeansNet(self.width)


class DrawnLogits(ActiveTransform):
    """Noise on logits at inference, a key per row; and the mean of the rows that are seen together."""

    spread: float = 0.3
    inference_batch = 4
    inference_order = "shuffled"

    def infer_logits(self, key, state, view, logits):
        noise = jax.random.normal(key, logits.shape)
        valid = view.is_valid[:, None]
        mean = jnp.where(valid, logits, 0.0).sum(axis=0) / valid.sum().astype(jnp.float32)
        return logits + self.spread * noise - 0.2 * mean[None]


def scenario(**fields):
    momentum = Optimizer(kind="momentum", learning_rate=0.1)
    return tiny_scenario(
        **{
            "bottoms": (HeldMeansBottom(width=4), Linear(width=3)),
            "head": DenseHead(hidden=(5,)),
            "optimizers": (momentum, momentum),
            "defense": DrawnLogits(),
        }
        | fields
    )


def swept(of=None, over=OVER, seeds=3, epochs=2, **options):
    given = scenario() if of is None else of
    return sweep(given, DATA, over, seeds=seeds, epochs=epochs, progress=False, keep="params", **options)


@pytest.fixture(scope="module")
def results():
    return swept()


def last(results, name):
    return results[name].isel(epoch=-1).drop_vars("epoch")


def assert_counts(results):
    """Accuracy and success of both passes, counted from predictions."""
    drawn = predict(results, is_attacked="drawn")
    right = drawn.argmax("class") == drawn.label
    np.testing.assert_allclose(right.mean("row"), last(results, "main_task_accuracy"), atol=1e-6)
    assert (drawn.is_attacked.sum("row") == last(results, "backdoor_accuracy_count")).all()
    to_target = (drawn.argmax("class") == 0).where(drawn.is_attacked)
    np.testing.assert_allclose(to_target.mean("row"), last(results, "backdoor_accuracy"), atol=1e-6)

    others = predict(results, is_attacked="others")
    assert (others.is_attacked == (others.label != 0)).all()
    success = (others.argmax("class") == 0).where(others.is_attacked).mean("row")
    np.testing.assert_allclose(success, last(results, "full_attack_success"), atol=1e-6)
    clean = predict(results)
    assert not clean.is_attacked.any()
    accuracy = (clean.argmax("class") == clean.label).mean("row")
    np.testing.assert_allclose(accuracy, last(results, "full_clean_accuracy"), atol=1e-6)


def test_predictions_are_what_the_sweep_counted(results):
    """With noise a row, and rows that are mixed in an order of the seed: all draws are the evaluation's."""
    assert_counts(results)
    logits = predict(results)
    assert logits.dims == ("attack.enabled", ZIPPED, "seed", "row", "class")
    assert logits.shape == (2, 2, 3, 13, 3)
    assert logits.dtype == np.float32
    for name in ("attack.enabled", "optimizers.1.learning_rate", "seed", "class"):
        assert logits[name].identical(results[name]), name
    np.testing.assert_array_equal(logits.label, DATA.test.labels)


@pytest.mark.long
def test_a_part_of_results_asks_its_replicas(results):
    """By labels, by places, in another order, one alone; the numbers do not depend on who else is asked."""
    whole = predict(results, is_attacked="others")
    parts = [
        lambda d: d.sel({"seed": [2, 0]}),
        lambda d: d.isel({"attack.enabled": 1, "seed": 1}),
        lambda d: d.isel({ZIPPED: [1]}),
        lambda d: d.isel({"attack.enabled": 0, ZIPPED: 1, "seed": 2}),
        lambda d: d.isel({"attack.enabled": [1, 0]}),
    ]
    for part in parts:
        found, expected = predict(part(results), is_attacked="others"), part(whole)
        assert found.dims == expected.dims
        assert found.coords.keys() == expected.coords.keys()
        for name in expected.coords:
            assert found[name].identical(expected[name]), name
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.long
def test_a_replica_is_the_run_alone(results):
    """Own rows and training rows, through the state that a run returns, where no hook draws."""
    quiet = scenario(defense=ActiveTransform())
    kept = swept(quiet, over={"attack.enabled": [0.0, 1.0]}, seeds=[5])
    _, state = run(quiet, DATA, jax.random.key(5), epochs=2)
    replica = prepare(quiet, DATA, jax.random.key(5))
    rng = np.random.default_rng(0)
    own = [rng.uniform(size=(7, *x.shape[1:])) for x in DATA.test.features]  # float64 becomes the data's dtype
    for rows, features in (("train", DATA.train.features), (own, [np.float32(x) for x in own])):
        expected = predict_one(replica, state, tuple(features), jax.random.key(0))
        found = predict(kept, rows).sel({"attack.enabled": 1.0, "seed": 5})
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert "label" not in predict(kept, own).coords
    np.testing.assert_array_equal(predict(kept, "train").label, DATA.train.labels)


@pytest.mark.long
def test_embeddings_are_the_messages(results):
    """Party 1's dense layer by hand, clean and attacked: only attacked rows move, and only the attacker's."""
    kept = swept(scenario(defense=ActiveTransform()), over=None, seeds=2)
    flags = np.arange(13) % 3 == 0
    clean, attacked = embeddings(kept), embeddings(kept, is_attacked=flags)
    assert {party: sent.shape for party, sent in clean.items()} == {"party 0": (2, 13, 4), "party 1": (2, 13, 3)}
    assert clean["party 1"].dims == ("seed", "row", "party 1.unit")
    for seed in (0, 1):
        _, state = run(scenario(defense=ActiveTransform()), DATA, jax.random.key(seed), epochs=2)
        dense = jax.tree.map(np.asarray, state.params[1]["dense_0"])
        for sent, is_marked in ((clean, np.zeros(13, bool)), (attacked, flags)):
            x = DATA.test.features[1].copy()
            x[is_marked, -1, -1] = 1.0
            expected = x.reshape(13, -1) @ dense["kernel"] + dense["bias"]
            np.testing.assert_allclose(sent["party 1"].sel(seed=seed), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(clean["party 0"], attacked["party 0"])
    np.testing.assert_array_equal(attacked.is_attacked, np.broadcast_to(flags, (2, 13)))


@pytest.mark.long
def test_bags_of_ids(results):
    data = helpers.bag_data()
    optimizers = (Optimizer(learning_rate=0.1),) * 2
    given = helpers.scenario_of((Linear(width=3),) * 2, optimizers, plan={"trigger": NaturalTrigger()})
    kept = sweep(given, data, seeds=2, epochs=1, progress=False, keep="params")
    logits = predict(kept)
    accuracy = (logits.argmax("class") == logits.label).mean("row")
    np.testing.assert_allclose(accuracy, last(kept, "main_task_accuracy"), atol=1e-6)
    own = predict(kept, data.test.features)
    np.testing.assert_allclose(own, logits, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=says("rows.1 (tags) is arrays of (12,)", "are bags of 12 ids")):
        predict(kept, [data.test.features[0], np.ones((20, 12))])
    with pytest.raises(ValueError, match=says("is_attacked marks rows", "poison.attack_trigger")):
        predict(kept, is_attacked="others")


@pytest.mark.long
def test_several_chunks_of_memory(results):
    kept = swept(max_replicas=3)
    assert len(kept.encoding["trained"].chunks) > 1
    np.testing.assert_allclose(predict(kept), predict(results), rtol=1e-3, atol=1e-4)
    assert_counts(kept)


def test_nothing_is_kept_unless_asked(results):
    plain = sweep(scenario(), DATA, OVER, seeds=3, epochs=2, progress=False)
    assert plain.identical(results)
    assert "trained" not in plain.encoding
    state = results.encoding["trained"].states(0)
    assert jax.tree.leaves((state.opt_states, state.head_opt_state, state.method_opt_states)) == []
    assert repr(results.encoding["trained"]) == "Trained(4 grid points × 3 seeds)"


def kept_files(folder):
    """Name to bytes of the files of chunks and their states."""
    files = [path for part in ("chunks", "kept") for path in (folder / part).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.long
def test_a_folder_keeps_them_and_only_reads_them_again(tmp_path, monkeypatch):
    expected = predict(swept(folder=tmp_path, max_replicas=3), is_attacked="others")
    trained, before = record_training(monkeypatch), kept_files(tmp_path)
    again = swept(folder=tmp_path)
    assert trained == []
    assert predict(again, is_attacked="others").identical(expected)
    assert_counts(again)
    # More seeds use what is there; nothing is a pickle.
    more = swept(folder=tmp_path, seeds=4)
    assert [chunk.seeds for chunk in trained] == [(3,)] * len(trained)
    assert predict(more.sel(seed=[0, 1, 2]), is_attacked="others").identical(expected)
    assert_counts(more)
    assert {name: found for name, found in kept_files(tmp_path).items() if name in before} == before
    assert not any(found[:1] == b"\x80" or b"\x80\x04\x95" in found for found in before.values())


@pytest.fixture(scope="module")
def plain_folder(tmp_path_factory):
    """A finished folder of a sweep that kept nothing."""
    folder = tmp_path_factory.mktemp("plain")
    sweep(scenario(), DATA, OVER, seeds=3, epochs=2, progress=False, folder=folder)
    return folder


@pytest.mark.long
def test_chunks_without_states_are_trained_again(plain_folder, results, tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    shutil.copytree(plain_folder, folder)
    before, trained = content(folder), record_training(monkeypatch)
    kept = swept(folder=folder)
    assert sum(chunk.num_replicas for chunk in trained) == 12
    assert content(folder) == before  # trained again, to the same bits
    assert_counts(kept)
    trained.clear()
    assert sweep(scenario(), DATA, OVER, seeds=3, epochs=2, progress=False, folder=folder).identical(kept)
    assert trained == []


@pytest.mark.long
def test_damaged_and_missing_states_are_trained_again(plain_folder, tmp_path, monkeypatch, caplog):
    kept = swept(folder=tmp_path)
    expected, trained = predict(kept), record_training(monkeypatch)
    files = [path for path in tmp_path.glob("kept/**/*") if path.is_file()]
    largest = max(files, key=lambda path: path.stat().st_size)
    bytes_ = bytearray(largest.read_bytes())
    bytes_[len(bytes_) // 2] ^= 1
    largest.write_bytes(bytes_)
    with pytest.raises(OSError, match=says("kept", "no final states that can be read", "trains this chunk again")):
        predict(kept)
    again = swept(folder=tmp_path)
    assert len(trained) == 1
    assert re.search(r"kept/\w+ is damaged; it is computed again", caplog.text)
    assert predict(again).identical(expected)
    shutil.rmtree(tmp_path / "kept")
    assert predict(swept(folder=tmp_path)).identical(expected)
    assert len(trained) == 2


def test_a_sweep_that_is_stopped_before_its_chunk_is_written_goes_on(results, tmp_path, monkeypatch):
    """States are on disk before the chunk's file: stopped between, both are written anew."""
    from vfl_jax.sweeps.store.folder import Folder

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "finish", stop)
        with contextlib.suppress(KeyboardInterrupt):
            swept(folder=tmp_path, checkpoint_every=1)
    assert list(tmp_path.glob("kept/*/*"))
    assert not list(tmp_path.glob("chunks/*.nc"))
    kept = swept(folder=tmp_path, checkpoint_every=1)
    assert kept.identical(results)
    assert_counts(kept)


def test_what_cannot_be_asked_is_named(results, tmp_path):
    loaded = load(save(results, tmp_path / "results.nc"))
    bad = [
        ((loaded,), ("results holds no trained replicas", "keep='params'")),
        ((results.drop_vars("seed"),), ("results lack the coordinate 'seed'",)),
        ((results.assign_coords(seed=[0, 1, 9]),), ("results hold values of seed that the sweep", "has not")),
        ((results, "validation"), ("rows is 'validation'", "'test', 'train'")),
        ((results, [DATA.test.features[0]]), ("rows is", "features of the 2 parties")),
        (
            (results, [x[:, :1] for x in DATA.test.features]),
            ("rows.0 (party 0) is arrays of (1, 4)", "those of data 'tiny' are"),
        ),
        (
            (results, [DATA.test.features[0], DATA.test.features[1][:5]]),
            ("rows.1 (party 1) has 5 rows", "those of the first party are 13"),
        ),
        (
            (results, [x * np.nan for x in DATA.test.features]),
            ("rows.0 (party 0) is missing, not finite",),
        ),
        ((results, "test", "all"), ("is_attacked is 'all'", "'drawn', 'others', or flags")),
        ((results, "train", "drawn"), ("is_attacked is 'drawn'", "for test rows")),
        ((results, DATA.test.features, "others"), ("is_attacked is 'others'", "whose labels are known")),
        ((results, "test", np.ones(12, bool)), ("is_attacked is bool of shape (12,)", "(13,)")),
        ((results, "test", np.ones(13)), ("is_attacked is float64", "must be bool")),
    ]
    for arguments, message in bad:
        with pytest.raises(ValueError, match=says(*message)):
            predict(*arguments)
    with pytest.raises(ValueError, match=says("keep is 'all'", "must be 'params'")):
        sweep(scenario(), DATA, keep="all")
    with pytest.raises(ValueError, match=says("keep is for sweep")):
        sweep_cases({"one": scenario()}, DATA, keep="params")


def test_a_replica_that_is_chosen_twice_answers_twice(results):
    whole = predict(results)
    twice = predict(results.isel(seed=[1, 0, 1]))
    np.testing.assert_array_equal(twice, whole.isel(seed=[1, 0, 1]))
    assert twice["seed"].values.tolist() == whole["seed"].values[[1, 0, 1]].tolist()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda r: xr.concat([r, r], pd.Index(["a", "b"], name="defense")),
            ("dimension 'defense'", "joined or stacked"),
        ),
        (lambda r: r.stack(point=["attack.enabled", "seed"]), ("dimension 'point'", "joined or stacked")),
        (lambda r: r.isel(seed=[]), ("have no seed", "none of the replicas")),
    ],
)
def test_replicas_are_asked_for_what_was_trained_alone(results, change, words):
    with pytest.raises(ValueError, match=says("results", *words)):
        predict(change(results))


def own_rows(change):
    first, second = (np.asarray(features)[:3] for features in DATA.test.features)
    return [change(first), second]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x + 1j, ("complex numbers",)),
        (lambda x: np.ma.masked_array(x, x > 0.5), ("is missing",)),
        (lambda x: np.full(x.shape, "word"), ("no numbers", "in row 0")),
        (lambda x: x[:0], ("shape (0,",)),
        (lambda x: None, ("shape ()",)),
        (lambda x: [[1.0], [1.0, 2.0]], ("no numbers",)),
    ],
)
def test_rows_of_ones_own_are_numbers(results, change, words):
    with pytest.raises(ValueError, match=says("rows.0 (party 0)", *words)):
        predict(results, own_rows(change))


def test_rows_that_are_indexed_otherwise_are_not_paired_by_place(results):
    flags = np.arange(13) < 2
    by_place = predict(results, is_attacked=flags)["is_attacked"]
    np.testing.assert_array_equal(predict(results, is_attacked=pd.Series(flags))["is_attacked"], by_place)
    with pytest.raises(ValueError, match=says("is_attacked has another index", "row 0", "is 12")):
        predict(results, is_attacked=pd.Series(flags, index=range(12, -1, -1)))

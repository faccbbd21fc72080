"""Labelled results: what they hold, that they are written whole or not at all, that damage never goes unnoticed."""

import json
import os
import subprocess
import sys
import zipfile

import h5py
import jax
import numpy as np
import pytest
import xarray as xr
from data_helpers import says, tiny_data, tiny_scenario

from vfl_jax import results
from vfl_jax.draws import Given
from vfl_jax.registry import from_json
from vfl_jax.sweep import run, sweep

SCENARIO, DATA, KEY = tiny_scenario(), tiny_data(), jax.random.key(3)
OVER = {"attack.enabled": [0, 1], ("attack.amplify", "learning_rate"): [(1, 0.1), (5, 0.2), (9, 0.1)]}
AXES = ("attack.enabled", "attack.amplify+learning_rate", "seed")
METRICS = {
    "backdoor_ties",
    "attack_ties",
    "main_task_accuracy",
    "main_clean",
    "backdoor_accuracy",
    "attack_success_rate",
    "class_score",
    "loss",
    "test_loss",
    "train_accuracy",
}


@pytest.fixture(scope="module")
def swept():
    return sweep(SCENARIO, DATA, OVER, seeds=[3, 0], epochs=2, progress=False)


@pytest.fixture(scope="module")
def ran():
    return run(SCENARIO, DATA, KEY, 2)


@pytest.fixture
def saved(swept, tmp_path):
    return results.save(swept, tmp_path / "results.nc")


@pytest.fixture
def few(swept):
    """Some of the variables, of every dtype: quicker to read many times."""
    return swept[["loss", "class_score", "backdoor_accuracy_count", "is_finite", "poison_ids"]]


def test_a_sweep_has_a_dimension_per_axis(swept):
    sizes = {"attack.enabled": 2, "attack.amplify+learning_rate": 3, "seed": 2, "epoch": 2, "class": 3}
    assert dict(swept.sizes) == sizes | {"target_row": 1, "poison_row": 6}
    coordinates = {name: coordinate.values.tolist() for name, coordinate in swept.coords.items()}
    assert coordinates == {
        "attack.enabled": [0, 1],
        "attack.amplify": [1, 5, 9],
        "learning_rate": [0.1, 0.2, 0.1],
        "seed": [3, 0],
        "epoch": [1, 2],
        "class": ["0", "1", "2"],
    }
    assert swept["attack.amplify"].dims == swept["learning_rate"].dims == ("attack.amplify+learning_rate",)


def test_a_sweep_has_the_documented_variables(swept):
    names = METRICS | {f"{name}_count" for name in METRICS} | {"is_finite", "poison_ids", "target_ids"}
    assert set(swept.data_vars) == names
    for name in METRICS:
        extra = ("class",) if name == "class_score" else ()
        assert swept[name].dims == (*AXES, "epoch", *extra)
        assert swept[name].dtype == np.float32
        assert swept[f"{name}_count"].dims == (*AXES, "epoch")
        assert swept[f"{name}_count"].dtype == np.int64
        assert np.isfinite(swept[name]).all()
    assert swept["is_finite"].dims == (*AXES, "epoch")
    assert swept["is_finite"].dtype == bool
    assert swept["is_finite"].all()
    assert swept["poison_ids"].dims == ("seed", "poison_row")
    assert swept["target_ids"].dims == ("seed", "target_row")


def test_counts_are_denominators(swept):
    # 12 test rows, half of them triggered; 3 batches of 8 rows in an epoch.
    counts = {"main_task_accuracy": 12, "test_loss": 12, "main_clean": 6, "backdoor_accuracy": 6, "class_score": 6}
    counts |= {"loss": 3, "train_accuracy": 24}
    for name, count in counts.items():
        assert (swept[f"{name}_count"] == count).all(), name
    other = swept["attack_success_rate_count"]
    assert (other < 6).all()
    assert (other > 0).all()
    hits = swept["main_task_accuracy"] * 12
    np.testing.assert_allclose(hits, np.round(hits), atol=1e-5)
    np.testing.assert_allclose(swept["class_score"].sum("class"), 1, atol=1e-5)


def test_rows_in_the_results_are_those_that_were_used(swept):
    for seed in range(2):
        poison, target = swept["poison_ids"].values[seed], swept["target_ids"].values[seed]
        assert len(set(poison.tolist())) == 6
        assert not set(poison.tolist()) & set(target.tolist())
        assert (DATA.train.labels[target] == 0).all()
    assert swept["poison_ids"].values[0].tolist() != swept["poison_ids"].values[1].tolist()


def test_attributes_say_what_was_run(swept):
    assert set(swept.attrs) == {"scenario", "data", "rows", "given", "versions"}
    assert from_json(swept.attrs["scenario"]) == SCENARIO
    expected = {"name": "tiny", "parties": ["party 0", "party 1"], "fingerprint": DATA.fingerprint()}
    assert json.loads(swept.attrs["data"]) == expected
    rows = {"train": 30, "test": 12, "steps_per_epoch": 3, "left_out_per_epoch": 6}
    assert json.loads(swept.attrs["rows"]) == rows
    versions = json.loads(swept.attrs["versions"])
    assert versions["jax"] == jax.__version__
    assert set(versions) == {*results.PACKAGES, "matmul_precision"}
    assert swept.attrs["given"] == "nothing"


def test_one_run_has_neither_grid_nor_seeds(ran):
    dataset, state = ran
    assert dict(dataset.sizes) == {"epoch": 2, "class": 3, "target_row": 1, "poison_row": 6}
    assert dataset["class_score"].dims == ("epoch", "class")
    assert all(dataset[name].dims == ("epoch",) for name in METRICS - {"class_score"})
    assert from_json(dataset.attrs["scenario"]) == SCENARIO
    assert len(state.params) == 2


def test_what_is_given_is_in_the_results_by_its_hash():
    choice = Given(poison_ids=np.array([4, 5, 7]), target_ids=np.array([6]))
    dataset, _ = run(SCENARIO, DATA, KEY, 1, choice)
    assert dataset.attrs["given"] == choice.fingerprint()
    assert dataset["poison_ids"].values.tolist() == [4, 5, 7]
    assert dataset["target_ids"].values.tolist() == [6]


def test_a_mean_of_nothing_is_nan():
    dataset, _ = run(tiny_scenario(plan={"test_rate": 0.0}), DATA, KEY, 1)
    for name in ("backdoor_accuracy", "attack_success_rate", "class_score"):
        assert np.isnan(dataset[name]).all()
        assert (dataset[f"{name}_count"] == 0).all()
    assert (dataset["main_clean_count"] == 12).all()
    np.testing.assert_array_equal(dataset["main_clean"], dataset["main_task_accuracy"])


def test_a_file_reads_back_identical(swept, saved, ran, tmp_path):
    assert results.load(saved).identical(swept)
    path = results.save(ran[0], tmp_path / "new folder" / "one.nc")
    assert results.load(path).identical(ran[0])


def test_equal_results_make_equal_bytes(swept, saved, tmp_path):
    again = sweep(SCENARIO, DATA, OVER, seeds=[3, 0], epochs=2, progress=False)
    assert results.save(again, tmp_path / "again.nc").read_bytes() == saved.read_bytes()
    assert results.save(results.load(saved), tmp_path / "copy.nc").read_bytes() == saved.read_bytes()
    assert results.save(swept.isel(seed=[1, 0]), tmp_path / "other.nc").read_bytes() != saved.read_bytes()


def test_circumstances_are_beside_the_results_only(saved):
    found = json.loads(saved.with_name("results.nc.run.json").read_text())
    assert set(found) == {"started", "wall_seconds", "devices", "machine", "python"}
    assert found["wall_seconds"] > 0
    assert found["started"].encode() not in saved.read_bytes()
    assert sorted(path.name for path in saved.parent.iterdir()) == ["results.nc", "results.nc.run.json"]


def half_then(action):
    def write(path):
        path.write_bytes(b"half of")
        action()

    return write


def fail(*_):
    raise RuntimeError("stopped")


@pytest.mark.parametrize("exists", [True, False])
@pytest.mark.parametrize("at", ["writing", "replacing"])
def test_an_interrupted_write_changes_nothing(tmp_path, monkeypatch, exists, at):
    path = tmp_path / "file"
    if exists:
        path.write_bytes(b"old")
    if at == "replacing":
        monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(RuntimeError, match="stopped"):
        results.write_atomically(path, half_then(fail if at == "writing" else lambda: None))
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == ([("file", b"old")] if exists else [])


def test_an_interrupted_save_leaves_the_old_results(swept, saved, monkeypatch):
    before = saved.read_bytes()
    real = xr.Dataset.to_netcdf

    def write_half(self, path, **options):
        real(self, path, **options)
        os.truncate(path, path.stat().st_size // 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(xr.Dataset, "to_netcdf", write_half)
    with pytest.raises(KeyboardInterrupt):
        results.save(swept.isel(seed=[0]), saved)
    assert saved.read_bytes() == before
    assert sorted(path.name for path in saved.parent.iterdir()) == ["results.nc", "results.nc.run.json"]


def test_a_killed_process_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    program = """if True:
        import os, signal, sys
        from pathlib import Path
        from vfl_jax.results import write_atomically

        def write(path):
            path.write_bytes(b"half of")
            os.kill(os.getpid(), signal.SIGKILL)

        write_atomically(Path(sys.argv[1]), write)
    """
    killed = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, timeout=120, check=False)
    assert killed.returncode == -9, killed.stderr.decode()
    assert path.read_bytes() == b"old"
    assert all(p.name.startswith(".file.") for p in tmp_path.iterdir() if p != path)


def flipped(path, content, place):
    damaged = bytearray(content)
    damaged[place] ^= 0x10
    path.write_bytes(damaged)
    return path


# h5netcdf closes files that it failed to open, and Python reports what that raises.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_flipped_byte_of_a_number_is_noticed(few, tmp_path):
    path = results.save(few, tmp_path / "few.nc")
    content = path.read_bytes()
    with h5py.File(path) as file:
        chunks = {name: file[name].id.get_chunk_info(0) for name in (*few.data_vars, "seed")}
        assert all(file[name].fletcher32 for name in chunks)  # so that other readers notice too
    for name, chunk in chunks.items():
        for place in (0, chunk.size // 2, chunk.size - 1):
            damaged = flipped(tmp_path / f"{name}.nc", content, chunk.byte_offset + place)
            with pytest.raises(OSError, match=says(f"{name}.nc", "damaged")):
                results.load(damaged)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_flipped_byte_anywhere_never_changes_results_silently(few, tmp_path):
    content, refused = results.save(few, tmp_path / "few.nc").read_bytes(), 0
    for place in range(0, len(content), len(content) // 50):
        try:
            found = results.load(flipped(tmp_path / "flipped.nc", content, place))
        except OSError:
            refused += 1
            continue
        assert found.identical(few), f"byte {place} was flipped and nobody noticed"
    assert refused > 0  # much of an HDF5 file is padding


@pytest.mark.parametrize("text", ["scenario", "data", "versions"])
def test_a_flipped_byte_of_an_attribute_is_noticed(few, tmp_path, text):
    content = results.save(few, tmp_path / "few.nc").read_bytes()
    place = content.index(few.attrs[text].encode())
    with pytest.raises(OSError, match=says("flipped.nc", "damaged", "digest")):
        results.load(flipped(tmp_path / "flipped.nc", content, place + 11))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("cut", [0, 1, 100, 5000, -1])
def test_a_file_that_is_cut_is_refused(saved, cut):
    saved.write_bytes(saved.read_bytes()[:cut])
    with pytest.raises(OSError, match=says(str(saved), "damaged")):
        results.load(saved)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.nc"):
        results.load(tmp_path / "nowhere.nc")


def test_parameters_read_back(ran, tmp_path):
    _, state = ran
    path = results.save_params(tmp_path / "params.npz", state.params)
    read = results.load_params(path, state.params)
    assert jax.tree.structure(read) == jax.tree.structure(state.params)
    jax.tree.map(np.testing.assert_array_equal, read, state.params)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(read))
    again = results.save_params(tmp_path / "again.npz", state.params)
    assert again.read_bytes() == path.read_bytes()
    # Read parameters can start a run.
    given_first, _ = run(SCENARIO, DATA, KEY, 1, Given(params=read))
    assert given_first.attrs["given"] == Given(params=state.params).fingerprint()


KERNEL, BIAS = np.zeros((8, 3), np.float32), np.zeros(3, np.float32)


@pytest.mark.parametrize(
    ("like", "message"),
    [
        (({"a": KERNEL.T, "b": BIAS},), ("shape (8, 3)", "[0]['a']", "expected (3, 8)")),
        (({"a": KERNEL},), ("shape (3,)", "[0]['b']", "expected None")),
        (({"a": KERNEL, "b": BIAS, "c": BIAS},), ("shape None", "[0]['c']", "expected (3,)")),
        (({"a": KERNEL, "b": BIAS}, {}, {"a": BIAS}), ("shape None", "[2]['a']", "expected (3,)")),
    ],
)
def test_other_parameters_are_refused(tmp_path, like, message):
    path = results.save_params(tmp_path / "params.npz", ({"a": KERNEL, "b": BIAS},))
    with pytest.raises(ValueError, match=says("params.npz", *message)):
        results.load_params(path, like)


def test_damaged_parameters_are_refused(ran, tmp_path):
    like = ran[1].params
    path = results.save_params(tmp_path / "params.npz", like)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        start = archive.infolist()[0].header_offset + 200  # past the headers, within the numbers
    with pytest.raises(zipfile.BadZipFile):
        results.load_params(flipped(path, content, start), like)
    for other in (content[: len(content) // 2], b"", b"no zip"):
        path.write_bytes(other)
        with pytest.raises(zipfile.BadZipFile):
            results.load_params(path, like)

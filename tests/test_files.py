"""Files: results are written whole or not at all, equal results make equal bytes, damage never goes unnoticed."""

import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import h5py
import jax
import numpy as np
import pytest
from data_helpers import says, tiny_data, tiny_scenario

from vfl_jax.core import files
from vfl_jax.core.atomic import write_atomically
from vfl_jax.replica.draws import Given
from vfl_jax.sweeps.sweep import run, sweep

SCENARIO, DATA, KEY = tiny_scenario(), tiny_data(), jax.random.key(3)
OVER = {"attack.enabled": [0, 1], ("attack.amplify", "learning_rate"): [(1, 0.1), (5, 0.2), (9, 0.1)]}


@pytest.fixture(scope="module")
def swept():
    return sweep(SCENARIO, DATA, OVER, seeds=[3, 0], epochs=2, progress=False)


@pytest.fixture(scope="module")
def ran():
    return run(SCENARIO, DATA, KEY, 2)


@pytest.fixture
def saved(swept, tmp_path):
    return files.save(swept, tmp_path / "results.nc")


@pytest.fixture
def few(swept):
    """Some of the variables, of every dtype: quicker to read many times."""
    return swept[["loss", "class_score", "backdoor_accuracy_count", "is_finite"]]


@pytest.mark.long
def test_a_file_reads_back_identical(swept, saved, ran, tmp_path):
    assert files.load(saved).identical(swept)
    path = files.save(ran[0], tmp_path / "new folder" / "one.nc")
    assert files.load(path).identical(ran[0])


def test_equal_results_make_equal_bytes(swept, saved, tmp_path):
    again = sweep(SCENARIO, DATA, OVER, seeds=[3, 0], epochs=2, progress=False)
    time.sleep(1.1)  # HDF5 may write down the second in which a file is made
    assert files.save(again, tmp_path / "again.nc").read_bytes() == saved.read_bytes()
    assert files.save(files.load(saved), tmp_path / "copy.nc").read_bytes() == saved.read_bytes()
    assert files.save(swept.isel(seed=[1, 0]), tmp_path / "other.nc").read_bytes() != saved.read_bytes()


def test_circumstances_are_beside_the_results_only(saved):
    found = json.loads(saved.with_name("results.nc.run.json").read_text())
    assert set(found) == {"started", "wall_seconds", "devices", "machine", "python"}
    assert found["wall_seconds"] > 0
    assert found["started"].encode() not in saved.read_bytes()
    assert sorted(path.name for path in saved.parent.iterdir()) == ["results.nc", "results.nc.run.json"]


def test_circumstances_are_read_where_they_can_be(saved):
    beside = saved.with_name("results.nc.run.json")
    assert files.load(saved).encoding["run"] == json.loads(beside.read_text())
    beside.write_text("{")
    assert "run" not in files.load(saved).encoding


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
        write_atomically(path, half_then(fail if at == "writing" else lambda: None))
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == ([("file", b"old")] if exists else [])


def test_an_interrupted_save_leaves_the_old_results(swept, saved, monkeypatch):
    before = saved.read_bytes()

    def write_half(self, whole):
        with self.open("wb") as file:
            file.write(whole[: len(whole) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(KeyboardInterrupt):
        files.save(swept.isel(seed=[0]), saved)
    assert saved.read_bytes() == before
    assert sorted(path.name for path in saved.parent.iterdir()) == ["results.nc", "results.nc.run.json"]


def test_a_killed_process_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    program = """if True:
        import os, signal, sys
        from pathlib import Path
        from vfl_jax.core.atomic import write_atomically

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
    path = files.save(few, tmp_path / "few.nc")
    content = path.read_bytes()
    with h5py.File(path) as file:
        chunks = {name: file[name].id.get_chunk_info(0) for name in (*few.data_vars, "seed")}
        assert all(file[name].fletcher32 for name in chunks)  # so that other readers notice too
    for name, chunk in chunks.items():
        for place in (0, chunk.size // 2, chunk.size - 1):
            damaged = flipped(tmp_path / f"{name}.nc", content, chunk.byte_offset + place)
            with pytest.raises(OSError, match=says(f"{name}.nc", "damaged")):
                files.load(damaged)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_flipped_byte_anywhere_never_changes_results_silently(few, tmp_path):
    content, refused = files.save(few, tmp_path / "few.nc").read_bytes(), 0
    for place in range(0, len(content), len(content) // 50):
        try:
            found = files.load(flipped(tmp_path / "flipped.nc", content, place))
        except OSError:
            refused += 1
            continue
        assert found.identical(few), f"byte {place} was flipped and nobody noticed"
    assert refused > 0  # much of an HDF5 file is padding


@pytest.mark.parametrize("text", ["scenario", "data", "versions"])
def test_a_flipped_byte_of_an_attribute_is_noticed(few, tmp_path, text):
    content = files.save(few, tmp_path / "few.nc").read_bytes()
    place = content.index(few.attrs[text].encode())
    with pytest.raises(OSError, match=says("flipped.nc", "damaged", "digest")):
        files.load(flipped(tmp_path / "flipped.nc", content, place + 11))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("cut", [0, 1, 100, 5000, -1])
def test_a_file_that_is_cut_is_refused(saved, cut):
    saved.write_bytes(saved.read_bytes()[:cut])
    with pytest.raises(OSError, match=says(str(saved), "damaged")):
        files.load(saved)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.nc"):
        files.load(tmp_path / "nowhere.nc")


def test_parameters_read_back(ran, tmp_path):
    _, state = ran
    path = files.save_params(tmp_path / "params.npz", state.params)
    read = files.load_params(path, state.params)
    assert jax.tree.structure(read) == jax.tree.structure(state.params)
    jax.tree.map(np.testing.assert_array_equal, read, state.params)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(read))
    again = files.save_params(tmp_path / "again.npz", state.params)
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
    path = files.save_params(tmp_path / "params.npz", ({"a": KERNEL, "b": BIAS},))
    with pytest.raises(ValueError, match=says("params.npz", *message)):
        files.load_params(path, like)


def test_damaged_parameters_are_refused(ran, tmp_path):
    like = ran[1].params
    path = files.save_params(tmp_path / "params.npz", like)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        start = archive.infolist()[0].header_offset + 200  # past the headers, within the numbers
    with pytest.raises(files.Damaged, match=r"params\.npz"):
        files.load_params(flipped(path, content, start), like)
    for other in (content[: len(content) // 2], b"", b"no zip"):
        path.write_bytes(other)
        with pytest.raises(files.Damaged, match=r"params\.npz"):
            files.load_params(path, like)

"""A sweep that is killed, disturbed or given little room ends as if nothing had happened, bit for bit."""

import os
import re
import shutil
import stat
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sweep_helpers import content, logged, start, sweep_in_process, told

pytestmark = pytest.mark.optimized

SWEEP = {"epochs": 6, "seeds": 2, "max_replicas": 3, "checkpoint_every": 1}  # two chunks of three replicas
# A whole sweep touches files some 760 times. A number below is how often it has when it is killed, a fraction how
# many seconds after the first time: between two touches, within a write of a library.
KILLS = [3, 100, 161, 83, 253, 0.3, 0.6]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of the sweep that is never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    sweep_in_process(folder=folder, **SWEEP)
    return folder


def everything(folder):
    """What is in a folder, but for locks, dates, and folders that are empty."""
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in names if not name.startswith("locks/") and not name.endswith(".run.json")}


@pytest.mark.long
def test_killed_again_and_again_it_ends_the_same(whole, tmp_path):
    folder, log = tmp_path / "folder", tmp_path / "log.jsonl"
    (found,) = sweep_in_process(folder=folder, log_json=log, kills=KILLS, **SWEEP)
    assert found["statuses"][:5] == [-9] * 5
    assert content(folder) == content(whole)
    assert everything(folder) == everything(whole)  # nothing half written is left, nor what it needed to go on
    resumed = {(line["chunk"], line["epochs"]) for line in logged(log, "resumed")}
    assert len(resumed) >= 2
    # An epoch is trained again only where a kill came before its checkpoint was whole. After one that came between the
    # checkpoint and the log, training goes on from there.
    trained = Counter((line["chunk"], line["epoch"]) for line in logged(log, "epoch"))
    assert set(trained) | resumed == {(chunk, epoch) for chunk, _ in trained for epoch in range(1, 7)}
    assert sum(trained.values()) < 2 * len(trained)


# One chunk, whose seeds two devices fill up.
ODD = {
    "devices": 2,
    "epochs": 4,
    "seeds": 3,
    "max_replicas": 9,
    "checkpoint_every": 1,
}  # one chunk, a seed is filled up


@pytest.fixture(scope="module")
def on_two_devices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return folder, sweep_in_process(folder=folder, **ODD)[0]["loss"]


@pytest.mark.long
def test_several_devices_and_seeds_that_they_do_not_share_evenly(on_two_devices, tmp_path):
    (found,) = sweep_in_process(folder=tmp_path, kills=[160], **ODD)
    assert found["statuses"] == [-9]
    assert content(tmp_path) == content(on_two_devices[0])
    assert len(content(tmp_path, "chunks/*.nc")) == 1


@pytest.mark.long
def test_checkpoints_serve_any_number_of_devices(on_two_devices, tmp_path):
    kills = [[140, 1], [120, 2]]  # the rest is trained on one device again
    log = tmp_path / "log"
    (found,) = sweep_in_process(folder=tmp_path / "folder", log_json=log, kills=kills, **ODD | {"devices": 1})
    assert found["statuses"] == [-9, -9]
    first, second = (line["epochs"] for line in logged(log, "resumed"))
    assert 0 < first < second
    np.testing.assert_allclose(found["loss"], on_two_devices[1], rtol=2e-5)


@pytest.mark.long
def test_two_processes_share_the_work(whole, tmp_path):
    asked = {"folder": tmp_path / "folder", "seeds": 4, "epochs": 6, "max_replicas": 3, "checkpoint_every": 2}
    logs = [tmp_path / "first", tmp_path / "second"]
    both = [start(log_json=log, **asked) for log in logs]
    first, second = (told(process)[0]["loss"] for process in both)
    assert first == second
    trained = Counter((line["chunk"], line["epoch"]) for log in logs for line in logged(log, "epoch"))
    assert len(trained) == 4 * 6
    assert set(trained.values()) == {1}
    # Each tells how far the whole is, so that no bar ends half way.
    for log in logs:
        events = logged(log)
        assert events[-1]["event"] == "done"
        done = {line["chunk"] for line in events if line["event"] in ("chunk", "chunk_done")}
        assert len(done) == events[0]["chunks"]
    assert content(tmp_path / "folder").items() >= content(whole, "chunks/*.nc").items()


@pytest.mark.long
def test_a_full_disk_is_one_sentence_and_costs_nothing_that_is_finished(whole, tmp_path):
    folder = tmp_path / "folder"
    shutil.copytree(whole, folder)
    (folder / "results.nc").unlink()
    min(folder.glob("chunks/*.nc")).unlink()
    before = content(folder)
    assert len(before) == 1
    steps = [{"file_limit": limit} for limit in (2_000, 100_000)]  # not enough for a checkpoint, for a chunk
    for found in sweep_in_process(folder=folder, steps=steps, **SWEEP):
        assert re.fullmatch(rf".*{folder}\b.*\(File too large\).*", found["error"])  # one line
    assert content(folder) == before
    sweep_in_process(folder=folder, **SWEEP)
    assert content(folder) == content(whole)
    assert everything(folder) == everything(whole)


@pytest.mark.long
def test_a_folder_that_is_only_read(whole):
    with tempfile.TemporaryDirectory() as outside:  # where another user gets to
        folder = Path(outside) / "folder"
        shutil.copytree(whole, folder)
        for path in (Path(outside), folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        other = {"user": 65534} if os.getuid() == 0 else {}
        try:
            steps = [{}, {"seeds": 3}]
            complete, more = sweep_in_process(folder=folder, steps=steps, **other, **SWEEP)
            assert "loss" in complete  # is only read
            assert f"The folder {folder} cannot be written (Permission denied)" in more["error"]
            assert content(folder) == content(whole)
        finally:
            for path in (Path(outside), folder, *folder.rglob("*")):
                path.chmod(path.stat().st_mode | stat.S_IWUSR)

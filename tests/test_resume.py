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
from data_helpers import says
from sweep_helpers import content, logged, start, sweep_in_process, told

SWEEP = {"epochs": 6, "seeds": 2, "max_replicas": 3, "checkpoint_every": 1}  # two chunks of three replicas
# A whole sweep touches files some 760 times. A number below is how often it has when it is killed, a fraction how
# many seconds after the first time: between two touches, within a write of a library.
KILLS = [3, 100, 0.9, 161, 83, 1.1, 213, 137]


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="module")
def whole(programs, tmp_path_factory):
    """The folder of the sweep that is never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    sweep_in_process(programs, folder=folder, **SWEEP)
    return folder


def everything(folder):
    """What is in a folder, but for dates, and folders that are empty."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and "locks" not in p.parts)


def test_killed_again_and_again_it_ends_the_same(programs, whole, tmp_path):
    folder, log = tmp_path / "folder", tmp_path / "log.jsonl"
    found = sweep_in_process(programs, folder=folder, log_json=log, kills=KILLS, **SWEEP)
    assert found["statuses"].count(-9) >= 6, found["statuses"]
    assert content(folder) == content(whole)
    assert everything(folder) == everything(whole)  # nothing half written is left, nor what it needed to go on
    resumed = logged(log, "resumed")
    assert len({(line["chunk"], line["epochs"]) for line in resumed}) >= 3
    # An epoch is trained again only where a kill came before its checkpoint was whole.
    trained = Counter((line["chunk"], line["epoch"]) for line in logged(log, "epoch"))
    assert set(trained) == {(chunk, epoch) for chunk, _ in trained for epoch in range(1, 7)}
    assert sum(trained.values()) < 1.5 * len(trained)


def test_several_devices_and_seeds_that_they_do_not_share_evenly(programs, tmp_path):
    asked = {"devices": 2, "epochs": 4, "seeds": 3, "checkpoint_every": 1}
    sweep_in_process(programs, folder=tmp_path / "whole", **asked)
    found = sweep_in_process(programs, folder=tmp_path / "folder", kills=[70, 140, 40], **asked)
    assert found["statuses"] == [-9, -9, -9]
    assert content(tmp_path / "folder") == content(tmp_path / "whole")
    assert len(content(tmp_path / "folder", "chunks/*.nc")) == 1


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_checkpoints_serve_any_number_of_devices(programs, tmp_path, before, after):
    asked = {"folder": tmp_path / "folder", "epochs": 4, "seeds": 3, "max_replicas": 9, "checkpoint_every": 1}
    killed = start(programs, devices=before, kill=140, **asked)
    assert killed.wait(timeout=60) == -9
    killed.communicate()
    found = sweep_in_process(programs, devices=after, log_json=tmp_path / "log", **asked)
    (resumed,) = logged(tmp_path / "log", "resumed")
    assert resumed["epochs"] >= 1
    other = sweep_in_process(programs, devices=after, **asked | {"folder": tmp_path / "other"})
    np.testing.assert_allclose(found["loss"], other["loss"], rtol=2e-5)


def test_two_processes_share_the_work(programs, whole, tmp_path):
    asked = {"folder": tmp_path / "folder", "seeds": 4, "epochs": 6, "max_replicas": 3, "checkpoint_every": 2}
    logs = [tmp_path / "first", tmp_path / "second"]
    both = [start(programs, log_json=log, **asked) for log in logs]
    found = [told(process) for process in both]
    assert found[0]["loss"] == found[1]["loss"]
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


@pytest.mark.parametrize("limit", [2_000, 100_000], ids=["for a checkpoint", "for a chunk"])
def test_a_full_disk_is_one_sentence_and_costs_nothing_that_is_finished(programs, whole, tmp_path, limit):
    folder = tmp_path / "folder"
    sweep_in_process(programs, folder=folder, **SWEEP | {"seeds": 1})
    before = content(folder, "chunks/*.nc")
    assert len(before) == 1
    error = sweep_in_process(programs, folder=folder, file_limit=limit, **SWEEP)["error"]
    assert re.search(says(str(folder), "File too large"), error), error
    assert "\n" not in error
    assert content(folder, "chunks/*.nc") == before
    sweep_in_process(programs, folder=folder, **SWEEP)
    assert content(folder) == content(whole)
    assert everything(folder) == everything(whole)


def test_a_folder_that_is_only_read(programs, whole):
    with tempfile.TemporaryDirectory() as outside:  # where another user gets to
        folder = Path(outside) / "folder"
        shutil.copytree(whole, folder)
        for path in (Path(outside), folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        other = {"user": 65534} if os.getuid() == 0 else {}
        try:
            assert "loss" in sweep_in_process(programs, folder=folder, **other, **SWEEP)  # complete: only read
            error = sweep_in_process(programs, folder=folder, **other, **SWEEP | {"seeds": 3})["error"]
            assert f"The folder {folder} cannot be written (Permission denied)" in error
            assert content(folder) == content(whole)
        finally:
            for path in (Path(outside), folder, *folder.rglob("*")):
                path.chmod(path.stat().st_mode | stat.S_IWUSR)

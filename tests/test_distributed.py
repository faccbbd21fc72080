"""Two processes as one program (``jax.distributed``) give the results of one; both are on this machine."""

import os
import signal
import socket
import time

import numpy as np
import pytest
from sweep_helpers import content, logged, start, swept, told

pytestmark = pytest.mark.optimized

SWEEP = {"seeds": 3, "epochs": 5, "max_replicas": 9, "checkpoint_every": 1}  # a seed is filled up


def start_both(**asked):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [start(process=[number, port], **asked) for number in range(2)]


def until(condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module")
def alone():
    return swept(**SWEEP)


@pytest.mark.long
def test_two_processes_are_one_program(alone, tmp_path):
    """With and without a folder; and killed after some epochs, and started again."""
    log = tmp_path / "log"
    asked = {"folder": tmp_path / "folder", "log_json": log, **SWEEP}
    both = start_both(**asked)
    try:
        until(lambda: any(p.poll() is not None for p in both) or (log.exists() and len(logged(log, "epoch")) >= 2))
    finally:
        for process in both:
            os.kill(process.pid, signal.SIGKILL)
    outputs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [-9, -9], outputs
    before = len(logged(log))

    steps = [{}, {"folder": None, "log_json": None}]
    found = [told(process) for process in start_both(steps=steps, **asked)]
    losses = [step["loss"] for answers in found for step in answers]
    np.testing.assert_allclose(losses[0], alone.loss, rtol=2e-5)
    assert losses == losses[:1] * 4  # bit for bit, in both processes, and as if never stopped
    after = logged(log)[before:]
    kinds = [line["event"] for line in after]
    (resumed,) = (line for line in after if line["event"] == "resumed")
    assert 1 <= resumed["epochs"] <= 4
    # Only the first process writes: one line for every epoch that was left.
    assert [line["epoch"] for line in after if line["event"] == "epoch"] == list(range(resumed["epochs"] + 1, 6))
    assert kinds.count("sweep") == kinds.count("done") == 1
    assert len(content(tmp_path / "folder")) == 2
    assert not list(tmp_path.glob("folder/checkpoints/*"))

    # What one program of two processes has found, another of one process reads.
    trained_before = content(tmp_path / "folder")
    again = swept(tmp_path / "folder", **SWEEP)
    assert again.loss.values.tolist() == losses[0]
    assert content(tmp_path / "folder") == trained_before


@pytest.mark.long
def test_both_refuse_the_folder_of_another_study(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    for process in start_both(folder=tmp_path, **SWEEP):
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "has no manifest.json, but holds mine.txt" in errors


@pytest.mark.long
@pytest.mark.parametrize("killed", [0, 1])
def test_where_one_is_killed_the_other_ends_and_says_which_it_is(tmp_path, killed):
    log = tmp_path / "log"
    both = start_both(folder=tmp_path / "folder", log_json=log, **SWEEP | {"epochs": 100_000, "checkpoint_every": 1000})
    gone, left = both[killed], both[1 - killed]
    try:
        until(lambda: any(p.poll() is not None for p in both) or (log.exists() and len(logged(log, "epoch")) >= 2))
        gone.kill()
        gone.communicate()
        _, errors = left.communicate(timeout=120)
    finally:
        for process in both:
            process.kill()
    assert left.returncode not in (0, -signal.SIGKILL)
    # Of the first process, jax.distributed itself may be the one to say that it is gone.
    by_jax = killed == 0 and "coordination service" in errors.lower()
    assert f"Process {1 - killed} of 2 failed and ends at once" in errors or by_jax, errors


@pytest.mark.long
def test_where_the_first_cannot_write_both_end_and_say_why(tmp_path):
    first, second = start_both(folder=tmp_path / "folder", file_limit=0, **SWEEP)
    (answer,) = told(first)
    assert "File too large" in answer["error"]
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 1
    assert "OtherProcessFailed: Process 0 of 2 failed: OSError: " in errors
    assert "File too large" in errors

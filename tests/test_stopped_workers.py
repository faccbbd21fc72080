"""A signal, and the end of a sweep, stop the workers of an executor after their epoch, with everything saved."""

import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from data_helpers import tiny_data, tiny_scenario
from executor_helpers import load_tiny

from vfl_jax.core import stopping
from vfl_jax.core.holding import hold
from vfl_jax.replica.draws import Given
from vfl_jax.sweeps import executors
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.progress import Progress
from vfl_jax.sweeps.store.folder import Folder
from vfl_jax.sweeps.study import Study

EPOCHS = 5
STUDY = Study(tiny_scenario(), tiny_data(), EPOCHS, Given())
CHUNK = Chunk(({},), (0,))


def hear(number):
    """Sends a signal to this process, and returns when the thread has heard it."""
    os.kill(os.getpid(), number)
    end = time.monotonic() + 10
    while not stopping._asked:
        assert time.monotonic() < end
        time.sleep(0.005)


def after_epoch(number, action, monkeypatch):
    """Does something after an epoch, from 0."""
    real = Progress.epoch_done

    def done(self, chunk, name, epoch, medians):
        real(self, chunk, name, epoch, medians)
        if epoch == number:
            action()

    monkeypatch.setattr(Progress, "epoch_done", done)


def work(folder, run):
    task = (folder.path, folder.identity, STUDY.scenario, load_tiny, EPOCHS, Given(), None, CHUNK, 100, run, 0)
    executors.train_task(*task)


class Gone(BaseException):
    """Stands in for the end of a process."""


@pytest.fixture
def ending(monkeypatch):
    """Raises instead of ending the process."""

    def end(status):
        raise Gone(status)

    monkeypatch.setattr(stopping.os, "_exit", end)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


def checkpoints(folder):
    return [path.name.partition("-")[0] for path in folder.path.glob("checkpoints/*/0*")]


def test_a_worker_stops_after_its_epoch_when_the_sweep_that_sent_its_task_is_over(tmp_path, monkeypatch):
    folder = Folder(tmp_path / "sweep", STUDY.identity)
    with folder.run() as run:
        after_epoch(1, lambda: folder._attempts(run).close(), monkeypatch)
        with pytest.raises(executors.RunOver, match="the epochs that were trained are saved"):
            work(folder, run)
        assert stopping.asked() == 0
    assert checkpoints(folder) == ["00000003"]  # the third had begun
    assert not list((folder.path / "attempts").iterdir())


def test_a_signal_ends_a_worker_after_its_epoch(tmp_path, monkeypatch, ending, capsys):
    folder = Folder(tmp_path / "sweep", STUDY.identity)
    after_epoch(1, lambda: hear(signal.SIGTERM), monkeypatch)
    with folder.run() as run, pytest.raises(Gone, match="143"):
        work(folder, run)
    assert checkpoints(folder) == ["00000003"]
    assert not capsys.readouterr().err


def test_a_worker_that_fails_after_a_signal_says_why_and_ends(ending, capsys):
    def fail():
        hear(signal.SIGTERM)
        raise OSError(28, "No space left on device")

    with pytest.raises(Gone, match="143"), stopping.in_worker(lambda: False):
        fail()
    assert "No space left on device" in capsys.readouterr().err


def test_a_worker_that_waits_for_a_lock_ends_when_its_sweep_is_over(tmp_path):
    with ThreadPoolExecutor(1) as pool, hold(tmp_path / "a.lock", "a"):
        waiting = pool.submit(wait_in_worker, tmp_path / "a.lock", time.monotonic() + 0.2)
        assert isinstance(waiting.exception(timeout=30), stopping.Stopped)


def wait_in_worker(path, end):
    with stopping.in_worker(lambda: time.monotonic() > end), hold(path, "a"):
        pytest.fail("the lock was free")


def test_workers_that_the_same_signal_has_ended_are_no_failure(tmp_path):
    class Breaks(Executor):
        def submit(self, function, *arguments):
            hear(signal.SIGTERM)
            future = Future()
            future.set_exception(KeyboardInterrupt())
            return future

    folder = Folder(tmp_path / "sweep", STUDY.identity)
    progress = Progress(EPOCHS, [1], shown=False)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(stopping.Stopped, match="143"), stopping.in_order("x"):
            executors.train_through(Breaks(), load_tiny, STUDY, folder, [CHUNK], progress, 100)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_stop_travels_between_processes():
    found = pickle.loads(pickle.dumps(stopping.Stopped(signal.SIGTERM)))
    assert (found.code, found.signal) == (143, signal.SIGTERM)


PROGRAM = """if True:
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from data_helpers import tiny_scenario
    from executor_helpers import load_tiny
    from vfl_jax.sweeps.sweep import sweep
    if __name__ == "__main__":
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            sweep(tiny_scenario(), load_tiny, seeds=2, epochs=10**6, folder="sweep", max_replicas=1, executor=pool,
                  checkpoint_every=100, progress=False)
"""


@pytest.mark.long
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("to", ["the sender", "the group"])
def test_a_pool_of_processes_is_stopped_within_an_epoch(tmp_path, to, name):
    number = getattr(signal, name)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(executors.__file__).parents[2])])
    options = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": paths}, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, str(program)], start_new_session=True, **options)
    try:
        end = time.monotonic() + 120
        while len(list(tmp_path.glob("sweep/checkpoints/*/0*"))) < 2:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        (os.kill if to == "the sender" else os.killpg)(process.pid, number)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + number, said
    assert f"Stopped by {name}: workers end after their epoch; what is done is saved in" in said
    assert "Traceback" not in said
    newest = max(path.name for path in tmp_path.glob("sweep/checkpoints/*/0*"))
    assert int(newest.partition("-")[0]) % 100  # none was due

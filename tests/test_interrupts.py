"""Signals end a sweep after the epoch, with everything saved; whoever waits says for whom, and ends."""

import importlib
import os
import signal
import subprocess
import sys
import time

import filelock
import pytest
from data_helpers import says
from sweep_helpers import content, swept

from vfl_jax.core import atomic, holding, stopping
from vfl_jax.core.holding import hold
from vfl_jax.core.platforms import check_platform
from vfl_jax.sweeps import progress as progress_module
from vfl_jax.sweeps.progress import Progress

FOLDER = {"seeds": 1, "epochs": 4, "max_replicas": 3, "checkpoint_every": 100}


def send(number):
    """Sends a signal to this process, and returns when the thread has heard it."""
    os.kill(os.getpid(), number)
    end = time.monotonic() + 10
    while not stopping.asked():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def signalled(monkeypatch):
    """Sends a signal after an epoch, from 0; None sends no more."""
    when = {}
    real = Progress.epoch_done

    def done(self, number, name, epoch, medians):
        real(self, number, name, epoch, medians)
        if epoch == when.get("epoch"):
            send(when["signal"])

    monkeypatch.setattr(Progress, "epoch_done", done)
    return when


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_lets_the_epoch_end_and_saves_it(tmp_path, signalled, name, status, capsys):
    number = getattr(signal, name)
    before = signal.signal(number, signal.SIG_DFL)
    try:
        signalled.update(epoch=1, signal=number)
        with pytest.raises(SystemExit) as caught:
            swept(tmp_path, **FOLDER)
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert caught.value.code == status
    (checkpoint,) = tmp_path.glob("checkpoints/*/0*")
    assert checkpoint.name.startswith("00000003-")  # it came after the second, so the third was ended and saved
    said = capsys.readouterr().err
    assert f"{name}: this epoch ends first. A second signal ends at once." in said
    assert f"Stopped by {name}: what is done is saved in {tmp_path}, and the same command goes on from there." in said
    if name == "SIGINT":
        signalled.clear()
        assert swept(tmp_path, **FOLDER).identical(swept(**FOLDER))


def test_a_signal_in_the_last_epoch_leaves_a_finished_folder(tmp_path, signalled):
    signalled.update(epoch=2, signal=signal.SIGTERM)
    with pytest.raises(SystemExit, match="143"):
        swept(tmp_path, **FOLDER)
    assert [name.partition("/")[0] for name in content(tmp_path)] == ["chunks"]
    assert not list(tmp_path.glob("checkpoints/*"))
    signalled.clear()
    assert swept(tmp_path, **FOLDER).identical(swept(**FOLDER))


def test_signals_that_somebody_handles_or_ignores_stay(tmp_path):
    heard = []
    before = [signal.signal(signal.SIGTERM, lambda *_: heard.append(1)), signal.signal(signal.SIGHUP, signal.SIG_IGN)]
    try:
        with stopping.in_order("x"):
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
            assert heard == [1]
            assert stopping.asked() == 0
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGHUP, before[1])


@pytest.mark.long
@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_second_signal_ends_at_once_even_within_a_long_call(name, status):
    """The program is within one call of a library, so that Python itself would hear nothing for a minute."""
    program = f"""if True:
        import hashlib, os, signal, threading, time
        from vfl_jax.core import stopping
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, as it should be
        with stopping.in_order("it goes on"):
            for wait in (0.3, 0.9):
                threading.Timer(wait, os.kill, (os.getpid(), signal.{name})).start()
            hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)
    """
    started = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == status
    assert time.monotonic() - started < 45
    assert "A second signal ends at once" in ended.stderr


@pytest.mark.parametrize(("times", "ends"), [(1, False), (2, True)])
def test_a_signal_counts_where_another_event_loop_takes_it(monkeypatch, capsys, times, ends):
    """Such as uvloop's in the main thread; a second one still ends the process."""

    def end(status):
        raise RuntimeError(f"ended with status {status}")

    def work():
        with stopping.in_order("it goes on"):
            signal.set_wakeup_fd(-1)
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(stopping.os, "_exit", end)
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(RuntimeError if ends else stopping.Stopped, match="143"):
            work()
    finally:
        signal.signal(signal.SIGTERM, before)
    said = capsys.readouterr().err
    assert said.count("SIGTERM: this epoch ends first.") == 1
    assert said.count("Stopped by SIGTERM: it goes on.") == (not ends)


@pytest.mark.parametrize("number", stopping.SIGNALS)
def test_a_signal_in_the_last_moment_of_the_work_counts(number, capsys):
    """The thread that hears it may be slower than the end of the block."""
    before = signal.signal(number, signal.SIG_DFL)  # one who runs tests may ignore it
    try:
        for _ in range(20):
            with pytest.raises(stopping.Stopped) as stopped, stopping.in_order("it goes on"):
                os.kill(os.getpid(), number)
            assert stopped.value.signal == number
            assert f"Stopped by {stopped.value.signal.name}: it goes on." in capsys.readouterr().err
    finally:
        signal.signal(number, before)


def test_who_waits_says_for_whom_and_since_when(tmp_path, monkeypatch):
    monkeypatch.setattr(holding, "FIRST_WORD", 0.0)
    said = []
    lock = tmp_path / "locks" / "a.lock"
    program = f"""if True:
        import sys, time
        from pathlib import Path
        from vfl_jax.core.holding import hold
        with hold(Path({str(lock)!r}), "the chunk a"):
            print("held", flush=True)
            time.sleep(600)
    """
    holder = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGSTOP)

        def say(line):
            said.append(line)
            holder.kill()  # its death frees the lock

        with hold(lock, "the chunk a", say=say) as is_held:
            assert is_held
    finally:
        holder.kill()
        holder.communicate()
    (line,) = said
    assert line.startswith(f"the chunk a is held by process {holder.pid} on ")
    assert line.endswith(f"; this process waits for it. It is stopped; kill -CONT {holder.pid} lets it go on.")


def test_who_gives_no_sign_of_life_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(holding, "MOST_SILENCE", 0.5)
    with filelock.FileLock(tmp_path / "a.lock"):
        with hold(tmp_path / "a.lock", "the chunk a", wait=False) as is_held:
            assert not is_held
        with (
            pytest.raises(
                OSError,
                match=says(
                    "the chunk a is held by another process that does not say who it is. It has given no", "End it"
                ),
            ),
            hold(tmp_path / "a.lock", "the chunk a"),
        ):
            pytest.fail("the lock was free")


def test_a_holder_renews_its_note_and_removes_it(tmp_path, monkeypatch):
    monkeypatch.setattr(holding, "SIGN_EVERY", 0.02)
    note = tmp_path / "a.lock.holder"
    with hold(tmp_path / "a.lock", "x"):
        first, end = note.stat().st_mtime_ns, time.monotonic() + 10
        while note.stat().st_mtime_ns == first:
            assert time.monotonic() < end
            time.sleep(0.01)
    assert not note.exists()


@pytest.mark.parametrize("log", ["full", "read-only"])
def test_a_log_that_cannot_be_written_stops_nothing(tmp_path, log, monkeypatch, caplog):
    path = "/dev/full"
    if log == "read-only":
        path = str(tmp_path / "log.jsonl")
        monkeypatch.setattr(progress_module, "open", lambda *_, **__: _refuse(path), raising=False)
        monkeypatch.setattr(atomic, "_nearest_folder", lambda _: _refuse(path))
    found = swept(**FOLDER, log_json=path)
    assert bool(found.is_finite.all())
    assert "goes on without it" in caplog.text


def _refuse(path):
    raise PermissionError(13, "Permission denied", path)


def test_a_terminal_that_is_gone_stops_nothing(monkeypatch):
    class Gone:
        def write(self, text):
            raise OSError(5, "Input/output error")

        flush = isatty = lambda self: False

    monkeypatch.setattr(sys, "stderr", Gone())
    assert bool(swept(**FOLDER | {"progress": True}).is_finite.all())


@pytest.mark.parametrize("name", ["win32", "cygwin", "emscripten", "freebsd14"])
def test_other_platforms_are_refused_by_name(name):
    with pytest.raises(ImportError, match=says("Linux", "macOS", name, "WSL 2")):
        check_platform(name)
    check_platform("linux")
    check_platform("darwin")


def test_importing_the_package_is_what_refuses_a_platform(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "vfl_jax"]:
        monkeypatch.delitem(sys.modules, name)  # it comes back at the end
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ImportError, match=says("vfl_jax runs on Linux", "this is 'win32'", "WSL 2")):
        importlib.import_module("vfl_jax")

"""How the processes of one program fail together, with the others stood in for; real ones are in test_distributed."""

import jax
import numpy as np
import pytest
from jax.experimental import multihost_utils

from vfl_jax.core import stopping
from vfl_jax.sweeps import processes


@pytest.fixture
def others(monkeypatch):
    """Makes this the first of two processes; what the second one tells is what this list holds, in turn."""
    told = []
    monkeypatch.setattr(jax, "process_count", lambda: 2)

    def gathered(mine):
        return jax.tree.map(lambda one, other: np.stack([one, other]), mine, told.pop(0))

    monkeypatch.setattr(multihost_utils, "process_allgather", gathered)
    return told


def telling(text="", signal=0):
    return np.int32(signal), np.frombuffer(text.encode().ljust(processes.MOST_SAID, b"\0"), np.uint8)


def test_where_another_process_fails_this_one_fails_with_its_words(others):
    others.append(telling("Process 1 of 2 failed: OSError: it is full"))
    with pytest.raises(processes.OtherProcessFailed, match=r"^Process 1 of 2 failed: OSError: it is full$"):  # noqa: SIM117
        with processes.failing_alike():
            pass


@pytest.mark.parametrize("error", [OSError(28, "full"), KeyboardInterrupt(), stopping.Stopped(15)])
def test_a_process_that_fails_tells_the_others_and_keeps_its_own_error(others, monkeypatch, error):
    said = []

    def gathered(mine):
        said.append(mine)
        return jax.tree.map(lambda leaf: np.stack([leaf, leaf]), mine)

    monkeypatch.setattr(multihost_utils, "process_allgather", gathered)
    with pytest.raises(type(error)) as caught, processes.failing_alike():
        raise error
    assert caught.value is error
    ((signal, words),) = said
    assert signal == (15 if isinstance(error, stopping.Stopped) else 0)
    assert words.tobytes().startswith(f"Process 0 of 2 failed: {type(error).__name__}".encode())


def test_a_long_error_is_cut(others):
    others.append(telling())
    with pytest.raises(ValueError, match="ä"), processes.failing_alike():
        raise ValueError("ä" * processes.MOST_SAID)


def test_where_another_process_is_stopped_so_is_this_one(others):
    others.append(telling("Process 1 of 2 failed: Stopped: 143", 15))
    with pytest.raises(SystemExit, match="143"), processes.failing_alike():
        pass


def test_where_none_fails_all_go_on(others):
    others.append(telling())
    with processes.failing_alike():
        pass
    assert not others


class Ended(BaseException):
    """Stands in for the end of a process."""


@pytest.mark.parametrize(("error", "status"), [(OSError("full"), 1), (KeyboardInterrupt(), 130)])
def test_what_fails_while_others_wait_ends_the_process(others, monkeypatch, capsys, error, status):
    def end(number):
        raise Ended(number)

    monkeypatch.setattr(processes.os, "_exit", end)
    with pytest.raises(Ended, match=str(status)), processes.failing_together():
        raise error
    assert "Process 0 of 2 failed and ends at once" in capsys.readouterr().err


def test_a_stop_on_which_processes_agree_ends_none_at_once(others):
    others.append(np.int32(15))
    with pytest.raises(stopping.Stopped, match="143"), processes.failing_together():
        processes.stop_together()

"""One small sweep in a folder, in a child of this process that something stops."""

from __future__ import annotations

import itertools
import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from signal import SIG_DFL
from signal import signal as handle
from typing import Any

import numpy as np

import vfl_jax as vfl
from vfl_jax.core.stopping import SIGNALS, Stopped

REFUSED = 3
"""The status of a sweep that ends in an ``OSError`` that names its folder."""


def swept(folder: Path) -> None:
    """Trains six replicas in two chunks, with all that a state may hold: momentum, residuals, noise.

    Args:
      folder: the folder of the sweep.
    """
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 6)).astype(np.float32)
    data = vfl.data.from_arrays(
        {"left": features[:, :3], "right": features[:, 3:]},
        (features @ rng.normal(size=6) > 0).astype(int),
        has_trigger=np.arange(60) % 3 == 0,
        test=np.arange(0, 60, 4),
    )
    parts = vfl.defenses.Sparsification(drop_rate=0.3), vfl.defenses.GaussianNoise(stddev=0.01)
    scenario = vfl.scenario_for(data, attacker="left")
    momentum = tuple(optimizer.replace(kind="momentum") for optimizer in scenario.optimizers)
    scenario = scenario.replace(optimizers=momentum, defense=vfl.ActiveChain(parts=parts))
    vfl.sweep(
        scenario,
        data,
        {"defense.stddev": [0.0, 0.01, 0.1]},
        seeds=2,
        epochs=4,
        folder=folder,
        max_replicas=3,
        checkpoint_every=1,
        progress=False,
    )


def begin(folder: Path, touch: int = 0, signal: int = 0, room: int | None = None) -> int:
    """Begins the sweep in a child of this process, and returns the child's number.

    Args:
      folder: the folder of the sweep.
      touch: at which touch of a file of the folder the child gets a signal, from 1; 0 for never.
      signal: the signal's number.
      room: no file may grow beyond so many bytes; as large as it likes where it is None.
    """
    if child := os.fork():
        return child
    status = 1
    try:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        if room is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        for known in SIGNALS:
            handle(known, SIG_DFL)  # a shell lets what it starts in the background ignore some
        touches = _watched(folder, touch, lambda: os.kill(os.getpid(), signal))
        swept(folder)
        Path(f"{folder}.touches").write_text(str(touches()))
        status = 0
    except Stopped as stopped:
        status = 128 + stopped.signal
    except OSError as error:
        status = REFUSED if str(folder) in str(error) else 1
    finally:
        os._exit(status)


def end(child: int) -> int:
    """Waits for a child; returns its status, or the negative number of the signal that killed it.

    Args:
      child: the child's number.
    """
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _watched(folder: Path, touch: int, act: Callable[[], Any]) -> Callable[[], int]:
    """Acts at one touch of the folder's files: a call of Python that names one. Returns what tells their number."""
    found = itertools.count(1)
    last = 0

    def touched(_: str, arguments: tuple[Any, ...]) -> None:
        nonlocal last
        if any(isinstance(one, str | os.PathLike) and os.fspath(one).startswith(str(folder)) for one in arguments):
            number = next(found)  # of this thread's touch: others touch files meanwhile
            last = max(last, number)
            if number == touch:
                act()

    sys.addaudithook(touched)
    return lambda: last

"""What a sweep is about to do, in words, before it compiles: how many replicas and steps, and about how long."""

from __future__ import annotations

import hashlib
import math
import textwrap
from typing import Any

import jax

from vfl_jax.core.record import cast
from vfl_jax.core.words import counted, duration
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.displays import say
from vfl_jax.sweeps.grid import Grid
from vfl_jax.sweeps.store.folder import Folder
from vfl_jax.sweeps.store.status import pace_of
from vfl_jax.sweeps.study import Study

SECONDS_PER_PROGRAM = 12.0
"""A guess of what a sweep takes before its first step, mostly to compile: 8 to 12 with MNIST, the machine busy."""
SECONDS_PER_STEP = 6e-5
"""A guess of what one step of one replica takes; it was measured on two cores with MNIST."""
WIDTH = 79

_paces: dict[Any, float] = {}
"""The seconds of a replica's step that this process has measured, by :func:`_kind`."""


def announce(study: Study, grid: Grid, seeds: tuple[int, ...], store: Folder | None, steps: int, how: str) -> None:
    """Says what is about to be trained, and about how long it takes; nothing where the folder has it all.

    Args:
      study: what is trained.
      grid, seeds: the replicas.
      store: the folder, or None.
      steps: T, the number of steps of an epoch.
      how: as in :func:`announcement`.
    """
    done = [] if store is None else [chunk for chunk in store.planned()[0] if store.is_finished(chunk)]
    wanted = set(Chunk(tuple(grid.points()), seeds).replicas(study.scenario))
    num_finished = len(wanted & {replica for chunk in done for replica in chunk.replicas(study.scenario)})
    if num_finished < len(wanted):
        pace = None if store is None else pace_of(store, done)
        say(announcement(study, grid.size, len(seeds), steps, how, num_finished, pace))


def announcement(
    study: Study,
    num_points: int,
    num_seeds: int,
    steps_per_epoch: int,
    how: str,
    num_finished: int = 0,
    pace: float | None = None,
) -> str:
    """The lines before training: what is trained, and about how long it takes, with the basis of the estimate.

    Args:
      study: what is trained.
      num_points, num_seeds: the size of the grid, and the number of seeds.
      steps_per_epoch: T, of every replica.
      how: how the replicas become programs, such as "in one program".
      num_finished: how many of the replicas are finished in the folder.
      pace: the seconds of one replica, as finished chunks of the same folder took; None without such chunks.
    """
    whole, steps = num_points * num_seeds, study.epochs * steps_per_epoch
    replicas = whole - num_finished
    of = f" ({counted(num_points, 'setting')} × {counted(num_seeds, 'seed')})" if whole > 1 else ""
    count = f"{replicas:,} of {counted(whole, 'replica')}" if num_finished else counted(whole, "replica")
    what = (
        f"To train: {count}{of} {how}; {counted(study.epochs, 'epoch')} × {counted(steps_per_epoch, 'step')} each, "
        f"{replicas * steps:,} steps in all."
    )
    return "\n".join(textwrap.wrap(f"{what} {_how_long(study, replicas, steps, pace)}", WIDTH))


def note_pace(study: Study, steps_per_epoch: int, seconds: float) -> None:
    """Remembers for this process how long a replica's step took.

    Args:
      study: what was trained.
      steps_per_epoch: T, of every replica.
      seconds: how long an epoch of one replica took, as :attr:`Progress.pace` says; NaN is passed over.
    """
    if seconds > 0:
        _paces[_kind(study)] = seconds / steps_per_epoch


def guess(num_steps: int) -> float:
    """The seconds that one program and so many steps of single replicas take, where nothing was measured.

    Args:
      num_steps: how many, of all replicas together.
    """
    return SECONDS_PER_PROGRAM + SECONDS_PER_STEP * num_steps


def _how_long(study: Study, replicas: int, steps: int, pace: float | None) -> str:
    """About how long it takes, and how this is known."""
    if pace is not None and math.isfinite(pace):
        return f"About {duration(pace * replicas)} at the pace of the folder's finished chunks."
    if (measured := _paces.get(_kind(study))) is not None:
        return (
            f"About {duration(measured * replicas * steps)} and the time to compile, at the pace of the sweep before."
        )
    return (
        f"A guess: {duration(guess(replicas * steps))}, from MNIST on two cores. It is measured after the first epochs."
    )


def _kind(study: Study) -> Any:
    """What decides the pace of a step: the data, and all of a scenario but the numbers that can be swept."""
    data, structure = study.data, jax.tree.structure(cast(study.scenario))
    return data.name, data.train.num_samples, hashlib.sha256(str(structure).encode()).hexdigest()

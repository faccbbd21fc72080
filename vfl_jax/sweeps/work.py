"""Work on the chunks of a folder in this process, one after another."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from vfl_jax.core.checks import shown
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data.loaders import LOADERS
from vfl_jax.data.own.tables import LoadedTables
from vfl_jax.replica.state import TrainState
from vfl_jax.sweeps import processes
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.prepared import Prepared
from vfl_jax.sweeps.progress import Progress
from vfl_jax.sweeps.store.folder import Folder
from vfl_jax.sweeps.training import train

Source = VerticalData | LoadedTables | Callable[[], VerticalData | LoadedTables]
"""Data, or a function that loads it. With a function a task carries no data, and every worker loads its own."""

BUSY, DONE, TRAIN = range(3)
"""The state of a chunk when a process turns to it: another works on it, it is finished, or it waits for training."""


def load(source: Source) -> VerticalData:
    """The data set itself.

    Args:
      source: a data set, the result of ``load_tables``, or a function without arguments that returns either.

    Raises:
      ValueError: where ``source`` is something else.
    """
    found: Any = source
    if callable(source):
        if _needs_arguments(source):
            raise ValueError(f"data is {shown(source)}, a function that needs arguments; call it, or bind them first.")
        found = source()
    found = found.data if isinstance(found, LoadedTables) else found
    if not isinstance(found, VerticalData):
        what = "data gives" if callable(source) else "data is"
        known = isinstance(found, str) and found in LOADERS
        end = f" Load it: vfl.data.LOADERS[{found!r}]()." if known else ""
        raise ValueError(
            f"{what} {shown(found)}; it must be a VerticalData, as vfl.from_arrays, vfl.load_tables and the loaders of "
            f"data sets make it, or a function without arguments that loads one.{end}"
        )
    return found


def _needs_arguments(function: Callable[..., Any]) -> bool:
    """Whether a function certainly cannot be called without arguments."""
    try:
        inspect.signature(function).bind()
    except TypeError:
        return True
    except ValueError:  # some functions have no signature
        return False
    return False


def train_here(
    prepared: Callable[[Chunk], Prepared],
    folder: Folder,
    chunks: Sequence[Chunk],
    progress: Progress,
    checkpoint_every: int,
) -> None:
    """Trains chunks on the devices of this process. Those that another process is training come last.

    Args:
      prepared: the function that prepares a chunk when its turn has come.
      folder: where finished chunks and checkpoints lie.
      chunks: the chunks to train.
      progress: the progress of these chunks, in their order.
      checkpoint_every: how many epochs lie between two checkpoints.

    Raises:
      OSError: where the folder cannot be written, or a file in it cannot be read just now.
      Stopped: where a signal was heard, here or in another process of the program.
    """
    left = list(enumerate(chunks))
    with progress.show():
        for wait_for_others in (False, True):
            for number, chunk in left.copy():
                processes.stop_together()
                if _train_if_free(prepared, folder, chunk, number, progress, checkpoint_every, wait_for_others):
                    left.remove((number, chunk))


def _train_if_free(
    prepared: Callable[[Chunk], Prepared],
    folder: Folder,
    chunk: Chunk,
    number: int,
    progress: Progress,
    every: int,
    wait: bool,
) -> bool:
    """Trains a chunk unless another process holds it; returns whether it is finished now.

    Of several processes that train together only the first touches the folder. The others follow its decision.
    """
    first = processes.is_first_process()
    with contextlib.ExitStack() as stack:
        decision = BUSY
        with processes.failing_alike():
            if first and stack.enter_context(folder.work_on(chunk, wait, say=progress.waits)):
                decision = DONE if folder.is_finished(chunk) else TRAIN
        decision = processes.agree(decision)
        name = folder.name(chunk) if first else ""
        if decision == DONE:
            progress.chunk_done(number, name)
        if decision == TRAIN:
            with progress.chunk(number, name) as shown:
                with processes.failing_together():
                    found = train(prepared(chunk), shown, folder.checkpoints(chunk), every, keeper(folder, chunk))
                with processes.failing_alike():
                    if first:
                        folder.finish(chunk, found)
    return decision != BUSY


def keeper(folder: Folder, chunk: Chunk) -> Callable[[TrainState], None] | None:
    """The function that writes the final states of a chunk, in the first process; None where nothing is kept.

    Args:
      folder: where they are written.
      chunk: the chunk.
    """
    if not folder.keeps:
        return None
    return functools.partial(folder.keep, chunk) if processes.is_first_process() else lambda _: None

"""Work on the chunks of a folder: in this process, one after another, or as tasks of any executor."""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import os
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from os import PathLike
from queue import Empty, SimpleQueue
from typing import Any

from vfl_jax.core import stopping
from vfl_jax.core.checks import shown
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.data.loaders import LOADERS
from vfl_jax.data.own.tables import LoadedTables
from vfl_jax.replica.draws import Given
from vfl_jax.replica.state import TrainState
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps import devices
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.prepared import Prepared, prepare
from vfl_jax.sweeps.progress import Progress
from vfl_jax.sweeps.store.attempts import MOST_DEATHS, ChunkRefused
from vfl_jax.sweeps.store.folder import Folder
from vfl_jax.sweeps.study import Study, lines_that_differ
from vfl_jax.sweeps.training import train

Source = VerticalData | LoadedTables | Callable[[], VerticalData | LoadedTables]
"""Data, or a function that loads it. With a function a task carries no data, and every worker loads its own."""


LOOK_EVERY = 0.5
"""A process that waits for workers looks for signals so often, in seconds."""
BUSY, DONE, TRAIN = range(3)
"""The state of a chunk when a process turns to it: another works on it, it is finished, or it waits for training."""


class SweepIncomplete(RuntimeError):
    """Some chunks of a sweep failed on an executor. The others are finished in the folder."""


_sender: int | None = None
"""The process that sent tasks last. In a worker forked from it, this is not the worker's own process."""


SPAWN = (
    "JAX has threads that a fork does not survive, so they would wait for ever. Give one that starts its own: "
    "ProcessPoolExecutor(..., mp_context=multiprocessing.get_context('spawn'))."
)


def check_executor(executor: Executor) -> None:
    """Raises ``ValueError`` where ``executor`` is a pool whose processes would hang for ever."""
    context = getattr(executor, "_mp_context", None) if isinstance(executor, ProcessPoolExecutor) else None
    if context is not None and context.get_start_method() == "fork":
        raise ValueError(f"executor is a pool whose workers are forked from this process; {SPAWN}")


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
    """
    left = list(enumerate(chunks))
    with progress.show(), devices.failing_together():
        for wait_for_others in (False, True):
            for number, chunk in left.copy():
                if stops := devices.largest(stopping.asked()):
                    raise stopping.Stopped(stops)
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
    if not devices.is_first_process():
        decision = devices.agree(0)
        if decision == TRAIN:
            with progress.chunk(number) as shown:
                train(prepared(chunk), shown, folder.checkpoints(chunk), every, _keeper(folder, chunk))
        return decision != BUSY
    with folder.work_on(chunk, wait, say=progress.waits) as is_held:
        decision = devices.agree(BUSY if not is_held else DONE if folder.is_finished(chunk) else TRAIN)
        if decision == DONE:
            progress.chunk_done(number, folder.name(chunk))
        if decision == TRAIN:
            with progress.chunk(number, folder.name(chunk)) as shown:
                arguments = shown, folder.checkpoints(chunk), every, _keeper(folder, chunk)
                folder.finish(chunk, train(prepared(chunk), *arguments))
    return decision != BUSY


def _keeper(folder: Folder, chunk: Chunk) -> Callable[[TrainState], None] | None:
    """The function that writes the final states of a chunk, in the first process; None where nothing is kept."""
    if not folder.keeps:
        return None
    return functools.partial(folder.keep, chunk) if devices.is_first_process() else lambda _: None


def train_through(
    executor: Executor,
    source: Source,
    study: Study,
    folder: Folder,
    chunks: Sequence[Chunk],
    progress: Progress,
    checkpoint_every: int,
) -> None:
    """Trains chunks as tasks of an executor whose workers see the same folder.

    When a worker dies, another may run its task again, which goes on from the chunk's checkpoints. A chunk that keeps
    bringing down workers is refused. All other chunks are still trained, even where they shared a worker with it.

    Args:
      executor: its workers run the tasks.
      source: the data, or the function by which every worker loads its own.
      study: the study of all chunks.
      folder: where finished chunks and checkpoints lie.
      chunks: the chunks to train.
      progress: the progress of these chunks, in their order.
      checkpoint_every: how many epochs lie between two checkpoints.

    Raises:
      SweepIncomplete: naming the chunks that failed, with the reasons.
    """
    global _sender
    _sender = os.getpid()
    attempts = itertools.count()
    results: SimpleQueue[Future[None]] = SimpleQueue()
    waiting: dict[Future[None], int] = {}
    failed: dict[int, BaseException] = {}
    left = set(range(len(chunks)))

    with folder.run() as run, progress.show():

        def news() -> tuple[int, int]:
            """A value that changes whenever a chunk has ended, or a process has died at work on one."""
            return len(left), folder.begun(run)

        def submit(number: int) -> None:
            try:
                future = executor.submit(
                    train_task,
                    folder.path,
                    folder.identity,
                    study.scenario,
                    source,
                    study.epochs,
                    study.given,
                    study.evaluate_every,
                    chunks[number],
                    checkpoint_every,
                    run,
                    next(attempts),  # makes every call another: an executor may return the last result of an equal call
                    folder.keeps,
                )
            except BrokenExecutor as error:
                future = Future()
                future.set_exception(error)
            waiting[future] = number
            future.add_done_callback(results.put)

        known, losses = news(), Counter[int]()
        try:
            for number in sorted(left):
                submit(number)
            while left:
                future = _next(results)
                number = waiting.pop(future)
                error = _error(future)
                if error is not None and _is_lost(error):
                    # The folder knows which chunk brought the worker down, and refuses it in time. Without news workers
                    # die of something else, and tasks that were sent again would never end.
                    if (now := news()) != known:
                        known = now
                        losses.clear()
                    losses[number] += 1
                    if losses[number] <= MOST_DEATHS:
                        submit(number)
                        continue
                left.remove(number)
                if error is None:
                    progress.chunk_done(number, folder.name(chunks[number]))
                else:
                    failed[number] = error
                    progress.event("failed", chunk=folder.name(chunks[number]), why=_reason(error))
        finally:
            for future in waiting:  # after a stop, tasks that have not begun need not begin
                future.cancel()
    if failed:
        raise SweepIncomplete(
            f"{len(failed)} of {len(chunks)} chunks failed; all others are finished in {folder.path}, and the same "
            "command goes on from there:"
            + "".join(f"\n  {folder.name(chunks[i])} ({chunks[i]}): {_reason(e)}" for i, e in sorted(failed.items()))
        ) from next(iter(failed.values()))


def _next(results: SimpleQueue[Future[None]]) -> Future[None]:
    """The next task that has ended; ``Stopped`` where a signal is heard before."""
    while True:
        stopping.check()
        with contextlib.suppress(Empty):
            return results.get(timeout=LOOK_EVERY)


def train_task(
    path: str | PathLike[str],
    identity: dict[str, object],
    scenario: Scenario,
    source: Source,
    epochs: int,
    given: Given,
    evaluate_every: int | None,
    chunk: Chunk,
    checkpoint_every: int,
    run: str,
    attempt: int,
    keeps: bool = False,
) -> None:
    """The task of a worker: trains one chunk of a folder, unless it is finished. Running it twice does no harm.

    Args:
      path: the folder.
      identity: that of the sender's study.
      scenario, source, epochs, given, evaluate_every: the parts from which this process makes the study.
      chunk: the chunk to train.
      checkpoint_every: how many epochs lie between two checkpoints.
      run: the sender's run, as :meth:`Folder.run` names it.
      attempt: a number that no other task of the run has.
      keeps: whether the chunk's final states are kept in the folder.

    Raises:
      ValueError: where this process has other data or versions than the sender, or is a fork of it.
      OSError: where the folder is another as seen from here, or cannot be written.
      ChunkRefused: where the chunk has brought down too many workers.
    """
    if _sender not in (None, os.getpid()):
        raise ValueError(f"This worker was forked from the process that sent the task; {SPAWN}")
    folder = Folder(path, identity, keeps)
    with folder.work_on(chunk, run=run):
        if folder.is_finished(chunk):
            return
        study = Study(scenario, load(source), epochs, given, evaluate_every)
        if differing := lines_that_differ(identity, study.identity):
            raise ValueError(
                "This worker would not compute the same numbers:" + "".join(f"\n    {d}" for d in differing)
            )
        progress = Progress(epochs, [chunk.num_replicas], shown=False)
        with progress.chunk(0) as shown:
            arguments = shown, folder.checkpoints(chunk), checkpoint_every, _keeper(folder, chunk)
            folder.finish(chunk, train(prepare(study, chunk), *arguments))


def _error(future: Future[None]) -> BaseException | None:
    """The error of a task, a cancellation among them; None where it succeeded."""
    try:
        return future.exception()
    except CancelledError as error:
        return error


def _is_lost(error: BaseException) -> bool:
    """Whether the executor gave up on a task because workers died, for whatever reason (Dask's KilledWorker)."""
    return type(error).__name__ == "KilledWorker"


def _reason(error: BaseException) -> str:
    """The words for the error of a task."""
    if isinstance(error, ChunkRefused):
        return str(error)
    if isinstance(error, BrokenExecutor):
        return "the executor broke, because a worker died; give a new one"
    if isinstance(error, CancelledError):
        return "the executor cancelled it, as it does when it is closed or loses its workers' scheduler"
    if _is_lost(error):
        return f"its workers died, and not at work on a chunk; their logs say why ({error})"
    return f"{type(error).__name__}: {error}"

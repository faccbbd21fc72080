"""Chunks of a folder as tasks of any executor: who sends them, and what a worker does with one."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from os import PathLike
from queue import Empty, SimpleQueue

from vfl_jax.core import stopping
from vfl_jax.replica.draws import Given
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.prepared import prepare
from vfl_jax.sweeps.progress import Progress
from vfl_jax.sweeps.store.attempts import MOST_DEATHS, ChunkRefused
from vfl_jax.sweeps.store.folder import Folder
from vfl_jax.sweeps.study import Study, lines_that_differ
from vfl_jax.sweeps.training import train
from vfl_jax.sweeps.work import Source, keeper, load

LOOK_EVERY = 0.5
"""A process that waits for workers looks for signals so often, in seconds."""


class SweepIncomplete(RuntimeError):
    """Some chunks of a sweep failed on an executor. The others are finished in the folder."""


class RunOver(RuntimeError):
    """The sweep that sent a task has ended meanwhile."""


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
    After a signal the run is over: workers see that in the folder, and end after their epoch.

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
      Stopped: where a signal was heard.
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
    stopping.check()
    if failed:
        raise SweepIncomplete(
            f"{len(failed)} of {len(chunks)} chunks failed; all others are finished in {folder.path}, and the same "
            "command goes on from there:"
            + "".join(f"\n  {folder.name(chunks[i])} ({chunks[i]}): {_reason(e)}" for i, e in sorted(failed.items()))
        ) from next(iter(failed.values()))


def _next(results: SimpleQueue[Future[None]]) -> Future[None]:
    """The next task that has ended; ``Stopped`` where a signal is heard before."""
    found = None
    while found is None:
        with contextlib.suppress(Empty):
            found = results.get(timeout=LOOK_EVERY)
        stopping.check()  # a worker that the same signal has ended is no failure
    return found


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

    A signal, and the end of the sender's run, let the epoch end and be saved. A signal then ends the process.

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
      RunOver: where the sender's run is over before the chunk is finished.
    """
    if _sender not in (None, os.getpid()):
        raise ValueError(f"This worker was forked from the process that sent the task; {SPAWN}")
    folder = Folder(path, identity, keeps)
    with _as_error(), stopping.in_worker(lambda: not folder.goes_on(run)), folder.work_on(chunk, run=run):
        if folder.is_finished(chunk):
            return
        study = Study(scenario, load(source), epochs, given, evaluate_every)
        if differing := lines_that_differ(identity, study.identity):
            raise ValueError(
                "This worker would not compute the same numbers:" + "".join(f"\n    {d}" for d in differing)
            )
        progress = Progress(epochs, [chunk.num_replicas], shown=False)
        with progress.chunk(0) as shown:
            arguments = shown, folder.checkpoints(chunk), checkpoint_every, keeper(folder, chunk)
            folder.finish(chunk, train(prepare(study, chunk), *arguments))


@contextlib.contextmanager
def _as_error() -> Iterator[None]:
    """Raises an error where the work was stopped: an executor may take ``SystemExit`` for the end of its worker."""
    try:
        yield
    except stopping.Stopped:
        raise RunOver("the sweep has ended meanwhile; the epochs that were trained are saved") from None


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

"""Work on the chunks of a folder: here, one after another, or as tasks of any executor."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from os import PathLike

from vfl_jax import devices
from vfl_jax.chunks import Chunk
from vfl_jax.draws import Given
from vfl_jax.folder import MOST_DEATHS, ChunkRefused, Folder
from vfl_jax.progress import Progress
from vfl_jax.records import VerticalData
from vfl_jax.scenario import Scenario
from vfl_jax.study import Study, differences
from vfl_jax.training import train_chunk

Source = VerticalData | Callable[[], VerticalData]
"""Data, or what loads it: then a task carries no data, and whoever works on it loads its own."""


BUSY, DONE, TRAIN = range(3)
"""What a program finds when it turns to a chunk."""


class SweepIncomplete(RuntimeError):
    """Some chunks failed; the others are finished in the folder."""


def load(source: Source) -> VerticalData:
    return source if isinstance(source, VerticalData) else source()


def work_here(study: Study, folder: Folder, chunks: Sequence[Chunk], progress: Progress, checkpoint_every: int) -> None:
    """Trains chunks on the devices of this program; those that another program is at work on are left for last."""
    left = list(enumerate(chunks))
    with progress.show():
        for wait_for_others in (False, True):
            for number, chunk in left.copy():
                if _work_on(study, folder, chunk, number, progress, checkpoint_every, wait_for_others):
                    left.remove((number, chunk))


def _work_on(
    study: Study, folder: Folder, chunk: Chunk, number: int, progress: Progress, every: int, wait: bool
) -> bool:
    """Of several processes that are one program only the first touches the folder, and says what is done."""
    if not devices.is_first_process():
        decision = devices.agree(0)
        if decision == TRAIN:
            with progress.chunk(number) as shown:
                train_chunk(study, chunk, shown, folder.checkpoints(chunk), every)
        return decision != BUSY
    with folder.work_on(chunk, wait) as is_held:
        decision = devices.agree(BUSY if not is_held else DONE if folder.is_finished(chunk) else TRAIN)
        if decision == TRAIN:
            with progress.chunk(number, folder.name(chunk)) as shown:
                folder.finish(chunk, train_chunk(study, chunk, shown, folder.checkpoints(chunk), every))
    return decision != BUSY


def work_through(
    executor: Executor,
    source: Source,
    study: Study,
    folder: Folder,
    chunks: Sequence[Chunk],
    progress: Progress,
    checkpoint_every: int,
) -> None:
    """Trains chunks as tasks of an executor whose workers see the same folder.

    A task may be run again, by another worker, when its worker dies: it goes on from the chunk's checkpoints. A
    chunk that brings down ``MOST_DEATHS`` workers is refused; all others are still done.

    Raises:
      SweepIncomplete: naming the chunks that failed, and why.
    """
    run = uuid.uuid4().hex[:8]

    def submit(number: int, attempt: int) -> Future[None]:
        return executor.submit(
            work_on_one,
            folder.path,
            folder.identity,
            study.scenario,
            source,
            study.epochs,
            study.given,
            chunks[number],
            checkpoint_every,
            run,
            attempt,  # an executor that knows the results of equal calls must not give the last one's
        )

    with progress.show():
        waiting = {submit(number, 1): (number, 1) for number in range(len(chunks))}
        failed: dict[int, BaseException] = {}
        while waiting:
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                number, attempt = waiting.pop(future)
                error = future.exception()
                if error is None:
                    progress.chunk_done(number, folder.name(chunks[number]))
                elif _is_lost(error) and attempt < MOST_DEATHS > folder.deaths(chunks[number], run):
                    waiting[submit(number, attempt + 1)] = (number, attempt + 1)
                else:
                    failed[number] = error
                    progress.event("failed", chunk=folder.name(chunks[number]), why=str(error))
    if failed:
        raise SweepIncomplete(
            f"{len(failed)} of {len(chunks)} chunks failed; all others are finished in {folder.path}, and the same "
            "command goes on from there:"
            + "".join(f"\n  {folder.name(chunks[i])} ({chunks[i]}): {_reason(e)}" for i, e in sorted(failed.items()))
        ) from next(iter(failed.values()))


def work_on_one(
    path: str | PathLike[str],
    identity: dict[str, object],
    scenario: Scenario,
    source: Source,
    epochs: int,
    given: Given,
    chunk: Chunk,
    checkpoint_every: int,
    run: str,
    attempt: int,
) -> None:
    """The task: trains one chunk of a folder, unless it is finished. Running it twice does no harm.

    Raises:
      ValueError: where this process has other data or versions than the one that sent the task.
      ChunkRefused: where the chunk has brought down too many workers.
    """
    study = Study(scenario, load(source), epochs, given)
    if differing := differences(identity, study.identity):
        raise ValueError("This worker would not compute the same numbers:" + "".join(f"\n  {d}" for d in differing))
    folder = Folder(path, study.identity)
    with folder.work_on(chunk, run=run):
        if not folder.is_finished(chunk):
            progress = Progress(epochs, [chunk.num_replicas], shown=False)
            with progress.chunk(0) as shown:
                folder.finish(chunk, train_chunk(study, chunk, shown, folder.checkpoints(chunk), checkpoint_every))


def _is_lost(error: BaseException) -> bool:
    """Whether the executor gave up on a task because workers died, be it of another's fault (Dask's KilledWorker)."""
    return type(error).__name__ == "KilledWorker"


def _reason(error: BaseException) -> str:
    if isinstance(error, ChunkRefused):
        return str(error)
    if isinstance(error, BrokenExecutor):
        return "the executor broke, because a worker died; give a new one"
    return f"{type(error).__name__}: {error}"

"""Training: one replica (``run``), or a grid × seeds in compiled programs (``sweep``)."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Literal

import jax
import numpy as np

from vfl_jax.core import stopping
from vfl_jax.core.checks import check_count, check_kind
from vfl_jax.core.types import Key
from vfl_jax.replica.arguments import SCENARIO, check_given, check_key
from vfl_jax.replica.draws import Given, steps_per_epoch
from vfl_jax.replica.state import TrainState
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps import processes
from vfl_jax.sweeps.arguments import check_grid, check_options, check_study
from vfl_jax.sweeps.cautions import warn_of_little_evidence
from vfl_jax.sweeps.chunks import Chunk, cut
from vfl_jax.sweeps.estimates import announce, note_pace
from vfl_jax.sweeps.executors import train_through
from vfl_jax.sweeps.grid import Grid, Over
from vfl_jax.sweeps.labels import assemble
from vfl_jax.sweeps.memory import most_replicas
from vfl_jax.sweeps.prepared import Prepared, prepare
from vfl_jax.sweeps.progress import ChunkProgress, Progress
from vfl_jax.sweeps.store.folder import Folder
from vfl_jax.sweeps.study import Study
from vfl_jax.sweeps.trained import TRAINED, Trained, read_states
from vfl_jax.sweeps.training import train, train_one
from vfl_jax.sweeps.work import Source, load, train_here

if TYPE_CHECKING:
    import xarray as xr


def run(
    scenario: Scenario,
    data: Source,
    key: Key,
    epochs: int,
    given: Given = Given(),
    progress: bool = False,
    evaluate_every: int | None = None,
) -> tuple[xr.Dataset, TrainState]:
    """Trains one replica and evaluates it after every epoch.

    Args:
      scenario: the configuration of the replica.
      data: a data set, the result of ``load_tables``, or a function without arguments that returns either.
      key: a typed key. ``jax.random.key(s)`` gives the replica that ``sweep`` calls seed s.
      epochs: how many, at least 1.
      given: choices that are given instead of drawn.
      progress: whether to show progress on the error stream.
      evaluate_every: as in :func:`sweep`.

    Returns:
      The labelled results, with the dimensions ``epoch`` and ``class``, and the final state.

    Raises:
      ValueError: naming the argument, where the scenario, the data or the given choices do not fit.
    """
    check_key(key)
    check_kind(Scenario, SCENARIO, scenario=scenario)
    check_given(given)
    check_kind(bool, "True or False", progress=progress)
    check_count(epochs=epochs, **({} if evaluate_every is None else {"evaluate_every": evaluate_every}))
    scenario.to_json()  # raises where a number is none, before anything is trained
    study = Study(scenario, load(data), int(epochs), given, evaluate_every)
    one = Chunk(({},), (0,))
    told = Progress(study.epochs, [1], shown=progress, attacked=[one.attacked(scenario)])
    with stopping.in_order(stopping.NOT_KEPT), told.show():
        return train_one(study, key, ChunkProgress(told))


def sweep(
    scenario: Scenario,
    data: Source,
    over: Over | None = None,
    seeds: int | Sequence[int] = 20,
    epochs: int = 50,
    given: Given = Given(),
    progress: bool = True,
    *,
    evaluate_every: int | None = None,
    folder: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 5,
    max_replicas: int | None = None,
    executor: Executor | None = None,
    log_json: str | os.PathLike[str] | None = None,
    accept_changed_code: bool = False,
    keep: Literal["params"] | None = None,
) -> xr.Dataset:
    """Trains every grid point with every seed in compiled programs, as many replicas at a time as fit into memory.

    All grid points of a seed share initial weights, batches, poison rows and noise draws, so that their differences are
    paired. The seeds lie over all devices; on a CPU call ``use_all_cores`` first. A swept ``poison.rate`` costs time,
    because the batch then differs between grid points.

    A first SIGINT (Ctrl-C), SIGTERM or SIGHUP lets the epoch end, saves it in the ``folder``, and ends the process with
    status 130, 143 or 129; a second one ends it at once. Workers of an ``executor`` save and end after their epoch,
    too. With a ``folder`` a sweep can be stopped at any moment. The same call goes on from there, and the results are
    those of a sweep that never stopped, bit for bit on the same devices and versions. A complete sweep is only read.
    More seeds or grid points reuse finished ones. Several processes may work in one folder at the same time.

    Args:
      scenario: the configuration of every grid point, but for the swept numbers.
      data: a data set, the result of ``load_tables``, or a function without arguments that returns either. Every worker
        of an ``executor`` calls this function itself.
      over: the numbers to sweep, a path to its values: ``{"attack.amplify": [1, 10], "defense.stddev": [0, 0.01]}``. A
        tuple of paths with tuples of values is one zipped axis. Without it the grid is one point.
      seeds: how many (0, 1, …), or which, each below 2³².
      epochs: how many, at least 1.
      given: choices that are given instead of drawn, the same for every seed.
      progress: whether to show progress on the error stream.
      evaluate_every: how many epochs lie between two evaluations; the last epoch is always evaluated, and results have
        NaN where none was. By default the first pass (some rows attacked) follows every epoch, and the second (every
        row of another class attacked, where the scenario has a trigger that can be stamped) the last one; with a
        number both follow the same epochs.
      folder: where finished chunks, checkpoints and results lie. A folder belongs to one study: the scenario, the data,
        the epochs, the given choices, the versions, the settings of JAX that decide numbers, and the code of records of
        your own. Changed code is refused; so is another version of Python, which compiles the code anew.

        * The code of a record is its class and its bases: their methods and values, and the functions, classes and
          values of their module that these use by name. A function that another package made counts with the values
          that it holds (``optax.constant_schedule(0.5)``), an object with everything that pickle keeps of it.
        * A function imported from another module counts by its name alone, and an object that pickle cannot keep (a
          lock, a device, an iterator) by its type. Lookups without a name (``globals()["x"]``) do not count, nor does
          what the code itself changes by name (``CALLS["n"] += 1``, ``self.seen.append(x)``), such as a cache. Where
          something of this kind moves the numbers, make it a field of the record, or take another folder.
      checkpoint_every: how many epochs lie between two checkpoints in the folder.
      max_replicas: the largest number of replicas in one chunk; the first start of a folder settles it. By default it
        is as many as fit into the free memory, and with an ``executor`` all grid points of one seed for each device.
      executor: its workers train the chunks. They must see the folder, and must not be forked from this process.
      log_json: a file. Progress appends one JSON object per line.
      accept_changed_code: keeps the results that the folder has from earlier code of your own records. Say it once;
        chunks that are not finished are then trained with the present code.
      keep: "params" keeps the final parameters of every replica, and the states of its models and methods, for
        :func:`vfl_jax.predict` and :func:`vfl_jax.embeddings`. They take 4 bytes a number: in the memory of this
        process, or with a ``folder`` in files there, of which a chunk at a time is read. A finished chunk of the folder
        without them is trained again. By default nothing but the results is kept.

    Returns:
      Labelled results, with one dimension per axis of the grid, ``seed``, ``epoch`` and ``class``. Which rows every
      seed poisoned is what :func:`vfl_jax.row_ids` returns of them. Results that keep
      replicas carry them in ``encoding["trained"]``, and so do parts of them; files of results do not.

    Raises:
      ValueError: before training, naming the argument, where anything does not fit; where the folder belongs to another
        study (with the differences), or has results of other code (with the names of the records).
      OSError: where the folder cannot be written, or a file in it cannot be read just now. Finished chunks stay whole.
        A damaged file is no error: it is set aside with a warning, and its chunk is trained again.
      SweepIncomplete: where chunks failed on an executor.
      OtherProcessFailed: where another process of a program of several failed, with its words.
      SystemExit: after an epoch, where a signal was heard that nobody else handles.
    """
    check_kind(bool, "True or False", progress=progress, accept_changed_code=accept_changed_code)
    check_options(folder, checkpoint_every, max_replicas, evaluate_every, executor, log_json, keep)
    grid, seeds = check_grid(scenario, over, seeds, epochs, given)
    with processes.failing_alike():
        study, drawn = check_study(scenario, load(data), grid, seeds, epochs, given, evaluate_every)
    warn_of_little_evidence(grid.stacked(scenario), study.data, drawn, stacklevel=2)

    store = None if folder is None else Folder(folder, study.identity, keeps=keep is not None)
    first = processes.is_first_process()
    steps = steps_per_epoch(drawn, scenario.batches)
    with processes.failing_alike():  # at its end the others read what the first has written
        if store is not None and accept_changed_code and first:
            store.accept_code()
        if progress and first:
            how = "in one program, if memory suffices" if executor is None else "by the executor's workers"
            how = how if max_replicas is None else f"in chunks of at most {max_replicas}"
            announce(study, grid, seeds, store, steps, how)
    chunks, whole = _plan(study, grid, seeds, store, max_replicas, executor)

    def prepared(chunk: Chunk) -> Prepared:
        return whole if whole is not None and whole.chunk == chunk else prepare(study, chunk)

    def progress_of(chunks: Sequence[Chunk]) -> Progress:
        replicas = [chunk.num_replicas for chunk in chunks]
        attacked = [chunk.attacked(scenario) for chunk in chunks]
        return Progress(study.epochs, replicas, progress and first, log_json if first else None, attacked)

    if store is None:
        states: list[TrainState] = []
        keeper = None if keep is None else states.append
        with stopping.in_order(stopping.NOT_KEPT), progress_of(chunks).show() as told:
            with processes.failing_together():
                parts = [
                    train(prepared(chunk), ChunkProgress(told, i), None, checkpoint_every, keeper)
                    for i, chunk in enumerate(chunks)
                ]
            processes.stop_together()
        note_pace(study, steps, told.pace)
        results = assemble(scenario, grid, seeds, list(zip(chunks, parts, strict=True)), len(drawn.poison_ids))
        if keep is not None:
            results.encoding[TRAINED] = Trained(study, grid, seeds, tuple(chunks), states.__getitem__)
        return results

    where = f"what is done is saved in {store.path}, and the same command goes on from there"
    with stopping.in_order(where if executor is None else f"workers end after their epoch; {where}"):
        while missing := _missing(store, chunks):
            if executor is None:
                told = progress_of(missing)
                train_here(prepared, store, missing, told, checkpoint_every)
                note_pace(study, steps, told.pace)
            else:
                train_through(executor, data, study, store, missing, progress_of(missing), checkpoint_every)
        processes.stop_together()
    with processes.failing_alike():
        parts = [store.read(chunk) for chunk in chunks]
        results = assemble(scenario, grid, seeds, list(zip(chunks, parts, strict=True)), len(drawn.poison_ids))
        if first:
            store.finish_all(results)
    if keep is not None:
        read = functools.partial(read_states, study, store, tuple(chunks))
        results.encoding[TRAINED] = Trained(study, grid, seeds, tuple(chunks), read)
    return results


def _plan(
    study: Study,
    grid: Grid,
    seeds: tuple[int, ...],
    folder: Folder | None,
    max_replicas: int | None,
    executor: Executor | None,
) -> tuple[list[Chunk], Prepared | None]:
    """The chunks that hold the grid × seeds: those of the folder, and new ones for the replicas that it lacks.

    The first start of a folder settles how large a chunk may be; later starts never cut anew. Of several processes the
    first decides, but all must compile. Planning by memory prepares the whole as one chunk; where this chunk fits, it
    is returned, too.
    """

    def further(done: list[Chunk], most: int) -> list[Chunk]:
        return cut(study.scenario, grid, seeds, done, most, len(jax.devices()))

    first, whole = processes.is_first_process(), None
    with processes.failing_alike():
        planned, most = folder.planned() if folder is not None else ([], None)
    if processes.agree(first and most is None):
        if max_replicas is not None:
            most = max_replicas
        elif executor is not None:
            most = grid.size * len(jax.devices())
        else:
            with processes.failing_together():
                whole = prepare(study, Chunk(tuple(grid.points()), seeds))
                most = most_replicas(whole)
            whole = whole if most == whole.chunk.num_replicas else None
    most = processes.agree(most or 0)
    if folder is None:
        return further([], most), whole
    with processes.failing_alike():  # at its end the others read what the first has written
        if first and further(planned, most):
            folder.plan(further, most)
    wanted = set(Chunk(tuple(grid.points()), seeds).replicas(study.scenario))
    with processes.failing_alike():
        planned = folder.planned()[0]
    return [chunk for chunk in planned if not wanted.isdisjoint(chunk.replicas(study.scenario))], whole


def _missing(folder: Folder, chunks: Sequence[Chunk]) -> list[Chunk]:
    """The chunks whose files are missing or damaged."""
    first = processes.is_first_process()
    with processes.failing_alike():
        is_there = [first and folder.check(chunk) for chunk in chunks]
    return [chunk for chunk, there in zip(chunks, processes.agree_on(np.asarray(is_there)), strict=True) if not there]

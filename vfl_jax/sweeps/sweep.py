"""Training: one replica (``run``), or a grid × seeds in compiled programs (``sweep``)."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.atomic import check_folder, check_writable
from vfl_jax.core.checks import check_count, check_kind, is_whole, shown
from vfl_jax.core.types import Key
from vfl_jax.core.vertical_data import VerticalData
from vfl_jax.replica.draws import Draws, Given, draw
from vfl_jax.replica.preparation import check_data
from vfl_jax.replica.state import TrainState
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps import devices
from vfl_jax.sweeps.cautions import warn_of_little_evidence
from vfl_jax.sweeps.chunks import Chunk, cut
from vfl_jax.sweeps.grid import Grid, Over, parse
from vfl_jax.sweeps.labels import assemble
from vfl_jax.sweeps.memory import most_replicas
from vfl_jax.sweeps.prepared import Prepared, prepare
from vfl_jax.sweeps.progress import ChunkProgress, Progress
from vfl_jax.sweeps.store.folder import Folder
from vfl_jax.sweeps.study import Study, check_generator
from vfl_jax.sweeps.training import train, train_one
from vfl_jax.sweeps.work import Source, check_executor, load, train_here, train_through

if TYPE_CHECKING:
    import xarray as xr

NUM_SEEDS = 2**32
"""How many seeds there are: JAX takes 32 bits of one."""
SCENARIO = "for example one of vfl.presets"


def run(
    scenario: Scenario, data: Source, key: Key, epochs: int, given: Given = Given(), progress: bool = False
) -> tuple[xr.Dataset, TrainState]:
    """Trains one replica and evaluates it after every epoch.

    Args:
      data: a data set, or a function that loads it.
      key: a typed key; ``jax.random.key(s)`` gives the replica that ``sweep`` calls seed s.
      given: choices that are given instead of drawn.

    Returns:
      The labelled results (dimensions ``epoch`` and ``class``) and the final state.

    Raises:
      ValueError: naming the argument, where the scenario, the data or the given choices do not fit.
    """
    if not (isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key) and key.shape == ()):
        raise ValueError(f"key is {key!r}; it must be one typed key, for example jax.random.key(0).")
    check_kind(Scenario, SCENARIO, scenario=scenario)
    _check_given(given)
    check_kind(bool, "True or False", progress=progress)
    check_count(epochs=epochs)
    check_generator(str(jax.random.key_impl(key)), "The generator of key")
    scenario.to_json()  # raises where a number is none, before anything is trained
    study = Study(scenario, load(data), int(epochs), given)
    with Progress(study.epochs, [1], shown=progress).show() as told:
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
    folder: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 5,
    max_replicas: int | None = None,
    executor: Executor | None = None,
    log_json: str | os.PathLike[str] | None = None,
    accept_changed_code: bool = False,
) -> xr.Dataset:
    """Trains every grid point with every seed, as many at a time as fit into memory, in compiled programs.

    All grid points of a seed share initial weights, batches, poison rows and noise draws, so that they
    are compared in pairs. The seeds are laid over all devices (on a CPU call ``use_all_cores`` first). A swept
    ``poison.rate`` makes the batch differ per grid point, which costs time.

    With a ``folder`` the sweep can be stopped at any moment: called again with the same arguments it goes on, and its
    results are those of a sweep that was never stopped, bit for bit on the same devices and versions. A complete one is
    only read. More seeds or grid points reuse what is there. Several programs may work in one folder at a time.

    Args:
      data: a data set (or what ``load_tables`` returns), or a function that loads it, which each worker of an
        ``executor`` then calls.
      over: what to sweep, e.g. ``{"attack.amplify": [1, 10], "defense.stddev": [0, 0.01]}``; a tuple of
        paths with tuples of values is one zipped axis.
      seeds: how many (0, 1, …), or which, below 2³².
      given: choices that are given instead of drawn, the same for every seed.
      folder: where results and what is needed to go on are kept. It belongs to one study: the scenario, the data, the
        versions, the settings of JAX that decide numbers, and the code of records that are not the package's own. A
        change of that code is refused; so is another version of Python, which compiles it anew. Seen are the methods
        and values of a class and of its bases, and the functions, classes and values of their module that these use by
        name: what functions hold that another package made (``optax.constant_schedule(0.5)``), and of objects what
        pickle would keep. Not seen is what else stands in another module, such as a helper function that is imported:
        it counts by its name. Nor is what is looked up without its name (``globals()["x"]``), or an object that pickle
        cannot keep (a lock, a device, an iterator), which counts by its type. Nor is what the code itself changes by
        name (``CALLS["n"] += 1``, ``self.seen.append(x)``), such as counts and caches. Where anything of this moves
        the numbers, make it a field of the record, or take another folder.
      checkpoint_every: how many epochs lie between two checkpoints in the folder.
      max_replicas: how many replicas are trained as one chunk at most, settled when a folder is begun; by default as
        many as fit into the memory that is free, and with an executor all grid points of a seed for each device.
      executor: whose workers train the chunks; they must see the folder, and must not be forked from this process.
      log_json: a file that progress is added to, one JSON object per line.
      accept_changed_code: keep what the folder has from before the code of own records changed, as if it had not; this
        need be said once. What is not finished is then trained with the code as it is now.

    Returns:
      Labelled results: one dimension per swept path, ``seed``, ``epoch`` and ``class``.

    Raises:
      ValueError: naming the argument, where anything does not fit, before anything is trained; or when the folder
        belongs to another study (what differs), or has results of other code (of which record).
      OSError: when the folder cannot be written, or a file in it cannot be read just now; what is finished there stays
        whole. A file that is damaged is set aside with a warning, and computed again.
      SweepIncomplete: when chunks failed on an executor.
    """
    check_kind(bool, "True or False", progress=progress, accept_changed_code=accept_changed_code)
    check_count(checkpoint_every=checkpoint_every, **({} if max_replicas is None else {"max_replicas": max_replicas}))
    if folder is not None:
        check_folder("folder", folder)
    if log_json is not None:
        check_writable("log_json", log_json, appends=True)
    if executor is not None:
        check_kind(Executor, "of concurrent.futures (of a Dask client, client.get_executor())", executor=executor)
        check_executor(executor)
        if folder is None:
            raise ValueError("executor is given, but no folder; its workers need one to leave their chunks in.")
    grid, seeds = check_grid(scenario, over, seeds, epochs, given)
    study, drawn = check_study(scenario, load(data), grid, seeds, epochs, given)
    warn_of_little_evidence(grid.stacked(scenario), study.data, drawn, stacklevel=2)

    store = None if folder is None else Folder(folder, study.identity)
    first = devices.is_first_process()
    if store is not None and accept_changed_code:
        if first:
            store.accept_code()
        devices.agree(0)  # the others read what the first has written
    chunks, whole = _plan(study, grid, seeds, store, max_replicas, executor)

    def prepared(chunk: Chunk) -> Prepared:
        return whole if whole is not None and whole.chunk == chunk else prepare(study, chunk)

    def progress_of(chunks: Sequence[Chunk]) -> Progress:
        replicas = [chunk.num_replicas for chunk in chunks]
        return Progress(study.epochs, replicas, progress and first, log_json if first else None)

    if store is None:
        with progress_of(chunks).show() as told:
            parts = [train(prepared(chunk), ChunkProgress(told, i)) for i, chunk in enumerate(chunks)]
        return assemble(scenario, grid, seeds, list(zip(chunks, parts, strict=True)), len(drawn.poison_ids))

    while missing := _missing(store, chunks):
        if executor is None:
            train_here(prepared, store, missing, progress_of(missing), checkpoint_every)
        else:
            train_through(executor, data, study, store, missing, progress_of(missing), checkpoint_every)
    parts = [store.read(chunk) for chunk in chunks]
    results = assemble(scenario, grid, seeds, list(zip(chunks, parts, strict=True)), len(drawn.poison_ids))
    if first:
        store.finish_all(results)
    return results


def check_grid(
    scenario: Scenario, over: Over | None, seeds: int | Sequence[int], epochs: int, given: Given
) -> tuple[Grid, tuple[int, ...]]:
    """The grid and the seeds that are asked for, checked without the data.

    Raises:
      ValueError: naming the argument.
    """
    check_kind(Scenario, SCENARIO, scenario=scenario)
    _check_given(given)
    check_count(epochs=epochs)
    scenario.to_json()  # raises where a field is of a wrong kind
    grid = parse(scenario, {} if over is None else over)
    for rate, ids in (("poison.rate", given.poison_ids), ("poison.test_rate", given.test_poison_ids)):
        if ids is not None and any(rate in paths for axis in grid.axes for paths in axis.paths):
            raise ValueError(f"over sweeps {rate!r}, but given names the rows: the rate has no effect.")
    return grid, _checked_seeds(seeds)


def check_study(
    scenario: Scenario, data: VerticalData, grid: Grid, seeds: tuple[int, ...], epochs: int, given: Given
) -> tuple[Study, Draws]:
    """The study, every point of which fits the data, and what its first seed draws.

    Raises:
      ValueError: naming the argument.
    """
    for point in grid.scenarios(scenario):
        point.check(data)
    study = Study(scenario, data, int(epochs), given)
    check_data(data)
    drawn = draw(grid.stacked(scenario), data, jax.random.key(seeds[0]), given)
    study.check_epochs(drawn)
    return study, drawn


def _check_given(given: Given) -> None:
    """Raises ``ValueError``, naming the field, where what is given is no numbers; whether they fit is checked later."""
    check_kind(Given, "such as vfl.Given()", given=given)
    for field in dataclasses.fields(given):
        value = getattr(given, field.name)
        for leaf in jax.tree.leaves(value) if field.name in ("params", "head_params") else [value]:
            try:
                kind = np.asarray(leaf).dtype.kind
            except ValueError:  # lists of different lengths
                kind = "O"
            if leaf is not None and kind not in "biuf":
                raise ValueError(f"given.{field.name} has {shown(leaf)}; it must hold arrays of numbers.")


def _plan(
    study: Study,
    grid: Grid,
    seeds: tuple[int, ...],
    folder: Folder | None,
    max_replicas: int | None,
    executor: Executor | None,
) -> tuple[list[Chunk], Prepared | None]:
    """The chunks that hold the grid × seeds: those of the folder, and new ones for what they lack.

    How large a chunk may be is settled at the first start; later ones never cut anew. Of several processes the first
    decides, but all must compile. Where all fits into one chunk, that which was prepared to find it out comes with it.
    """

    def further(done: list[Chunk], most: int) -> list[Chunk]:
        return cut(study.scenario, grid, seeds, done, most, len(jax.devices()))

    first, whole = devices.is_first_process(), None
    planned, most = folder.planned() if folder is not None else ([], None)
    if devices.agree(first and most is None):
        if max_replicas is not None:
            most = max_replicas
        elif executor is not None:
            most = grid.size * len(jax.devices())
        else:
            whole = prepare(study, Chunk(tuple(grid.points()), seeds))
            most = most_replicas(whole)
            whole = whole if most == whole.chunk.num_replicas else None
    most = devices.agree(most or 0)
    if folder is None:
        return further([], most), whole
    if first and further(planned, most):
        folder.plan(further, most)
    devices.agree(0)  # the others read what the first has written
    wanted = set(Chunk(tuple(grid.points()), seeds).replicas(study.scenario))
    planned = folder.planned()[0]
    return [chunk for chunk in planned if not wanted.isdisjoint(chunk.replicas(study.scenario))], whole


def _missing(folder: Folder, chunks: Sequence[Chunk]) -> list[Chunk]:
    """Chunks whose results are not there, or damaged."""
    is_there = [devices.is_first_process() and folder.check(chunk) for chunk in chunks]
    return [chunk for chunk, there in zip(chunks, devices.agree_on(np.asarray(is_there)), strict=True) if not there]


def _checked_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(seeds, int | np.integer) and seeds > NUM_SEEDS:
        raise ValueError(f"seeds is {shown(seeds)}; there are 2**32 of them.")
    given: Any = range(seeds) if isinstance(seeds, int | np.integer) and is_whole(seeds) else seeds
    try:
        checked = tuple(given)
    except TypeError:
        checked = (given,)
    if not checked or not all(map(is_whole, checked)) or len(set(checked)) != len(checked) or min(checked) < 0:
        raise ValueError(f"seeds is {shown(checked)}; give a number above 0, or distinct whole numbers from 0.")
    if max(checked) >= NUM_SEEDS:
        raise ValueError(
            f"seeds has {shown(max(checked))}; a seed must be below 2**32, because JAX takes 32 bits: a larger one "
            "would be a smaller one again."
        )
    return tuple(int(seed) for seed in checked)

"""Sweeps on executors: the same bytes as here; workers may die, fail and lie, and nothing is lost or done twice."""

import multiprocessing
import os
import pickle
import threading
import time
from collections import Counter
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

import cloudpickle
import jax
import numpy as np
import pytest
import xarray as xr
from data_helpers import NUM_CLASSES, says, tiny_data, tiny_scenario
from distributed import Client, LocalCluster
from executor_helpers import DEADLY, Deadly, Sabotage, load_large, load_tiny, sabotage
from sweep_helpers import logged

from vfl_jax.core.vertical_data import content_hash
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.replica.draws import Given
from vfl_jax.sweeps import executors, study
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.executors import SweepIncomplete
from vfl_jax.sweeps.progress import Progress
from vfl_jax.sweeps.store.folder import Folder
from vfl_jax.sweeps.study import Study
from vfl_jax.sweeps.sweep import sweep

pytestmark = pytest.mark.optimized

SCENARIO, OVER = tiny_scenario(), {"attack.amplify": [1, 10]}
EPOCHS = 6
DEADLY_SCENARIO = tiny_scenario(attacks=(PartyTransform(), Deadly()))
TIMEOUT = 120  # of single waits, in seconds; a shared machine has slow moments


def swept(folder, executor=None, data=load_tiny, scenario=SCENARIO, over=OVER, seeds=2, checkpoint_every=2):
    """Chunks of one replica; the bytes of the whole."""
    options = {"checkpoint_every": checkpoint_every, "max_replicas": 1, "executor": executor, "progress": False}
    sweep(scenario, data, over, seeds, EPOCHS, folder=folder, **options)
    return (folder / "results.nc").read_bytes()


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """The bytes of a sweep without an executor, done here."""
    return swept(tmp_path_factory.mktemp("here") / "sweep")


@pytest.fixture(scope="module")
def trouble(tmp_path_factory):
    """The folder where workers look for what shall go wrong; and a cache, so that each need not compile anew."""
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path_factory.mktemp("cache")),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cache.items():
            patch.setenv(name, value)
        yield tmp_path_factory.mktemp("trouble")


@pytest.fixture
def saved(trouble):
    """The lines that sabotaged workers left: which checkpoint was saved, and by whom."""
    log = trouble / "saved"
    log.unlink(missing_ok=True)
    return lambda: [line.split() for line in log.read_text().splitlines()]


@pytest.fixture
def new_pool(trouble):
    """Makes a pool of one process."""
    spawn = multiprocessing.get_context("spawn")
    return lambda: ProcessPoolExecutor(1, spawn, initializer=sabotage, initargs=(trouble,))


@pytest.fixture(scope="module")
def cluster(trouble, tmp_path_factory):
    """Two workers, each of one thread."""
    options = {"dashboard_address": None, "memory_limit": None, "local_directory": tmp_path_factory.mktemp("dask")}
    with LocalCluster(n_workers=2, threads_per_worker=1, **options) as cluster:
        yield cluster


@pytest.fixture
def client(cluster, trouble):
    with Client(cluster) as client:
        client.register_plugin(Sabotage(trouble))
        yield client


@pytest.mark.long
def test_a_thread_finds_the_same_bytes(expected, tmp_path):
    with ThreadPoolExecutor(1) as pool:
        assert swept(tmp_path / "sweep", pool) == expected
    assert not list((tmp_path / "sweep" / "attempts").iterdir())


@pytest.mark.long
def test_a_pool_whose_worker_dies_says_so_and_a_new_one_goes_on(expected, new_pool, trouble, saved, tmp_path):
    (trouble / "die after 2").touch()
    with new_pool() as pool, pytest.raises(SweepIncomplete, match=says("4 of 4", "the executor broke", "new one")):
        swept(tmp_path / "sweep", pool)
    with new_pool() as pool:
        assert swept(tmp_path / "sweep", pool) == expected
    assert_nothing_was_done_twice(saved())


@pytest.mark.long
def test_dask_runs_the_chunk_of_a_dead_worker_again_from_its_checkpoint(expected, client, trouble, saved, tmp_path):
    (trouble / "die after 2").touch()
    assert swept(tmp_path / "sweep", client.get_executor()) == expected
    assert not (trouble / "die after 2").exists()
    assert_nothing_was_done_twice(saved())


def assert_nothing_was_done_twice(saved):
    """Of all four chunks both checkpoints were saved once, and of one by two processes."""
    assert sorted(Counter(chunk for chunk, _, _ in saved).values()) == [2, 2, 2, 2]
    assert Counter(epoch for _, epoch, _ in saved) == {"2": 4, "4": 4}
    processes = [{process for chunk, _, process in saved if chunk == name} for name in {line[0] for line in saved}]
    assert sorted(map(len, processes)) == [1, 1, 1, 2]


@pytest.mark.long
def test_a_task_that_fails_is_named_and_all_others_are_finished(expected, client, trouble, tmp_path):
    (trouble / "no data").touch()
    with pytest.raises(SweepIncomplete, match=says("1 of 4", "seeds", "OSError", "tiny.gz")):
        swept(tmp_path / "sweep", client.get_executor())
    assert len(list((tmp_path / "sweep" / "chunks").glob("*.nc"))) == 3
    assert swept(tmp_path / "sweep", client.get_executor()) == expected


@pytest.mark.long
def test_a_record_of_a_script_travels_with_its_numbers(client, tmp_path):
    class OfAScript(PartyTransform):
        amplify: float = 1.0

        def on_download(self, key, state, view, gradient):
            return self.amplify * gradient, state

    scenario = tiny_scenario(attacks=(PartyTransform(), OfAScript(amplify=2.0)))
    over = {"attacks.1.amplify": [1, 10]}
    found = swept(tmp_path / "sweep", client.get_executor(), scenario=scenario, over=over)
    assert found == swept(tmp_path / "here", scenario=scenario, over=over)


@pytest.mark.long
def test_a_chunk_that_kills_its_workers_is_refused_and_no_other(cluster, client, trouble, tmp_path):
    over = {"attacks.1.number": [1, DEADLY, 2, 3]}
    # Dask gives a task up at the first death of its worker, also one that only waited there for another to end.
    cluster.scheduler.allowed_failures, before = 0, cluster.scheduler.allowed_failures
    (trouble / "deadly").touch()
    try:
        message = says("1 of 4", f"{DEADLY}", "seeds 0", "brought down 3 workers")
        with pytest.raises(SweepIncomplete, match=message) as refused:
            swept(tmp_path / "sweep", client.get_executor(), scenario=DEADLY_SCENARIO, over=over, seeds=1)
    finally:
        cluster.scheduler.allowed_failures = before
        (trouble / "deadly").unlink()
    finished = {path.stem for path in (tmp_path / "sweep" / "chunks").glob("*.nc")}
    assert len(finished) == 3
    assert not any(name in str(refused.value) for name in finished)
    swept(tmp_path / "sweep", client.get_executor(), scenario=DEADLY_SCENARIO, over=over, seeds=1)
    assert len(list((tmp_path / "sweep" / "chunks").glob("*.nc"))) == 4


@pytest.mark.long
def test_a_chunk_may_lose_any_number_of_workers_as_long_as_it_gets_further(expected, client, trouble, saved, tmp_path):
    over = {"attacks.1.amplify": [10]}
    for epoch in (1, 2, 3, 4):
        (trouble / f"die after {epoch}").touch()
    found = swept(tmp_path / "sweep", client.get_executor(), over=over, seeds=1, checkpoint_every=1)
    assert [int(epoch) for _, epoch, _ in saved()] == [1, 2, 3, 4, 5]
    assert len({process for _, _, process in saved()}) == 5
    assert found == swept(tmp_path / "here", over=over, seeds=1)


class OwnPool(ProcessPoolExecutor):
    """As a user may derive one."""


@pytest.mark.parametrize("kind", [ProcessPoolExecutor, OwnPool])
def test_a_pool_that_forks_is_refused_at_once(kind, tmp_path):
    with (
        kind(1, multiprocessing.get_context("fork")) as pool,
        pytest.raises(ValueError, match=says("executor", "forked", "'spawn'")),
    ):
        swept(tmp_path / "sweep", pool)
    assert not (tmp_path / "sweep").exists()
    with kind(1) as pool:  # as this Python starts processes where nothing is said
        if multiprocessing.get_start_method() == "fork":
            with pytest.raises(ValueError, match="forked"):
                executors.check_executor(pool)
        else:
            executors.check_executor(pool)


def test_a_worker_that_was_forked_in_another_way_says_so(tmp_path, monkeypatch):
    def run(task, arguments, seed):
        if seed == 3:
            monkeypatch.setattr(executors, "_sender", os.getpid() + 1)
            task(*arguments)

    with pytest.raises(SweepIncomplete, match=says("1 of 6", "seeds 3", "was forked", "'spawn'")):
        work_on_six(tmp_path, AtOnce(run))


def chunk_among(arguments):
    (chunk,) = (argument for argument in arguments if isinstance(argument, Chunk))
    return chunk


class AtOnce(Executor):
    """Runs a task where and when it is submitted; ``run`` gets it, its arguments, and its chunk's seed."""

    def __init__(self, run):
        self.run = run

    def submit(self, function, *arguments):
        future = Future()
        try:
            [seed] = chunk_among(arguments).seeds
            self.run(function, arguments, seed)
            future.set_result(None)
        except Exception as error:
            future.set_exception(error)
        return future


class KilledWorker(Exception):
    """As Dask's: known by its name."""


def work_on_six(folder, executor, data=load_tiny, log=None):
    """Six chunks, each of one seed. Those whose task the executor does not call count as done, too."""
    study = Study(SCENARIO, tiny_data(), EPOCHS, Given())
    chunks = [Chunk(({},), (seed,)) for seed in range(6)]
    progress = Progress(EPOCHS, [1] * 6, shown=False, log=log)
    executors.train_through(executor, data, study, Folder(folder, study.identity), chunks, progress, 2)


def test_a_chunk_that_is_lost_by_the_fault_of_others_is_sent_until_it_is_done(tmp_path):
    losses = Counter()

    def run(task, arguments, seed):
        if losses[seed] < 2 * seed:
            losses[seed] += 1
            raise KilledWorker

    work_on_six(tmp_path, AtOnce(run))
    assert losses == {seed: 2 * seed for seed in range(1, 6)}


def test_workers_that_die_of_something_else_are_not_asked_for_ever(tmp_path):
    def run(task, arguments, seed):
        if seed == 3:
            raise KilledWorker("out of memory")

    log = tmp_path / "log.jsonl"
    with pytest.raises(SweepIncomplete, match=says("1 of 6", "seeds 3", "not at work on a chunk", "out of memory")):
        work_on_six(tmp_path / "sweep", AtOnce(run), log=log)
    [failed] = logged(log, "failed")
    assert "out of memory" in failed["why"]


def test_a_worker_that_sees_another_folder_is_told_so(tmp_path):
    def run(task, arguments, seed):
        if seed == 3:
            task(tmp_path / "elsewhere", *arguments[1:])

    with pytest.raises(SweepIncomplete, match=says("1 of 6", "seeds 3", "elsewhere is not the sweep's")):
        work_on_six(tmp_path / "sweep", AtOnce(run))
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("what", ["versions.jax was", "data.fingerprint was"])
def test_a_worker_that_would_compute_other_numbers_is_told_so(tmp_path, monkeypatch, what):
    versions = study.versions() | {"jax": "0.0"}

    def run(task, arguments, seed):
        if seed == 3:
            if "versions" in what:
                monkeypatch.setattr(study, "versions", lambda: versions)
            else:
                monkeypatch.setattr(executors, "load", lambda source: tiny_data(num_train=29))
            task(*arguments)

    with pytest.raises(SweepIncomplete, match=says("1 of 6", "seeds 3", "not compute the same numbers", what)):
        work_on_six(tmp_path, AtOnce(run))


def test_an_executor_that_breaks_or_cancels_meanwhile_is_named(tmp_path):
    class Breaking(Executor):
        def submit(self, function, *arguments):
            [seed] = chunk_among(arguments).seeds
            if seed == 1:
                raise BrokenExecutor
            future = Future()
            if seed == 2:
                future.cancel()
                future.set_running_or_notify_cancel()
            else:
                future.set_result(None)
            return future

    broken, cancelled = "seeds 1): the executor broke", "seeds 2): the executor cancelled it"
    with pytest.raises(SweepIncomplete, match=says("2 of 6", broken, cancelled)):
        work_on_six(tmp_path, Breaking())


def test_who_stops_a_sweep_need_not_wait_for_tasks_that_have_not_begun(tmp_path):
    futures = []

    class Stopped(Executor):
        def submit(self, function, *arguments):
            if len(futures) == 3:
                raise KeyboardInterrupt
            futures.append(Future())
            return futures[-1]

    with pytest.raises(KeyboardInterrupt):
        work_on_six(tmp_path, Stopped())
    assert all(future.cancelled() for future in futures)


def test_the_second_of_two_tasks_of_one_chunk_waits_and_finds_it_finished(tmp_path, monkeypatch):
    """As when a worker that was given up for dead is at work yet."""
    trained, begun, may_end = [], threading.Event(), threading.Event()

    def slow(*arguments):
        trained.append(arguments)
        begun.set()
        assert may_end.wait(TIMEOUT)
        return xr.Dataset({"loss": ("epoch", [1.0])})

    monkeypatch.setattr(executors, "train", slow)
    data, chunk = tiny_data(), Chunk(({},), (0,))
    identity = Study(SCENARIO, data, 2, Given()).identity
    folder = Folder(tmp_path / "sweep", identity)
    with folder.run() as run, ThreadPoolExecutor(2) as pool:
        task = (folder.path, identity, SCENARIO, load_tiny, 2, Given(), None, chunk, 5, run)
        first = pool.submit(executors.train_task, *task, 0)
        try:
            assert begun.wait(TIMEOUT)
            second = pool.submit(executors.train_task, *task, 1)
            time.sleep(0.5)
            assert not second.done()
        finally:
            may_end.set()
        first.result(TIMEOUT)
        second.result(TIMEOUT)
        assert folder.begun(run) == 0
    assert len(trained) == 1
    assert folder.is_finished(chunk)


def size_of_task(folder, data):
    sizes = []

    def run(task, arguments, seed):
        sizes.append(len(pickle.dumps((task, arguments))))

    work_on_six(folder, AtOnce(run), data)
    return max(sizes)


def test_a_task_carries_no_data_where_a_function_loads_it(tmp_path):
    of_data = len(pickle.dumps(load_large()))
    assert of_data > 100_000
    assert size_of_task(tmp_path, load_large) < 10_000
    assert size_of_task(tmp_path, load_large()) > of_data


@pytest.mark.long
@pytest.mark.parametrize("pickling", [pickle, cloudpickle])
def test_what_a_task_carries_survives_pickling(pickling):
    def there_and_back(thing):
        return pickle.loads(pickling.dumps(thing))

    for scenario in (
        SCENARIO,
        DEADLY_SCENARIO,
        tiny_scenario(attacks=(PartyTransform(), Deadly(number=np.float32(7)))),
    ):
        found = there_and_back(scenario)
        assert found == scenario
        assert jax.tree.structure(found) == jax.tree.structure(scenario)
        assert jax.tree.leaves(found) == jax.tree.leaves(scenario)
    chunk = Chunk(({"attack.amplify": 1.5, "defense.bound": float("inf")}, {}), (3, 0))
    assert there_and_back(chunk) == chunk
    assert there_and_back(chunk).name({"a": 1}) == chunk.name({"a": 1})
    params = ({"kernel": jax.numpy.ones((8, NUM_CLASSES))},)
    given = Given(params=params, batch_ids=np.arange(8).reshape(1, 1, 8), blur=np.array([[-0.0, np.inf]], np.float32))
    assert there_and_back(given).fingerprint() == given.fingerprint()
    assert there_and_back(Given()).fingerprint() is None
    data = tiny_data()
    assert content_hash(there_and_back(data).train) == content_hash(data.train)
    assert there_and_back(data).fingerprint() == data.fingerprint()

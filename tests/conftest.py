"""Strict numerics for the whole suite, and small data sets that many files use."""

import gc
from pathlib import Path

import helpers
import jax
import pytest

from vfl_jax.data import load_digits

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_debug_key_reuse", True)  # a typed key used twice is an error
jax.devices()  # now, so that a command that makes every core a device of its own cannot do so for tests that follow
gc.set_threshold(700, 10, 100)  # what is old is mostly JAX's and alive; to look through it took 3 % of the time


SLOW = (
    *("resume", "executors", "replicas", "distributed", "verdict", "chunks", "notebooks", "folder", "training_twin"),
    *("protocol", "local", "bags", "cli", "devices", "pins"),
)
"""Files that take longest, the longest first: begun late, they would keep one process waiting for the other."""


MOST_PROGRAMS, MOST_MAPS = 800, 16_000
"""A process lets go of its programs before the next file when it has more of both. Linux gives a process 65,530 memory
maps, and one more ends it by a segmentation fault; a program takes ten, one for several devices many more."""


def pytest_collection_modifyitems(items):
    places = {f"test_{name}": place for place, name in enumerate(SLOW)}
    items.sort(key=lambda item: places.get(item.path.stem, len(SLOW)))


def is_full(programs):
    """Whether a process has so many programs that one more file of tests might not find memory maps enough."""
    if len(programs) <= MOST_PROGRAMS:
        return False
    try:
        return Path("/proc/self/maps").read_bytes().count(b"\n") > MOST_MAPS
    except OSError:  # no Linux
        return True


@pytest.fixture(scope="session", autouse=True)
def shared_programs():
    """What one test has compiled serves those that follow in this process."""
    with helpers.compiled_once() as found:
        yield found


@pytest.fixture(scope="module", autouse=True)
def compilation(request, shared_programs):
    """Most of the suite's time is compilation, so programs are hardly optimized here.

    Those of files marked ``optimized`` are compiled as a user's are: files whose subject is what the compiled program
    computes, to the bit or against a record. So are those of other processes that a test starts, unless they ask too.
    """
    is_optimized = request.node.get_closest_marker("optimized")
    lets_go = is_full(shared_programs)
    if is_optimized or lets_go:
        jax.clear_caches()  # of programs that an earlier file compiled
    if lets_go:
        shared_programs.clear()
    if is_optimized:
        yield
        return
    with helpers.hardly_optimized():
        yield


@pytest.fixture
def results_in_memory(monkeypatch):
    """What ``save_results`` makes is kept, not written: its files are empty, and experiments get it all the same."""
    import result_helpers

    from experiments.shared import outcomes

    kept, load = {}, outcomes.load

    def keep(dataset, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        kept[path] = dataset

    monkeypatch.setattr(result_helpers, "save", keep)
    monkeypatch.setattr(outcomes, "load", lambda path: kept[path].copy(deep=True) if path in kept else load(path))


@pytest.fixture(scope="session")
def two_parties():
    """Random 6×6 images, an upper and a lower half; the label holder has no features."""
    return helpers.image_data(num_parties=2)


@pytest.fixture(scope="session")
def four_parties():
    """Random 6×6 images by quadrants; party 1 holds the labels too."""
    return helpers.image_data(num_parties=4, active_party=1)


@pytest.fixture(scope="session")
def table():
    """A random table of 8 columns, 5 of them one party's and 3 the other's."""
    return helpers.table_data()


@pytest.fixture(scope="session")
def digits():
    """The real 8×8 digits, by rows over two parties."""
    return load_digits()

"""A chunk that runs out of memory is trained in halves, and one line says so."""

import json
import logging

import jax
import numpy as np
import pytest
from data_helpers import says
from sweep_helpers import DATA, EPOCHS, SCENARIO, assert_close, grid_of, swept

from vfl_jax.core.files import load_own
from vfl_jax.replica.draws import Given
from vfl_jax.sweeps import halving, memory, training
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.prepared import prepare
from vfl_jax.sweeps.progress import ChunkProgress, Progress
from vfl_jax.sweeps.study import Study

pytestmark = pytest.mark.optimized

OVER = {"poison.rate": [0.2, 0.3]}
ON_A_DEVICE = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 1073741824 bytes.")


@pytest.fixture
def room_for(monkeypatch):
    """Sets how many replicas fit, and by which error others fail after their epochs; returns what was tried."""
    monkeypatch.setattr(halving, "_too_large", set())
    train, tried = training._trained_at_once, []

    def set_room(count, error=ON_A_DEVICE):
        def train_if_fits(ready, progress, *more):
            tried.append((len(ready.chunk.points), len(ready.chunk.seeds)))
            if ready.chunk.num_replicas > count:
                progress._count(EPOCHS - 1)
                raise error
            return train(ready, progress, *more)

        monkeypatch.setattr(training, "_trained_at_once", train_if_fits)
        return tried

    return set_room


@pytest.mark.long
def test_halves_of_halves_find_what_the_whole_finds(tmp_path, room_for, caplog):
    """Of seeds first, then of points; the same replicas with final states, counted once in the log."""
    whole = swept(over=OVER, seeds=2, keep="params")
    tried = room_for(1)
    log = tmp_path / "log.jsonl"
    with caplog.at_level(logging.WARNING, "vfl_jax"):
        found = swept(tmp_path / "folder", OVER, 2, keep="params", log_json=log)
    assert tried == [(2, 2), (2, 1), (1, 1), (1, 1), (1, 1), (1, 1)]  # the second (2, 1) is known to be too large
    assert_close(found, whole)
    states = [results.encoding["trained"] for results in (found, whole)]
    for one, other in zip(*(jax.tree.leaves(of.states(0)) for of in states), strict=True):
        if jax.numpy.issubdtype(one.dtype, jax.dtypes.prng_key):
            one, other = map(jax.random.key_data, (one, other))
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)
    assert [r.getMessage() for r in caplog.records] == [
        "Out of memory with 4 replicas at once: they are trained in two halves, one after the other. max_replicas=2 "
        "says so from the beginning.",
        "Out of memory with 2 replicas at once: they are trained in two halves, one after the other. max_replicas=1 "
        "says so from the beginning.",
    ]
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert events[-1]["event"] == "done"
    (saved,) = (tmp_path / "folder" / "chunks").glob("*.nc")
    assert load_own(saved).sizes["seed"] == 2  # the plan of the folder stays as it was
    assert not list((tmp_path / "folder" / "checkpoints").rglob("part-*"))


@pytest.mark.long
@pytest.mark.parametrize("error", [MemoryError(), ON_A_DEVICE])
def test_one_replica_that_does_not_fit_is_an_error(room_for, error):
    room_for(0, error)
    with pytest.raises(MemoryError, match=says("One replica alone", "smaller batches")):
        swept(over={}, seeds=1, max_replicas=1)


@pytest.mark.long
def test_another_error_stays_what_it_is(room_for):
    tried = room_for(1, jax.errors.JaxRuntimeError("INTERNAL: a mistake"))
    with pytest.raises(jax.errors.JaxRuntimeError, match="a mistake"):
        swept(over=OVER, seeds=2, max_replicas=4)
    assert len(tried) == 1


def test_a_run_that_does_not_fit_says_what_to_do():
    with pytest.raises(MemoryError, match=says("One replica alone", "RESOURCE_EXHAUSTED")), halving.of_one_replica():
        raise ON_A_DEVICE


def test_what_a_compiler_refuses_is_planned_in_halves(monkeypatch):
    ready = prepare(Study(SCENARIO, DATA, EPOCHS, Given()), Chunk(tuple(grid_of(OVER).points()), (0, 1, 2)))

    def refuse(_):
        raise jax.errors.JaxRuntimeError(
            "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in hbm"
        )

    monkeypatch.setattr(memory, "needed", refuse)
    assert memory.most_replicas(ready) == 3


def test_progress_counts_a_part_once():
    told = Progress(3, [6], shown=False, attacked=[np.array([False, True, True])])
    whole = ChunkProgress(told)
    whole.goes_on(1)
    whole.starts_over()
    assert (told.done, told.skipped) == (0, 0)
    later = whole.part(4, slice(1, 3)).part(2, slice(1, 2))
    assert later.points == slice(2, 3)
    later.goes_on(2)
    assert (told.done, told.skipped) == (4, 4)

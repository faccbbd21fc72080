"""Chunks: what is lacking is cut evenly, a name says what is in it, and results do not depend on the cut."""

import itertools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from data_helpers import properties
from hypothesis import given
from hypothesis import strategies as st
from sweep_helpers import DATA, EPOCHS, OVER, SCENARIO, assert_close, grid_of, record_training, swept

from vfl_jax.core.record import with_numbers
from vfl_jax.replica.draws import Given
from vfl_jax.replica.first_pass import Metric
from vfl_jax.sweeps import devices, memory, programs
from vfl_jax.sweeps.chunks import Chunk, cut
from vfl_jax.sweeps.prepared import prepare
from vfl_jax.sweeps.progress import ChunkProgress, Progress
from vfl_jax.sweeps.study import Study
from vfl_jax.sweeps.training import _Loop, _Phases

pytestmark = pytest.mark.optimized

AXES = {"attack.amplify": [1.0, 2, 5.5, 9], "defense.stddev": [0.0, 0.01, 0.1], ("learning_rate",): [(0.1,), (0.2,)]}


def product(lengths):
    """The grid of the first values of every axis."""
    return {path: values[:n] for (path, values), n in zip(AXES.items(), lengths, strict=True) if n}


lengths = st.tuples(*(st.integers(0, len(values)) for values in AXES.values()))
seed_lists = st.lists(st.integers(0, 9), min_size=1, max_size=6, unique=True)
requests = st.tuples(lengths, seed_lists, st.integers(1, 30), st.integers(1, 4))


@pytest.mark.long
@properties
@given(st.lists(requests, min_size=1, max_size=3))
def test_what_is_lacking_is_cut_once_and_never_too_large(asked):
    done, have = [], Counter()
    for lengths, seeds, most, count in asked:
        grid = grid_of(product(lengths))
        new = cut(SCENARIO, grid, seeds, done, most, count)
        wanted = {(with_numbers(SCENARIO, p).to_json(), seed) for p in grid.points() for seed in seeds}
        found = Counter(replica for chunk in new for replica in chunk.replicas(SCENARIO))
        assert found == Counter(wanted - have.keys())
        assert all(0 < chunk.num_replicas <= most for chunk in new)
        assert all(point in grid.points() for chunk in new for point in chunk.points)
        done, have = done + new, have + found
        assert cut(SCENARIO, grid, seeds, done, most, count) == []


@properties
@given(requests)
def test_chunks_are_as_equal_as_can_be(asked):
    lengths, seeds, most, count = asked
    grid = grid_of(product(lengths))
    chunks = cut(SCENARIO, grid, seeds, [], most, count)
    for number_of in (lambda chunk: len(chunk.points), lambda chunk: len(chunk.seeds)):
        of_points = {points: {number_of(c) for c in some} for points, some in itertools.groupby(chunks, points_of)}
        assert all(max(numbers) - min(numbers) <= 1 for numbers in of_points.values())
    widths = {len(chunk.points) for chunk in chunks}
    assert max(widths) - min(widths) <= 1
    # All grid points together, where that leaves a seed to every device; no more blocks of points than that takes.
    width = max(1, most // min(count, len(seeds)))
    assert len({points_of(chunk) for chunk in chunks}) == -(-grid.size // width)
    for points, some in itertools.groupby(chunks, points_of):
        assert len(list(some)) == -(-len(seeds) // (most // len(points)))
    if grid.size * len(seeds) <= most:
        assert chunks == [Chunk(tuple(grid.points()), tuple(seeds))]


def points_of(chunk):
    return tuple(json.dumps(point) for point in chunk.points)


IDENTITY = {"scenario": {"attacks": [1, 2], "rate": 0.1}, "data": {"name": "a"}, "epochs": 3}
CHUNK = Chunk(({"a": 1.5, "b": 2}, {"a": float("inf"), "b": -1}), (3, 0))


def test_a_name_says_what_determines_the_numbers():
    name = CHUNK.name(IDENTITY)
    same = Chunk(({"b": 2, "a": 1.5}, {"b": -1, "a": float("inf")}), (3, 0))
    assert same.name(dict(reversed(IDENTITY.items()))) == name  # no order that a dictionary happens to have
    others = [
        Chunk(({"a": 1.5, "b": 2}, {"a": float("-inf"), "b": -1}), (3, 0)),
        Chunk(({"a": 1.5, "b": 2}, {"a": float("inf"), "c": -1}), (3, 0)),
        Chunk(CHUNK.points[::-1], CHUNK.seeds),
        Chunk(CHUNK.points[:1], CHUNK.seeds),
        Chunk(CHUNK.points, (0, 3)),
        Chunk(CHUNK.points, (3,)),
        Chunk(CHUNK.points, (3, 1)),
    ]
    identities = [IDENTITY | {"epochs": 4}, IDENTITY | {"data": {"name": "b"}}, IDENTITY | {"scenario": {}}, {}]
    names = {name, *(chunk.name(IDENTITY) for chunk in others), *(CHUNK.name(other) for other in identities)}
    assert len(names) == 1 + len(others) + len(identities)


def test_a_chunk_survives_json():
    points = ({"a": float("inf"), "b": 3}, {"a": float("-inf"), "b": -0.0}, {"a": 0.1, "b": 1e-45})
    chunk = Chunk(points, (4, 2))
    again = Chunk.from_plain(*json.loads(json.dumps(chunk.plain(), allow_nan=False)))
    assert again == chunk
    assert again.name({}) == chunk.name({})
    assert [type(v) for p in again.points for v in p.values()] == [type(v) for p in points for v in p.values()]


@pytest.fixture(scope="module")
def at_once():
    return swept()


@pytest.mark.long
@pytest.mark.parametrize(("most", "shapes"), [(1, {(1, 1)}), (3, {(3, 1)}), (7, {(3, 2), (3, 1)}), (9, {(3, 3)})])
def test_results_do_not_depend_on_the_cut(at_once, tmp_path, monkeypatch, most, shapes):
    trained = record_training(monkeypatch)
    before = programs.train_epoch._cache_size()
    found = swept(max_replicas=most)
    assert {(len(chunk.points), len(chunk.seeds)) for chunk in trained} == shapes
    assert programs.train_epoch._cache_size() - before <= len(shapes)  # a program serves all chunks of a shape
    assert_close(found, at_once)
    assert swept(tmp_path, max_replicas=most).identical(found)  # bit for bit
    assert programs.train_epoch._cache_size() - before <= len(shapes)
    assert sum(chunk.num_replicas for chunk in trained) == 2 * 9


def test_what_was_not_finite_once_never_is_again():
    """Also where a sweep goes on after it."""
    finite, ones = np.array([True, False, True, False]), Metric(np.ones(1), np.ones(1))
    phases = _Phases(
        train_epoch=lambda state, epoch: (state, {"loss": ones}, finite[[epoch]]),
        between_epochs=lambda *_: pytest.fail("no method acts between epochs"),
        evaluate=lambda *_: dict.fromkeys(("main_task_accuracy", "backdoor_accuracy"), ones),
        attack_all=lambda *_: {},
    )

    def train(history, epochs):
        progress = ChunkProgress(Progress(epochs, [1], shown=False))
        loop = _Loop(Study(SCENARIO, DATA, epochs, Given()), phases, lambda found: found)
        return loop.run(None, history, lambda *_: None, progress)[1]

    for stopped in range(4):
        found = train(train([], stopped), 4)
        assert [bool(epoch["is_finite"][0]) for epoch in found] == [True, False, False, False]


@pytest.mark.long
def test_memory_decides_how_many(monkeypatch):
    def with_memory(free):
        monkeypatch.setattr(devices, "free_memory", lambda mesh: free)

    study = Study(SCENARIO, DATA, EPOCHS, Given())
    whole = Chunk(tuple(grid_of(OVER).points()), (0, 1, 2))
    ready = prepare(study, whole)
    fixed, each = memory.needed(ready)
    counts = []
    for fitting in (-1, 0.5, 1.01, 4.01, 8.99, 9.01, 1e9):
        with_memory((fixed + fitting * each) / 0.8)
        counts.append(memory.most_replicas(ready))
    assert counts == [1, 1, 1, 4, 8, 9, 9]


@pytest.mark.long
def test_without_memory_replicas_are_trained_one_by_one(at_once, monkeypatch):
    trained = record_training(monkeypatch)
    swept()
    assert len(trained) == 1
    monkeypatch.setattr(devices, "free_memory", lambda mesh: 0)
    assert_close(swept(), at_once)
    assert len(trained) == 1 + 9


MEMORY = """
import json, sys
import jax
jax.config.update("jax_num_cpu_devices", 1)
from data_helpers import image_split, tiny_scenario
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.data import PixelTrigger, partition_images
from vfl_jax.replica.draws import Given
from vfl_jax.models import MLP
from vfl_jax.sweeps.progress import ChunkProgress, Progress
from vfl_jax.sweeps.study import Study
from vfl_jax.sweeps import memory, training
from vfl_jax.sweeps.prepared import prepare

def in_use(name):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))

data = partition_images("big", image_split(32, (28, 28)), image_split(8, (28, 28), seed=1))
scenario = tiny_scenario(
    bottoms=(MLP(hidden=(1024,), width=3),) * 2, plan={"trigger": PixelTrigger(pixels=((27, 27),))}
)
study = Study(scenario, data, 2, Given())
chunk = Chunk(({"optimizers.0.learning_rate": 0.1},), tuple(range(48)))
fixed, each = memory.needed(prepare(study, chunk))
before = in_use("VmRSS")
open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
training.train(prepare(study, chunk), ChunkProgress(Progress(2, [48], shown=False)))
print(json.dumps([fixed + each * 48, in_use("VmHWM") - before]))
"""


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks of memory are read from Linux's /proc")
def test_the_estimate_of_memory_is_honest():
    """330 MB of parameters, sums of gradients and copies: neither more than is planned, nor far less."""
    command = [sys.executable, "-c", MEMORY]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parent)
    planned, taken = json.loads(done.stdout)
    assert 0.4 * planned < taken < 1.1 * planned

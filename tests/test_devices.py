"""Seeds and points over several devices give the results of one, in processes of their own, which force devices."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vfl_jax.sweeps import devices, layout

PROGRAM = """
import json, sys
import jax
from vfl_jax.sweeps.devices import mesh_for, use_all_cores
from data_helpers import tiny_data, tiny_scenario
from helpers import hardly_optimized
from vfl_jax.defenses import GaussianNoise
from vfl_jax.sweeps import programs
from vfl_jax.sweeps.sweep import sweep

count, seeds = int(sys.argv[1]), int(sys.argv[2])
jax.config.update("jax_num_cpu_devices", count)
scenario = tiny_scenario(defense=GaussianNoise(stddev=0.01))
with hardly_optimized():
    results = sweep(scenario, tiny_data(), {"attack.enabled": [0, 1]}, seeds=seeds, epochs=3, progress=False)
use_all_cores()  # too late, and harmless
print(json.dumps({
    "devices": mesh_for(seeds, 2).size,
    "programs": [f._cache_size() for f in (programs.init_models, programs.train_epoch, programs.evaluate)],
    "loss": results.loss.values.tolist(),
    "main": results.main_task_accuracy.values.tolist(),
}))
"""


def results_on(num_devices, num_seeds, program=PROGRAM):
    command = [sys.executable, "-c", program, str(num_devices), str(num_seeds)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=__file__.rpartition("/")[0])
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def alone():
    return results_on(1, 6)


@pytest.mark.long
@pytest.mark.parametrize(("num_devices", "used"), [(2, 2), (4, 3)])  # 4 devices cannot share 6 seeds evenly
def test_results_do_not_depend_on_the_number_of_devices(alone, num_devices, used):
    found = results_on(num_devices, 6)
    assert (alone["devices"], found["devices"]) == (1, used)
    np.testing.assert_allclose(found["loss"], alone["loss"], rtol=1e-5)
    np.testing.assert_array_equal(found["main"], alone["main"])
    assert found["programs"] == alone["programs"] == [1, 1, 1]  # one compilation serves every epoch


def test_seeds_that_the_devices_cannot_share_evenly_are_filled_up_with_copies_of_the_last():
    seeds = {"key": jnp.stack([jax.random.key(seed) for seed in (3, 5, 11)]), "rank": np.arange(6).reshape(3, 2)}
    filled = jax.tree.map(lambda leaf: devices.filled_up(leaf, 0, 4), seeds)
    # Keys are checked for reuse in the tests; a copy that fills up is none.
    for name, leaf in (("key", jax.random.key_data), ("rank", np.asarray)):
        before, after = np.asarray(leaf(seeds[name])), np.asarray(leaf(filled[name]))
        np.testing.assert_array_equal(after, before[[0, 1, 2, 2]])
    assert jnp.issubdtype(filled["key"].dtype, jax.dtypes.prng_key)
    points = devices.filled_up(np.arange(12).reshape(2, 3, 2), 1, 4)
    np.testing.assert_array_equal(points, np.arange(12).reshape(2, 3, 2)[:, [0, 1, 2, 2]])


@pytest.mark.parametrize(
    ("num_devices", "num_seeds", "num_points", "shape"),
    [
        (2, 1, 16, {"seed": 1, "point": 2}),
        (2, 1, 7, {"seed": 1}),  # with so few points for each, two are slower than one
        (2, 2, 16, {"seed": 2}),
        (8, 2, 9, {"seed": 2, "point": 2}),
        (8, 3, 17, {"seed": 3, "point": 2}),
        (8, 1, 33, {"seed": 1, "point": 7}),  # an eighth would leave five points for some device, too
        (4, 6, 100, {"seed": 3}),
    ],
)
def test_devices_share_seeds_and_of_few_seeds_the_points(monkeypatch, num_devices, num_seeds, num_points, shape):
    monkeypatch.setattr(jax, "devices", lambda: [*range(num_devices)])
    monkeypatch.setattr(devices, "Mesh", lambda there, names: dict(zip(names, np.shape(there), strict=True)))
    assert devices.mesh_for(num_seeds, num_points) == shape


def test_processes_take_all_devices_for_their_seeds(monkeypatch):
    """One that had no part in a program would never join it."""
    monkeypatch.setattr(jax, "devices", lambda: [*range(8)])
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(devices, "Mesh", lambda there, names: dict(zip(names, np.shape(there), strict=True)))
    assert devices.mesh_for(3, 100) == {"seed": 8}


@pytest.mark.parametrize(("num_seeds", "grid_size", "at_once"), [(6, 4, 3), (7, 4, 1), (5, 4, 5), (6, 30, 1)])
def test_a_core_trains_as_many_seeds_as_its_cache_holds_and_as_share_them_evenly(
    monkeypatch, num_seeds, grid_size, at_once
):
    monkeypatch.setattr(layout, "REPLICAS_IN_CACHE", 20)
    assert layout.lay_out(devices.mesh_for(1), num_seeds, grid_size).at_once == at_once


ONE_SEED = """
import json, signal, sys, tempfile
import jax
from data_helpers import tiny_data, tiny_scenario
from helpers import hardly_optimized
import vfl_jax as vfl
from vfl_jax.core import stopping
from vfl_jax.sweeps import devices, programs

jax.config.update("jax_num_cpu_devices", int(sys.argv[1]))
scenario = tiny_scenario(defense=vfl.defenses.GaussianNoise(stddev=0.01))
over, data = {"defense.stddev": [0.01 * i for i in range(9)]}, tiny_data()
with hardly_optimized(), tempfile.TemporaryDirectory() as folder:
    def train():
        return vfl.sweep(scenario, data, over, seeds=1, epochs=3, progress=False, folder=folder, checkpoint_every=1,
                         keep="params")

    answers = iter([0, 0, signal.SIGINT])  # the second epoch is the last
    asked, stopping.asked = stopping.asked, lambda: next(answers)
    try:
        train()
    except stopping.Stopped:
        stopping.asked = asked
        results = train()
    said = vfl.predict(train().isel({"defense.stddev": [0, 8]}))
print(json.dumps({
    "devices": devices.mesh_for(1, 9).size,
    "programs": [f._cache_size() for f in (programs.init_models, programs.train_epoch, programs.evaluate)],
    "results": {name: results[name].values.tolist() for name in ("loss", "main_task_accuracy", "is_finite")},
    "said": said.values.tolist(),
}))
"""


def test_seeds_in_batches_may_keep_arrays_without_entries():
    """As VFLMonitor does, whose directions may be all."""
    of_four = layout.lay_out(devices.mesh_for(1), 4, 4)
    assert of_four.at_once == 2
    found = layout.over_devices(
        of_four,
        lambda shared, record, draw, state: {"empty": jnp.zeros((0, 3)), "sum": shared + draw},
        jnp.float32(1.0),
        (),
        jnp.arange(4.0),
    )
    assert found["empty"].shape == (4, 0, 3)
    assert found["sum"].tolist() == [1.0, 2.0, 3.0, 4.0]


@pytest.mark.long
def test_two_devices_share_the_points_of_one_seed_and_find_the_same_bits():
    alone, found = (results_on(count, 1, ONE_SEED) for count in (1, 2))
    assert (alone["devices"], found["devices"]) == (1, 2)
    assert found["programs"] == alone["programs"] == [1, 1, 1]
    assert np.shape(found["results"]["loss"]) == (9, 1, 3)
    assert (found["results"], found["said"]) == (alone["results"], alone["said"])

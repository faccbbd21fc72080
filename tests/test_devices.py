"""The seed axis over several devices gives the results of one; in processes of their own, where devices are forced."""

import json
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vfl_jax.sweeps import devices

PROGRAM = """
import json, sys
import jax
from vfl_jax.sweeps.devices import seed_mesh, use_all_cores
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
    "devices": seed_mesh(seeds).size,
    "programs": [f._cache_size() for f in (programs.init_models, programs.train_epoch, programs.evaluate)],
    "loss": results.loss.values.tolist(),
    "main": results.main_task_accuracy.values.tolist(),
}))
"""


def results_on(num_devices, num_seeds):
    command = [sys.executable, "-c", PROGRAM, str(num_devices), str(num_seeds)]
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
    padded = devices.pad_seeds(seeds, types.SimpleNamespace(size=4))
    # Keys are checked for reuse in the tests; a copy that fills up is none.
    for name, leaf in (("key", jax.random.key_data), ("rank", np.asarray)):
        before, after = np.asarray(leaf(seeds[name])), np.asarray(leaf(padded[name]))
        np.testing.assert_array_equal(after, before[[0, 1, 2, 2]])
    assert jnp.issubdtype(padded["key"].dtype, jax.dtypes.prng_key)

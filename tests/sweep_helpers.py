"""What the tests of chunks, folders and going on share: one small sweep, here and in processes of their own."""

import atexit
import functools
import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from data_helpers import tiny_data, tiny_scenario

from vfl_jax.core.row_ids import row_ids
from vfl_jax.defenses import GaussianNoise, Sparsification
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.chains import ActiveChain
from vfl_jax.sweeps.grid import parse
from vfl_jax.sweeps.store.checkpoints import Checkpoints
from vfl_jax.sweeps.sweep import sweep

# All that a state may hold: moments, residuals of a defense; and noise.
SCENARIO = tiny_scenario(
    optimizers=(Optimizer(kind="momentum", learning_rate=0.1), Optimizer(learning_rate=0.2)),
    defense=ActiveChain(parts=(Sparsification(drop_rate=0.3), GaussianNoise(stddev=0.01))),
)
DATA = tiny_data()
OVER = {"poison.rate": [0.2, 0.3, 0.1]}  # poison_ids differ in length, and the last are not the most
EPOCHS = 3


def swept(folder=None, over=OVER, seeds=3, **options):
    fields = {"scenario": SCENARIO, "data": DATA, "epochs": EPOCHS, "progress": False} | options
    return sweep(over=over, seeds=seeds, folder=folder, **fields)


def grid_of(over):
    return parse(SCENARIO, over)


def assert_close(found, expected):
    """Equal but for the order of sums, which may differ from program to program."""
    assert found.sizes == expected.sizes
    assert set(found.variables) == set(expected.variables)
    assert found.attrs == expected.attrs
    assert row_ids(found).identical(row_ids(expected))
    for name, variable in expected.variables.items():
        assert found[name].dims == variable.dims
        if variable.dtype.kind == "f":
            np.testing.assert_allclose(found[name], variable, rtol=2e-5, atol=2e-6, err_msg=str(name))
        else:
            np.testing.assert_array_equal(found[name], variable, err_msg=str(name))


def record_training(monkeypatch):
    """The chunks that are trained from now on, in a list that grows."""
    trained = []
    for module in map(importlib.import_module, ("vfl_jax.sweeps.sweep", "vfl_jax.sweeps.work")):

        def recording(ready, *arguments, train=module.train):
            trained.append(ready.chunk)
            return train(ready, *arguments)

        monkeypatch.setattr(module, "train", recording)
    return trained


def interrupted_at(epoch, sweep, folder):
    """Starts a sweep in a folder, and interrupts it when the checkpoint of an epoch is whole."""
    save = Checkpoints.save

    def save_and_stop(self, number, tree):
        save(self, number, tree)
        if number == epoch:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Checkpoints, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            sweep(folder=folder, checkpoint_every=1)


def content(folder, *patterns):
    """Name to bytes of the files in a folder that count: finished chunks and the whole."""
    paths = [path for pattern in patterns or ("results.nc", "chunks/*.nc") for path in Path(folder).glob(pattern)]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def logged(path, kind=None):
    lines = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return [line for line in lines if kind in (None, line["event"])]


@functools.cache
def programs():
    """A folder for what the processes compile, until this one ends."""
    folder = tempfile.TemporaryDirectory(prefix="programs")
    atexit.register(folder.cleanup)
    return folder.name


def start(**asked):
    """Starts ``sweep_process.py``; what such processes compile, they keep for each other."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment |= {"JAX_COMPILATION_CACHE_DIR": programs(), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    return subprocess.Popen(
        [sys.executable, "sweep_process.py", json.dumps(asked, default=str)],
        cwd=Path(__file__).parent,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(process):
    """What it prints at the end, once it has ended well: an answer per step."""
    try:
        out, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    return json.loads(out.splitlines()[-1])


def sweep_in_process(**asked):
    return told(start(**asked))

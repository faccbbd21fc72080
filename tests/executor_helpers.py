"""What workers of the tests' executors import: loaders, a record of a user's, and ways to go wrong on demand.

Only in a sabotaged process something goes wrong, when a file of a certain name lies in the folder that it was told of.
The folder is told by an environment variable: a value of this module would count as code of the record.
"""

import os
import signal
from pathlib import Path

import jax
import numpy as np
from data_helpers import tiny_data
from distributed import WorkerPlugin

from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.sweeps.store.checkpoints import Checkpoints

DEADLY = 13
FOLDER = "VFL_JAX_SABOTAGE"
"""The environment variable that names the folder."""


def load_tiny():
    if _taken("no data"):
        raise OSError(5, "Input/output error", "tiny.gz")
    return tiny_data()


def load_large():
    return tiny_data(num_train=3000)


class Deadly(PartyTransform):
    """Kills the process it is trained in, where its number is the deadly one."""

    number: float = 0.0

    def init(self, key, shapes, party):
        jax.debug.callback(_kill_if_deadly, self.number)
        return ()


def _kill_if_deadly(number):
    if (_folder() / "deadly").exists() and np.any(number == DEADLY):
        _die()


def sabotage(folder):
    """Lets this process note every checkpoint it has saved, and die after a certain one, once."""
    os.environ[FOLDER] = str(folder)
    save = Checkpoints.save

    def save_and_die(self, epoch, tree):
        save(self, epoch, tree)
        with open(_folder() / "saved", "a") as file:
            file.write(f"{self.path.name} {epoch} {os.getpid()}\n")
        if _taken(f"die after {epoch}"):
            _die()

    Checkpoints.save = save_and_die


class Sabotage(WorkerPlugin):
    """The same for every worker of a Dask cluster, also for those that take the place of dead ones."""

    name = "sabotage"

    def __init__(self, folder):
        self.folder = folder

    def setup(self, worker):
        sabotage(self.folder)


def _taken(name):
    """Whether the file was there; of several processes one takes it."""
    try:
        (_folder() / name).unlink()
    except FileNotFoundError:
        return False
    return True


def _folder():
    return Path(os.environ.get(FOLDER, "/nowhere"))


def _die():
    os.kill(os.getpid(), signal.SIGKILL)

"""What the tests of data, configuration and results share: tiny images, idx files, a scenario that trains at once."""

import gzip
import os
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from vfl_jax.attacks import GradientReplacement
from vfl_jax.data import PixelTrigger, partition_images
from vfl_jax.data.sets.images import FILES
from vfl_jax.data.sets.location import DATA_VARIABLE
from vfl_jax.models import MLP, SumHead
from vfl_jax.models.optimizers import Optimizer
from vfl_jax.protocol.transforms import PartyTransform
from vfl_jax.scenario import BatchPlan, PoisonPlan, Scenario

NUM_CLASSES = 3

# A shared machine has slow moments, so no deadline; the same examples on every run.
properties = settings(deadline=None, derandomize=True, database=None, max_examples=30)

needs_data = pytest.mark.skipif(
    not os.environ.get(DATA_VARIABLE), reason=f"needs the real files; set {DATA_VARIABLE} to their folder"
)


def real_data_folder():
    return Path(os.environ[DATA_VARIABLE])


def says(*parts):
    """A regular expression for a message that holds all parts, in this order."""
    return "(?s)" + ".*".join(re.escape(part) for part in parts)


def image_split(num_rows, shape=(4, 4), seed=0):
    """Random images, labels 0, 1, 2, 0, 1, …"""
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 0.9, (num_rows, *shape)).astype(np.float32), np.arange(num_rows) % NUM_CLASSES


def numbered_images(num_rows, shape):
    """Images whose every pixel tells its row and its own number: row · 10000 + pixel."""
    pixels = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)
    rows = 10000 * np.arange(num_rows, dtype=np.float32)
    return rows[:, None, None] + pixels[None], np.arange(num_rows) % NUM_CLASSES


def large_images(num_train=192, num_test=60, num_labels=2, **partition):
    """Noise of MNIST's size; row 1 is of class 0, as the preset has it."""
    splits = (
        (image_split(size, (28, 28), seed=size)[0], (np.arange(size) - 1) % num_labels)
        for size in (num_train, num_test)
    )
    return partition_images("noise", *splits, classes="0123456789", **partition)


def tiny_data(num_train=30, num_test=12, **partition):
    return partition_images("tiny", image_split(num_train), image_split(num_test, seed=1), **partition)


def tiny_scenario(num_parties=2, plan=None, **fields):
    """The last party attacks with gradient replacement; one dense layer each, batches of 8."""
    plan = {"trigger": PixelTrigger(pixels=((3, 3),)), "rate": 0.2, "test_rate": 0.5} | (plan or {})
    content = {
        "bottoms": (MLP(hidden=(), width=NUM_CLASSES),) * num_parties,
        "head": SumHead(),
        "optimizers": (Optimizer(learning_rate=0.1),) * num_parties,
        "attacks": (PartyTransform(),) * (num_parties - 1) + (GradientReplacement(),),
        "poison": PoisonPlan(**plan),
        "batches": BatchPlan(size=8),
    }
    return Scenario(**(content | fields))


def idx_bytes(array, type_code=0x08):
    """An array of bytes in the idx format."""
    return bytes([0, 0, type_code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_images(folder, num_train=6, num_test=4, shape=(4, 4), num_classes=10, compress=True):
    """A data folder with four small idx files under their usual names; returns their paths."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = []
    for count in (num_train, num_test):
        arrays.append(rng.integers(0, 256, (count, *shape), dtype=np.uint8))
        arrays.append((np.arange(count) % num_classes).astype(np.uint8))
    paths = []
    for name, array in zip(FILES, arrays, strict=True):
        paths.append(folder / (f"{name}.gz" if compress else name))
        content = idx_bytes(array)
        paths[-1].write_bytes(gzip.compress(content, mtime=0) if compress else content)
    return paths

"""Numbers that published results stand on: what seed 3 draws, and the parameters of every preset after three epochs.

``python tests/pins.py`` computes them anew and writes them down. They change on purpose only: committed results are of
the numbers that were pinned when they were trained. Draws and norms hold on any machine; digests, which are of every
bit, on one with the same processor and versions.
"""

import hashlib
import json
import platform
import re
from pathlib import Path

import helpers
import jax
import jax.numpy as jnp
import numpy as np
from data_helpers import tiny_data, tiny_scenario
from sklearn.datasets import load_digits as sklearn_digits

from vfl_jax import presets
from vfl_jax.core.record import cast
from vfl_jax.data import load_digits, load_nus_wide_twin, partition_images
from vfl_jax.models import DenseHead
from vfl_jax.replica import preparation
from vfl_jax.replica.draws import draw, epoch_ids, poison_count
from vfl_jax.scenario import BatchPlan
from vfl_jax.sweeps.study import versions

PATH = Path(__file__).parent / "fixtures" / "pins.json"
SEED, EPOCHS = 3, 3

DRAWS = {
    "shuffled": ({}, 30, BatchPlan(size=8)),
    "sampled": ({}, 30, BatchPlan(size=8, order="sampled")),
    "sampled of many": ({"num_targets": 3}, 1024, BatchPlan(size=32, order="sampled")),
    "pair": ({"mode": "appended_pair", "num_targets": 2}, 30, BatchPlan(size=4)),
    "fixed": ({"draw": "fixed", "fixed_seed": 1}, 30, BatchPlan(size=8, order="file")),
}
"""Name to the poison plan, the number of training rows, and the batches."""

PRESETS = {
    f"{preset.__name__}, {task}, {head}": (preset, {"task": task, "head": head})
    for preset in (presets.liu2020_paper, presets.liu2020_code)
    for task in ("mnist", "nus_wide")
    for head in ("sum", "trainable")
}
PRESETS |= {f"zou2022, {task}": (presets.zou2022, {"task": task}) for task in ("mnist", "nus_wide")}
PRESETS |= {f"digits_demo, {head}": (presets.digits_demo, {"head": head}) for head in ("sum", "trainable")}


def made_with() -> dict:
    """What digests are of: processor and versions."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    facts = dict(reversed([[part.strip() for part in line.split(":", 1)] for line in lines if ":" in line]))
    processor = facts.get("model name", platform.processor())
    vectors = [flag for flag in facts.get("flags", "").split() if flag.startswith(("avx", "fma", "amx"))]
    used = {name: version for name, version in versions().items() if name != "vfl_jax"}
    return {"machine": platform.machine(), "processor": processor, "vectors": " ".join(sorted(vectors))} | used


def digest(tree) -> str:
    """SHA-256 over paths, shapes and bits."""
    sha = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(jax.device_get(tree)):
        sha.update(f"{jax.tree_util.keystr(path)}{leaf.dtype}{leaf.shape}".encode())
        sha.update(np.ascontiguousarray(leaf).tobytes())
    return sha.hexdigest()


def norms(params) -> list[float]:
    """Of every array, in float64, to five digits."""
    return [float(f"{np.linalg.norm(np.asarray(leaf, np.float64)):.5g}") for leaf in jax.tree.leaves(params)]


def drawn(name: str) -> dict:
    """Poison, target and test poison rows, batches of two epochs (the first as a list), and the initial parameters."""
    plan, num_train, batches = DRAWS[name]
    data = tiny_data(num_train=num_train)
    scenario = tiny_scenario(plan=plan, batches=batches, head=DenseHead(hidden=(4,)))
    draws = jax.tree.map(jnp.asarray, draw(scenario, data, jax.random.key(SEED)))
    numbers = jax.tree.map(jnp.asarray, cast(scenario))
    state = helpers.jit_init(scenario.shapes(data), preparation.to_device(scenario, data), numbers, draws)
    ids = [np.asarray(epoch_ids(scenario, draws, jnp.int32(epoch))[0]) for epoch in range(2)]
    weights = jax.tree.leaves((state.params, state.head_params))
    num_test = int(poison_count(scenario.poison.test_rate, data.test.num_samples))
    return {
        "poison_ids": draws.poison_ids.tolist() if num_train == 30 else digest(draws.poison_ids),
        "target_ids": draws.target_ids.tolist(),
        "test_poison_ids": np.flatnonzero(draws.test_poison_rank < num_test).tolist(),
        "first_batch": ids[0][0].tolist(),
        "epochs": [digest(np.asarray(epoch, np.int32)) for epoch in ids],
        "first_weights": [round(float(leaf[0, 0]), 5) for leaf in weights if leaf.ndim == 2],
    }


def enlarged_digits():
    """The digits of scikit-learn at the size of MNIST: 640 rows to train on, row 1 of them a zero; 200 to test on."""
    found = sklearn_digits()
    order = np.arange(len(found.target))
    order[:2] = 1, 0
    images = np.pad(np.kron(found.images[order] / 16, np.ones((3, 3))), ((0, 0), (2, 2), (2, 2))).astype(np.float32)
    labels = found.target[order]
    return partition_images("digits of 28 × 28", (images[:640], labels[:640]), (images[640:840], labels[640:840]))


def data_of(name: str):
    if name.startswith("digits_demo"):
        return load_digits()
    return enlarged_digits() if "mnist" in name else load_nus_wide_twin(num_train=640, num_test=200)


def trained(name: str) -> dict:
    """A preset's parameters after three epochs, by their bits and norms; programs are hardly optimized."""
    preset, arguments = PRESETS[name]
    scenario, data = preset(**arguments), data_of(name)
    shapes, inputs = scenario.shapes(data), preparation.to_device(scenario, data)
    draws = jax.tree.map(jnp.asarray, draw(scenario, data, jax.random.key(SEED)))
    numbers = jax.tree.map(jnp.asarray, cast(scenario))
    state = helpers.jit_init(shapes, inputs, numbers, draws)
    for epoch in range(EPOCHS):
        state, metrics, _ = helpers.quick_epoch(shapes, inputs, numbers, draws, state, jnp.int32(epoch))
    params = state.params, state.head_params
    loss = float(metrics["loss"].sum / metrics["loss"].count)
    return {"digest": digest(params), "norms": norms(params), "loss": float(f"{loss:.5g}")}


def everything() -> dict:
    return {
        "made_with": made_with(),
        "draws": {name: drawn(name) for name in DRAWS},
        "presets": {name: trained(name) for name in PRESETS},
    }


if __name__ == "__main__":
    text = json.dumps(everything(), indent=1, ensure_ascii=False)
    flat = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text)  # a list a line
    PATH.write_text(flat + "\n", encoding="utf-8")

"""One run from given initial weights and poison rows, to compare with another implementation's."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np

from vfl_jax.core.atomic import write_atomically
from vfl_jax.core.record import with_numbers
from vfl_jax.data import load_mnist
from vfl_jax.defenses import GaussianNoise, Sparsification
from vfl_jax.presets import HeadName, liu2020_code
from vfl_jax.protocol.chains import ActiveChain
from vfl_jax.protocol.transforms import ActiveTransform
from vfl_jax.replica.draws import Given
from vfl_jax.scenario import Scenario
from vfl_jax.sweeps.grid import resolve
from vfl_jax.sweeps.sweep import run

CURVES = {
    "train_loss": ("loss",),
    "train_acc": ("train_accuracy",),
    "test_loss": ("test_loss",),
    "main_acc": ("main_task_accuracy",),
    "backdoor_acc": ("backdoor_accuracy", "backdoor_ties"),
    "backdoor_acc_excl": ("attack_success_rate", "attack_ties"),
}
"""Curve to the variables of the results whose sum it is: the authors count ties for class 0."""
HEADS: dict[str, HeadName] = {"sum": "sum", "mlp": "trainable"}
"""Name in the weights' file to name of the preset's head."""


def given_from_file(path: Path, head: str) -> Given:
    """Reads initial weights and poison rows.

    The npz has ``{head}_{A,B}_{0..3}`` and, with head "mlp", ``mlp_head_{0..3}`` (kernels [in, out] and biases in
    layer order), ``poison_train`` and ``poison_test`` (row ids).

    Raises:
      ValueError: naming an array that the file lacks.
    """
    with np.load(path, allow_pickle=False) as archive:
        arrays = dict(archive)

    def array(name: str) -> np.ndarray:
        if name not in arrays:
            raise ValueError(f"{path} has no array {name!r}; it has {', '.join(sorted(arrays))}.")
        return arrays[name]

    def layers(part: str) -> dict[str, dict[str, np.ndarray]]:
        return {
            f"dense_{i}": {"kernel": array(f"{head}_{part}_{2 * i}"), "bias": array(f"{head}_{part}_{2 * i + 1}")}
            for i in range(2)
        }

    return Given(
        params=(layers("A"), layers("B")),
        head_params=layers("head") if head == "mlp" else {},
        poison_ids=array("poison_train"),
        test_poison_ids=array("poison_test"),
    )


def scenario_for(head: str, gamma: float | None, drop_rate: float, noise_stddev: float) -> Scenario:
    """Preset ``liu2020_code`` with an attack of amplify γ (None: honest) and the defenses that are not 0."""
    scenario = liu2020_code(head=HEADS[head], amplify=1.0 if gamma is None else gamma)
    enabled = resolve(scenario, "attack.enabled")
    scenario = with_numbers(scenario, dict.fromkeys(enabled, float(gamma is not None)))
    parts: tuple[ActiveTransform, ...] = (Sparsification(drop_rate=drop_rate),) if drop_rate else ()
    parts += (GaussianNoise(stddev=noise_stddev),) if noise_stddev else ()
    return scenario.replace(defense=ActiveChain(parts=parts)) if parts else scenario


def compare(
    init: Path, head: str, gamma: float | None, drop_rate: float, noise_stddev: float, epochs: int, seed: int, out: Path
) -> dict[str, dict[str, list[float]]]:
    """Trains once and writes ``{"<head>/<honest|gammaG>": {curve: one value per epoch}}``."""
    scenario = scenario_for(head, gamma, drop_rate, noise_stddev)
    given = given_from_file(init, head)
    dataset, _ = run(scenario, load_mnist(), jax.random.key(seed), epochs, given, progress=True)
    sums = {curve: np.sum([dataset[name].values for name in names], axis=0) for curve, names in CURVES.items()}
    curves = {curve: [round(float(value), 6) for value in values] for curve, values in sums.items()}
    name = f"{head}/{'honest' if gamma is None else f'gamma{gamma:g}'}"
    text = json.dumps({name: curves}, indent=1) + "\n"
    write_atomically(out, lambda temporary: temporary.write_text(text))
    return {name: curves}

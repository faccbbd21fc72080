"""Compares the twin with the real parts of NUS-WIDE, and trains it honestly with the paper's settings."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from experiments.nus_wide_twin.compare import compare
from experiments.nus_wide_twin.real import read_real
from vfl_jax.atomic import write_atomically
from vfl_jax.data import load_nus_wide_twin
from vfl_jax.files import save
from vfl_jax.presets import liu2020_code, liu2020_paper
from vfl_jax.sweep import sweep

FOLDER = Path(__file__).parent / "results"
PRESETS = {"liu2020_paper": liu2020_paper, "liu2020_code": liu2020_code}
PAPER_ACCURACY = {"sum": 0.885, "trainable": 0.887}
"""Table 2 of Liu, Yi, Chen 2020: accuracy on NUS-WIDE without attack."""
COMPARISON = "comparison.json"


def run_comparison(folder: Path) -> None:
    """Writes every statistic of the twin beside the real one.

    Raises:
      FileNotFoundError: when no data folder is known, or it lacks a part of NUS-WIDE.
    """
    lines = [dataclasses.asdict(line) for line in compare(read_real(), load_nus_wide_twin().train)]
    text = json.dumps(lines, indent=1, allow_nan=False, default=float) + "\n"
    write_atomically(folder / COMPARISON, lambda temporary: temporary.write_text(text))


def run_training(seeds: int, epochs: int, folder: Path) -> None:
    """Trains without attack, both presets and heads, and saves ``<folder>/<preset>_<head>.nc``."""
    data = load_nus_wide_twin()
    for name, preset in PRESETS.items():
        for head in PAPER_ACCURACY:
            scenario = preset(head=head, task="nus_wide")  # type: ignore[arg-type]
            dataset = sweep(scenario, data, {"attack.enabled": [0]}, seeds, epochs)
            save(dataset.isel({"attack.enabled": 0}), folder / f"{name}_{head}.nc")

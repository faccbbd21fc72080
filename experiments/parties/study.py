"""MNIST over 2, 4, 8 and 16 parties, the last of which attacks."""

from __future__ import annotations

from pathlib import Path

from vfl_jax.data import load_mnist
from vfl_jax.files import save
from vfl_jax.presets import HeadName, liu2020_code
from vfl_jax.sweep import sweep

FOLDER = Path(__file__).parent / "results"
NUMBERS = (2, 4, 8, 16)
HEADS: tuple[HeadName, ...] = ("sum", "trainable")
KEPT = ["main_task_accuracy", "main_clean", "backdoor_accuracy", "attack_success_rate", "is_finite"]


def run_study(seeds: int, epochs: int, folder: Path) -> None:
    """Runs every number of parties with both heads, and saves ``<folder>/<head>_<parties>.nc``."""
    for head in HEADS:
        for num_parties in NUMBERS:
            scenario = liu2020_code(head=head, num_parties=num_parties)
            data = load_mnist(num_parties=num_parties)
            dataset = sweep(scenario, data, {"attack.enabled": [0, 1]}, seeds, epochs)
            save(dataset[KEPT], folder / f"{head}_{num_parties}.nc")

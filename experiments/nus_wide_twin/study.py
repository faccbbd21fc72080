"""Compares the twin with the real parts of NUS-WIDE, and how it is trained honestly with the paper's settings."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from experiments.cases import PRESETS, Case
from experiments.nus_wide_twin.compare import compare
from experiments.nus_wide_twin.real import read_real
from experiments.outcomes import STUDY_OF_HEAD
from vfl_jax.core.atomic import write_atomically
from vfl_jax.data import load_nus_wide_twin

COMPARISON = "comparison.json"
CASES = tuple(
    Case(
        name=f"{name}_{head}",
        title=f"{name}, {head} head, without attack",
        task="nus_wide",
        scenario=preset(head=head, task="nus_wide"),
        over={"attack.enabled": [0]},
        seeds=10,
        load=load_nus_wide_twin,
    )
    for name, preset in PRESETS.items()
    for head in STUDY_OF_HEAD
)
"""Also where the original files are: the twin is what is looked at here."""


def run_comparison(folder: Path) -> None:
    """Writes every statistic of the twin beside the real one.

    Raises:
      FileNotFoundError: when no data folder is known, or it lacks a part of NUS-WIDE.
    """
    lines = [dataclasses.asdict(line) for line in compare(read_real(), load_nus_wide_twin().train)]
    text = json.dumps(lines, indent=1, allow_nan=False, default=float) + "\n"
    write_atomically(folder / COMPARISON, lambda temporary: temporary.write_text(text))

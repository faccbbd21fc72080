"""The learning rate of every board, chosen by honest runs whose seeds no page reports."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.shared.cases import HEADS
from vfl_jax.arenas.boards import Board
from vfl_jax.core.atomic import write_atomically
from vfl_jax.presets import HeadName
from vfl_jax.sweeps.sweep import sweep

CANDIDATES = (0.01, 0.03, 0.1, 0.3)
SEEDS = (100, 101, 102)
"""Of no run that a page reports."""
WITHIN = 0.01
"""The largest rate is taken whose median main accuracy is so close to the best."""


def choose(board: Board) -> dict[str, Any]:
    """The median main accuracy of honest, undefended runs at every rate, and the rate that is chosen by it.

    Args:
      board: the board; its own learning rate does not matter.
    """
    results = sweep(
        board.scenario.replace(poison=board.scenario.poison.replace(rate=0.0)),
        board.data,
        {"learning_rate": CANDIDATES},
        SEEDS,
        board.epochs,
        evaluate_every=board.epochs,
        progress=False,
    )
    accuracy = results["full_clean_accuracy"].isel(epoch=-1).median("seed").values
    return {
        "accuracy": {str(rate): round(float(value), 4) for rate, value in zip(CANDIDATES, accuracy, strict=True)},
        "chosen": largest_good(CANDIDATES, accuracy),
    }


def largest_good(rates: tuple[float, ...], accuracy: np.ndarray) -> float:
    """The largest rate whose accuracy is within 0.01 of the best; one that is not finite counts as 0.

    Args:
      rates: the rates.
      accuracy: float[len(rates)].
    """
    known = np.nan_to_num(np.asarray(accuracy, float))
    return max(rate for rate, value in zip(rates, known, strict=True) if value >= known.max() - WITHIN)


def write_rates(boards: dict[str, Any], path: Path, heads: Sequence[HeadName] = HEADS) -> None:
    """Chooses the rates of boards that a file lacks, one after the other, and writes them.

    Args:
      boards: functions that make the boards, by name.
      path: the JSON file.
      heads: the heads.
    """
    found = json.loads(path.read_text()) if path.is_file() else {}
    for head, (name, make) in itertools.product(heads, boards.items()):
        of_head = found.setdefault(head, {})
        if name not in of_head:
            of_head[name] = choose(make(head=head))
            print(f"{name}, {head} head: {of_head[name]}", flush=True)
            text = json.dumps(found, indent=1) + "\n"
            write_atomically(path, functools.partial(Path.write_text, data=text))

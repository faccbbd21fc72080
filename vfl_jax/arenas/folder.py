"""What an arena keeps in its folder, beside the sweeps of its groups: its last results, and how long groups took."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path
from typing import Any

from vfl_jax.arenas.cells import Group
from vfl_jax.core.checks import is_number
from vfl_jax.core.damage import Damaged
from vfl_jax.core.files import load
from vfl_jax.core.ordinary import check_ordinary, read_text
from vfl_jax.statistics.meetings import is_arena
from vfl_jax.sweeps.estimates import guess
from vfl_jax.sweeps.store.manifest import NAME as MANIFEST

LOG = "arena.jsonl"
"""In a folder: a line of JSON per group that was trained, with its seconds; estimates are made of it. The arena does
without it where it cannot be read or written."""
RESULTS = "results.nc"
"""In a folder: the results of the last arena there."""


class Log:
    """How long groups took, in a file of the folder, which several processes may write, or in memory."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.entries: list[dict[str, Any]] = []
        self._read()

    def _read(self) -> None:
        if self.path is not None:
            with contextlib.suppress(OSError):
                lines = read_text(self.path, errors="replace").splitlines()
                self.entries = [entry for entry in map(_entry, lines) if entry is not None]

    def note(self, group: Group, num_steps: int, seconds: float) -> None:
        """Appends a group that was trained; one that was only read says nothing about training.

        Args:
          group: the group.
          num_steps: the steps of all its replicas.
          seconds: how long it took.
        """
        entry = {"board": group.board, "group": group.name, "steps": num_steps, "seconds": round(seconds, 1)}
        self._read()
        known = [e for e in self.entries if (e["board"], e["group"]) == (entry["board"], entry["group"])]
        if any(e["steps"] >= num_steps for e in known):
            return
        self.entries.append(entry)
        if self.path is not None:
            with contextlib.suppress(OSError):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                if self.path.exists():
                    check_ordinary(self.path)
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(entry) + "\n")

    def estimate(self, num_steps: int) -> float:
        """About how many seconds a group takes: as those before, beside what a program and a step take.

        Args:
          num_steps: the steps of all its replicas.
        """
        guessed = sum(guess(e["steps"]) for e in self.entries)
        factor = sum(e["seconds"] for e in self.entries) / guessed if guessed else 1.0
        return factor * guess(num_steps)


def _entry(line: str) -> dict[str, Any] | None:
    """A line of the log; None where it is not as it was written."""
    try:
        entry = json.loads(line)
        texts, numbers = [entry[name] for name in ("board", "group")], [entry[name] for name in ("steps", "seconds")]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    is_whole = all(isinstance(text, str) for text in texts) and all(is_number(number) for number in numbers)
    return entry if is_whole and all(0 <= number < math.inf for number in numbers) else None


def check_own(folder: Path) -> None:
    """Refuses the folder of a sweep, and one whose results are not an arena's: those of the arena would replace them.

    Args:
      folder: the folder.

    Raises:
      ValueError: where it is such a folder.
    """
    if (folder / MANIFEST).is_file():
        raise ValueError(f"folder is {folder}, which is that of a sweep; an arena needs a folder of its own.")
    if not (folder / RESULTS).exists():
        return
    try:
        is_own = is_arena(load(folder / RESULTS))
    except Damaged:
        is_own = False
    if not is_own:
        raise ValueError(
            f"folder is {folder}, whose {RESULTS} holds no arena that can be read, and would be replaced. Move this "
            "file away, or choose another folder."
        )

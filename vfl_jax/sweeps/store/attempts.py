"""Who is at work on which chunk while an executor works, so that a chunk that brings down its workers is noticed."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from pathlib import Path

MOST_DEATHS = 3
"""A chunk that has brought down this many workers at the same epoch is not tried again."""


class ChunkRefused(RuntimeError):
    """A chunk has brought down too many workers, and is not tried again."""


class Attempts:
    """The attempts of one run on an executor: a file per process that began a chunk and has not ended it.

    Args:
      path: their folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> None:
        """Begins to count; ``OSError`` where the folder cannot be written."""
        self.path.mkdir(parents=True)

    def close(self) -> None:
        """Forgets all attempts. Workers see that the run is over, also where one of them is about to begin a chunk."""
        over = self.path.with_name(f"{self.path.name}-over")
        with contextlib.suppress(OSError):
            self.path.rename(over)
        for path in (self.path, over):
            shutil.rmtree(path, ignore_errors=True)

    def are_counted(self) -> bool:
        """Whether the run goes on, as seen from this process."""
        return self.path.is_dir()

    def num_open(self) -> int:
        """How many processes have begun a chunk and not ended it: they are at work, or dead."""
        return sum(1 for _ in self.path.iterdir())

    def begin(self, name: str, epoch: str) -> Path:
        """Writes the file that lies there while this process works on a chunk, whose lock it must hold.

        So all other files of the chunk are those of dead processes. Files of another epoch do not count: a cluster may
        end workers at any time, as long as the chunk gets further every time.

        Args:
          name: the name of the chunk.
          epoch: the epoch of its newest checkpoint, as its file has it; empty without one.

        Returns:
          the path of the file.

        Raises:
          ChunkRefused: where ``MOST_DEATHS`` processes have died at work on the chunk at this epoch.
        """
        stem = f"{name}-{epoch}-"
        if len(list(self.path.glob(f"{stem}*"))) >= MOST_DEATHS:
            raise ChunkRefused(f"it brought down {MOST_DEATHS} workers, and none got further; their logs say why")
        path = self.path / f"{stem}{uuid.uuid4().hex[:8]}"
        path.touch()
        return path

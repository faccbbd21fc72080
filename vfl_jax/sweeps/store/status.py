"""What of a sweep's folder is finished. Looking changes nothing there, also while others work in it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from vfl_jax.core.files import circumstances_at
from vfl_jax.core.labelled import check_path
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.store import manifest
from vfl_jax.sweeps.store.folder import Folder

DEPTH = 2
"""How deep the folders of a sweep's cases, and of an arena's groups, lie."""


@dataclasses.dataclass(frozen=True)
class ChunkStatus:
    """How far a chunk is.

    Args:
      name: its name, which its files have too.
      points: how many grid points it has.
      seeds: its seeds.
      epochs: how many epochs lie in finished files or checkpoints.
      is_finished: whether its results are there.
      wall_seconds: how long it took, where it is finished and its file says so; None otherwise.
    """

    name: str
    points: int
    seeds: tuple[int, ...]
    epochs: int
    is_finished: bool
    wall_seconds: float | None

    @property
    def num_replicas(self) -> int:
        """How many replicas it has."""
        return self.points * len(self.seeds)


@dataclasses.dataclass(frozen=True)
class FolderStatus:
    """How far a sweep's folder is.

    Args:
      path: the folder.
      epochs: how many every replica takes.
      chunks: all that are planned.
      has_results: whether the results of the whole sweep are there.
    """

    path: Path
    epochs: int
    chunks: list[ChunkStatus]
    has_results: bool

    @property
    def num_finished(self) -> int:
        """How many chunks are finished."""
        return sum(chunk.is_finished for chunk in self.chunks)

    @property
    def share_done(self) -> float:
        """The share of all epochs of all replicas that is done, from 0 to 1."""
        whole = self.epochs * sum(chunk.num_replicas for chunk in self.chunks)
        return sum(chunk.epochs * chunk.num_replicas for chunk in self.chunks) / whole if whole else 0.0

    @property
    def seconds_left(self) -> float | None:
        """About how long what is left takes at the pace of finished chunks; None where none says its time."""
        paced = [chunk for chunk in self.chunks if chunk.wall_seconds is not None]
        if not paced:
            return None
        pace = sum(chunk.wall_seconds or 0.0 for chunk in paced) / sum(chunk.num_replicas for chunk in paced)
        left = sum((1 - chunk.epochs / self.epochs) * chunk.num_replicas for chunk in self.chunks)
        return pace * left


def status(path: str | os.PathLike[str]) -> list[FolderStatus]:
    """How far the sweeps of a folder are: its own, or those of its cases, or of the groups of an arena that have begun.

    Args:
      path: the folder of ``sweep``, ``sweep_cases`` or ``arena``.

    Raises:
      ValueError: where there is no sweep; where one is of another format.
      OSError: where a manifest is damaged, or cannot be read.
    """
    check_path("folder", path, "a folder")
    path = Path(path)
    if path.is_file():
        raise ValueError(f"{path} is a file; status takes the folder of a sweep or an arena. Of results: vfl-jax show.")
    if not path.exists():
        raise ValueError(f"{path} is not there; give the folder of a sweep or an arena.")
    places = [path] if (path / manifest.NAME).is_file() else _below(path, DEPTH)
    if not places:
        raise ValueError(
            f"{path} is no folder of a sweep or an arena: it has no {manifest.NAME}, nor has one below it."
        )
    return [_of(place) for place in places]


def pace_of(folder: Folder, chunks: Sequence[Chunk]) -> float | None:
    """The seconds that a replica of finished chunks took; None where no chunk says its time.

    Args:
      folder: where they lie.
      chunks: chunks of the folder.
    """
    found = [_of_chunk(folder, chunk, 0) for chunk in chunks]
    paced = [chunk for chunk in found if chunk.wall_seconds is not None]
    seconds = sum(chunk.wall_seconds or 0.0 for chunk in paced)
    return seconds / sum(chunk.num_replicas for chunk in paced) if paced else None


def _below(path: Path, depth: int) -> list[Path]:
    """The folders of sweeps below a folder, at most so deep, in the order of their names."""
    if not path.is_dir() or not depth:
        return []
    found: list[Path] = []
    for place in sorted(place for place in path.iterdir() if place.is_dir()):
        found += [place] if (place / manifest.NAME).is_file() else _below(place, depth - 1)
    return found


def _of(path: Path) -> FolderStatus:
    """How far one sweep's folder is."""
    found = manifest.of_any(path)
    if found is None:
        raise FileNotFoundError(f"{path / manifest.NAME} is gone since it was looked for.")
    folder, epochs = Folder(path, found.identity), int(found.identity["epochs"])
    chunks = [_of_chunk(folder, chunk, epochs) for chunk in found.chunks]
    return FolderStatus(path, epochs, chunks, (path / "results.nc").is_file())


def _of_chunk(folder: Folder, chunk: Chunk, epochs: int) -> ChunkStatus:
    """How far one chunk is."""
    name, is_finished = folder.name(chunk), folder.is_finished(chunk)
    numbers = (place.name.partition("-")[0] for place in folder.checkpoints(chunk).path.glob("[0-9]*-*"))
    kept = [int(number) for number in numbers if number.isdecimal()]
    done = epochs if is_finished else max((number for number in kept if number <= epochs), default=0)
    seconds = _seconds(folder.path / "chunks" / f"{name}.nc.run.json") if is_finished else None
    return ChunkStatus(name, len(chunk.points), chunk.seeds, done, is_finished, seconds)


def _seconds(path: Path) -> float | None:
    """How long a chunk took, by the file beside its results; None where this does not say it."""
    found = circumstances_at(path)
    return None if found is None else float(found["wall_seconds"])

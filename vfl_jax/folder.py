"""A sweep's folder: the plan, finished chunks, checkpoints of unfinished ones, the results.

manifest.json         what the folder is for, and how the work was cut
chunks/<name>.nc      finished chunks; a name is the hash of all that determines the numbers
checkpoints/<name>/   of chunks that are not finished
locks/<name>.lock     held while a process is at work on a chunk
attempts/<name>/      one file per process that began a chunk and has not ended it
damaged/              what could not be read, set aside
results.nc            the whole, labelled
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vfl_jax.checkpoints import Checkpoints
from vfl_jax.chunks import Chunk
from vfl_jax.files import load, save, write_atomically
from vfl_jax.records import content_hash
from vfl_jax.study import differences

if TYPE_CHECKING:
    import filelock
    import xarray as xr

logger = logging.getLogger("vfl_jax")

FORMAT = 1
SHOWN = 8
"""How many differences a refusal lists."""
MOST_DEATHS = 3
"""A chunk that has brought down so many workers is not tried again."""


class ChunkRefused(RuntimeError):
    """A chunk has brought down too many workers."""


class Folder:
    """The folder of one study; several processes, on several machines, may work in it at the same time."""

    def __init__(self, path: str | os.PathLike[str], identity: dict[str, Any]) -> None:
        self.path, self.identity = Path(path).absolute(), identity

    def planned(self) -> tuple[list[Chunk], int | None]:
        """The chunks there are to be, and how many replicas one may have; no chunks and None at the first start.

        Raises:
          ValueError: when the folder belongs to another study (what differs), or is no sweep's.
          OSError: when the manifest is damaged.
        """
        manifest = self._read_manifest()
        return [Chunk.from_plain(*plain) for plain in manifest["chunks"]], manifest["most_replicas"]

    def plan(self, further: Callable[[list[Chunk], int], list[Chunk]], most: int) -> None:
        """Adds to the chunks those that ``further`` makes of them and of the largest number of replicas.

        Raises:
          OSError: when the folder cannot be written.
        """
        with self._explained(), self._lock("manifest"):
            chunks, first_most = self.planned()  # another program may have planned meanwhile
            most = first_most or most
            self._write_manifest(most, [*chunks, *further(chunks, most)])

    def read(self, chunk: Chunk) -> xr.Dataset:
        """What a finished chunk found.

        Raises:
          OSError: when its file is damaged, or not there.
        """
        return load(self._chunk_path(chunk))

    def check(self, chunk: Chunk) -> bool:
        """Whether a chunk is finished and its file whole. A damaged one is set aside, to be computed again."""
        path = self._chunk_path(chunk)
        try:
            self.read(chunk)
            return True
        except FileNotFoundError:
            return False
        except OSError as error:
            with self._explained():
                aside = self.path / "damaged" / f"{path.name}.{uuid.uuid4().hex[:8]}"
                aside.parent.mkdir(exist_ok=True)
                with contextlib.suppress(FileNotFoundError):  # another process was faster
                    os.replace(path, aside)
            logger.warning("%s It is set aside as %s and computed again.", error, aside)
            return False

    def is_finished(self, chunk: Chunk) -> bool:
        """Whether its file is there; what is in it is checked when it is read."""
        return self._chunk_path(chunk).is_file()

    @contextlib.contextmanager
    def work_on(self, chunk: Chunk, wait: bool = True, run: str | None = None) -> Iterator[bool]:
        """Holds a chunk's lock; yields whether it was had. The lock of a process that dies is free.

        Args:
          wait: until another process lets it go; otherwise yields False where one has it.
          run: names the run that asks. Processes that die at work on a chunk are counted per run.

        Raises:
          ChunkRefused: when ``MOST_DEATHS`` processes of this run have died at work on the chunk.
          OSError: when the folder cannot be written.
        """
        import filelock

        with self._explained(), contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self._lock(self.name(chunk), timeout=-1 if wait else 0))
            except filelock.Timeout:
                yield False
                return
            attempt = self._attempts(chunk) / f"{run}-{uuid.uuid4().hex[:8]}"
            if run is not None:
                attempt.parent.mkdir(parents=True, exist_ok=True)
                if self.deaths(chunk, run) >= MOST_DEATHS:
                    raise ChunkRefused(f"chunk {self.name(chunk)} has brought down {MOST_DEATHS} workers")
                attempt.touch()
            try:
                yield True
            finally:
                attempt.unlink(missing_ok=True)

    def deaths(self, chunk: Chunk, run: str) -> int:
        """How many processes of a run began the chunk and never ended it; call with no process at work on it."""
        return len(list(self._attempts(chunk).glob(f"{run}-*")))

    def finish(self, chunk: Chunk, found: xr.Dataset) -> None:
        """Writes what a chunk found, then removes its checkpoints."""
        save(found, self._chunk_path(chunk))
        self.checkpoints(chunk).clear()
        shutil.rmtree(self._attempts(chunk), ignore_errors=True)

    def checkpoints(self, chunk: Chunk) -> Checkpoints:
        return Checkpoints(self.path / "checkpoints" / self.name(chunk))

    def finish_all(self, results: xr.Dataset) -> Path:
        """Writes the labelled whole, unless that is what is there."""
        path = self.path / "results.nc"
        with self._explained():
            with contextlib.suppress(OSError):
                if load(path).identical(results):
                    return path
            return save(results, path)

    def name(self, chunk: Chunk) -> str:
        return chunk.name(self.identity)

    def _chunk_path(self, chunk: Chunk) -> Path:
        return self.path / "chunks" / f"{self.name(chunk)}.nc"

    def _attempts(self, chunk: Chunk) -> Path:
        return self.path / "attempts" / self.name(chunk)

    def _lock(self, name: str, timeout: float = -1) -> filelock.BaseFileLock:
        import filelock

        path = self.path / "locks" / f"{name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        return filelock.FileLock(path, timeout=timeout)

    def _read_manifest(self) -> dict[str, Any]:
        path = self.path / "manifest.json"
        if not path.is_file():
            if self.path.is_dir() and (foreign := sorted(p.name for p in self.path.iterdir() if p.name != "locks")):
                raise ValueError(
                    f"{self.path} has no manifest.json, but holds {', '.join(foreign[:4])}; give an empty folder, or "
                    "that of a sweep."
                )
            return {"format": FORMAT, "identity": self.identity, "most_replicas": None, "chunks": []}
        try:
            manifest = json.loads(path.read_text())
            if manifest.pop("digest") != _digest(manifest):
                raise ValueError("its content is not as it was written")
        except (ValueError, KeyError, AttributeError) as error:
            raise OSError(
                f"{path} is damaged ({error}). Remove it to have the work cut anew: finished chunks are used again "
                "where the cut is the same."
            ) from error
        if manifest["format"] != FORMAT:
            raise ValueError(f"{path} has format {manifest['format']}; this version reads {FORMAT}.")
        if differing := differences(manifest["identity"], self.identity):
            more = f"\n  and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
            raise ValueError(
                f"{self.path} belongs to another study; choose another folder, or undo what differs:"
                + "".join(f"\n  {line}" for line in differing[:SHOWN])
                + more
            )
        return manifest

    def _write_manifest(self, most: int, chunks: list[Chunk]) -> None:
        plain = [chunk.plain() for chunk in chunks]
        manifest = {"format": FORMAT, "identity": self.identity, "most_replicas": most, "chunks": plain}
        manifest = json.loads(json.dumps(manifest))  # as it is read
        text = json.dumps(manifest | {"digest": _digest(manifest)}, sort_keys=True, allow_nan=False, indent=1)
        write_atomically(self.path / "manifest.json", lambda temporary: temporary.write_text(text + "\n"))

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Says of an error of the file system which folder it met, and what has become of the rest."""
        try:
            yield
        except OSError as error:
            if error.errno is None:  # says it itself
                raise
            raise OSError(
                f"The folder {self.path} cannot be written ({error.strerror}). Whatever is finished there is whole; "
                "once this is mended, the same command goes on from it."
            ) from error


def _digest(manifest: dict[str, Any]) -> str:
    return content_hash((), json.dumps(manifest, sort_keys=True))

"""A sweep's folder: the plan, finished chunks, checkpoints of unfinished ones, the results.

manifest.json         what the folder is for, and how the work was cut
chunks/<name>.nc      finished chunks, each says which it is; a name is the hash of all that determines the numbers
checkpoints/<name>/   of chunks that are not finished
locks/<name>.lock     held while a process is at work on a chunk
attempts/<run>/       while an executor works: one file per process that began a chunk and has not ended it
damaged/              what could not be read, set aside
results.nc            the whole, labelled
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vfl_jax.core.files import Damaged, load_own, save
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.store import manifest
from vfl_jax.sweeps.store.checkpoints import Checkpoints

if TYPE_CHECKING:
    import filelock
    import xarray as xr

logger = logging.getLogger("vfl_jax")

LABEL = "chunk"
"""The attribute of a chunk's file that says which chunk it is."""

MOST_DEATHS = 3
"""A chunk that has brought down so many workers at the same place is not tried again."""


class ChunkRefused(RuntimeError):
    """A chunk has brought down too many workers."""


class Folder:
    """The folder of one study; several processes, on several machines, may work in it at the same time."""

    def __init__(self, path: str | os.PathLike[str], identity: dict[str, Any]) -> None:
        self.path, self.identity = Path(path).absolute(), identity

    def planned(self) -> tuple[list[Chunk], int | None]:
        """The chunks there are to be, and how many replicas one may have; no chunks and None at the first start.

        Raises:
          ValueError: when the folder belongs to another study (what differs), has results of other code of own records
            (whose), or is no sweep's.
          OSError: when the manifest is damaged, or cannot be read.
        """
        found = self._manifest()
        return found.chunks, found.most

    def accept_code(self) -> None:
        """Lets what was found with other code of own records count as this study's, now and later."""
        try:
            manifest.read(self.path, self.identity)
        except manifest.ChangedCode:
            with self._explained(), self._lock("manifest"):
                _remove_begun(self.path / manifest.NAME)
                manifest.accept(self.path, self.identity)

    def plan(self, further: Callable[[list[Chunk], int], list[Chunk]], most: int) -> None:
        """Adds to the chunks those that ``further`` makes of them and of the largest number of replicas.

        Raises:
          OSError: when the folder cannot be written.
        """
        with self._explained(), self._lock("manifest"):
            found = self._manifest()  # another program may have planned meanwhile
            most = found.most or most
            chunks = [*found.chunks, *further(found.chunks, most)]
            _remove_begun(self.path / manifest.NAME)
            manifest.write(self.path, dataclasses.replace(found, chunks=chunks, most=most))

    def read(self, chunk: Chunk) -> xr.Dataset:
        """What a finished chunk found.

        Raises:
          FileNotFoundError: when its file is not there.
          Damaged: an OSError, when it is damaged, or not this chunk's.
          OSError: when it cannot be read just now, and why.
        """
        path = self._chunk_path(chunk)
        found = self._load(path)
        label = found.attrs.pop(LABEL, None)
        if label != chunk.label(self._origin):
            raise Damaged(f"{path} is not of the chunk {self.name(chunk)}: it says that it is {label or 'of none'}.")
        return found

    def check(self, chunk: Chunk) -> bool:
        """Whether a chunk is finished and its file whole. A damaged one is set aside, to be computed again."""
        path = self._chunk_path(chunk)
        try:
            self.read(chunk)
        except FileNotFoundError:
            return False
        except Damaged as error:
            self._set_aside(path, error, "computed again")
            return False
        with contextlib.suppress(OSError):
            if self.checkpoints(chunk).path.exists() or _begun(path):  # a process was killed right after it
                with self.work_on(chunk, wait=False) as is_held:
                    if is_held:
                        self._remove_checkpoints(chunk)
        return True

    def is_finished(self, chunk: Chunk) -> bool:
        """Whether its file is there; what is in it is checked when it is read."""
        try:
            return stat.S_ISREG(self._chunk_path(chunk).stat().st_mode)
        except FileNotFoundError:
            return False

    @contextlib.contextmanager
    def work_on(self, chunk: Chunk, wait: bool = True, run: str | None = None) -> Iterator[bool]:
        """Holds a chunk's lock; yields whether it was had. The lock of a process that dies is free.

        Args:
          wait: until another process lets it go; otherwise yields False where one has it.
          run: the run on an executor that asks; processes that die at work on a chunk are counted.

        Raises:
          ChunkRefused: when ``MOST_DEATHS`` processes of this run have died at work on the chunk, and none got further.
          OSError: when the folder cannot be written, or is not the one of the program that began the run.
        """
        import filelock

        with contextlib.ExitStack() as stack:
            try:
                with self._explained():
                    if run is not None and not self._attempts(run).is_dir():
                        raise OSError(
                            f"The folder {self.path} is not the sweep's as seen from here, or the run is over."
                        )
                    stack.enter_context(self._lock(self.name(chunk), timeout=-1 if wait else 0))
                    if run is not None:
                        stack.callback(self._begin(chunk, run).unlink, missing_ok=True)
                    _remove_begun(self._chunk_path(chunk))
            except filelock.Timeout:
                yield False
                return
            yield True

    @contextlib.contextmanager
    def run(self) -> Iterator[str]:
        """Names a run on an executor. When it ends, what was counted is forgotten and its tasks are refused."""
        run = uuid.uuid4().hex[:8]
        with self._explained():
            self._attempts(run).mkdir(parents=True)
        try:
            yield run
        finally:
            shutil.rmtree(self._attempts(run), ignore_errors=True)

    def begun(self, run: str) -> int:
        """How many times a process began a chunk and has not ended it, because it is at work or dead."""
        return sum(1 for _ in self._attempts(run).iterdir())

    def finish(self, chunk: Chunk, found: xr.Dataset) -> None:
        """Writes what a chunk found, then removes its checkpoints."""
        with self._explained():
            save(found.assign_attrs({LABEL: chunk.label(self._origin)}), self._chunk_path(chunk))
            self._remove_checkpoints(chunk)

    def checkpoints(self, chunk: Chunk) -> Checkpoints:
        return Checkpoints(self.path / "checkpoints" / self.name(chunk), owner=self.name(chunk))

    def finish_all(self, results: xr.Dataset) -> Path:
        """Writes the labelled whole, unless that is what is there. A damaged one is set aside.

        Raises:
          OSError: when it cannot be written, or what is there cannot be read just now, and why.
        """
        path = self.path / "results.nc"
        try:
            if self._load(path).identical(results):
                return path
        except FileNotFoundError:
            pass
        except Damaged as error:
            self._set_aside(path, error, "written again")
        with self._explained(), self._lock("results"):
            _remove_begun(path)
            return save(results, path)

    def name(self, chunk: Chunk) -> str:
        return chunk.name(self._origin)

    @functools.cached_property
    def _origin(self) -> dict[str, Any]:
        """The identity of the study that began the folder: it may have had other code, where that was accepted."""
        found = manifest.read(self.path, self.identity)
        return self.identity if found is None else found.identity

    def _manifest(self) -> manifest.Manifest:
        found = manifest.read(self.path, self.identity)
        if found is None:
            manifest.check_own(self.path)
            return manifest.Manifest(self.identity, [], None, [])
        return found

    @staticmethod
    def _load(path: Path) -> xr.Dataset:
        try:
            return load_own(path)
        except (FileNotFoundError, Damaged):
            raise
        except OSError as error:
            raise OSError(
                f"{path} cannot be read just now ({error.strerror or error}). It is left as it is; once this is "
                "mended, the same command goes on."
            ) from error

    def _set_aside(self, path: Path, error: Damaged, what_now: str) -> None:
        """Moves a damaged file where nobody reads it, and says so."""
        aside = self.path / "damaged" / f"{path.name}.{uuid.uuid4().hex[:8]}"
        with self._explained():
            aside.parent.mkdir(exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                os.replace(path, aside)
        logger.warning("%s It is set aside as %s and %s.", error, aside, what_now)

    def _chunk_path(self, chunk: Chunk) -> Path:
        return self.path / "chunks" / f"{self.name(chunk)}.nc"

    def _attempts(self, run: str) -> Path:
        return self.path / "attempts" / run

    def _begin(self, chunk: Chunk, run: str) -> Path:
        """The file that is there until the chunk is ended. With its lock held, all others of it are those of the dead.

        Files of another epoch do not count: a worker that is taken away when its time is up does no harm, as long as
        the chunk gets further every time.
        """
        epoch = max((path.name.partition("-")[0] for path in self.checkpoints(chunk).path.glob("[0-9]*-*")), default="")
        stem = f"{self.name(chunk)}-{epoch}-"
        if len(list(self._attempts(run).glob(f"{stem}*"))) >= MOST_DEATHS:
            raise ChunkRefused(f"it brought down {MOST_DEATHS} workers, and none got further; their logs say why")
        path = self._attempts(run) / f"{stem}{uuid.uuid4().hex[:8]}"
        path.touch()
        return path

    def _remove_checkpoints(self, chunk: Chunk) -> None:
        shutil.rmtree(self.checkpoints(chunk).path, ignore_errors=True)

    def _lock(self, name: str, timeout: float = -1) -> filelock.BaseFileLock:
        import filelock

        path = self.path / "locks" / f"{name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o666))
        # Without its mode filelock would give it one, whatever the umask says: others of the group could not lock.
        mode = stat.S_IMODE(path.stat().st_mode) | stat.S_IRUSR | stat.S_IWUSR  # it takes no other, though it may be so
        return filelock.FileLock(path, timeout=timeout, mode=mode)

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


def _begun(path: Path) -> list[Path]:
    """Files that are to become ``path``, or what is beside it; of killed processes, where no other may write it."""
    return list(path.parent.glob(f".{path.name}.*"))


def _remove_begun(path: Path) -> None:
    for begun in _begun(path):
        begun.unlink(missing_ok=True)

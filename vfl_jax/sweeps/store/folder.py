"""A sweep's folder: the plan, finished chunks, checkpoints of unfinished ones, the results.

manifest.json         the study of the folder, and all chunks that its work is cut into
chunks/<name>.nc      a finished chunk, which says its own label; a name is the hash of all that determines the numbers
kept/<name>/          the final states of a finished chunk, where a sweep keeps them
checkpoints/<name>/   the checkpoints of an unfinished chunk
locks/<name>.lock     a process holds it while it works on a chunk
attempts/<run>/       while an executor works: one file per process that began a chunk and has not ended it
damaged/              files that could not be read, set aside
results.nc            the results of the whole sweep
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

from vfl_jax.core.damage import Damaged
from vfl_jax.core.files import save
from vfl_jax.core.holding import hold
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.store import manifest
from vfl_jax.sweeps.store.attempts import Attempts
from vfl_jax.sweeps.store.checkpoints import Checkpoints
from vfl_jax.sweeps.store.upkeep import begun, explained, load_here, remove_begun, set_aside

if TYPE_CHECKING:
    import xarray as xr

logger = logging.getLogger("vfl_jax")

LABEL = "chunk"
"""The attribute of a chunk's file that says which chunk it is."""


class Folder:
    """The folder of one study. Several processes, on several machines, may work in it at the same time.

    Args:
      path: the folder. It need not exist.
      identity: that of the study.
      keeps: whether a chunk is only finished with its final states.
    """

    def __init__(self, path: str | os.PathLike[str], identity: dict[str, Any], keeps: bool = False) -> None:
        self.path, self.identity, self.keeps = Path(path).absolute(), identity, keeps

    def planned(self) -> tuple[list[Chunk], int | None]:
        """All planned chunks, and the largest number of replicas of a chunk; no chunks and None at the first start.

        Raises:
          ValueError: where the folder belongs to another study (with the differences), has results of other code of
            own records (with their names), or is no sweep's.
          OSError: where the manifest is damaged, or cannot be read.
        """
        found = self._manifest()
        return found.chunks, found.most

    def accept_code(self) -> None:
        """Lets results of other code of own records count as this study's, now and later.

        Raises:
          ValueError: where the folder belongs to another study.
          OSError: where the manifest is damaged, or the folder cannot be written.
        """
        try:
            manifest.read(self.path, self.identity)
        except manifest.ChangedCode:
            with explained(self.path), self._lock("manifest"):
                remove_begun(self.path / manifest.NAME)
                manifest.accept(self.path, self.identity)

    def plan(self, further: Callable[[list[Chunk], int], list[Chunk]], most: int) -> None:
        """Adds chunks to the plan.

        Args:
          further: the function that returns the new chunks. It takes the planned ones, and the largest number of
            replicas of a chunk.
          most: this number, where the folder has no plan yet.

        Raises:
          OSError: where the folder cannot be written.
        """
        with explained(self.path), self._lock("manifest"):
            found = self._manifest()  # another process may have planned meanwhile
            most = found.most or most
            chunks = [*found.chunks, *further(found.chunks, most)]
            remove_begun(self.path / manifest.NAME)
            manifest.write(self.path, dataclasses.replace(found, chunks=chunks, most=most))

    def read(self, chunk: Chunk) -> xr.Dataset:
        """The results of a finished ``chunk``.

        Raises:
          FileNotFoundError: where its file is missing.
          Damaged: an ``OSError``, where its file is damaged, or another chunk's.
          OSError: where its file cannot be read just now, with the reason.
        """
        path = self._chunk_path(chunk)
        found = load_here(path)
        label = found.attrs.pop(LABEL, None)
        if label != chunk.label(self._origin):
            raise Damaged(f"{path} is not of the chunk {self.name(chunk)}: it says that it is {label or 'of none'}.")
        return found

    def check(self, chunk: Chunk) -> bool:
        """Whether ``chunk`` is finished and its file whole. A damaged file is set aside, and its chunk trained again.

        Raises:
          OSError: where the file cannot be read just now, or a damaged one cannot be moved.
        """
        path = self._chunk_path(chunk)
        try:
            self.read(chunk)
        except FileNotFoundError:
            return False
        except Damaged as error:
            set_aside(self.path, path, error, "computed again")
            return False
        if self.keeps and not self._kept(chunk).is_whole():
            if self._kept(chunk).path.exists():
                logger.warning("%s is damaged; it is computed again.", self._kept(chunk).path)
            return False
        with contextlib.suppress(OSError):
            if self.checkpoints(chunk).path.exists() or begun(path):  # a process was killed right after it wrote
                with self.work_on(chunk, wait=False) as is_held:
                    if is_held:
                        self._remove_checkpoints(chunk)
        return True

    def is_finished(self, chunk: Chunk) -> bool:
        """Whether the file of ``chunk`` is there, and whole states where they are kept. Reading checks the file."""
        if self.keeps and not self._kept(chunk).is_whole():
            return False
        try:
            return stat.S_ISREG(self._chunk_path(chunk).stat().st_mode)
        except FileNotFoundError:
            return False

    @contextlib.contextmanager
    def work_on(
        self,
        chunk: Chunk,
        wait: bool = True,
        run: str | None = None,
        say: Callable[[str], Any] = logger.warning,
    ) -> Iterator[bool]:
        """Holds a chunk's lock; yields whether this process has it. The death of a process frees its lock.

        Args:
          chunk: the chunk to work on.
          wait: whether to wait until another process frees the lock. Without waiting, this yields False.
          run: the run on an executor that the work belongs to. It counts the processes that die at work on a chunk.
          say: what a sentence about waiting is given to.

        Raises:
          ChunkRefused: where too many processes of this run have died at work on the chunk, at the same epoch.
          OSError: where the folder cannot be written, or is not the folder of the process that began the run; where the
            process that is waited for has given no sign of life for an hour.
        """
        with contextlib.ExitStack() as stack:
            with explained(self.path):
                if run is not None and not self.goes_on(run):
                    raise OSError(f"The folder {self.path} is not the sweep's as seen from here, or the run is over.")
                is_held = stack.enter_context(self._lock(self.name(chunk), wait, say))
                if is_held and run is not None:
                    checkpoints = self.checkpoints(chunk).path.glob("[0-9]*-*")
                    epoch = max((path.name.partition("-")[0] for path in checkpoints), default="")
                    stack.callback(self._attempts(run).begin(self.name(chunk), epoch).unlink, missing_ok=True)
                if is_held:
                    remove_begun(self._chunk_path(chunk))
            yield is_held

    @contextlib.contextmanager
    def run(self) -> Iterator[str]:
        """Yields the name of a run on an executor. When it ends, its counts are forgotten, and its tasks refused."""
        run = uuid.uuid4().hex[:8]
        with explained(self.path):
            self._attempts(run).open()
        try:
            yield run
        finally:
            self._attempts(run).close()

    def goes_on(self, run: str) -> bool:
        """Whether a ``run`` goes on, as seen from this process."""
        return self._attempts(run).are_counted()

    def begun(self, run: str) -> int:
        """How many processes of a ``run`` have begun a chunk and not ended it: they are at work, or dead."""
        return self._attempts(run).num_open()

    def finish(self, chunk: Chunk, found: xr.Dataset) -> None:
        """Writes the results ``found`` of ``chunk``, then removes its checkpoints; ``OSError`` where it cannot."""
        with explained(self.path):
            save(found.assign_attrs({LABEL: chunk.label(self._origin)}), self._chunk_path(chunk))
            self._remove_checkpoints(chunk)

    def keep(self, chunk: Chunk, state: Any) -> None:
        """Writes the final states of ``chunk``, a pytree of arrays on the host; ``OSError`` where it cannot."""
        with explained(self.path):
            kept = self._kept(chunk)
            kept.clear()
            kept.save(0, state)

    def kept(self, chunk: Chunk, like: Any) -> Any:
        """The final states of a finished ``chunk``.

        Args:
          chunk: a chunk of a sweep that keeps them.
          like: the pytree of their shapes and dtypes.

        Raises:
          OSError: where they are missing or damaged, or cannot be read just now.
        """
        found = self._kept(chunk).restore(lambda _: like)
        if found is None:
            raise Damaged(
                f"{self._kept(chunk).path} has no final states that can be read, or is not there; the same sweep "
                "trains this chunk again."
            )
        return found[1]

    def checkpoints(self, chunk: Chunk) -> Checkpoints:
        """The checkpoints of ``chunk``."""
        return Checkpoints(self.path / "checkpoints" / self.name(chunk), owner=self.name(chunk))

    def finish_all(self, results: xr.Dataset) -> Path:
        """Writes the ``results`` of the whole sweep, unless the folder has them. A damaged file is set aside.

        Returns:
          The path of their file.

        Raises:
          OSError: where the folder cannot be written, or the present file cannot be read just now.
        """
        path = self.path / "results.nc"
        try:
            if load_here(path).identical(results):
                with contextlib.suppress(OSError):
                    if begun(path):  # a process was killed right after it wrote
                        with self._lock("results", wait=False) as is_held:
                            if is_held:
                                remove_begun(path)
                return path
        except FileNotFoundError:
            pass
        except Damaged as error:
            set_aside(self.path, path, error, "written again")
        with explained(self.path), self._lock("results"):
            remove_begun(path)
            return save(results, path)

    def name(self, chunk: Chunk) -> str:
        """The name of ``chunk`` in this folder."""
        return chunk.name(self._origin)

    @functools.cached_property
    def _origin(self) -> dict[str, Any]:
        """The identity of the study that began the folder. Its code may be other code that was accepted since."""
        found = manifest.read(self.path, self.identity)
        return self.identity if found is None else found.identity

    def _manifest(self) -> manifest.Manifest:
        """The manifest, or an empty one where the folder may begin."""
        found = manifest.read(self.path, self.identity)
        if found is None:
            manifest.check_own(self.path)
            return manifest.Manifest(self.identity, [], None, [])
        return found

    def _chunk_path(self, chunk: Chunk) -> Path:
        return self.path / "chunks" / f"{self.name(chunk)}.nc"

    def _kept(self, chunk: Chunk) -> Checkpoints:
        """The final states of a chunk: a checkpoint that stays."""
        return Checkpoints(self.path / "kept" / self.name(chunk), owner=self.name(chunk))

    def _attempts(self, run: str) -> Attempts:
        """The attempts of a run on an executor."""
        return Attempts(self.path / "attempts" / run)

    def _remove_checkpoints(self, chunk: Chunk) -> None:
        shutil.rmtree(self.checkpoints(chunk).path, ignore_errors=True)

    def _lock(
        self, name: str, wait: bool = True, say: Callable[[str], Any] = logger.warning
    ) -> contextlib.AbstractContextManager[bool]:
        """A lock that all processes in the folder share; ``name`` is that of a chunk, or says what it is for."""
        return hold(self.path / "locks" / f"{name}.lock", f"{name} in {self.path}", wait, say)

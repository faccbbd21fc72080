"""Locks that processes share. Whoever waits says for whom and since when, and nobody waits for ever.

The death of a process frees its locks. A process that is stopped, or hangs on its disk, keeps them: it renews the note
beside its lock no longer, so that the others can tell, say so, and end after an hour.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vfl_jax.core import stopping
from vfl_jax.core.ordinary import read_text
from vfl_jax.core.words import duration

if TYPE_CHECKING:
    import filelock

logger = logging.getLogger("vfl_jax")

FIRST_WORD = 5.0
"""After so many seconds of waiting a process says for whom it waits."""
NEXT_WORD = 600.0
"""It says so again after so many."""
SIGN_EVERY = 20.0
"""A holder renews its note so often, in seconds."""
MOST_SILENCE = 3600.0
"""A process that waits gives up after so many seconds without a sign of life of the holder."""
MOST_NOTE = 4096
"""The characters of a note."""


@contextlib.contextmanager
def hold(path: Path, what: str, wait: bool = True, say: Callable[[str], Any] = logger.warning) -> Iterator[bool]:
    """Holds a lock until the block ends; yields whether this process has it.

    Args:
      path: the file of the lock; it is made where it is missing, and stays.
      what: what the lock is for, at the beginning of messages.
      wait: whether to wait until another process frees the lock. Without waiting, this yields False.
      say: what a sentence about waiting is given to.

    Raises:
      OSError: where the file cannot be made or opened; where the holder has given no sign of life for an hour.
    """
    import filelock

    lock, waiting = _lock(path), _Waiting(path, what, say)
    while True:
        try:
            lock.acquire(timeout=1.0 if wait else 0.0)
            break
        except filelock.Timeout:
            if not wait:
                yield False
                return
            stopping.check()
            waiting.look()
    try:
        with _signs_of_life(_note(path)):
            yield True
    finally:
        lock.release()


class _Waiting:
    """What a process that waits has seen of the holder, by this process's own clock.

    Args:
      path: the file of the lock.
      what, say: as in :func:`hold`.
    """

    def __init__(self, path: Path, what: str, say: Callable[[str], Any]) -> None:
        self.note, self.what, self.say = _note(path), what, say
        self.began = self.seen = time.monotonic()
        self.said: float | None = None
        self.sign: Any = None

    def look(self) -> None:
        """Looks for a sign of life, and says for whom this process waits where that is due."""
        now = time.monotonic()
        if (sign := _changed(self.note)) != self.sign:
            self.sign, self.seen = sign, now
        if now - self.seen > MOST_SILENCE:
            who, state = _holder(self.note)
            raise OSError(
                f"{self.what} is held by {who}. It has given no sign of life for {duration(now - self.seen)}.{state} "
                "End it, or let it go on; then the same command goes on here."
            )
        if now - (self.began if self.said is None else self.said) >= (FIRST_WORD if self.said is None else NEXT_WORD):
            self.said = now
            who, state = _holder(self.note)
            silent = now - self.seen
            silence = f" It has given no sign of life for {duration(silent)}." if silent > 3 * SIGN_EVERY else ""
            self.say(f"{self.what} is held by {who}; this process waits for it.{state}{silence}")


def _lock(path: Path) -> filelock.BaseFileLock:
    """Returns the lock of a file, which is made as the umask says."""
    import filelock

    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o666))
    # Without a mode filelock sets one of its own, whatever the umask says, and others of the group could not lock.
    mode = stat.S_IMODE(path.stat().st_mode) | stat.S_IRUSR | stat.S_IWUSR  # filelock insists on these two bits
    return filelock.FileLock(path, mode=mode)


def _note(path: Path) -> Path:
    """Returns the path of the note that says who holds a lock; filelock empties the lock's own file."""
    return path.with_name(path.name + ".holder")


@contextlib.contextmanager
def _signs_of_life(note: Path) -> Iterator[None]:
    """Says in a note that this process holds the lock, and renews it until the block ends; no note is no error."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(SIGN_EVERY):
            with contextlib.suppress(OSError):
                os.utime(note)

    holder = {"process": os.getpid(), "machine": platform.node(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    with contextlib.suppress(OSError):
        note.unlink(missing_ok=True)  # that of a dead process, perhaps of another user
        note.write_text(json.dumps(holder))
    threading.Thread(target=renew, daemon=True).start()
    try:
        yield
    finally:
        over.set()
        with contextlib.suppress(OSError):
            note.unlink(missing_ok=True)


def _changed(note: Path) -> Any:
    """Returns what changes with every sign of life; None without a note."""
    try:
        found = note.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino


def _holder(note: Path) -> tuple[str, str]:
    """Returns who holds a lock, in words; and a sentence, where there is more to say of it."""
    try:
        found = json.loads(read_text(note, MOST_NOTE))
        process, machine, since = found["process"], found["machine"], found["since"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return "another process that does not say who it is", ""
    state = ""
    if machine == platform.node() and isinstance(process, int) and _is_stopped(process):
        state = f" It is stopped; kill -CONT {process} lets it go on."
    return f"process {process} on {machine} since {since}", state


def _is_stopped(process: int) -> bool:
    """Whether a process of this machine was stopped by a signal."""
    import psutil

    try:
        return psutil.Process(process).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
    except (psutil.Error, ValueError, OverflowError):
        return False

"""Files that are written whole or not at all: the one way in which anything here is written."""

from __future__ import annotations

import errno
import os
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vfl_jax.core.checks import shown

NOT_OFFERED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.EISDIR, errno.ENOTTY}
"""What file systems answer that offer no flush."""
NOT_ALLOWED = {errno.EACCES, errno.EPERM}
"""What they answer where a folder cannot be opened: on Windows, on some mounts, or for want of the right to list it."""


def write_atomically(path: Path, write: Callable[[Path], Any]) -> Path:
    """Lets ``write`` fill a temporary file beside ``path`` and moves it there when it is whole and on disk.

    Whatever goes wrong, an earlier file stays as it was and no part of a new one is left. Who may read the file is
    decided by the process's umask, as it is for any new file.

    Raises:
      OSError: when it cannot be written (which file, and why).
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except OSError as error:
        number = errno.ENOTDIR if isinstance(error, FileExistsError) else error.errno  # a file where a folder must be
        raise OSError(number, os.strerror(number or 0), str(path)) from error
    try:
        write(temporary)
        flush(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    flush(path.parent)
    return path


def flush(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on disk.

    Network disks, FUSE and Windows flush no folders, some not even files. What they hold is then as safe as they make
    it, and no reason to give a result up.

    Raises:
      OSError: where the disk failed.
    """
    is_folder = path.is_dir()
    try:
        handle = os.open(path, os.O_RDWR if os.name == "nt" and not is_folder else os.O_RDONLY)
    except OSError as error:
        if is_folder and error.errno in NOT_ALLOWED | NOT_OFFERED:
            return
        raise
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NOT_OFFERED | (NOT_ALLOWED if is_folder else set()):
            raise
    finally:
        os.close(handle)


def check_writable(argument: str, path: Any, appends: bool = False) -> None:
    """Finds out early whether a file can be written at a path, or added to; leaves nothing behind and makes no folder.

    Args:
      argument: where the path was given, for messages.

    Raises:
      ValueError: where it is no path.
      OSError: where nothing can be written there.
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ValueError(f"{argument} is {shown(path)}; it must be the path of a file.")
    path = Path(path)
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        if appends and path.exists():
            path.open("ab").close()
        else:
            tempfile.NamedTemporaryFile(dir=_nearest_folder(path), prefix=f".{path.name}.").close()
    except (OSError, ValueError) as error:  # ValueError: a path that no system can have
        raise OSError(f"{argument} is {path}, which cannot be written ({_reason(error)}).") from error


def check_folder(argument: str, path: Any) -> None:
    """Finds out early whether a path is a folder, or one can be made there; see :func:`check_writable`."""
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ValueError(f"{argument} is {shown(path)}; it must be the path of a folder.")
    path = Path(path)
    try:
        if path.is_dir():
            return  # a finished one is only read
        if path.exists():
            raise NotADirectoryError(errno.ENOTDIR, "it is a file")
        tempfile.TemporaryDirectory(dir=_nearest_folder(path), prefix=f".{path.name}.").cleanup()
    except (OSError, ValueError) as error:
        raise OSError(f"{argument} is {path}, where no folder can be made ({_reason(error)}).") from error


def _nearest_folder(path: Path) -> Path:
    """The first that exists on the way up; what is missing is made when it is needed."""
    return next(parent for parent in path.absolute().parents if parent.exists())


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)

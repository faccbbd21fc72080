"""Files that are written whole or not at all; the package writes every file through this module."""

from __future__ import annotations

import errno
import logging
import os
import tempfile
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vfl_jax.core.checks import shown

logger = logging.getLogger("vfl_jax")

NOT_OFFERED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.EISDIR, errno.ENOTTY}
"""The errors of file systems that offer no flush."""
NOT_NOW = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}
"""The errors of a disk that is full, or may only be read."""
NOT_ALLOWED = {errno.EACCES, errno.EPERM}
"""The errors where a folder cannot be opened: on some mounts, or without the right to list it."""

LONGEST_NAME = 200
"""The bytes of a name: file systems take 255, and temporary files and locks add to it."""


def write_atomically(path: Path, write: Callable[[Path], Any]) -> Path:
    """Writes a file whole or not at all.

    ``write`` fills a temporary file beside ``path``. The file moves to ``path`` when all of it is on disk. Whatever
    goes wrong, an earlier file stays as it was, and no part of a new file is left. The process's umask decides who may
    read the file, as for any new file.

    Args:
      path: the place of the file; missing folders are made.
      write: a function that writes everything into the file at the path it is given.

    Returns:
      ``path``.

    Raises:
      OSError: where the file cannot be written; the error names the file and the reason.
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
    """Waits until a file, or the list of names in a folder, is on disk.

    Network disks and FUSE flush no folders; some of them flush no files either. The result is then as safe as
    the disk makes it, and the missing flush is no reason to give the result up.

    Args:
      path: a file or a folder.

    Raises:
      OSError: where the disk fails.
    """
    is_folder = path.is_dir()
    try:
        handle = os.open(path, os.O_RDONLY)
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
    """Checks early that a file can be written at a path; leaves nothing behind and makes no folder.

    Args:
      argument: the name of the argument that gives the path, for messages.
      path: the path.
      appends: whether the file is added to where there is one already.

    Raises:
      ValueError: where ``path`` is no path.
      OSError: where no file can be written there.
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


def check_apart(written: Mapping[str, Any], read: Mapping[str, Any]) -> None:
    """Checks early that no output is another output, or would be written over an input.

    Args:
      written: the paths of outputs by the words for them in messages; None stands for no output.
      read: the paths of inputs, likewise.

    Raises:
      ValueError: naming the output and what it is, too.

    Example:
      >>> check_apart({"--out": "grid.nc"}, {"the results to report": "./grid.nc"})
      Traceback (most recent call last):
      ...
      ValueError: --out is grid.nc, and so is the results to report; they must be two files.
    """
    taken = {Path(path).resolve(): name for name, path in read.items() if path is not None}
    for name, path in written.items():
        if path is not None and (other := taken.setdefault(Path(path).resolve(), name)) != name:
            raise ValueError(f"{name} is {path}, and so is {other}; they must be two files.")


def check_log(argument: str, path: Any) -> None:
    """Checks early that a path can be that of a log. A disk that is full or may only be read is no reason to stop.

    Args:
      argument: the name of the argument that gives the path, for messages.
      path: the path.

    Raises:
      ValueError: where ``path`` is no path.
      OSError: where no file can ever be there, such as in the place of a folder.
    """
    try:
        check_writable(argument, path, appends=True)
    except OSError as error:
        if not isinstance(error.__cause__, OSError) or error.__cause__.errno not in NOT_NOW:
            raise
        logger.warning("%s The work goes on without it.", error)


def check_folder(argument: str, path: Any) -> None:
    """Checks early that a path is a folder, or that a folder can be made there; leaves nothing behind.

    Args:
      argument: the name of the argument that gives the path, for messages.
      path: the path.

    Raises:
      ValueError: where ``path`` is no path.
      OSError: where no folder can be made there.
    """
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        raise ValueError(f"{argument} is {shown(path)}; it must be the path of a folder.")
    path = Path(path)
    try:
        if path.is_dir():
            return  # a finished sweep only reads its folder, so the folder need not be writable
        if path.exists():
            raise NotADirectoryError(errno.ENOTDIR, "it is a file")
        tempfile.TemporaryDirectory(dir=_nearest_folder(path), prefix=f".{path.name}.").cleanup()
    except (OSError, ValueError) as error:
        raise OSError(f"{argument} is {path}, where no folder can be made ({_reason(error)}).") from error


def is_folder_name(name: Any) -> bool:
    """Whether a name is one that a folder can have on every file system, such as that of a case or a board.

    Args:
      name: the name.

    Example:
      >>> [is_folder_name(name) for name in ("plain", "a/b", "..", "x" * 300, "")]
      [True, False, False, False, False]
    """
    if not isinstance(name, str) or not name or "\0" in name or Path(name).name != name or name.startswith("."):
        return False
    return len(name.encode(errors="replace")) <= LONGEST_NAME and name == name.encode(errors="replace").decode()


def _nearest_folder(path: Path) -> Path:
    """Returns the nearest folder above a path that exists; the missing ones are made when they are needed."""
    return next(parent for parent in path.absolute().parents if parent.exists())


def _reason(error: OSError | ValueError) -> str:
    """Returns the system's words for an error, without its number."""
    return (isinstance(error, OSError) and error.strerror) or str(error)

"""Files that are written whole or not at all: the one way in which anything here is written."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vfl_jax.checks import shown


def write_atomically(path: Path, write: Callable[[Path], Any]) -> Path:
    """Lets ``write`` fill a temporary file beside ``path`` and moves it there when it is whole and on disk.

    Whatever goes wrong, an earlier file stays as it was and no part of a new one is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return path


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

"""The files of a sweep's folder where things go wrong: damaged or unfinished ones, and errors that say what to do."""

from __future__ import annotations

import contextlib
import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vfl_jax.core.damage import Damaged
from vfl_jax.core.files import load_own

if TYPE_CHECKING:
    import xarray as xr

logger = logging.getLogger("vfl_jax")


def load_here(path: Path) -> xr.Dataset:
    """Returns the results in a file of the folder.

    Args:
      path: the file.

    Raises:
      FileNotFoundError: where it is missing.
      Damaged: an ``OSError``, where it is damaged.
      OSError: where it cannot be read just now, with the reason and what to do.
    """
    try:
        return load_own(path)
    except (FileNotFoundError, Damaged):
        raise
    except OSError as error:
        raise OSError(
            f"{path} cannot be read just now ({error.strerror or error}). It is left as it is; once this is "
            "mended, the same command goes on."
        ) from error


def set_aside(folder: Path, path: Path, error: Damaged, what_now: str) -> None:
    """Moves a damaged file where nobody reads it, and logs a warning.

    Args:
      folder: the sweep's folder.
      path: the file.
      error: what is wrong with it.
      what_now: what becomes of its content, such as "computed again".
    """
    aside = folder / "damaged" / f"{path.name}.{uuid.uuid4().hex[:8]}"
    with explained(folder):
        aside.parent.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            os.replace(path, aside)
    logger.warning("%s It is set aside as %s and %s.", error, aside, what_now)


@contextlib.contextmanager
def explained(folder: Path) -> Iterator[None]:
    """Adds to an error of the file system the folder's path, and that finished files are whole.

    Args:
      folder: the sweep's folder.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:  # an error of this package, which says it itself
            raise
        raise OSError(
            f"The folder {folder} cannot be written ({error.strerror}). Whatever is finished there is whole; "
            "once this is mended, the same command goes on from it."
        ) from error


def begun(path: Path) -> list[Path]:
    """Returns unfinished files of a file and of the file beside it. Under a lock they are those of killed processes.

    Args:
      path: the file.
    """
    return list(path.parent.glob(f".{path.name}.*"))


def remove_begun(path: Path) -> None:
    """Removes unfinished files; the lock of the file must be held.

    Args:
      path: the file.
    """
    for unfinished in begun(path):
        unfinished.unlink(missing_ok=True)

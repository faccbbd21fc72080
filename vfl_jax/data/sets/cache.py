"""A cache of parsed arrays; every read checks all of its bytes."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vfl_jax.core.atomic import write_atomically
from vfl_jax.core.holding import hold
from vfl_jax.core.ordinary import check_ordinary, read_text

FORMAT = 1
MANIFEST = "manifest.json"


def cached(
    folder: Path, sources: Sequence[Path], version: int, build: Callable[[], Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Returns the arrays that ``build`` makes of some files, mapped from disk, and keeps them in a folder.

    ``build`` runs where the folder does not hold the arrays whole: after a change of the version or of a source (its
    name, size or time of change), after a kill, or after damage to any byte. Processes that want the same arrays at
    once wait for the one that builds them. A mapped array takes memory only for the rows that are read.

    Args:
      folder: a folder for these arrays alone; it is made where it is missing.
      sources: the files that ``build`` reads.
      version: the version of ``build``; change it with the arrays that ``build`` makes.
      build: makes the arrays, by name.

    Returns:
      the arrays, by name, read-only.

    Raises:
      OSError: where the folder cannot be made, or cannot be written and does not hold the arrays whole; where a process
        that holds it has given no sign of life for an hour.
    """
    stats = [(path.name, path.stat()) for path in sources]  # Taken before the build: a change during it shows later.
    identity = {
        "format": FORMAT,
        "version": version,
        "sources": [[name, stat.st_size, stat.st_mtime_ns] for name, stat in stats],
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"{folder} cannot be made ({error}); name another place by the argument cache.") from error
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(hold(folder / "lock", f"The cache {folder}"))
        except OSError as error:
            if error.errno is None:  # it has waited long enough, and says so itself
                raise
            if (names := _whole(folder, identity)) is not None:  # whole, and nobody here can change it
                return _mapped(folder, names)
            raise OSError(
                f"{folder} cannot be written ({error.strerror}), and does not hold the arrays whole; "
                "name another place by the argument cache."
            ) from error
        names = _whole(folder, identity)
        if names is None:
            _clear(folder)
            digests = {name: _write(folder / f"{name}.npy", array) for name, array in build().items()}
            manifest = json.dumps(identity | {"arrays": digests}, indent=1) + "\n"
            write_atomically(folder / MANIFEST, lambda temporary: temporary.write_text(manifest))
            names = list(digests)
        return _mapped(folder, names)


def _mapped(folder: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Returns the arrays of a folder that is whole, mapped from disk."""
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names}


def _whole(folder: Path, identity: dict[str, Any]) -> list[str] | None:
    """Returns the names of the arrays; None unless all are there, undamaged, and made for this identity."""
    try:
        manifest = json.loads(read_text(folder / MANIFEST))
        arrays = manifest.pop("arrays")
        if manifest == identity and all(_digest(folder / f"{name}.npy") == arrays[name] for name in arrays):
            return list(arrays)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ):  # The manifest is missing, cut off or foreign.
        pass
    return None


def _clear(folder: Path) -> None:
    """Removes earlier arrays, and the temporary files of a process that was killed."""
    for path in folder.iterdir():
        if MANIFEST in path.name or ".npy" in path.name:
            path.unlink()


def _write(path: Path, array: np.ndarray) -> str:
    """Writes one array and returns its digest."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.save(file, array, allow_pickle=False)

    return _digest(write_atomically(path, write))


def _digest(path: Path) -> str:
    check_ordinary(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Checkpoints of one unfinished training: whole on disk before they count, verified before they are used."""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vfl_jax.core.atomic import flush
from vfl_jax.core.vertical_data import content_hash

logger = logging.getLogger("vfl_jax")

KEPT = 2
"""How many checkpoints a folder keeps: the newest, and another in case the newest is damaged."""
DIGEST = "digest"
"""The array of a checkpoint that holds the digest of all others."""


class Checkpoints:
    """Checkpoints of one unfinished training, in a folder of their own.

    One process saves, any process restores, and none waits for another. A checkpoint is a folder called
    ``<epoch>-<digest of its files>``. It gets this name when it is whole and on disk, so that a process may be killed
    at any moment. A file with other bytes than were written is never given to a library.

    Args:
      path: the folder of all checkpoints of this training.
      owner: the name of the training. Checkpoints of another training are passed over, wherever they come from.
    """

    def __init__(self, path: str | os.PathLike[str], owner: str = "") -> None:
        self.path, self.owner = Path(path).absolute(), owner

    def of_part(self, number: int) -> Checkpoints:
        """Returns the checkpoints of a part of this training, in a folder inside its own.

        Args:
          number: which part, from 0.
        """
        return Checkpoints(self.path / f"part-{number}", f"{self.owner}-{number}")

    def save(self, epoch: int, tree: Any) -> None:
        """Writes a checkpoint, and returns when it is on disk.

        Args:
          epoch: how many epochs are done.
          tree: a pytree of arrays, typed keys among them. Of its structure only the paths of the leaves are stored.

        Raises:
          OSError: where it cannot be written, with the place and the reason. Earlier checkpoints stay as they were.
        """
        arrays = dict(zip(_names(tree), _arrays(tree), strict=True))
        arrays[DIGEST] = _digest(self.owner, epoch, arrays)
        checkpointer, unfinished = _checkpointer(), self.path / "unfinished"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._remove_unfinished()
            with _silent("absl"):  # it logs tracebacks of errors that it raises anyway
                checkpointer.save(unfinished, arrays)
            for path in (*unfinished.rglob("*"), unfinished):
                flush(path)
            new = unfinished.rename(self.path / f"{epoch:08d}-{_fingerprint(unfinished)}")
            flush(self.path)
        except Exception as error:  # a full disk is a ValueError of tensorstore's
            self._remove_unfinished()
            raise OSError(f"No checkpoint could be written in {self.path} ({_reason(error)}).") from error
        # A checkpoint of this epoch or of a later one was passed over when training went on from an earlier one.
        finished = self._finished()
        kept = [new, *[folder for done, folder in finished if done < epoch][: KEPT - 1]]
        for _, folder in finished:
            if folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def restore(self, like: Callable[[int], Any]) -> tuple[int, Any] | None:
        """Reads the newest checkpoint.

        A damaged checkpoint, or one of another owner, is passed over with a warning. One that cannot be read just now
        is an error, because passing it over would lose its epochs.

        Args:
          like: the function that returns the expected tree after a number of epochs. Only the shapes and dtypes of its
            leaves count.

        Returns:
          The number of finished epochs and the tree, NumPy arrays but for typed keys; None without a checkpoint.

        Raises:
          OSError: where a checkpoint cannot be read just now, with its name and the reason.
        """
        finished = self._finished()
        checkpointer = _checkpointer() if finished else None
        for place, (epoch, folder) in enumerate(finished, 1):
            expected = like(epoch)
            try:
                return epoch, self._read(checkpointer, folder, epoch, expected)
            except Exception as error:  # libraries raise anything on damage; an earlier checkpoint costs only time
                if (number := _system_error(error)) is not None:
                    raise OSError(
                        f"The checkpoint {folder} cannot be read just now ({os.strerror(number)}). It is left as it "
                        "is; once this is mended, the same command goes on from it."
                    ) from error
                older = finished[place:]
                instead = f"{older[0][1].name} is tried instead" if older else "there is no older one"
                logger.warning("The checkpoint %s is passed over (%s); %s.", folder, _reason(error), instead)
        return None

    def _read(self, checkpointer: Any, folder: Path, epoch: int, like: Any) -> Any:
        """The tree in a checkpoint, or an error of any kind that says why it cannot be read."""
        if not folder.name.endswith(_fingerprint(folder)):
            raise ValueError("its files are not as they were written")
        stored = checkpointer.restore(folder)
        digest, names = stored.pop(DIGEST), _names(like)
        if others := stored.keys() ^ set(names):
            raise ValueError(f"{min(others)} is {'missing' if min(others) in names else 'not expected'}")
        if not np.array_equal(digest, _digest(self.owner, epoch, stored)):
            raise ValueError("its numbers are not those that were saved after this epoch of this training")
        leaves = [_leaf(stored[name], leaf) for name, leaf in zip(names, jax.tree.leaves(like), strict=True)]
        return jax.tree.unflatten(jax.tree.structure(like), leaves)

    def is_whole(self) -> bool:
        """Whether there is a checkpoint, and the newest has the files that were written.

        Raises:
          OSError: where it cannot be read just now.
        """
        finished = self._finished()
        return bool(finished) and finished[0][1].name.endswith(_fingerprint(finished[0][1]))

    def clear(self) -> None:
        """Removes all checkpoints and their folder, where there is one.

        Raises:
          OSError: where the folder cannot be removed.
        """
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.path)

    def _finished(self) -> list[tuple[int, Path]]:
        """The (epoch, folder) of every finished checkpoint, newest first."""
        folders = self.path.iterdir() if self.path.exists() else ()
        named = [(re.fullmatch(r"(\d{8,})-[0-9a-f]{16}", folder.name), folder) for folder in folders]
        return sorted(((int(match[1]), folder) for match, folder in named if match), reverse=True)

    def _remove_unfinished(self) -> None:
        """Removes the remains of a killed or failed save, under orbax's own temporary name or under this module's."""
        for folder in self.path.glob("unfinished*"):
            shutil.rmtree(folder, ignore_errors=True)


def _checkpointer() -> Any:
    """An orbax checkpointer of this process alone: it waits for no other."""
    import orbax.checkpoint as ocp  # here, because it takes long

    process = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(primary_host=process, active_processes={process})
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=alone)
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


def _names(tree: Any) -> list[str]:
    """The path, dtype and shape of every leaf, such as ``tree['state'].head_params['bias']: float32[160, 10]``."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [f"tree{jax.tree_util.keystr(path)}: {leaf.dtype}{list(leaf.shape)}" for path, leaf in leaves]


def _arrays(tree: Any) -> list[np.ndarray]:
    """The content of every leaf. One zero stands for an empty array, which orbax does not store."""
    leaves = [jax.random.key_data(leaf) if _is_key(leaf) else leaf for leaf in jax.tree.leaves(tree)]
    arrays = [np.asarray(leaf, order="C") for leaf in jax.device_get(leaves)]
    return [array if array.size else np.zeros(1, array.dtype) for array in arrays]


def _leaf(stored: np.ndarray, like: Any) -> Any:
    """The leaf of a stored array, with the shape and dtype of ``like``; it undoes ``_arrays``."""
    content = jax.eval_shape(jax.random.key_data, like) if _is_key(like) else like
    array = stored.reshape(-1).view(content.dtype)[: math.prod(content.shape)].reshape(content.shape)
    return jax.random.wrap_key_data(array, dtype=like.dtype) if _is_key(like) else array


def _is_key(leaf: Any) -> bool:
    """Whether a leaf holds typed keys."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _digest(owner: str, epoch: int, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """The SHA-256, as uint8[32], of the owner, the epoch, and every array's name and bytes."""
    content = {name: array.reshape(-1).view(np.uint8) for name, array in arrays.items()}
    return np.frombuffer(bytes.fromhex(content_hash(content, owner, int(epoch))), np.uint8)


def _fingerprint(folder: Path) -> str:
    """64 bits of the SHA-256 of the names and bytes of all files in a folder."""

    def fail(error: OSError) -> None:
        raise error

    files = [Path(path, name) for path, _, names in os.walk(folder, onerror=fail) for name in names]
    return content_hash({path.relative_to(folder).as_posix(): np.fromfile(path, np.uint8) for path in files})[:16]


@contextlib.contextmanager
def _silent(name: str) -> Iterator[None]:
    """Keeps a library from logging anything."""
    log = logging.getLogger(name)
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


def _system_error(error: Exception) -> int | None:
    """The number of the system's error behind a library's error; None where the content of a file is at fault."""
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return errno.ENOMEM
    number = error.errno if isinstance(error, OSError) else _quoted(error)
    return None if number in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR) else number


def _quoted(error: Exception) -> int | None:
    """The number of the system's error that tensorstore quotes."""
    code = re.search(r"os_error_code='(\d+)'", str(error))
    return int(code[1]) if code else None


def _reason(error: Exception) -> str:
    """The system's words, where tensorstore quotes them in a long message; else the error's first line."""
    if code := _quoted(error):
        return os.strerror(code)
    return next(iter(str(error).splitlines()), type(error).__name__)

"""The processes of a program: what they agree on, and how they end together where one of them fails or is stopped."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from vfl_jax.core import stopping

INTERRUPTED = 130
"""The status after Ctrl-C where nobody listens to signals, as while a sweep is planned."""
MOST_SAID = 2000
"""So many bytes of an error reach the other processes."""


class OtherProcessFailed(RuntimeError):
    """Another process of this program failed, so that this one cannot go on."""


def is_first_process() -> bool:
    """Whether this process is the first, the only one that writes files and shows progress."""
    return jax.process_index() == 0


@contextlib.contextmanager
def failing_together() -> Iterator[None]:
    """Ends a process of several that fails within the block, because the others wait for it; they then fail as well.

    A program of one process raises as always, and so does a stop by a signal, on which processes agree.
    """
    try:
        yield
    except stopping.Stopped:
        raise
    except BaseException as error:
        if jax.process_count() == 1:
            raise
        traceback.print_exc()
        print(f"{_who()} failed and ends at once, so that the others do not wait for it.", file=sys.stderr, flush=True)
        os._exit(INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1)


@contextlib.contextmanager
def failing_alike() -> Iterator[None]:
    """Lets all processes fail where one fails within the block. Every process must run it, and wait for none in it.

    Raises:
      OtherProcessFailed: with the words of the others, where this process itself did not fail.
      Stopped: where another process was stopped by a signal.
    """
    if jax.process_count() == 1:
        yield
        return
    error: BaseException | None = None
    try:
        yield
    except BaseException as caught:
        error = caught
    signals, said = _told_all(error)
    if error is not None:
        raise error
    if stops := int(signals.max()):
        raise stopping.Stopped(stops)
    if failed := [text for row in said if (text := row.tobytes().rstrip(b"\0").decode(errors="replace"))]:
        raise OtherProcessFailed(" ".join(failed))


@failing_together()
def _told_all(error: BaseException | None) -> tuple[np.ndarray, np.ndarray]:
    """The signals that have stopped each process, or 0, and the words of each that has failed, [P] and [P, bytes]."""
    from jax.experimental import multihost_utils

    stops = error.signal if isinstance(error, stopping.Stopped) else 0
    text = b"" if error is None else f"{_who()} failed: {type(error).__name__}: {error}".encode()
    words = np.frombuffer(text[:MOST_SAID].ljust(MOST_SAID, b"\0"), np.uint8)
    return multihost_utils.process_allgather((np.int32(stops), words))


def _who() -> str:
    """This process, in words."""
    return f"Process {jax.process_index()} of {jax.process_count()}"


def stop_together() -> None:
    """Raises ``Stopped`` in all processes where one has heard a signal. Every process must call this."""
    if stops := largest(stopping.asked()):
        raise stopping.Stopped(stops)


def agree(number: int) -> int:
    """The ``number`` of the first process, in all processes. Every process must call this."""
    return int(agree_on(np.int64(number)))


@failing_together()
def agree_on(tree: Any) -> Any:
    """The arrays of the first process, bit for bit, in all processes.

    Args:
      tree: the arrays of this process. Every process must call this, with arrays of the same shapes and dtypes.
    """
    if jax.process_count() == 1:
        return tree
    from jax.experimental import multihost_utils

    # As bytes, because JAX sends arrays as a sum, which turns −0 into 0 and cuts 64 bits to 32.
    told = multihost_utils.broadcast_one_to_all(
        jax.tree.map(lambda leaf: np.ascontiguousarray(leaf).reshape(-1).view(np.uint8), tree)
    )
    return jax.tree.map(lambda leaf, said: said.view(leaf.dtype).reshape(leaf.shape), tree, told)


@failing_together()
def largest(number: int) -> int:
    """The largest ``number`` of all processes, in all of them. Every process must call this."""
    if jax.process_count() == 1:
        return number
    from jax.experimental import multihost_utils

    return int(np.max(multihost_utils.process_allgather(np.int32(number))))

"""Stops in good order: the first signal lets an epoch end and be saved, a second one ends the process at once.

Python looks at signals between two of its own steps alone, and an epoch may be a single call into a compiled program.
So a thread hears them, too, and the second one counts at any moment.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import itertools
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""What a user's keyboard, a scheduler of a cluster and a closed terminal send."""
NOT_KEPT = "nothing of it is kept, because it has no folder"
"""How a sweep without a folder goes on."""

_asked: int | None = None
"""The first signal that was heard; None before."""
_is_first = threading.Lock()
"""Who hears the first signal takes it; a handler must not wait, so nobody waits for it."""
_listens = False
"""Whether this process listens already."""
_is_over: contextvars.ContextVar[Callable[[], bool]] = contextvars.ContextVar("_is_over", default=lambda: False)
"""Whether nobody needs what this thread works on any more."""


class Stopped(SystemExit):
    """A signal has ended the work in good order. Nobody needs to catch it: the process ends with the signal's status.

    Args:
      number: the number of the signal; the status is 128 more, as shells have it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.signal = signal.Signals(number)

    def __reduce__(self) -> Any:
        return Stopped, (int(self.signal),)


def asked() -> int:
    """Returns the number of the signal that was heard, SIGTERM where a worker's work is over; 0 before."""
    return _asked or (signal.SIGTERM if _is_over.get()() else 0)


def check() -> None:
    """Raises :class:`Stopped` where a signal was heard, or a worker's work is over."""
    if number := asked():
        raise Stopped(number)


@contextlib.contextmanager
def in_order(how: str) -> Iterator[None]:
    """Listens to signals until the block ends.

    Signals that are ignored, or that somebody else handles, stay as they are. So do all of them outside the main
    thread, where Python handles none.

    Args:
      how: how the work goes on, for the sentence that is printed where a signal has ended the block.

    Raises:
      Stopped: at the end of the block at the latest, where a signal was heard.
    """
    heard = _Heard()
    try:
        with _listening(heard, "this epoch ends first. A second signal ends at once."):
            yield
        if heard.number:
            raise Stopped(heard.number)
    except Stopped as stopped:
        if heard.listens:
            _print(f"Stopped by {stopped.signal.name}: {how}.")
        raise


@contextlib.contextmanager
def in_worker(is_over: Callable[[], bool]) -> Iterator[None]:
    """Listens to signals in a worker of an executor, like :func:`in_order`, and to the end of what it works for.

    A signal ends the process with its status when the block has ended, as it ends a process that does not listen: an
    executor that ends its workers waits for that. The worker says nothing, because the process that sent the task does.

    Args:
      is_over: whether nobody needs the work any more. Within the block this counts like a signal, and ends no process.
    """
    token, heard = _is_over.set(is_over), _Heard()
    try:
        with _listening(heard, None):
            yield
    except Exception:
        if heard.number:
            traceback.print_exc()  # nobody else will hear of it
        raise
    finally:
        _is_over.reset(token)
        if heard.number:
            os._exit(128 + heard.number)


@dataclasses.dataclass
class _Heard:
    """What a block hears: whether it listens, and after its end the number of the signal; 0 for none."""

    listens: bool = False
    number: int = 0


@contextlib.contextmanager
def _listening(heard: _Heard, sentence: str | None) -> Iterator[None]:
    """Listens until the block ends, where nobody listens and this is the main thread.

    Args:
      heard: what tells it.
      sentence: what is printed at the first signal; None prints nothing.
    """
    global _listens
    default = (signal.SIG_DFL, signal.default_int_handler)
    ours = [number for number in SIGNALS if signal.getsignal(number) in default]
    if _listens or not ours or threading.current_thread() is not threading.main_thread():
        yield
        return
    _listens = heard.listens = True
    try:
        with _hearing(ours, sentence):
            yield
    finally:
        heard.number = _asked or 0  # only now is all heard that came within the block
        _forget()


@contextlib.contextmanager
def _hearing(ours: list[int], sentence: str | None) -> Iterator[None]:
    """Hears some signals until the block ends: by a thread at any moment, and by handlers what the thread has missed.

    The thread misses them while another event loop in the main thread, such as uvloop's, has them written to itself.
    """
    hears, tells = os.pipe()
    os.set_blocking(tells, False)
    fd_before = signal.set_wakeup_fd(tells, warn_on_full_buffer=False)
    times = itertools.count(1)
    before = {n: signal.signal(n, lambda number, _: _take(number, next(times), sentence)) for n in ours}
    thread = threading.Thread(target=_hear, args=(hears, ours, sentence), daemon=True)
    thread.start()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(fd_before)
        os.close(tells)
        thread.join()  # what it still hears belongs to this block, not to the next one


def _hear(hears: int, ours: list[int], sentence: str | None) -> None:
    """Hears signals until the other end of the pipe is closed."""
    times = itertools.count(1)
    while heard := os.read(hears, 1):
        if heard[0] in ours:
            _take(heard[0], next(times), sentence)
    os.close(hears)


def _take(number: int, times: int, sentence: str | None) -> None:
    """Notes the first signal, and ends the process at a second one.

    Args:
      number: the signal.
      times: how many the thread, or the handlers, have heard with it. Both hear most signals, so each counts its own.
      sentence: what is printed at the first signal; None prints nothing.
    """
    global _asked
    if times > 1:
        os._exit(128 + number)
    if _is_first.acquire(blocking=False):
        _asked = number
        if sentence is not None:
            _print(f"{signal.Signals(number).name}: {sentence}")


def _forget() -> None:
    """Forgets what was heard, for the next block."""
    global _asked, _listens
    _asked, _listens = None, False
    if _is_first.locked():
        _is_first.release()


def _print(sentence: str) -> None:
    """Prints a sentence on the error stream, which may be gone with its terminal, or be written to just now."""
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        print(f"\n{sentence}", file=sys.stderr, flush=True)

"""Files of results that nobody vouches for: another process reads them first, under limits of time and memory.

What this version writes ends in a seal, the SHA-256 of all bytes before it. Where the seal is whole, the bytes are as
they were written, and HDF5 reads them at once. A seal guards against damage, not against malice: whoever wants to harm
can make one, and a file of somebody whom you do not trust is no safer here than in any program that uses HDF5.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import hashlib
import multiprocessing
import os
import re
import subprocess
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path

from vfl_jax.core.damage import Damaged
from vfl_jax.core.reader import READY, SECONDS
from vfl_jax.core.row_ids import ROW_IDS

BEGINNING = b"\nvfl_jax sha256 "
SEAL = re.compile(BEGINNING + rb"([0-9a-f]{64})\n\Z")
SEAL_LENGTH = len(BEGINNING) + 64 + 1
HDF5 = b"\x89HDF\r\n\x1a\n"
"""What a file of NetCDF 4 begins with, at one of the places where HDF5 looks for it."""
START_SECONDS = 120.0
"""The process that reads must be there after so long; on a busy machine it takes a while."""

_lock = threading.Lock()
_reader: tuple[int, subprocess.Popen[bytes], Connection] | None = None
"""The process that began the reader, the reader, and the connection to it."""


def seal(content: bytes | memoryview) -> bytes:
    """Returns the seal of some bytes, which stands behind them; readers of HDF5 pass it over.

    Args:
      content: the bytes.
    """
    return BEGINNING + hashlib.sha256(content).hexdigest().encode() + b"\n"


def check(path: Path, content: bytes) -> None:
    """Checks that HDF5 can read some bytes here without harm.

    Args:
      path: the file, for messages.
      content: all its bytes.

    Raises:
      Damaged: where the bytes are not those that the seal stands for; without a seal, where they cannot be read, or not
        within the time and memory that a file of their size may take.
      OSError: where the process that reads them first cannot be started.
    """
    if found := SEAL.search(content, max(len(content) - SEAL_LENGTH, 0)):
        digest = hashlib.sha256(memoryview(content)[: found.start()]).hexdigest()
        if digest != (expected := found[1].decode()):
            raise Damaged(f"{path} is damaged: its bytes have digest {digest}, but were written with {expected}.")
        return
    if BEGINNING in content[-SEAL_LENGTH:]:
        raise Damaged(f"{path} is damaged: its last bytes, which hold its digest, are not as they were written.")
    if not any(content[place : place + len(HDF5)] == HDF5 for place in (0, 512, 1024, 2048)):
        raise Damaged(f"{path} is damaged, or holds no results: it does not begin as a NetCDF file does.")
    seconds = SECONDS + len(content) / 2**20
    with _lock:
        try:
            connection = _connection()
            connection.send_bytes(content)
            if not connection.poll(seconds):
                raise Damaged(f"{path} is damaged, or holds no results: HDF5 had not read it after {seconds:.0f} s.")
            reason = connection.recv_bytes().decode()
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            _end()
            raise Damaged(f"{path} is damaged, or holds no results: HDF5 crashed on it.") from error
        except BaseException:
            _end()
            raise
    if reason:
        raise Damaged(f"{path} is damaged, or holds no results ({reason}).")


def _connection() -> Connection:
    """Returns the connection to the reader of this process, which is started where there is none."""
    global _reader
    if _reader is None or _reader[0] != os.getpid() or _reader[1].poll() is not None:
        _end()
        here, there = multiprocessing.Pipe()
        words = [sys.executable, "-P", str(Path(__file__).with_name("reader.py")), str(there.fileno()), ROW_IDS]
        process = subprocess.Popen(words, pass_fds=[there.fileno()], stdin=subprocess.DEVNULL)
        there.close()
        _reader = os.getpid(), process, here
        if not here.poll(START_SECONDS):
            raise OSError(errno.ECHILD, f"The reader of others' files was not there after {START_SECONDS:.0f} s")
        try:
            is_there = here.recv_bytes() == READY
        except (EOFError, ConnectionResetError):
            is_there = False
        if not is_there:
            raise OSError(errno.ECHILD, "The reader of others' files cannot be started; its error stream says why")
    return _reader[2]


@atexit.register
def _end() -> None:
    """Ends the reader; that of another process, of which this one is a fork, is left alone."""
    global _reader
    if _reader is not None and _reader[0] == os.getpid():
        _reader[2].close()
        with contextlib.suppress(OSError):
            _reader[1].kill()
        _reader[1].wait()
    _reader = None

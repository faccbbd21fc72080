"""A process that reads NetCDF files of others first. HDF5 may spin for ever on damaged bytes, crash or take all memory.

The package starts this file by its path (:mod:`vfl_jax.core.foreign`), so that it imports nothing else of the package
and is there in a second. It gets contents of files over a connection and answers each with b"" where all of it can be
read, or with the reason why not.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

READY = b"ready"
WORKING = 1 << 30
"""The bytes that reading may take beside what is read."""
SECONDS = 30.0
"""Reading a file of others may take so long, and a second more for every MiB."""


def main(handle: int, group: str) -> None:
    """Answers until the connection is closed.

    Args:
      handle: the file descriptor of the connection.
      group: the name of a further group that is read where it is there.
    """
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal sends them to all its processes
        signal.signal(number, signal.SIG_IGN)
    netcdf = _load(Path(__file__).with_name("netcdf.py"))
    connection = Connection(handle)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())  # libraries complain of damage there at length
    connection.send_bytes(READY)
    while True:
        try:
            content = connection.recv_bytes()
        except (EOFError, OSError):
            return
        _limit_memory(WORKING + len(content) + 4 * netcdf.most_bytes(len(content)))
        _limit_time(SECONDS + len(content) / 2**20)
        try:
            netcdf.read_stored(content, group)
            answer = ""
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"[:2000]
        connection.send_bytes(answer.encode(errors="replace"))


def _load(path: Path) -> Any:
    """Imports one file as a module, without the package that it is in."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    import h5netcdf  # noqa: F401  now, and not within the time of the first file
    import xarray  # noqa: F401

    return module


def _limit_time(more: float) -> None:
    """Lets this process work so many seconds ``more``. Who asked may be dead, and would then end nothing."""
    import resource

    with contextlib.suppress(OSError, ValueError):
        until = math.ceil(time.process_time() + more)
        resource.setrlimit(resource.RLIMIT_CPU, (until, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def _limit_memory(more: int) -> None:
    """Lets this process take so many bytes ``more`` than it has; macOS does not hold to it."""
    import resource

    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + more, resource.getrlimit(resource.RLIMIT_AS)[1]))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])

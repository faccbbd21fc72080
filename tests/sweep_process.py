"""Sweeps in a process of its own, which may be killed, given little room, or be one of several; see sweep_helpers.

Prints a list with one answer per step.
"""

import contextlib
import importlib
import itertools
import json
import os
import resource
import signal
import sys
import tempfile
import threading

import jax
from sweep_helpers import swept


def main(asked):
    devices, kills, process = asked.pop("devices", 1), asked.pop("kills", []), asked.pop("process", None)
    user, steps = asked.pop("user", None), asked.pop("steps", [{}])
    if kills:
        for name in ("dask.array", "h5netcdf", "orbax.checkpoint", "xarray"):  # or every child would
            importlib.import_module(name)
    statuses = [die_in_child(*(moment if isinstance(moment, list) else (moment, devices)), asked) for moment in kills]
    jax.config.update("jax_num_cpu_devices", devices)
    if process:
        number, port = process
        jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=number)
    if user is not None:
        with tempfile.TemporaryDirectory() as folder:
            swept(**asked | {"folder": folder})  # imports all that the user might not be allowed to read
        os.setuid(user)
    print(json.dumps([answer(**asked | step) | {"statuses": statuses} for step in steps]), flush=True)


def answer(file_limit=resource.RLIM_INFINITY, **options):
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, resource.RLIM_INFINITY))
    try:
        return {"loss": swept(**options).loss.values.tolist()}
    except OSError as error:
        return {"error": str(error)}


def die_in_child(moment, devices, asked):
    """Sweeps in a child, which imports nothing anew and is killed; what became of it."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    jax.config.update("jax_num_cpu_devices", devices)
    with contextlib.redirect_stdout(None):
        kill_after(moment, asked["folder"])
        swept(**asked)
        os._exit(0)


def kill_after(moment, folder):
    """Kills this process when it has touched files of the folder ``moment`` times; or some seconds after the first."""
    touches = itertools.count(1)

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def touched(_, arguments):
        if not any(isinstance(a, str | os.PathLike) and os.fspath(a).startswith(folder) for a in arguments):
            return
        number = next(touches)
        if isinstance(moment, int) and number == moment:
            die()
        if isinstance(moment, float) and number == 1:
            timer = threading.Timer(moment, die)
            timer.daemon = True
            timer.start()

    sys.addaudithook(touched)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

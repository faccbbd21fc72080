"""A sweep in a process of its own, which may be killed, given little room, or be one of several; see sweep_helpers."""

import contextlib
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
    jax.config.update("jax_num_cpu_devices", asked.pop("devices", 1))
    statuses = [die_in_child(moment, asked) for moment in asked.pop("kills", [])]
    if process := asked.pop("process", None):
        number, port = process
        jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=number)
    in_memory = swept(**asked | {"folder": None}) if asked.pop("in_memory_too", False) else None
    if limit := asked.pop("file_limit", None):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if (user := asked.pop("user", None)) is not None:
        with tempfile.TemporaryDirectory() as folder:
            swept(**asked | {"folder": folder})  # imports all that the user might not be allowed to read
        os.setuid(user)
    if moment := asked.pop("kill", None):
        kill_after(moment, asked["folder"])
    answer = {"statuses": statuses}
    try:
        found = swept(**asked)
        answer |= {"loss": found.loss.values.tolist(), "sizes": dict(found.sizes)}
    except OSError as error:
        answer["error"] = str(error)
    if in_memory is not None:
        answer["in_memory"] = in_memory.loss.values.tolist()
    print(json.dumps(answer), flush=True)


def die_in_child(moment, asked):
    """Sweeps in a child, which imports nothing anew and is killed; what became of it."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
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

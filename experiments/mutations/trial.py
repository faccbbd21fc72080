"""One run of some tests in a copy of the tree, in a process of its own with a limit of time and memory."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from experiments.mutations.draw import Mutant, apply

ROOT = Path(__file__).parents[2]
SHARED_PROGRAMS = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
"""Runs share what JAX compiled, beside the copies: a mistake changes few programs, and JAX finds one by its content."""
MEMORY = 16 << 30
"""A process of tests may address so many bytes, so that a loop without an end does not take the machine's memory."""
PASSED, FAILED, TIMED_OUT, BROKEN = "passed", "failed", "timed out", "broken"
NO_TESTS = 5
"""pytest's status where it found no test, as where a mistake gives tests other names."""


class Tried(NamedTuple):
    """What became of a run of tests.

    Fields:
      outcome: ``passed``; ``failed`` by a test; ``timed out``; or ``broken`` where tests could not even be collected.
      last: the test that failed, or ran when the time was over; empty where there is none.
      waited: for how many seconds that test ran when the time was over.
      events: what the plugin logged.
      output: the end of what pytest printed.
    """

    outcome: str
    last: str
    waited: float
    events: list[dict]
    output: str


def copy_tree(source: Path, copy: Path) -> None:
    """Copies what git knows of a repository, or would take up, as it is now; of another folder everything."""
    shutil.rmtree(copy, ignore_errors=True)
    if not (source / ".git").exists():
        shutil.copytree(source, copy)
        return
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=source, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (source / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, copy / name)


@contextlib.contextmanager
def mutated(copy: Path, mutant: Mutant) -> Iterator[None]:
    """Makes a mistake in a copy, and takes it back."""
    path = copy / mutant.path
    before = path.read_bytes()
    write_source(path, apply(before, mutant.edit))
    try:
        yield
    finally:
        write_source(path, before)


def write_source(path: Path, data: bytes) -> None:
    """Writes a file of Python and removes what was compiled of it: Python compares seconds and sizes alone."""
    path.write_bytes(data)
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()


_running: set[subprocess.Popen] = set()
_is_stopped = threading.Event()


@contextlib.contextmanager
def stopping(pool: ThreadPoolExecutor) -> Iterator[ThreadPoolExecutor]:
    """A pool whose runs end, and let no further one begin, where the body is left by an error or a signal."""
    with pool:
        try:
            yield pool
        except BaseException:
            _is_stopped.set()
            for process in list(_running):
                _end(process)
            raise


def run_tests(
    copy: Path, package: str, arguments: list[str], limit: float, tests: list[str] | None = None, record: str = ""
) -> Tried:
    """Runs tests in a copy of the tree, up to the first that fails unless their lines are recorded.

    Args:
      copy: the folder of the copy.
      package: the package's name.
      arguments: arguments of pytest, such as test files.
      limit: the limit of the run in seconds.
      tests: the tests to run, in this order; by default all of the files.
      record: the file of the coverage to write; none where it is empty.

    Raises:
      RuntimeError: where runs are stopped.
    """
    if _is_stopped.is_set():
        raise RuntimeError("Runs of tests are stopped.")
    with tempfile.TemporaryDirectory(prefix="mutant-") as place:
        log = Path(place) / "log"
        log.touch()
        named = {"MUTATIONS_LOG": str(log), "MUTATIONS_PACKAGE": package, "TMPDIR": place, "JAX_PLATFORMS": "cpu"}
        if tests is not None:
            named["MUTATIONS_TESTS"] = str(Path(place) / "tests")
            Path(named["MUTATIONS_TESTS"]).write_text(json.dumps(tests))
        if record:
            named["MUTATIONS_RECORD"] = record
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MUTATIONS_")}
        environment |= SHARED_PROGRAMS | {"JAX_COMPILATION_CACHE_DIR": str(copy.parent / "programs")}
        environment |= named | {"PYTHONPATH": os.pathsep.join([str(copy), str(ROOT)])}
        options = ["-q", *([] if record else ["-x"]), "-p", "experiments.mutations.plugin", "-p", "no:cacheprovider"]
        command = [sys.executable, "-m", "pytest", *options, "-p", "no:xdist", f"--basetemp={place}/pytest", *arguments]
        said = Path(place) / "said"
        with said.open("w") as file:
            process = subprocess.Popen(
                command, cwd=copy, env=environment, start_new_session=True, stdout=file, stderr=subprocess.STDOUT
            )
        _running.add(process)
        is_late = False
        try:
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(process.pid, resource.RLIMIT_AS, (MEMORY, MEMORY))
            process.wait(limit)
        except subprocess.TimeoutExpired:
            is_late = True
        finally:
            _end(process)  # and what a test started and left
            process.wait()
            _running.discard(process)
        events = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
        output = said.read_text(errors="replace")[-2000:]
    if _is_stopped.is_set():
        raise RuntimeError("Runs of tests are stopped.")
    return _tried(process.returncode, is_late, events, output)


def _tried(status: int, is_late: bool, events: list[dict], output: str) -> Tried:
    begun = [event for event in events if "begun" in event]
    failed = [event["failed"] for event in events if "failed" in event]
    last = begun[-1]["begun"] if begun else ""
    if failed:
        return Tried(FAILED, failed[0], 0.0, events, output)
    if is_late:
        return Tried(TIMED_OUT, last, time.time() - begun[-1]["at"] if begun else 0.0, events, output)
    if status in (0, NO_TESTS):
        return Tried(PASSED, "", 0.0, events, output)
    return Tried(FAILED if begun else BROKEN, last, 0.0, events, output)  # the process came down, perhaps in a test


def _end(process: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)

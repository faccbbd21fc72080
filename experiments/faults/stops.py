"""Sweeps that are stopped at a random moment and go on: they must end in the bytes of one that nothing stops."""

from __future__ import annotations

import itertools
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import jax

from experiments.faults.job import read_counts, write_counts
from experiments.faults.stopped_sweep import REFUSED, begin, end

BATCH = 5
"""Kinds take turns, so many cases at a time."""
Counts = dict[str, dict[str, Any]]
"""By the name of a kind, how many cases were tried, and which failed."""


class Stop(NamedTuple):
    """One kind of what stops a sweep.

    Fields:
      what: it in words.
      cases: how many cases to try.
      stop: stops a sweep, given random numbers, its folder and how often a sweep touches files; returns what was wrong.
    """

    what: str
    cases: int
    stop: Callable[[Random, Path, int], str]


def kill(rng: Random, folder: Path, touches: int) -> str:
    """Kills it one to three times."""
    for _ in range(rng.randint(1, 3)):
        status = end(begin(folder, rng.randint(1, touches), signal.SIGKILL))
        if status not in (-signal.SIGKILL, 0):  # one that goes on has less to do, and may end before
            return f"killed, it ended with status {status}"
    return ""


def ask(rng: Random, folder: Path, touches: int) -> str:
    """Asks it to end, by one of three signals. Before anything is trained a signal may end it at once."""
    number = rng.choice((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    status = end(begin(folder, rng.randint(1, touches), number))
    return "" if status in (128 + number, -number) else f"{number.name} ended it with status {status}"


def fill(rng: Random, folder: Path, touches: int) -> str:
    """Leaves little room for a file, as on a full disk."""
    room = rng.randint(0, rng.choice((1_000, 10_000, 100_000)))
    status = end(begin(folder, room=room))
    return "" if status in (REFUSED, 0) else f"with room for {room} bytes it ended with status {status}"


def share(rng: Random, folder: Path, touches: int) -> str:
    """Has three processes share the work, of which one is killed."""
    children = [begin(folder, rng.randint(1, touches), signal.SIGKILL), begin(folder), begin(folder)]
    killed, *others = map(end, children)
    return "" if killed in (-signal.SIGKILL, 0) and others == [0, 0] else f"they ended with {[killed, *others]}"


STOPS = {
    "kill": Stop("killed by SIGKILL, up to three times", 50, kill),
    "ask": Stop("SIGINT, SIGTERM or SIGHUP", 40, ask),
    "fill": Stop("no room for a file", 20, fill),
    "share": Stop("three processes at once, one of them killed", 20, share),
}


def run(counts: Path) -> Counts:
    """Tries every case that was not tried or did not hold, and writes counts after every batch.

    Args:
      counts: the file of the counts.

    Raises:
      RuntimeError: where the sweep that nothing stops does not end well.
    """
    warnings.filterwarnings("ignore", "os.fork")  # no program runs in this process
    found = read_counts(counts)
    with tempfile.TemporaryDirectory() as place:
        jax.config.update("jax_compilation_cache_dir", f"{place}/programs")
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        whole = Path(place) / "whole"
        if status := end(begin(whole)):
            raise RuntimeError(f"The sweep that nothing stops ended with status {status}.")
        touches = int(Path(f"{whole}.touches").read_text())
        for name, numbers in _turns(found):
            of_kind = found[name]
            for number in numbers:
                reason = outcome(name, number, whole, touches)
                of_kind["failed"] = {k: v for k, v in of_kind["failed"].items() if k != str(number)}
                of_kind["failed"] |= {str(number): reason} if reason else {}
            of_kind["tried"] = max(of_kind["tried"], numbers[-1] + 1)
            write_counts(counts, found)
            lost = len(of_kind["failed"])
            print(f"{name}: {of_kind['tried']} of {STOPS[name].cases}, {lost} did not hold", flush=True)
    return found


def _turns(found: Counts) -> Iterator[tuple[str, list[int]]]:
    """The cases to try, kinds in turn: those that did not hold at an earlier start, then those not tried yet."""
    turns = []
    for name, stop in STOPS.items():
        of_kind = found.setdefault(name, {"tried": 0, "failed": {}})
        left = [*map(int, of_kind["failed"]), *range(of_kind["tried"], stop.cases)]
        turns.append([(name, left[first : first + BATCH]) for first in range(0, len(left), BATCH)])
    return (turn for of_all in itertools.zip_longest(*turns) for turn in of_all if turn is not None)


def outcome(name: str, number: int, whole: Path, touches: int) -> str:
    """Tries one case; returns what was wrong, nothing where it holds.

    Args:
      name: the kind.
      number: the case.
      whole: the folder of the sweep that nothing stopped.
      touches: how often that touched files of its folder.
    """
    folder = whole.with_name("stopped")
    shutil.rmtree(folder, ignore_errors=True)
    if wrong := STOPS[name].stop(Random(f"{name}/{number}"), folder, touches):
        return wrong
    if status := end(begin(folder)):
        return f"going on ended with status {status}"
    after, expected = content(folder), content(whole)
    if set(after) != set(expected):
        return f"other files are there: {sorted(set(after) ^ set(expected))}"
    return "".join(f"{path} has other bytes; " for path in expected if after[path] != expected[path])


def content(folder: Path) -> dict[str, bytes]:
    """The bytes of all files of a sweep's folder by their path, but for locks, dates and logs.

    Args:
      folder: the folder.
    """
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: path.read_bytes()
        for name, path in sorted(paths.items())
        if not name.startswith("locks/") and not name.endswith(".run.json")
    }

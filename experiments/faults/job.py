"""The job: cases in batches, each batch in a process of its own, so that a crash or a hang is one case's."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from experiments.faults.readers import READERS, Reader
from vfl_jax.core import foreign
from vfl_jax.core.atomic import write_atomically

BATCH = 2000
SECONDS = 60
"""A case that takes longer hangs."""
MEMORY = 2 << 30
"""A case may take so many bytes; beyond them Python raises an error that no reader may let through."""
FOREIGN_SECONDS = 5.0
"""HDF5 gets so long here, in place of 30 seconds: hundreds of cases wait it out."""
BEGUN = "begun"
RIGHT, REFUSED = "right", "refused"


class Hangs(BaseException):
    """A case takes too long."""


def run(counts: Path, share: float) -> dict[str, dict[str, Any]]:
    """Tries what is not tried yet, and writes the counts after every batch.

    Args:
      counts: the file of the counts; the job goes on from what it holds.
      share: the share of all cases to try, from 0 to 1.
    """
    found = read_counts(counts)
    for name in READERS:
        of_reader = found.setdefault(name, {"tried": 0, "right": 0, "refused": 0, "failed": {}})
        for number in list(of_reader["failed"]):  # of an earlier start, perhaps with earlier code
            note(of_reader, {int(number): batch(name, int(number), int(number) + 1)[0]})
    write_counts(counts, found)
    while left := [name for name, reader in READERS.items() if found[name]["tried"] < int(reader.cases * share)]:
        for name in left:  # in turns, so that a part of the job says something of every kind
            of_reader, cases = found[name], int(READERS[name].cases * share)
            first = of_reader["tried"]
            outcomes = batch(name, first, min(first + BATCH, cases))
            note(of_reader, dict(enumerate(outcomes, first)))
            of_reader["tried"] += len(outcomes)
            write_counts(counts, found)
            print(f"{name}: {of_reader['tried']} of {cases}, {len(of_reader['failed'])} did not hold", flush=True)
    return found


def note(of_reader: dict[str, Any], outcomes: dict[int, str]) -> None:
    """Adds the outcomes of some cases to the counts of their reader."""
    for number, outcome_of in outcomes.items():
        of_reader["failed"].pop(str(number), None)
        if outcome_of in (RIGHT, REFUSED):
            of_reader[outcome_of] += 1
        else:
            of_reader["failed"][str(number)] = outcome_of


def write_counts(counts: Path, found: dict[str, dict[str, Any]]) -> None:
    """Writes the counts, whole or not at all."""
    written = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    write_atomically(counts, functools.partial(Path.write_text, data=written))


def read_counts(counts: Path) -> dict[str, dict[str, Any]]:
    """The counts of earlier starts, by reader."""
    return json.loads(counts.read_text()) if counts.exists() else {}


def batch(name: str, first: int, last: int) -> list[str]:
    """The outcomes of some cases of a reader; fewer where the process ended within, by fault of the last of them."""
    command = [sys.executable, "-m", "experiments.faults", "--batch", name, str(first), str(last)]
    seconds, ended = 600 + (last - first) * 2, ""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
        output = done.stdout
        if done.returncode:
            ended = f"crash: status {done.returncode}, {done.stderr[-300:]}"
    except subprocess.TimeoutExpired as error:
        output, ended = (error.stdout or b"").decode(), "hang: in a library"
    lines = [json.loads(line) for line in output.splitlines() if line.endswith('"')]
    outcomes = [line for line in lines if line != BEGUN]
    if ended and not lines:
        raise RuntimeError(f"The batch {command} did not begin ({ended}).")
    return [*outcomes, ended] if ended else outcomes


def work(name: str, first: int, last: int) -> None:
    """Tries some cases of a reader in this process, and prints every outcome."""
    foreign.SECONDS = FOREIGN_SECONDS
    logging.disable()
    warnings.simplefilter("ignore")
    for number in range(first, last):
        print(json.dumps(BEGUN), flush=True)
        print(json.dumps(outcome(name, number)), flush=True)


def outcome(name: str, number: int) -> str:
    """Tries one case: "right", "refused", or what went wrong."""
    reader, rng = READERS[name], Random(f"{name}/{number}")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "input"
        shutil.copytree(whole(name, reader), folder)
        spoil(reader, rng, folder)
        try:
            with limits():
                reader.read(folder)
        except Hangs:
            return "hang: too long"
        except (ValueError, OSError) as error:
            is_named = name == "scenario" or any(p in str(error) for p in (str(folder), *map(str, folder.rglob("*"))))
            if reader.refuses and is_named and str(error).strip():
                return REFUSED
            return f"unclear: {type(error).__name__} {str(error)[:200]}"
        except AssertionError as error:
            return f"nonsense: {str(error)[:200]}"
        except Exception as error:
            return f"other error: {type(error).__name__} {str(error)[:200]}"
    return RIGHT


_made: dict[str, tempfile.TemporaryDirectory[str]] = {}


def whole(name: str, reader: Reader) -> Path:
    """The folder of right input, made once."""
    if name not in _made:
        _made[name] = tempfile.TemporaryDirectory()
        folder = Path(_made[name].name) / "input"
        folder.mkdir()
        reader.make(folder)
    return Path(_made[name].name) / "input"


def spoil(reader: Reader, rng: Random, folder: Path) -> None:
    """Damages one file of a folder."""
    path = rng.choice(sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"))
    path.write_bytes(reader.damage(rng, path.read_bytes()))


@contextlib.contextmanager
def limits() -> Iterator[None]:
    """Limits the time and the memory of a case."""

    def hangs(number: int, frame: Any) -> None:
        raise Hangs

    before = signal.signal(signal.SIGALRM, hangs)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

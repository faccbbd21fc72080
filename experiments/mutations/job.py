"""The job: mutants one after the other, each against its tests, a line of results for each."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import json
import queue
import threading
import time
import tomllib
from pathlib import Path
from typing import Any

from experiments.mutations.choice import Choice, choose
from experiments.mutations.draw import Mutant, draw, find
from experiments.mutations.recording import commit_of, recorded
from experiments.mutations.trial import (
    BROKEN,
    FAILED,
    PASSED,
    TIMED_OUT,
    Tried,
    copy_tree,
    mutated,
    run_tests,
    stopping,
)

CAUGHT, SURVIVED = "caught", "survived"
AT_IMPORT = "collection"
"""What catches a mistake with which no test can even be collected."""
Row = dict[str, Any]
"""What became of a mutant, as the results have it."""


@dataclasses.dataclass(frozen=True)
class Study:
    """Where the study is, and how long it may take.

    Attributes:
      folder: the folder of the copies and the recording, outside the repository.
      results: the file of the results.
      package: the package's name.
      workers: how many mutants are tried at a time.
      limit: the tests of a mutant may take so many seconds.
      budget: and may have taken so many when they were recorded.
    """

    folder: Path
    results: Path
    package: str = "vfl_jax"
    workers: int = 1
    limit: float = 120.0
    budget: float = 60.0


def run(study: Study, count: int, seed: int, rooms: tuple[str, ...] = ()) -> None:
    """Tries every mutant of the draw that was not tried, or survived fewer tests than there are now.

    A mutant without a test has survived; it waits while there are test files that are not recorded yet.

    Args:
      study: where, and how long.
      count, seed, rooms: of the draw.

    Raises:
      ValueError: where nothing is recorded.
      RuntimeError: where tests fail without any mistake.
    """
    files = list(recorded(study.folder))
    if not files:
        raise ValueError(f"{study.folder} has no recording; make one with --record.")
    tree, before = study.folder / "tree", read_rows(study.results)
    mutants = draw(tree, study.package, count, seed, rooms)
    choices = choose(tree, files, mutants, study.budget)
    is_whole = len(files) == len(list((tree / "tests").glob("test_*.py")))
    waits = [one for one in mutants if not (is_whole or choices[one.id].tests)]
    left = [one for one in mutants if one not in waits and not _is_done(before.get(one.id), choices[one.id])]
    print(f"{len(mutants)} mutants, {len(left)} to try, {len(waits)} without a recorded test", flush=True)
    waiting: queue.SimpleQueue[tuple[int, Mutant]] = queue.SimpleQueue()
    for item in enumerate(left, 1):
        waiting.put(item)
    lock, commit = threading.Lock(), commit_of(study.folder)

    def work(number: int) -> None:
        copy = study.folder / f"worker_{number}"
        copy_tree(tree, copy)
        is_checked = False
        while True:
            try:
                place, mutant = waiting.get_nowait()
            except queue.Empty:
                return
            choice = choices[mutant.id]
            if choice.tests and not is_checked:
                check_copy(study, copy, choice.tests[0])
                is_checked = True
            row = judged(study, copy, mutant, choice) | {"seed": seed, "commit": commit}
            with lock:
                append(study.results, row)
                what = f"{mutant.path}:{mutant.lines[0]} {mutant.operator}: {row['outcome']} {row['by']}"
                print(f"{place} of {len(left)}, {row['seconds']:.0f} s: {what}", flush=True)

    with stopping(concurrent.futures.ThreadPoolExecutor(study.workers)) as pool:
        for done in concurrent.futures.as_completed([pool.submit(work, number) for number in range(study.workers)]):
            done.result()


def _is_done(row: Row | None, choice: Choice) -> bool:
    return row is not None and (row["outcome"] != SURVIVED or row["chosen"] >= len(choice.tests))


def check_copy(study: Study, copy: Path, test: str) -> None:
    """Checks that a test passes in a copy without a mistake.

    Raises:
      RuntimeError: where it does not.
    """
    tried = run_tests(copy, study.package, [_file(test)], study.limit, [test])
    if tried.outcome != PASSED or not any("passed" in event for event in tried.events):
        raise RuntimeError(f"{test} is {tried.outcome} in {copy} without a mistake: {tried.output}")


def judged(study: Study, copy: Path, mutant: Mutant, choice: Choice) -> Row:
    """Tries one mutant.

    Where a test fails or the time is over, the tests up to this one are repeated without the mistake. A test that fails
    there, too, is no catch: it is left out, and the others are run again. Where the test at which the time was over did
    not hang, the mutant has survived the tests before.
    """
    begin, tests, left_out = time.monotonic(), list(choice.tests), choice.left_out
    outcome, by, unreliable = SURVIVED, "", []
    while tests:
        files = list(dict.fromkeys(map(_file, tests)))
        with mutated(copy, mutant):
            tried = run_tests(copy, study.package, files, study.limit, tests)
        if tried.outcome == PASSED:
            break
        if tried.outcome == BROKEN:
            outcome, by = CAUGHT, AT_IMPORT
            break
        if not tried.last:  # the time was over before the first test: an import without an end
            outcome, by = TIMED_OUT, AT_IMPORT
            break
        last = next(test for test in tests if test in (tried.last, tried.last.partition("[")[0]))
        same = tests[: tests.index(last) + 1]
        limit = 2 * study.limit if tried.outcome == FAILED else study.limit
        without = run_tests(copy, study.package, list(dict.fromkeys(map(_file, same))), limit, same)
        if without.outcome == PASSED and (tried.outcome == FAILED or _hangs(tried, without, study.limit)):
            outcome, by = CAUGHT if tried.outcome == FAILED else TIMED_OUT, tried.last
            break
        if tried.outcome == TIMED_OUT:
            left_out += len(tests) - len(same) + 1
            tests = same[:-1]
            break
        unreliable.append(last)
        tests.remove(last)
    return of_mutant(mutant) | {
        "outcome": outcome,
        "by": by,
        "chosen": len(choice.tests),
        "tests": len(tests),
        "left_out": left_out,
        "unreliable": unreliable,
        "seconds": round(time.monotonic() - begin, 1),
    }


def _hangs(tried: Tried, without: Tried, limit: float) -> bool:
    """Whether a test ran much longer than without the mistake: five times as long, and a tenth of the limit more."""
    seconds = next(event["seconds"] for event in without.events if event.get("ended") == tried.last)
    return tried.waited > 5 * seconds + limit / 10


def again(study: Study, root: Path, explained: Path) -> None:
    """Tries survivors against the tests that ``explained.toml`` names for them, in a copy of the tree as it is now.

    Args:
      study: where, and how long.
      root: the folder of the repository.
      explained: the file of the explanations.

    Raises:
      ValueError: where the code of a survivor is no longer there.
    """
    rows, reasons = read_rows(study.results), tomllib.loads(explained.read_text())
    survivors = [name for name, row in rows.items() if row["outcome"] == SURVIVED and "test" in reasons.get(name, {})]
    copy, known = study.folder / "again", find(root, study.package, set(survivors))
    if survivors:
        copy_tree(root, copy)
    for name in survivors:
        if name not in known:
            raise ValueError(f"{name}, a change of {rows[name]['path']}, is no longer there; explain it another way.")
        test = reasons[name]["test"]
        check_copy(study, copy, test)
        row = judged(study, copy, known[name], Choice(tests=[test]))
        print(f"{row['path']}:{row['line']} {row['operator']}: {row['outcome']} {row['by']}", flush=True)
        if row["outcome"] != SURVIVED:
            append(study.results, rows[name] | {"outcome": row["outcome"], "by": test, "since": True})


def of_mutant(mutant: Mutant) -> Row:
    """What the results say of a mutant, whatever became of it."""
    one = {name: getattr(mutant, name) for name in ("id", "room", "path", "operator", "diff")}
    return one | {"line": mutant.lines[0]}


def append(results: Path, row: Row) -> None:
    """Adds a line to the results; a line that a stop cut off is ended first."""
    results.parent.mkdir(parents=True, exist_ok=True)
    is_cut = results.exists() and not results.read_bytes().endswith(b"\n") and results.stat().st_size > 0
    with results.open("a") as file:
        file.write("\n" * is_cut + json.dumps(row, ensure_ascii=False) + "\n")


def read_rows(results: Path) -> dict[str, Row]:
    """What became of every mutant so far, by its id: the last line of each; a line that was cut off is left out."""
    lines = results.read_text().splitlines() if results.exists() else []
    rows = {}
    for line in lines:
        with contextlib.suppress(json.JSONDecodeError):
            row = json.loads(line)
            rows[row["id"]] = row
    return rows


def _file(test: str) -> str:
    return test.partition("::")[0]

"""The recording: which tests run which lines, one test file after the other in a copy of the tree."""

from __future__ import annotations

import concurrent.futures
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from experiments.mutations.trial import FAILED, PASSED, copy_tree, run_tests, stopping, write_source
from vfl_jax.core.atomic import write_atomically

LIMIT = 3600.0
"""A test file may take so many seconds."""
MARKED = b"\n# The tests are recorded with this line, so that one that fails because a text changed is never chosen.\n"


class Recorded(NamedTuple):
    """What is known of a test file.

    Fields:
      path: the test file, from the root of the repository.
      seconds: how long each of its tests took that passed.
      lines: the file of the coverage.
    """

    path: str
    seconds: dict[str, float]
    lines: Path


def snapshot(root: Path, folder: Path) -> Path:
    """The copy of the tree that the whole study is about; it is made once.

    Args:
      root: the folder of the repository.
      folder: the study's folder.
    """
    copy, about = folder / "tree", folder / "tree.json"
    if not about.exists():
        copy_tree(root, copy)
        said = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True)
        _write(about, {"commit": said.stdout.strip()})
    return copy


def commit_of(folder: Path) -> str:
    """The commit that the study's copy was made of, with what was not committed yet."""
    return json.loads((folder / "tree.json").read_text())["commit"]


def record(folder: Path, package: str, files: list[str], arguments: list[str], workers: int = 1) -> None:
    """Records test files that are not recorded yet.

    Args:
      folder: the study's folder, with its copy of the tree.
      package: the package's name.
      files: the names of test files without ``test_`` and ``.py``; all where none is named.
      arguments: further arguments of pytest, such as ``-m "not long"``.
      workers: how many test files to record at a time.

    Raises:
      ValueError: where there is no such test file.
    """
    tree, copy = folder / "tree", folder / "recorded"
    paths = sorted((tree / "tests").glob("test_*.py"))
    if unknown := set(files) - {path.stem.removeprefix("test_") for path in paths}:
        raise ValueError(f"tests names {sorted(unknown)}, for which the tree has no tests/test_<name>.py.")
    left = [
        path
        for path in paths
        if (not files or path.stem.removeprefix("test_") in files) and not _about(folder, path.stem).exists()
    ]
    if left:
        copy_tree(tree, copy)
        for path in (copy / package).rglob("*.py"):
            write_source(path, path.read_bytes() + MARKED)
    with stopping(concurrent.futures.ThreadPoolExecutor(workers)) as pool:
        begun = [pool.submit(_record_file, folder, copy, package, path, arguments) for path in left]
        for number, done in enumerate(concurrent.futures.as_completed(begun), 1):
            print(f"{number} of {len(left)}: {done.result()}", flush=True)


def _record_file(folder: Path, copy: Path, package: str, path: Path, arguments: list[str]) -> str:
    """Records one test file, and says what was found."""
    about, lines = _about(folder, path.stem), _about(folder, path.stem).with_suffix(".coverage")
    lines.unlink(missing_ok=True)
    lines.parent.mkdir(exist_ok=True)
    name = f"tests/{path.name}"
    tried = run_tests(copy, package, [name, *arguments], LIMIT, record=str(lines))
    seconds = {event["ended"]: event["seconds"] for event in tried.events if "ended" in event}
    failed = {event["failed"] for event in tried.events if "failed" in event}
    passed = {event["passed"] for event in tried.events if "passed" in event} - failed
    kept = {test: seconds[test] for test in sorted(passed & set(seconds))}
    _write(about, {"path": name, "seconds": kept, "failed": sorted(failed), "outcome": tried.outcome})
    said = f"{name} {tried.outcome}, {len(kept)} tests, {sum(kept.values()):.0f} s, {len(failed)} failed"
    return said if tried.outcome in (PASSED, FAILED) else f"{said}: {tried.output[-300:]}"


def recorded(folder: Path) -> Iterator[Recorded]:
    """Every test file that is recorded."""
    for path in sorted((folder / "lines").glob("*.json")):
        about = json.loads(path.read_text())
        yield Recorded(about["path"], about["seconds"], path.with_suffix(".coverage"))


def _about(folder: Path, stem: str) -> Path:
    return folder / "lines" / f"{stem}.json"


def _write(path: Path, content: dict[str, Any]) -> None:
    write_atomically(path, lambda temporary: temporary.write_text(json.dumps(content)))

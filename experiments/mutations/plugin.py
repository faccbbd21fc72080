"""What pytest loads in a copy of the tree: it records which test runs which lines, or runs the tests that were chosen.

The environment says what to do: ``MUTATIONS_RECORD`` names the file of the coverage that is to be written,
``MUTATIONS_TESTS`` a file with the tests to run, in their order. ``MUTATIONS_LOG`` names the file of what happened, a
line of JSON per event; ``MUTATIONS_PACKAGE`` names the package.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import coverage

RECORD, TESTS = os.environ.get("MUTATIONS_RECORD"), os.environ.get("MUTATIONS_TESTS")
PACKAGE = os.environ.get("MUTATIONS_PACKAGE", "")


def started() -> coverage.Coverage | None:
    """Coverage that counts from now on, so that the lines of an import are those of no test."""
    if RECORD is None:
        return None
    import coverage

    lines = coverage.Coverage(data_file=RECORD, source=[str(Path(PACKAGE).absolute())], config_file=False)
    lines.set_option("run:relative_files", True)
    lines.set_option("run:core", "ctrace")  # the other one does not tell tests apart
    lines.start()
    return lines


LINES = started()


def log(**event: Any) -> None:
    """Adds a line to the log."""
    with Path(os.environ["MUTATIONS_LOG"]).open("a") as file:
        file.write(json.dumps(event) + "\n")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keeps the chosen tests, in their order; the name of a function stands for all its cases."""
    where = getattr(sys.modules.get(PACKAGE), "__file__", None)
    if where is not None and not Path(where).is_relative_to(Path.cwd()):
        raise pytest.UsageError(f"{PACKAGE} is that of {where}, not of the copy in {Path.cwd()}.")
    if TESTS is not None:
        places = {name: place for place, name in enumerate(json.loads(Path(TESTS).read_text()))}
        found = {item: places.get(item.nodeid, places.get(item.nodeid.partition("[")[0])) for item in items}
        left_out = [item for item in items if found[item] is None]
        items[:] = sorted((item for item in items if found[item] is not None), key=lambda item: found[item] or 0)
        config.hook.pytest_deselected(items=left_out)
    log(collected=len(items))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Says which test runs, and to which test lines belong."""
    log(begun=item.nodeid, at=time.time())
    begin = time.perf_counter()
    if LINES is not None:
        LINES.switch_context(item.nodeid)
    yield
    if LINES is not None:
        LINES.switch_context("")
    log(ended=item.nodeid, seconds=round(time.perf_counter() - begin, 3))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Says what became of a test."""
    if report.failed:
        log(failed=report.nodeid)
    elif report.when == "call" or report.skipped:
        log(**{report.outcome: report.nodeid})


def pytest_sessionfinish() -> None:
    """Writes the coverage."""
    if LINES is not None:
        LINES.stop()
        LINES.save()

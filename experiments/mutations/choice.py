"""The choice: which of the recorded tests are run on a mutant, and in which order."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterable
from pathlib import Path

from experiments.mutations.draw import Mutant
from experiments.mutations.recording import Recorded

FILE_SECONDS = 0.5
"""What another test file costs beside its tests."""


@dataclasses.dataclass
class Choice:
    """The tests for one mutant.

    Attributes:
      named: those whose file names the mutant's file, or whose own name has a class of it.
      seen: those that were seen to run its statement.
      running: those of files in which one was seen, because a function that JAX has traced, or a cache has answered, is
        not seen again; of a statement that runs at import or that no test runs, those of files in which a test runs
        anything else in its file.
      tests: those to be run, in their order.
      left_out: how many more there are, for which the budget had no room.
    """

    named: dict[str, float] = dataclasses.field(default_factory=dict)
    seen: dict[str, float] = dataclasses.field(default_factory=dict)
    running: dict[str, float] = dataclasses.field(default_factory=dict)
    tests: list[str] = dataclasses.field(default_factory=list)
    left_out: int = 0


def choose(tree: Path, files: Iterable[Recorded], mutants: list[Mutant], budget: float) -> dict[str, Choice]:
    """Chooses tests for every mutant, by its id.

    Tests by name come first, whether they were seen to run the line or not: a process that a test starts is not seen.
    Then come those that were seen, then others of their files; within each group the quickest. Tests of one file are
    run together.

    Args:
      tree: the copy of the tree.
      files: what was recorded.
      mutants: the mutants.
      budget: the tests of a mutant may have taken so many seconds when they were recorded; one test always runs.
    """
    from coverage import CoverageData  # only tests need it

    choices = {mutant.id: Choice() for mutant in mutants}
    elsewhere: dict[str, dict[str, float]] = {mutant.id: {} for mutant in mutants}
    classes = {path: _classes(tree / path) for path in {mutant.path for mutant in mutants}}
    for file in files:
        data = CoverageData(str(file.lines))
        data.read()
        by_path = {path: data.contexts_by_lineno(path) for path in classes}
        for mutant in mutants:
            choice = choices[mutant.id]
            by_line = by_path[mutant.path]
            first, last = mutant.lines
            at_line = {context for line in range(first, last + 1) for context in by_line.get(line, ())}
            anywhere = {context for contexts in by_line.values() for context in contexts}
            choice.seen |= _tests(file, at_line)
            choice.running |= file.seconds if at_line - {""} else {}
            elsewhere[mutant.id] |= file.seconds if anywhere - {""} else {}
            choice.named |= _named(file, mutant, classes[mutant.path])
    for mutant in mutants:
        choice = choices[mutant.id]
        choice.running = choice.running or elsewhere[mutant.id]
        _fill(choice, budget)
    return choices


def _tests(file: Recorded, contexts: set[str]) -> dict[str, float]:
    """The tests among the contexts of a file."""
    return {context: file.seconds[context] for context in contexts if context in file.seconds}


def _named(file: Recorded, mutant: Mutant, classes: set[str]) -> dict[str, float]:
    words = Path(file.path).stem.removeprefix("test_").split("_")
    of_module = Path(mutant.path).stem.strip("_").split("_")
    for place in range(len(words)):
        if words[place : place + len(of_module)] == of_module:
            return file.seconds
    return {test: seconds for test, seconds in file.seconds.items() if any(name in test for name in classes)}


def _classes(path: Path) -> set[str]:
    """The public classes of a file, those with several capitals: others are words of many tests."""
    names = {node.name for node in ast.parse(path.read_bytes()).body if isinstance(node, ast.ClassDef)}
    return {name for name in names if not name.startswith("_") and sum(map(str.isupper, name)) > 1}


def _fill(choice: Choice, budget: float) -> None:
    """Takes tests while the budget lasts: those by name, those that were seen to run the line, then the others."""
    files: dict[str, list[str]] = {}
    groups = choice.named, choice.seen, choice.running
    in_order = dict.fromkeys(test for group in groups for test in sorted(group, key=lambda t: (group[t], t)))
    seconds = choice.running | choice.seen | choice.named
    spent = 0.0
    for test in in_order:
        file = test.partition("::")[0]
        cost = seconds[test] + (0 if file in files else FILE_SECONDS)
        if files and spent + cost > budget:
            choice.left_out += 1
            continue
        spent += cost
        files.setdefault(file, []).append(test)
    choice.tests = [test for tests in files.values() for test in tests]

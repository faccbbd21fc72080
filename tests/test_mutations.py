"""Mistakes made on purpose: which are drawn, which tests meet them, what becomes of them, and what the page says."""

import dataclasses
from collections import Counter

import pytest
from data_helpers import says

from experiments.mutations import __main__ as command
from experiments.mutations import job, recording
from experiments.mutations.choice import Choice, choose
from experiments.mutations.draw import candidates, draw, find
from experiments.mutations.trial import Tried

SUMS = '''
"""Sums: 1 + 1."""
from __future__ import annotations

import functools

STEP = 1


@functools.cache
def double(number: int = 2) -> int:
    """Returns 2 * number."""
    return 2 * number


def upto(last):
    total = 0
    while last > 0:
        total += last
        last -= STEP
    return total


def unseen(number):
    return number + 3


def checked(number):
    if number < 0:
        raise ValueError(f"number is {number - 1}")
    return number
'''
TESTS = """
import pytest
from tiny.core import sums
from tiny.core.sums import checked, double, upto


@pytest.fixture(scope="module")
def ten():
    return upto(4)


def test_first(ten):
    assert ten


def test_shared(ten):
    assert ten == 10


def test_double():
    assert double(3)


def test_double_again():
    assert double(3) == 6


def test_checked():
    assert checked(1) == 1


def test_source():
    assert len(open(sums.__file__).read().splitlines()) == 32, "this test fails where a text changed"
"""
OTHER = """
from tiny.core.sums import checked


def test_other():
    assert checked(2) == 2
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A package of one room, with two test files."""
    root = tmp_path_factory.mktemp("root")
    files = {"tiny/__init__.py": "", "tiny/core/__init__.py": "", "tiny/core/sums.py": SUMS}
    files |= {"tests/test_all_sums.py": TESTS, "tests/test_other.py": OTHER}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture(scope="module")
def study(tree, tmp_path_factory):
    """A study of it whose tests are recorded."""
    folder = tmp_path_factory.mktemp("study")
    recording.snapshot(tree, folder)
    recording.record(folder, "tiny", [], [])
    return job.Study(folder, folder / "mutants.jsonl", "tiny", limit=30.0)


def mutants_of(root):
    return [one for path in sorted((root / "tiny").rglob("*.py")) for one in candidates(root, [path], "core")]


def mutant(root, operator, line):
    """The first mutant of an operator at a line of the package's text."""
    (number,) = (number for number, text in enumerate(SUMS.splitlines(), 1) if text.strip() == line)
    name = next(one.id for one in mutants_of(root) if one.operator == operator and one.lines[0] == number)
    return find(root, "tiny", {name})[name]


def test_a_draw_is_that_of_its_seed_and_grows(tmp_path):
    for room in ("core", "protocol", "data"):
        (tmp_path / "tiny" / room).mkdir(parents=True)
        (tmp_path / "tiny" / room / "sums.py").write_text(SUMS)
    few, many = (draw(tmp_path, "tiny", count, seed=0) for count in (10, 20))
    assert draw(tmp_path, "tiny", 10, seed=0) == few
    assert draw(tmp_path, "tiny", 10, seed=1) != few
    assert {one.id for one in few} < {one.id for one in many}
    assert Counter(one.room for one in many) == {"core": 4, "protocol": 12, "data": 4}
    assert len({one.operator for one in many if one.room == "core"}) == 4
    assert {one.id for one in draw(tmp_path, "tiny", 4, 0, ("core",))} == {o.id for o in many if o.room == "core"}
    with pytest.raises(ValueError, match=says("rooms", "kitchen", "core")):
        draw(tmp_path, "tiny", 4, 0, ("kitchen",))


def test_a_mutant_keeps_its_name_where_lines_move(tree, tmp_path):
    (tmp_path / "tiny").mkdir()
    moved = "# one more line\n" + SUMS.replace("def unseen(number):\n    return number + 3\n", "")
    for text in (SUMS, moved):
        (tmp_path / "tiny" / "sums.py").write_text(text)
        names = {one.id: one for one in candidates(tmp_path, [tmp_path / "tiny" / "sums.py"], "core")}
        if text == SUMS:
            before = names
    assert set(names) < set(before)
    assert {one.operator for one in names.values()} > {"arithmetic", "removal"}
    assert all(before[name].lines != names[name].lines for name in names)


@pytest.mark.long
def test_tests_are_chosen_by_the_lines_that_they_run(tree, study):
    files = list(recording.recorded(study.folder))
    assert sorted(test.partition("::")[2] for file in files for test in file.seconds) == sorted(
        ["test_first", "test_shared", "test_double", "test_double_again", "test_checked", "test_other"]
    )  # test_source failed, because the text was changed

    def running(operator, line):
        one = mutant(tree, operator, line)
        choice = choose(tree, files, [one], 60.0)[one.id]
        return tuple({test.partition("::")[2] for test in of} for of in (choice.seen, choice.running))

    in_file = {"test_first", "test_shared", "test_double", "test_double_again", "test_checked"}
    assert running("arithmetic", "return 2 * number") == ({"test_double"}, in_file)  # the next finds it in a cache
    assert running("removal", "total += last") == ({"test_first"}, in_file)  # by a fixture that they share
    assert running("comparison", "if number < 0:") == ({"test_checked", "test_other"}, in_file | {"test_other"})
    assert running("constant", "STEP = 1") == (set(), in_file | {"test_other"})  # at import
    assert running("arithmetic", "return number + 3") == (set(), in_file | {"test_other"})  # by none


@pytest.mark.long
def test_the_budget_keeps_tests_by_name_and_then_the_quickest(tree, study):
    first, other = recording.recorded(study.folder)
    first = first._replace(seconds={test: 9.0 if "again" in test else 2.0 for test in first.seconds})
    other = other._replace(seconds=dict.fromkeys(other.seconds, 0.1))
    one = mutant(tree, "comparison", "if number < 0:")

    def chosen(budget):
        choice = choose(tree, [other, first], [one], budget)[one.id]
        return [test.partition("::")[2] for test in choice.tests], choice.left_out

    named = ["test_checked", "test_double", "test_first", "test_shared"]
    assert chosen(60.0) == ([*named, "test_double_again", "test_other"], 0)
    assert chosen(10.0) == ([*named, "test_other"], 1)
    assert chosen(0.0) == (["test_checked"], 5)


def judged(study, tree, operator, line, **others):
    one = mutant(tree, operator, line)
    copy = study.folder / "copy"
    if not copy.exists():
        job.copy_tree(study.folder / "tree", copy)
    choice = choose(tree, recording.recorded(study.folder), [one], study.budget)[one.id]
    row = job.judged(dataclasses.replace(study, **others), copy, one, choice)
    assert (copy / one.path).read_text() == SUMS  # taken back
    return row


@pytest.mark.long
def test_a_mistake_is_caught_by_the_test_that_fails(tree, study):
    row = judged(study, tree, "arithmetic", "return 2 * number")
    assert (row["outcome"], row["by"]) == ("caught", "tests/test_all_sums.py::test_double_again")
    assert row["diff"] == "-    return 2 * number\n+    return 2 / number"
    assert (row["room"], row["path"], row["left_out"]) == ("core", "tiny/core/sums.py", 0)


@pytest.mark.long
def test_a_mistake_that_no_test_notices_survives(tree, study):
    row = judged(study, tree, "removal", 'raise ValueError(f"number is {number - 1}")')
    assert (row["outcome"], row["by"], row["chosen"], row["tests"]) == ("survived", "", 6, 6)


@pytest.mark.long
def test_a_mistake_that_never_ends_is_timed_out(tree, study):
    row = judged(study, tree, "removal", "last -= STEP", limit=20.0)
    assert row["outcome"] == "timed out"
    assert "test_all_sums.py" in row["by"]


@pytest.mark.long
def test_a_time_that_is_over_for_many_tests_is_no_time_out(tree, study, monkeypatch):
    one, runs = mutant(tree, "removal", "last -= STEP"), []

    def run_tests(copy, package, files, limit, tests):
        runs.append(tests)
        waited = 6.0 if is_slow else 9.0
        ended = [{"ended": "a::two", "seconds": 1.0}]
        return Tried("timed out", "a::two", waited, [], "") if len(runs) % 2 else Tried("passed", "", 0.0, ended, "")

    monkeypatch.setattr(job, "run_tests", run_tests)
    for is_slow in (True, False):
        row = job.judged(study, tree, one, Choice(tests=["a::one", "a::two", "a::three"]))
        assert (row["outcome"], row["left_out"]) == (("survived", 2) if is_slow else ("timed out", 0))
    assert runs == [["a::one", "a::two", "a::three"], ["a::one", "a::two"]] * 2


@pytest.mark.long
def test_a_test_that_fails_without_the_mistake_catches_nothing(tree, study):
    job.copy_tree(study.folder / "tree", study.folder / "copy")
    path = study.folder / "copy" / "tests" / "test_all_sums.py"
    path.write_text(TESTS.replace("checked(1) == 1", "checked(1) == 2"))
    row = judged(study, tree, "removal", 'raise ValueError(f"number is {number - 1}")')
    job.copy_tree(study.folder / "tree", study.folder / "copy")
    assert (row["outcome"], row["tests"]) == ("survived", 5)
    assert row["unreliable"] == ["tests/test_all_sums.py::test_checked"]


@pytest.mark.long
def test_the_job_goes_on_where_it_was_stopped(tree, study, tmp_path, monkeypatch, capsys):
    tried = []

    def instead(study, copy, one, choice):
        tried.append(one.id)
        outcome = "survived" if len(tried) == 1 else "caught"
        return job.of_mutant(one) | {"outcome": outcome, "by": "", "chosen": 1, "seconds": 0.0}

    monkeypatch.setattr(job, "judged", instead)
    monkeypatch.setattr(job, "check_copy", lambda *_: None)
    here = dataclasses.replace(study, results=tmp_path / "results" / "mutants.jsonl")
    job.run(here, count=3, seed=0, rooms=("core",))
    with here.results.open("a") as file:
        file.write('{"id": "cut o')
    first = list(tried)
    assert len(first) == 3
    job.run(here, count=5, seed=0, rooms=("core",))
    assert tried[3] == first[0]  # it survived one test, and there are more
    assert len(tried) == 6
    assert not set(tried[4:]) & set(first)
    assert {row["outcome"] for row in job.read_rows(here.results).values()} == {"caught"}
    assert len(job.read_rows(here.results)) == 5
    assert "5 mutants, 3 to try, 0 without a recorded test" in capsys.readouterr().out


@pytest.mark.long
def test_a_mutant_without_a_test_waits_for_the_whole_recording(study, tmp_path, monkeypatch, capsys):
    first, other = recording.recorded(study.folder)
    nothing = [file._replace(seconds={}) for file in (first, other)]
    here = dataclasses.replace(study, results=tmp_path / "mutants.jsonl")
    monkeypatch.setattr(job, "recorded", lambda folder: nothing[:1])
    job.run(here, count=2, seed=0, rooms=("core",))
    assert job.read_rows(here.results) == {}
    assert "2 mutants, 0 to try, 2 without a recorded test" in capsys.readouterr().out
    monkeypatch.setattr(job, "recorded", lambda folder: nothing)
    job.run(here, count=2, seed=0, rooms=("core",))
    assert [(row["outcome"], row["tests"]) for row in job.read_rows(here.results).values()] == [("survived", 0)] * 2


@pytest.mark.long
def test_a_survivor_is_caught_by_a_test_that_was_written_for_it(tree, study, tmp_path):
    one = mutant(tree, "removal", 'raise ValueError(f"number is {number - 1}")')
    here = dataclasses.replace(study, results=tmp_path / "mutants.jsonl")
    job.append(here.results, job.of_mutant(one) | {"outcome": "survived", "by": ""})
    root = tmp_path / "root"
    job.copy_tree(tree, root)
    (root / "tests" / "test_new.py").write_text(
        "import pytest\nfrom tiny.core.sums import checked\n"
        "@pytest.mark.parametrize('n', [-1, -2])\ndef test_new(n):\n  with pytest.raises(ValueError): checked(n)\n"
    )
    explained = tmp_path / "explained.toml"
    explained.write_text(f'[{one.id}]\ntest = "tests/test_new.py::test_new"\n')
    job.again(here, root, explained)
    assert job.read_rows(here.results)[one.id] | {"diff": ""} == job.of_mutant(one) | {
        "outcome": "caught", "by": "tests/test_new.py::test_new", "since": True, "diff": "",
    }  # fmt: skip


def test_the_folder_is_outside_the_repository():
    with pytest.raises(ValueError, match=says("--folder", "within the repository", "outside")):
        command.main(command.Arguments(folder=command.ROOT / "build"))


def test_results_are_lines_of_json(tmp_path):
    job.append(tmp_path / "results", {"id": "a", "diff": "é"})
    (tmp_path / "results").write_text((tmp_path / "results").read_text() + '{"id": ')
    job.append(tmp_path / "results", {"id": "b"})
    assert list(job.read_rows(tmp_path / "results")) == ["a", "b"]
    assert job.read_rows(tmp_path / "results")["a"]["diff"] == "é"

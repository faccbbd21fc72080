"""What is compiled for a TPU: every method once, what lacks a line, and a page of what was found. Needs no TPU."""

import importlib.util

import jax
import pytest
from data_helpers import says

from experiments.benchmarks.tpu import __main__ as command
from experiments.benchmarks.tpu import compiling, methods, report
from vfl_jax import attacks, defenses
from vfl_jax.arenas.boards import board_for
from vfl_jax.data import load_digits

FOUND = {"arguments": 10**6, "results": 0, "working": 2 * 10**6, "code": 10**5}


@pytest.fixture
def small(monkeypatch):
    """Boards of few rows instead of those of the page."""
    monkeypatch.setattr(methods, "boards", lambda: {"digits": board_for(load_digits(), epochs=2)})


@pytest.fixture
def compiler(monkeypatch):
    """A compiler that refuses what is in a set; returns the set and the programs that were given to it."""
    refused, given = set(), []

    def lowered(study, chunk, num_devices, kinds):
        for name in kinds:
            yield compiling.Program(name, None, f"{name} of {type(study.scenario.defense).__name__}")

    def compiled(program):
        given.append(program.digest)
        return {"error": "no"} if program.digest in refused else FOUND

    monkeypatch.setattr(compiling, "versions", lambda: "jax 1")
    monkeypatch.setattr(compiling, "lowered", lowered)
    monkeypatch.setattr(compiling, "compiled", compiled)
    return refused, given


def test_every_method_of_the_package_is_compiled():
    assert list(methods.left_out()) == []
    names = methods.names()
    assert len(set(names)) == len(names) > len(attacks.__all__) + len(defenses.__all__) - 5


def test_a_method_that_no_board_takes_is_refused_with_reasons(small):
    with pytest.raises(ValueError, match=says("Every board refuses VFLMonitor", "digits: ", "three or more")):
        methods.subject("defense", "VFLMonitor")
    taken = methods.subject("defense", "Clipping")
    assert (taken.board, len(taken.chunk.points), len(taken.chunk.seeds)) == ("digits", 2, methods.NUM_SEEDS)
    assert taken.chunk.attacked(taken.study.scenario).tolist() == [True, False]


def test_programs_of_a_sweep_are_lowered_for_a_tpu(small, monkeypatch):
    """Lowering needs no compiler; the devices are those of this machine."""
    monkeypatch.setattr(compiling, "described", lambda count: jax.devices()[:count])
    taken = methods.subject("attack", "Replay")
    kinds = ("epoch", "on_epoch", "first pass", "second pass")
    found = {program.name: program for program in compiling.lowered(taken.study, taken.chunk, 1, kinds)}
    assert list(found) == ["epoch", "first pass", "second pass"]
    assert len({program.digest for program in found.values()}) == 3


def test_it_goes_on_with_what_lacks_a_line(small, compiler, tmp_path):
    """What failed is tried again, what is equal is compiled once, what is complete is not even prepared."""
    refused, given = compiler
    path, stage = tmp_path / "results.jsonl", ("epoch", "on_epoch")
    refused.add("epoch of Clipping")
    command.compile_stage(path, "defense", "Clipping", 1, stage)
    assert given == ["epoch of Clipping", "on_epoch of Clipping"]
    refused.clear()
    command.compile_stage(path, "defense", "Clipping", 1, stage)
    assert given[2:] == ["epoch of Clipping"]
    command.compile_stage(path, "attack", "Replay", 1, stage)
    command.compile_stage(path, "attack", "PoisonedData", 1, stage)
    assert given[3:] == ["epoch of ActiveTransform", "on_epoch of ActiveTransform"]
    before = path.read_text()
    command.compile_stage(path, "defense", "Clipping", 1, stage)
    assert path.read_text() == before
    command.compile_stage(path, "defense", "Clipping", 4, ("epoch",))
    assert [line["chips"] for line in report.read(path)][-1] == 4


def test_the_table_says_what_was_refused():
    about = {"kind": "defense", "method": "Clipping", "board": "digits", "chips": 1, "versions": "jax 1"}
    lines = [
        about | {"program": "epoch", "digest": "a"} | FOUND,
        about | {"program": "second pass", "digest": "b", "error": "no"},
        about | {"complete": ["first pass"]},
    ]
    assert "| Clipping | defense | digits | 1 | 3 | ✗ |" in report.table(lines)
    assert report.summary(lines).startswith("1 of 2 programs of 1 method compiles (jax 1). ")
    assert "does not: Clipping" in report.summary(lines)
    assert "does not" not in report.summary(lines[:1])


def test_the_page_has_the_committed_results():
    lines = report.read(command.RESULTS)
    page = command.RESULTS.with_name("README.md").read_text()
    assert len(lines) > 50
    assert report.summary(lines) in page
    assert report.table(lines) in page
    assert len({line["versions"] for line in lines}) == 1


def test_an_unknown_method_is_named():
    with pytest.raises(SystemExit, match=says("--only", "Cliping", "Clipping")):
        command.main(["--only", "Cliping", "--out", "x.jsonl"])


@pytest.mark.skipif(importlib.util.find_spec("libtpu") is not None, reason="the compiler is there")
def test_without_the_compiler_one_line_says_what_to_install():
    with pytest.raises(SystemExit, match=says("error: libtpu", "vfl_jax[tpu]")):
        compiling.described(1)

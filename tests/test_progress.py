"""Progress: a bar on a terminal and in a notebook, plain lines elsewhere, strict JSON for machines."""

import importlib
import io
import json
import re
import sys
import time
import types

import numpy as np
import pytest
import rich.console
from data_helpers import tiny_scenario
from sweep_helpers import DATA, EPOCHS, SCENARIO, logged, swept

import vfl_jax as vfl
from vfl_jax import PartyTransform
from vfl_jax.replica.first_pass import Metric
from vfl_jax.sweeps import displays, estimates
from vfl_jax.sweeps import progress as progress_module
from vfl_jax.sweeps.chunks import Chunk
from vfl_jax.sweeps.displays import is_line_due
from vfl_jax.sweeps.progress import ChunkProgress, Progress
from vfl_jax.sweeps.study import Study

sweep_module = importlib.import_module("vfl_jax.sweeps.sweep")


def found(loss=1.5, main=0.5, backdoor=(0.25, 0.75)):
    """Metrics as training hands them over: sums [S, G] with counts [S], S = 1, G = 2."""
    rows = np.array([4.0], np.float32)

    def metric(means, count=rows):
        return Metric(np.broadcast_to(np.float32(means), (1, 2)) * count[:, None], count)

    return {
        "loss": metric(loss),
        "main_task_accuracy": metric(main),
        "backdoor_accuracy": metric(backdoor, np.zeros(1, np.float32) if backdoor is None else rows),
    }


def strict(path):
    """The lines of a log, in which no NaN or Infinity may be."""

    def refuse(constant):
        raise AssertionError(constant)

    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


@pytest.fixture
def clock(monkeypatch):
    """Time goes on by hand."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_every_event_is_a_line_of_json(tmp_path, clock):
    log = tmp_path / "new" / "log.jsonl"
    progress = Progress(4, [2, 6], shown=False, log=log)
    with progress.show():
        with progress.chunk(0, "first") as chunk:
            clock[0] += 3
            chunk.epoch_done(0, found())
            assert len(strict(log)) == 3  # at once, not at the end
        with progress.chunk(1, "second") as chunk:
            chunk.goes_on(3)
            clock[0] += 5
            chunk.epoch_done(3, found(loss=(1.0, 3.0), main=np.nan, backdoor=np.inf))
        progress.event("own", value=float("inf"), number=3, text="a", nothing=None)
    lines = strict(log)
    assert [line["event"] for line in lines] == ["sweep", "chunk", "epoch", "chunk", "resumed", "epoch", "own", "done"]
    assert all(line.pop("time") > 1.6e9 for line in lines)
    assert lines[0] == {"event": "sweep", "chunks": 2, "replicas": 8, "epochs": 4}
    assert lines[1] == {"event": "chunk", "chunk": "first", "number": 1, "chunks": 2, "replicas": 2}
    assert all(line.pop("medians_of") == "attacked" for line in lines if line["event"] == "epoch")
    assert lines[2] == {
        "event": "epoch",
        "chunk": "first",
        "epoch": 1,
        "epochs": 4,
        "replicas": 2,
        "seconds": 3.0,
        "seconds_left": 45.0,  # 3 seconds for 2 of 4 · 8 epochs of a replica
        "loss": 1.5,
        "main_task_accuracy": 0.5,
        "backdoor_accuracy": 0.5,
    }
    assert lines[4] == {"event": "resumed", "chunk": "second", "epochs": 3}
    # Since the first epoch 5 seconds for 6 epochs of a replica; of 32, 6 are left.
    facts = {"seconds": 8.0, "seconds_left": 5.0, "loss": 2.0, "main_task_accuracy": None, "backdoor_accuracy": None}
    assert lines[5] == {"event": "epoch", "chunk": "second", "epoch": 4, "epochs": 4, "replicas": 6} | facts
    assert lines[6] == {"event": "own", "value": None, "number": 3, "text": "a", "nothing": None}


def test_a_mean_of_nothing_is_null(tmp_path):
    with Progress(1, [2], shown=False, log=tmp_path / "log").show() as progress:
        ChunkProgress(progress).epoch_done(0, found() | {"backdoor_accuracy": Metric(np.zeros((1, 2)), np.zeros(1))})
    assert strict(tmp_path / "log")[1]["backdoor_accuracy"] is None


def test_a_chunk_that_was_trained_elsewhere_counts(tmp_path, clock, capsys):
    progress = Progress(4, [2, 6], log=tmp_path / "log")
    with progress.show():
        clock[0] += 2
        progress.chunk_done(0, "first")
    line = strict(tmp_path / "log")[1]
    assert (line["event"], line["chunk"], line["seconds_left"]) == ("chunk_done", "first", 6.0)
    assert capsys.readouterr().err.splitlines()[1:] == ["chunk first of 2 replicas is finished; 6 s left"]


def test_off_a_terminal_there_is_a_line_every_ten_epochs(capsys, clock):
    with Progress(23, [2, 2]).show() as progress:
        for number in range(2):
            with progress.chunk(number) as chunk:
                for epoch in range(23):
                    clock[0] += 60
                    chunk.epoch_done(epoch, found(backdoor=np.nan if epoch == 9 else 0.5))
    with Progress(1, [1], shown=False).show() as progress:
        ChunkProgress(progress).epoch_done(0, found())
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "Numbers are medians over all replicas.",
        "chunk 1/2, epoch 1/23: loss 1.500, main 0.500, backdoor 0.500; 45 min left",
        "chunk 1/2, epoch 10/23: loss 1.500, main 0.500; 36 min left",
        "chunk 1/2, epoch 20/23: loss 1.500, main 0.500, backdoor 0.500; 26 min left",
        "chunk 1/2, epoch 23/23: loss 1.500, main 0.500, backdoor 0.500; 23 min left",
        "chunk 2/2, epoch 10/23: loss 1.500, main 0.500; 13 min left",
        "chunk 2/2, epoch 20/23: loss 1.500, main 0.500, backdoor 0.500; 3 min left",
        "chunk 2/2, epoch 23/23: loss 1.500, main 0.500, backdoor 0.500; 46 min in all",
    ]
    assert captured.out == ""


@pytest.mark.parametrize(("epochs", "lines"), [(1, 1), (9, 2), (50, 6), (100, 11), (1000, 11)])
def test_of_many_epochs_there_are_few_lines(epochs, lines):
    assert sum(is_line_due(epoch, epochs) for epoch in range(1, epochs + 1)) == lines


def test_medians_are_those_of_attacked_replicas(tmp_path, capsys):
    masks = [np.array([False, True]), np.array([False, False])]
    with Progress(1, [2, 2], log=tmp_path / "log", attacked=masks).show() as progress:
        for number in range(2):
            with progress.chunk(number) as chunk:
                chunk.epoch_done(0, found(backdoor=(0.25, 0.75), main=(0.9, 0.7)))
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "Numbers are medians over the 1 attacked of 4 replicas."
    assert "main 0.700, backdoor 0.750" in said[1]
    assert "main 0.800, backdoor 0.500" in said[2]
    epochs = [line for line in strict(tmp_path / "log") if line["event"] == "epoch"]
    assert [line["medians_of"] for line in epochs] == ["attacked", "honest"]
    assert [line["backdoor_accuracy"] for line in epochs] == [0.75, 0.5]
    with Progress(1, [2], attacked=masks[1:]).show():
        assert "2 replicas, which nobody attacks" in capsys.readouterr().err


def test_chunks_know_which_points_are_attacked():
    scenario = tiny_scenario()
    off, on = {"attacks.1.enabled": 0}, {"attacks.1.enabled": 1}
    assert Chunk((off, on, off), (0,)).attacked(scenario).tolist() == [False, True, False]
    assert Chunk(({},), (0,)).attacked(scenario).tolist() == [True]
    honest = tiny_scenario(attacks=(PartyTransform(),) * 2)
    assert Chunk(({"poison.rate": 0.1},), (0,)).attacked(honest).tolist() == [False]


def shown_on(monkeypatch, width):
    """What a bar shows on a terminal of such a width, at its end."""
    screen, real = io.StringIO(), rich.console.Console
    monkeypatch.setattr(displays, "fitting", displays.TerminalBar)
    monkeypatch.setattr(progress_module, "fitting", displays.TerminalBar)
    options = {"force_terminal": True, "width": width, "color_system": None, "legacy_windows": False}
    monkeypatch.setattr(rich.console, "Console", lambda **_: real(file=screen, **options))
    with Progress(50, [480, 480]).show() as progress:
        for number in range(2):
            with progress.chunk(number) as chunk:
                for epoch in range(50):
                    chunk.epoch_done(epoch, found(loss=12.345))
    return re.sub(r"\x1b\[[0-9?;]*[A-Za-z]", "", screen.getvalue()).replace("\r", "\n")


def test_a_bar_fits_80_columns(monkeypatch):
    lines = [line.rstrip() for line in shown_on(monkeypatch, 80).splitlines()]
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)
    assert "Numbers are medians over all replicas." in lines
    assert "compiling" in lines
    assert "chunk 2/2, epoch 50/50: loss 12.345, main 0.500, backdoor 0.500" in lines
    (half,) = {line for line in lines if " 50%, " in line}
    assert re.fullmatch(r"960 replicas ━{15,}╸? +50%, 1 s so far, 1 s left", half)
    assert re.fullmatch(r"960 replicas ━{20,} done in 1 s", next(line for line in reversed(lines) if "done" in line))


def test_the_bar_of_a_notebook_is_one_output_that_changes(monkeypatch, clock, capsys):
    pages = []
    handle = types.SimpleNamespace(update=lambda page, raw: pages.append(page))

    def display(page, raw, display_id):
        assert raw
        assert display_id
        pages.append(page)
        return handle

    notebook = types.ModuleType("IPython")
    notebook.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    shows = types.ModuleType("IPython.display")
    shows.display = display
    monkeypatch.setitem(sys.modules, "IPython", notebook)
    monkeypatch.setitem(sys.modules, "IPython.display", shows)
    with Progress(4, [2]).show() as progress, progress.chunk(0) as chunk:
        for epoch in range(4):
            clock[0] += 0.3
            chunk.epoch_done(epoch, found())
    assert len(pages) == 1 + 3  # empty, then at most every half second, and at the end
    assert "compiling" in pages[0]["text/html"]
    assert 'value="2" max="8"' in pages[1]["text/html"]
    assert 'value="8" max="8"' in pages[-1]["text/html"]
    assert "done in 2 s" in pages[-1]["text/plain"]
    assert "epoch 4/4: loss 1.500" in pages[-1]["text/html"]
    captured = capsys.readouterr()
    assert captured.out == "Numbers are medians over all replicas.\n"
    assert captured.err == ""  # a notebook paints it red
    notebook.get_ipython = lambda: None
    assert not displays.in_notebook()


def test_a_sweep_says_before_it_compiles_what_it_will_do(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(estimates, "_paces", {})
    compiled = []
    monkeypatch.setattr(sweep_module, "_plan", lambda *_: compiled.append(capsys.readouterr().err) or 1 / 0)
    over = {"attack.enabled": [0, 1], "attack.amplify": [1, 2, 3]}
    with pytest.raises(ZeroDivisionError):
        swept(tmp_path / "folder", over=over, seeds=4, epochs=3, progress=True)
    said = " ".join(compiled[0].split())
    assert said.startswith("To train: 24 replicas (6 settings × 4 seeds) in one program, if memory suffices; 3 epochs")
    assert "steps in all. A guess: 13 s, from MNIST on two cores." in said
    assert max(map(len, compiled[0].splitlines())) <= 80


@pytest.mark.long
def test_the_estimate_follows_what_was_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(estimates, "_paces", {})
    over = {"attack.enabled": [0, 1]}
    swept(tmp_path / "folder", over=over, seeds=1, progress=True)
    capsys.readouterr()
    swept(tmp_path / "folder", over=over, seeds=3, progress=True)
    said = " ".join(capsys.readouterr().err.split())
    assert "To train: 4 of 6 replicas (2 settings × 3 seeds)" in said
    assert "at the pace of the folder's finished chunks." in said
    swept(tmp_path / "folder", over=over, seeds=3, progress=True)
    assert "To train" not in capsys.readouterr().err  # it is only read
    swept(tmp_path / "other", over=over, seeds=1, progress=True)
    assert "at the pace of the sweep before." in " ".join(capsys.readouterr().err.split())


def test_a_pace_is_of_all_but_the_numbers_that_can_be_swept(monkeypatch):
    monkeypatch.setattr(estimates, "_paces", {})

    def study(**fields):
        return Study(SCENARIO.replace(**fields), DATA, 1, vfl.Given())

    estimates.note_pace(study(), 10, 5.0)
    assert "the pace of the sweep before" in estimates.announcement(study(defense=SCENARIO.defense), 1, 1, 10, "")
    louder = SCENARIO.poison.replace(rate=0.1)
    assert "the pace of the sweep before" in estimates.announcement(study(poison=louder), 1, 1, 10, "")
    wide = tuple(bottom.replace(hidden=(300,)) for bottom in SCENARIO.bottoms)
    assert "A guess" in estimates.announcement(study(bottoms=wide), 1, 1, 10, "")


@pytest.mark.long
def test_a_sweep_logs_what_it_does_and_adds_to_the_log(tmp_path):
    log = tmp_path / "log"
    log.write_text('{"event": "old"}\n')
    # The second learning rate diverges.
    over = {"learning_rate": [0.1, 3e38]}
    results = swept(tmp_path / "folder", over=over, seeds=1, log_json=log)
    assert not results.is_finite.sel(learning_rate=3e38).any()
    assert np.isnan(results.loss.sel(learning_rate=3e38)).any()
    swept(tmp_path / "folder", over=over, seeds=2, log_json=log)
    lines = strict(log)
    (name, *_), epochs = [line["chunk"] for line in lines if line["event"] == "chunk"], logged(log, "epoch")
    assert [line["event"] for line in lines] == ["old", *(["sweep", "chunk"] + ["epoch"] * EPOCHS + ["done"]) * 2]
    assert [(line["epoch"], line["epochs"], line["replicas"]) for line in epochs[:EPOCHS]] == [
        (e, EPOCHS, 2) for e in range(1, EPOCHS + 1)
    ]
    assert (tmp_path / "folder" / "chunks" / f"{name}.nc").is_file()
    assert epochs[EPOCHS - 1]["seconds_left"] == 0
    # Medians are over the replicas that are finite.
    finite = results.loss.sel(learning_rate=0.1, seed=0)
    np.testing.assert_allclose([line["loss"] for line in epochs[:EPOCHS]][-1], finite[-1], rtol=1e-5)

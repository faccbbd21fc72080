"""Progress: a bar on a terminal, plain lines elsewhere, strict JSON for machines."""

import io
import json
import time

import numpy as np
import pytest
import rich.console
from sweep_helpers import EPOCHS, logged, swept

from vfl_jax.replica.first_pass import Metric
from vfl_jax.sweeps.progress import ChunkProgress, Progress


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
    # 8 seconds for 8 epochs of a replica; of 32 these 8 and 18 that were done before.
    facts = {"seconds": 8.0, "seconds_left": 6.0, "loss": 2.0, "main_task_accuracy": None, "backdoor_accuracy": None}
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
    assert capsys.readouterr().err == "chunk first of 2 replicas done, 6 s left\n"


def test_off_a_terminal_there_is_a_line_per_epoch(capsys, clock):
    with Progress(4, [2, 2]).show() as progress, progress.chunk(1) as chunk:
        chunk.goes_on(2)
        clock[0] += 2
        chunk.epoch_done(2, found(backdoor=np.nan))
        chunk.epoch_done(3, found())
    with Progress(1, [1]).show() as progress:
        ChunkProgress(progress).epoch_done(0, found())
    with Progress(1, [1], shown=False).show() as progress:
        ChunkProgress(progress).epoch_done(0, found())
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        "goes on after epoch 2",
        "chunk 2/2  epoch 3/4  2 s, 10 s left  loss 1.500  main 0.500",
        "chunk 2/2  epoch 4/4  2 s, 4 s left  loss 1.500  main 0.500  backdoor 0.500",
        "epoch 1/1  0 s, 0 s left  loss 1.500  main 0.500  backdoor 0.500",
    ]
    assert captured.out == ""


def test_on_a_terminal_there_is_a_bar(monkeypatch):
    screen, real = io.StringIO(), rich.console.Console
    monkeypatch.setattr(
        rich.console,
        "Console",
        lambda **_: real(file=screen, force_terminal=True, width=150, color_system=None, legacy_windows=False),
    )
    with Progress(2, [2, 2]).show() as progress:
        for number in range(2):
            with progress.chunk(number) as chunk:
                for epoch in range(2):
                    chunk.epoch_done(epoch, found(backdoor=np.nan))
    text = screen.getvalue()
    assert "4 replicas" in text
    assert "compiling" in text
    for number, epoch in np.ndindex(2, 2):
        assert f"chunk {number + 1}/2  epoch {epoch + 1}/2" in text
    assert "loss 1.500  main 0.500" in text
    assert "backdoor" not in text
    assert "━" * 40 + " chunk 2/2  epoch 2/2" in text  # full at the end


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

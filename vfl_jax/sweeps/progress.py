"""Progress of training: a bar on a terminal, a plain line per epoch elsewhere, and JSON for machines."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

SHOWN = {"loss": "loss", "main": "main_task_accuracy", "backdoor": "backdoor_accuracy"}
"""The metrics whose medians over replicas are shown, by their label."""


class Progress:
    """The progress of a whole sweep.

    Args:
      epochs: how many every chunk is trained.
      replicas: the number of replicas of every chunk that is to be trained.
      shown: whether to show progress on the error stream: a bar on a terminal, else one line per epoch.
      log: a file to which one JSON object per line is appended.
    """

    def __init__(
        self, epochs: int, replicas: list[int], shown: bool = True, log: str | os.PathLike[str] | None = None
    ) -> None:
        self.epochs, self.replicas = epochs, replicas
        self.shown, self.log = shown, log
        self.started = time.monotonic()
        self.total, self.done, self.skipped = epochs * sum(replicas), 0, 0  # in epochs of one replica
        self._console: Any = None
        self._bar: Any = None
        self._file: IO[str] | None = None

    @contextlib.contextmanager
    def show(self) -> Iterator[Progress]:
        """Shows and logs progress until the block ends.

        Raises:
          OSError: where the log cannot be written.
        """
        with contextlib.ExitStack() as stack:
            if self.log is not None:
                Path(self.log).absolute().parent.mkdir(parents=True, exist_ok=True)
                self._file = stack.enter_context(open(self.log, "a", encoding="utf-8", buffering=1))
            if self.shown:
                self._start_bar(stack)
            self.event("sweep", chunks=len(self.replicas), replicas=sum(self.replicas), epochs=self.epochs)
            yield self
            self.event("done")

    @contextlib.contextmanager
    def chunk(self, number: int, name: str | None = None) -> Iterator[ChunkProgress]:
        """Begins the progress of one chunk.

        Args:
          number: its place among the chunks that are to be trained, from 0.
          name: its name in a folder, for the log.
        """
        self.event("chunk", chunk=name, number=number + 1, chunks=len(self.replicas), replicas=self.replicas[number])
        yield ChunkProgress(self, number, name)

    def chunk_done(self, number: int, name: str | None) -> None:
        """Counts a whole chunk, which another process or a worker has trained.

        Args:
          number, name: as in :meth:`chunk`.
        """
        self.done += self.epochs * self.replicas[number]
        left = self.left()
        self.event("chunk_done", chunk=name, replicas=self.replicas[number], seconds_left=round(left, 3))
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, epoch="", note=f"chunk {name}", refresh=True)
        else:
            self.say(f"chunk {name} of {self.replicas[number]} replicas done, {left:.0f} s left")

    def say(self, line: str) -> None:
        """Shows a ``line`` that is not about an epoch."""
        if self._console is not None:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def event(self, kind: str, **facts: Any) -> None:
        """Logs one JSON object.

        Args:
          kind: the word for what has happened.
          facts: further entries of the object. A number that is not finite becomes null.
        """
        if self._file is not None:
            plain = {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in facts.items()}
            stamp = {"event": kind, "time": round(time.time(), 3)}
            self._file.write(json.dumps(stamp | plain, allow_nan=False) + "\n")

    def left(self) -> float:
        """The seconds that are left at the pace so far; NaN before the first epoch."""
        seconds = time.monotonic() - self.started
        trained = self.done - self.skipped
        return seconds / trained * (self.total - self.done) if trained else float("nan")

    def epoch_done(self, number: int, name: str | None, epoch: int, medians: dict[str, float]) -> None:
        """Shows and logs an epoch of one chunk.

        Args:
          number, name: as in :meth:`chunk`.
          epoch: from 0.
          medians: the medians over the chunk's replicas, by the labels of ``SHOWN``.
        """
        seconds, left = time.monotonic() - self.started, self.left()
        self.event(
            "epoch",
            chunk=name,
            epoch=epoch + 1,
            epochs=self.epochs,
            replicas=self.replicas[number],
            seconds=round(seconds, 3),
            seconds_left=round(left, 3),
            **{SHOWN[label]: round(value, 6) for label, value in medians.items()},
        )
        if self._console is None:
            return
        note = "  ".join(f"{label} {value:.3f}" for label, value in medians.items() if np.isfinite(value))
        which = f"chunk {number + 1}/{len(self.replicas)}  " if len(self.replicas) > 1 else ""
        if self._bar is not None:
            self._bar.update(
                self._task,
                completed=self.done,
                epoch=f"{which}epoch {epoch + 1}/{self.epochs}",
                note=note,
                refresh=True,
            )
        else:
            self.say(f"{which}epoch {epoch + 1}/{self.epochs}  {seconds:.0f} s, {left:.0f} s left  {note}")

    def _start_bar(self, stack: contextlib.ExitStack) -> None:
        """Opens the console and, on a terminal, the bar, which ``stack`` closes."""
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._console = Console(stderr=True)
        if not self._console.is_terminal:
            return
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[epoch]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
        )
        what = f"{sum(self.replicas)} replicas"
        self._task = self._bar.add_task(what, total=self.total, epoch=f"epoch 0/{self.epochs}", note="compiling")
        stack.enter_context(self._bar)


class ChunkProgress:
    """The progress of one chunk, or of one replica.

    Args:
      progress: that of the whole sweep.
      number, name: as in :meth:`Progress.chunk`.
    """

    def __init__(self, progress: Progress, number: int = 0, name: str | None = None) -> None:
        self.progress, self.number, self.name = progress, number, name

    def goes_on(self, epochs: int) -> None:
        """Says how many ``epochs`` an earlier run had finished before it stopped."""
        epochs_of_replicas = epochs * self.progress.replicas[self.number]
        self.progress.done += epochs_of_replicas
        self.progress.skipped += epochs_of_replicas
        self.progress.event("resumed", chunk=self.name, epochs=epochs)
        self.progress.say(f"goes on after epoch {epochs}")

    def epoch_done(self, epoch: int, metrics: dict[str, Any]) -> None:
        """Counts an epoch.

        Args:
          epoch: from 0.
          metrics: its metrics, leaves [S, G, ...].
        """
        self.progress.done += self.progress.replicas[self.number]
        means = {label: _mean(metrics[name]) for label, name in SHOWN.items()}
        medians = {
            label: float(np.nanmedian(mean)) if np.isfinite(mean).any() else float("nan")
            for label, mean in means.items()
        }
        self.progress.epoch_done(self.number, self.name, epoch, medians)


def _mean(metric: Any) -> np.ndarray:
    """The mean of a metric; NaN where it is a mean of nothing."""
    total, count = np.asarray(metric.sum), np.asarray(metric.count)
    count = count.reshape(count.shape + (1,) * (total.ndim - count.ndim))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)

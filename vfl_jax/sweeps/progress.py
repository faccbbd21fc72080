"""Progress of training: counted, shown where the program runs, and logged as JSON for machines."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from vfl_jax.core.words import counted
from vfl_jax.sweeps.displays import Display, fitting, is_line_due

logger = logging.getLogger("vfl_jax")

SHOWN = {"loss": "loss", "main": "main_task_accuracy", "backdoor": "backdoor_accuracy"}
"""The metrics whose medians over attacked replicas are shown, by their label."""


class Progress:
    """The progress of a whole sweep.

    Args:
      epochs: how many every chunk is trained.
      replicas: the number of replicas of every chunk that is to be trained.
      shown: whether to show progress: a bar on a terminal and in a notebook, else a line every ten epochs.
      log: a file to which one JSON object per line is appended.
      attacked: which grid points of every chunk an attack is on at, bool[G]. The medians are theirs; where none is
        attacked, those of the honest ones. None takes all for attacked.
    """

    def __init__(
        self,
        epochs: int,
        replicas: list[int],
        shown: bool = True,
        log: str | os.PathLike[str] | None = None,
        attacked: Sequence[np.ndarray] | None = None,
    ) -> None:
        self.epochs, self.replicas = epochs, replicas
        self.shown, self.log = shown, log
        self.started = time.monotonic()
        self.total, self.done, self.skipped = epochs * sum(replicas), 0, 0  # in epochs of one replica
        self.attacked = attacked
        self._first: tuple[float, int] | None = None  # when the first epoch was over, and what was trained by then
        self._display: Display | None = None
        self._file: IO[str] | None = None

    @contextlib.contextmanager
    def show(self) -> Iterator[Progress]:
        """Shows and logs progress until the block ends.

        A log that cannot be written, and an error stream that is gone, cost the words and not the training.
        """
        with contextlib.ExitStack() as stack:
            if self.log is not None:
                try:
                    Path(self.log).absolute().parent.mkdir(parents=True, exist_ok=True)
                    self._file = open(self.log, "a", encoding="utf-8", buffering=1)  # noqa: SIM115  closed below
                    stack.callback(_quietly, self._file.close)
                except OSError as error:
                    self._lose_log(error)
            if self.shown:
                self._display = fitting()
                shows = contextlib.ExitStack()
                stack.callback(_quietly, shows.close)
                self._display.open(shows, counted(sum(self.replicas), "replica"), self.total)
                self.say(self._whose())
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
        self.event("chunk_done", chunk=name, replicas=self.replicas[number], seconds_left=round(self.left(), 3))
        self._show(f"chunk {name} of {counted(self.replicas[number], 'replica')} is finished", True)

    def say(self, line: str) -> None:
        """Shows a ``line`` that is not about an epoch."""
        if self._display is not None:
            _quietly(self._display.say, line)

    def waits(self, line: str) -> None:
        """Shows and logs the ``line`` that says for whom this process waits."""
        self.event("waiting", why=line)
        if self._display is None:
            logger.warning(line)
        self.say(line)

    def event(self, kind: str, **facts: Any) -> None:
        """Logs one JSON object.

        Args:
          kind: the word for what has happened.
          facts: further entries of the object. A number that is not finite becomes null.
        """
        if self._file is not None:
            plain = {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in facts.items()}
            stamp = {"event": kind, "time": round(time.time(), 3)}
            try:
                self._file.write(json.dumps(stamp | plain, allow_nan=False) + "\n")
            except OSError as error:
                self._lose_log(error)

    def _lose_log(self, error: OSError) -> None:
        """Says that there is no log from here on."""
        self._file = None
        logger.warning("The log %s cannot be written (%s). The work goes on without it.", self.log, error.strerror)

    @property
    def pace(self) -> float:
        """The seconds of an epoch of one replica, without the first epoch, which may compile; NaN where it is alone."""
        if self._first is None or self.done - self.skipped == self._first[1]:
            return float("nan")
        then, trained = self._first
        return (time.monotonic() - then) / (self.done - self.skipped - trained)

    def left(self) -> float:
        """The seconds that are left at the pace so far; NaN before the first epoch."""
        trained = self.done - self.skipped
        pace = self.pace
        if np.isnan(pace) and trained:
            pace = (time.monotonic() - self.started) / trained
        return pace * (self.total - self.done)

    def epoch_done(self, number: int, name: str | None, epoch: int, medians: dict[str, float]) -> None:
        """Shows and logs an epoch of one chunk.

        Args:
          number, name: as in :meth:`chunk`.
          epoch: from 0.
          medians: the medians over the chunk's attacked replicas, by the labels of ``SHOWN``.
        """
        seconds, left = time.monotonic() - self.started, self.left()
        if self._first is None:
            self._first = time.monotonic(), self.done - self.skipped
        self.event(
            "epoch",
            chunk=name,
            epoch=epoch + 1,
            epochs=self.epochs,
            replicas=self.replicas[number],
            seconds=round(seconds, 3),
            seconds_left=round(left, 3),
            medians_of=self._medians_of(number),
            **{SHOWN[label]: round(value, 6) for label, value in medians.items()},
        )
        which = f"chunk {number + 1}/{len(self.replicas)}, " if len(self.replicas) > 1 else ""
        numbers = ", ".join(f"{label} {value:z.3f}" for label, value in medians.items() if np.isfinite(value))
        is_due = is_line_due(epoch + 1, self.epochs) and (epoch > 0 or number == 0 or self.epochs == 1)
        self._show(f"{which}epoch {epoch + 1}/{self.epochs}: {numbers}", is_due)

    def _show(self, text: str, is_due: bool) -> None:
        """Shows how far training is, with a text."""
        if self._display is not None:
            seconds = time.monotonic() - self.started
            _quietly(self._display.update, self.done, seconds, self.left(), text, is_due)

    def _medians_of(self, number: int) -> str:
        """Whose medians those of a chunk are: "attacked" or "honest" replicas."""
        return "attacked" if self.attacked is None or self.attacked[number].any() else "honest"

    def _whose(self) -> str:
        """The sentence that says over which replicas the medians go."""
        if self.attacked is None:
            return "Numbers are medians over all replicas."
        count = sum(r * mask.mean() for r, mask in zip(self.replicas, self.attacked, strict=True))
        if not count:
            return f"Numbers are medians over {counted(sum(self.replicas), 'replica')}, which nobody attacks."
        return f"Numbers are medians over the {count:z.0f} attacked of {counted(sum(self.replicas), 'replica')}."


class ChunkProgress:
    """The progress of one chunk, or of one replica.

    Args:
      progress: that of the whole sweep.
      number, name: as in :meth:`Progress.chunk`.
      replicas: how many replicas of the chunk it is about; None stands for all.
      points: which grid points of the chunk.
    """

    def __init__(
        self,
        progress: Progress,
        number: int = 0,
        name: str | None = None,
        replicas: int | None = None,
        points: slice = slice(None),
    ) -> None:
        self.progress, self.number, self.name, self.points = progress, number, name, points
        self.replicas = progress.replicas[number] if replicas is None else replicas
        self._done = self._skipped = 0

    def part(self, replicas: int, points: slice) -> ChunkProgress:
        """Returns the progress of a part of these replicas.

        Args:
          replicas: how many.
          points: which of these grid points.
        """
        start = (self.points.start or 0) + (points.start or 0)
        stop = self.points.stop if points.stop is None else (self.points.start or 0) + points.stop
        return ChunkProgress(self.progress, self.number, self.name, replicas, slice(start, stop))

    def starts_over(self) -> None:
        """Takes back what was counted, because it is trained again."""
        self.progress.done -= self._done
        self.progress.skipped -= self._skipped
        self._done = self._skipped = 0

    def goes_on(self, epochs: int) -> None:
        """Says how many ``epochs`` an earlier run had finished before it stopped."""
        self._count(epochs)
        self._skipped += epochs * self.replicas
        self.progress.skipped += epochs * self.replicas
        self.progress.event("resumed", chunk=self.name, epochs=epochs)
        self.progress.say(f"goes on after epoch {epochs}")

    def epoch_done(self, epoch: int, metrics: dict[str, Any]) -> None:
        """Counts an epoch.

        Args:
          epoch: from 0.
          metrics: its metrics, leaves [S, G, ...].
        """
        self._count(1)
        mask = None if self.progress.attacked is None else self.progress.attacked[self.number][self.points]
        chosen: Any = slice(None) if mask is None or not mask.any() else mask
        means = {label: _mean(metrics[name])[..., chosen] for label, name in SHOWN.items()}
        medians = {
            label: float(np.nanmedian(mean)) if np.isfinite(mean).any() else float("nan")
            for label, mean in means.items()
        }
        self.progress.epoch_done(self.number, self.name, epoch, medians)

    def _count(self, epochs: int) -> None:
        """Counts epochs of these replicas."""
        self._done += epochs * self.replicas
        self.progress.done += epochs * self.replicas


def _quietly(function: Callable[..., Any], *arguments: Any) -> None:
    """Calls a function, and passes over that a file or a terminal is full, gone or closed."""
    with contextlib.suppress(OSError, ValueError):
        function(*arguments)


def _mean(metric: Any) -> np.ndarray:
    """The mean of a metric; NaN where it is a mean of nothing."""
    total, count = np.asarray(metric.sum), np.asarray(metric.count)
    count = count.reshape(count.shape + (1,) * (total.ndim - count.ndim))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)

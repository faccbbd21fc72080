"""Progress of training: a bar with the time left on a terminal, a plain line per epoch elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

import numpy as np


class Progress:
    """Shows epochs done, time left and the medians over replicas; silent unless ``shown``."""

    def __init__(self, epochs: int, replicas: int, shown: bool = True) -> None:
        self.epochs, self.replicas, self.shown = epochs, replicas, shown
        self.started = time.monotonic()

    def __enter__(self) -> Self:
        if not self.shown:
            return self
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        console = Console(stderr=True)
        self.bar = None
        if console.is_terminal:
            self.bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=console,
            )
            self.bar.start()
            self.task = self.bar.add_task(f"{self.replicas} replicas", total=self.epochs, note="compiling")
        self.console = console
        return self

    def epoch_done(self, epoch: int, metrics: dict[str, Any]) -> None:
        if not self.shown:
            return
        note = "  ".join(
            f"{label} {np.nanmedian(_mean(metrics[name])):.3f}"
            for label, name in (("loss", "loss"), ("main", "main_task_accuracy"), ("backdoor", "backdoor_accuracy"))
            if np.isfinite(_mean(metrics[name])).any()
        )
        if self.bar is not None:
            self.bar.update(self.task, completed=epoch + 1, note=note)
            return
        done = time.monotonic() - self.started
        left = done / (epoch + 1) * (self.epochs - epoch - 1)
        line = f"epoch {epoch + 1}/{self.epochs}  {done:.0f} s, {left:.0f} s left  {note}"
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.shown and self.bar is not None:
            self.bar.stop()


def _mean(metric: Any) -> np.ndarray:
    total, count = np.asarray(metric.sum), np.asarray(metric.count)
    count = count.reshape(count.shape + (1,) * (total.ndim - count.ndim))
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)

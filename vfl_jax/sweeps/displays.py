"""Where progress is shown: a bar on a terminal, a bar in a notebook, or plain lines elsewhere."""

from __future__ import annotations

import contextlib
import html
import importlib
import sys
import time
from typing import Any, Protocol

from vfl_jax.core.words import duration

LINE_EVERY = 10
"""Without a bar there is a line after so many epochs."""
MOST_LINES = 10
"""Of a chunk there are about this many lines at most."""
BETWEEN_UPDATES = 0.5
"""A notebook is updated after so many seconds at the earliest; each update is a message to a browser."""


class Display(Protocol):
    """Shows the progress of a sweep until the stack that opened it closes."""

    def open(self, stack: contextlib.ExitStack, what: str, total: int) -> None:
        """Begins to show; ``stack`` ends it. ``what`` is trained, ``total`` is its number of epochs of one replica."""

    def say(self, line: str) -> None:
        """Shows a line that stays."""

    def update(self, done: int, seconds: float, left: float, text: str, is_due: bool) -> None:
        """Shows how far training is: ``done`` of the total, in ``seconds``, with ``left`` seconds to go.

        ``is_due`` tells whether an output in which every line stays gets one.
        """


def fitting() -> Display:
    """The display that fits where this program runs."""
    if in_notebook():
        return NotebookBar()
    return TerminalBar() if sys.stderr.isatty() else Lines()


def in_notebook() -> bool:
    """Whether this program runs in a notebook, whose page can change what it has shown."""
    module = sys.modules.get("IPython")
    shell = None if module is None else module.get_ipython()
    return hasattr(shell, "kernel")


def say(line: str) -> None:
    """Prints a line: on the error stream, but in a notebook, which paints errors red, on the other."""
    with contextlib.suppress(OSError):  # a terminal may be closed while a sweep goes on
        print(line, file=sys.stdout if in_notebook() else sys.stderr, flush=True)


class Lines:
    """Plain lines on the error stream, of 80 characters at most."""

    def open(self, stack: contextlib.ExitStack, what: str, total: int) -> None:
        """Does nothing: lines need no beginning."""

    def say(self, line: str) -> None:
        """Prints a line."""
        say(line)

    def update(self, done: int, seconds: float, left: float, text: str, is_due: bool) -> None:
        """Prints a line where one is due."""
        if is_due:
            self.say(f"{text}; {duration(left)} left" if left > 0 else f"{text}; {duration(seconds)} in all")


class TerminalBar:
    """A bar with times in words, and below it a line of numbers; both fit 80 columns."""

    def open(self, stack: contextlib.ExitStack, what: str, total: int) -> None:
        """Opens the bar."""
        from rich.console import Console, Group
        from rich.live import Live
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        console = Console(stderr=True)
        bar, times, below = ProgressBar(total=total), Text(), Text("compiling", style="dim", overflow="ellipsis")
        head = Table.grid(padding=(0, 1), expand=True)
        head.add_column(no_wrap=True)
        head.add_column(ratio=1)
        head.add_column(no_wrap=True)
        head.add_row(what, bar, times)
        below.no_wrap = True
        self._live = stack.enter_context(Live(Group(head, below), console=console, auto_refresh=False))
        self._live.refresh()
        self._bar, self._times, self._below, self._total = bar, times, below, total

    def say(self, line: str) -> None:
        """Prints a line above the bar."""
        self._live.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def update(self, done: int, seconds: float, left: float, text: str, is_due: bool) -> None:
        """Moves the bar."""
        self._bar.update(done)
        self._times.plain = _times(done / self._total, seconds, left)
        self._below.plain = text
        self._live.refresh()


class NotebookBar:
    """A bar in the output of a notebook's cell: a piece of HTML that is replaced, without widgets."""

    def __init__(self) -> None:
        self._shown_at = -BETWEEN_UPDATES

    def open(self, stack: contextlib.ExitStack, what: str, total: int) -> None:
        """Shows the empty bar."""
        display: Any = importlib.import_module("IPython.display").display
        self._what, self._total = what, total
        self._handle: Any = display(self._page(0, "compiling", ""), raw=True, display_id=True)

    def say(self, line: str) -> None:
        """Prints a line above or below the bar, in their order."""
        say(line)

    def update(self, done: int, seconds: float, left: float, text: str, is_due: bool) -> None:
        """Moves the bar, unless it has just been moved; the end is always shown."""
        now = time.monotonic()
        if done < self._total and now - self._shown_at < BETWEEN_UPDATES:
            return
        self._shown_at = now
        self._handle.update(self._page(done, text, _times(done / self._total, seconds, left)), raw=True)

    def _page(self, done: int, text: str, times: str) -> dict[str, str]:
        """The bar as HTML, and as text where there is no HTML."""
        said = f"{self._what}, {times}" if times else self._what
        bar = f'<progress value="{done}" max="{self._total}" style="width: 20em; vertical-align: middle"></progress>'
        page = f"<div>{bar} {html.escape(said)}<br><small>{html.escape(text)}</small></div>"
        return {"text/plain": f"{said}\n{text}", "text/html": page}


def _times(share: float, seconds: float, left: float) -> str:
    """The words behind a bar."""
    if share >= 1:
        return f"done in {duration(seconds)}"
    return f"{share:.0%}, {duration(seconds)} so far, {duration(left)} left"


def is_line_due(epoch: int, epochs: int) -> bool:
    """Whether a line is due where every line stays: after the first epoch, every tenth, and the last.

    Args:
      epoch: how many epochs are done.
      epochs: how many there are; of more than a hundred, a line stands for a tenth of them.

    Example:
      >>> [epoch for epoch in range(1, 36) if is_line_due(epoch, 35)]
      [1, 10, 20, 30, 35]
      >>> [epoch for epoch in range(1, 501) if is_line_due(epoch, 500)][:4]
      [1, 50, 100, 150]
    """
    every = max(LINE_EVERY, -(-epochs // MOST_LINES))
    return epoch in (1, epochs) or epoch % every == 0

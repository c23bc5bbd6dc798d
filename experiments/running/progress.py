"""Progress: a bar with the time that is left on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

EVERY = 10.0
"""Seconds between two plain lines."""


class Reporter:
    """Counts rows, and lets lines through above the bar. A context manager."""

    def __init__(self, total: int, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, soft_wrap=True, highlight=False)
        self.total, self.count = total, 0
        self._started = self._told = time.monotonic()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self._task = self._bar.add_task("rows", total=total)

    def __enter__(self) -> Reporter:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def say(self, *lines: str) -> None:
        """Lines for the reader, at once."""
        for line in lines:
            self.console.print(line, markup=False)

    def advance(self, count: int) -> None:
        """So many more rows are through."""
        self.count += count
        self._bar.advance(self._task, count)
        now = time.monotonic()
        if not self.console.is_terminal and self.count < self.total and now - self._told >= EVERY:
            self._told = now
            left = (now - self._started) / self.count * (self.total - self.count)
            self.say(f"{self.count}/{self.total} rows, {clock(now - self._started)} gone, about {clock(left)} left")


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds.

    >>> clock(83.2)
    '1:23'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"

"""Progress: a bar with the remaining time on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 10.0
"""The least time between two plain lines."""


class Reporter:
    """Counts rows and prints lines above the bar. A context manager."""

    def __init__(self, total: int, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, soft_wrap=True, highlight=False)
        self.total, self.count = total, 0
        self._started = self._last_line = time.monotonic()
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
        """Prints lines."""
        for line in lines:
            self.console.print(line, markup=False)

    def advance(self, count: int) -> None:
        """Adds to the count of finished rows."""
        self.count += count
        self._bar.advance(self._task, count)
        now = time.monotonic()
        if not self.console.is_terminal and self.count < self.total and now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = (now - self._started) / self.count * (self.total - self.count)
            self.say(f"{self.count}/{self.total} rows in {clock(now - self._started)}, about {clock(left)} left")


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds.

    >>> clock(83.2)
    '1:23'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"

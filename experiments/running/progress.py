"""Progress: a bar with the remaining time on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 10.0
"""The least time between two plain lines."""


class Reporter:
    """Counts rows, then what is made of them, and prints lines above the bar. A context manager."""

    def __init__(self, total: int, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, soft_wrap=True, highlight=False)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self.begin("rows", total)

    def __enter__(self) -> Reporter:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def say(self, *lines: str) -> None:
        """Prints lines."""
        for line in lines:
            self.console.print(line, markup=False)

    def begin(self, what: str, total: int) -> None:
        """Counts other things from now on, from zero."""
        self.what, self.total, self.count = what, total, 0
        self._started = self._last_line = time.monotonic()
        self._task = self._bar.add_task(what, total=total, visible=total > 0)

    def each(self, what: str, items: Sequence[T]) -> Iterator[T]:
        """Yields items one by one, and counts them under a name."""
        if items:
            self.begin(what, len(items))
        for item in items:
            yield item
            self.advance(1)

    def advance(self, count: int) -> None:
        """Adds to the count of what is finished."""
        self.count += count
        self._bar.advance(self._task, count)
        now = time.monotonic()
        if not self.console.is_terminal and self.count < self.total and now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            left = (now - self._started) / self.count * (self.total - self.count)
            self.say(f"{self.count}/{self.total} {self.what} in {clock(now - self._started)}, about {clock(left)} left")


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds.

    >>> clock(83.2)
    '1:23'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"

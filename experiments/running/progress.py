"""Progress: a bar with the remaining time on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from experiments.rows.plan import Row
from experiments.running.compile_ahead import CompileAhead

T = TypeVar("T")

SECONDS_BETWEEN_LINES = 10.0
"""The least time between two plain lines."""

ELEMENTS_OF_OVERHEAD = 2**18
"""A row takes about as long as this many elements more than its source has."""


class Pace:
    """The time that a sweep still needs. Functions to compile and rows to measure have each their own speed.

    The first functions are compiled before the first row is measured, so rows alone would promise many times too much.

    Args:
        rows: all rows that will be measured.
        functions: those that they need.
    """

    def __init__(self, rows: Sequence[Row], functions: CompileAhead) -> None:
        self._functions = functions
        self._total, self._done = _work(rows), 0
        self._started = time.monotonic()

    def left(self, rows: Sequence[Row]) -> float:
        """Seconds, now that some more rows are done."""
        self._done += _work(rows)
        compiling, made = self._functions.seconds, self._functions.compilations
        measuring = time.monotonic() - self._started - compiling
        to_compile = compiling / made * (self._functions.planned - made) if made else 0.0
        return to_compile + measuring / self._done * (self._total - self._done)


def _work(rows: Sequence[Row]) -> int:
    return sum(row.source.size + ELEMENTS_OF_OVERHEAD for row in rows)


class Reporter:
    """Counts rows, then what is made of them, and prints lines above the bar. A context manager."""

    def __init__(self, total: int, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, soft_wrap=True, highlight=False)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
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
        self._task = self._bar.add_task(what, total=total, visible=total > 0, left="")

    def each(self, what: str, items: Sequence[T]) -> Iterator[T]:
        """Yields items one by one, and counts them under a name."""
        if items:
            self.begin(what, len(items))
        for item in items:
            yield item
            self.advance(1)

    def advance(self, count: int, left: float | None = None) -> None:
        """Adds to the count of what is finished; `left`: how many seconds the others will take, by default as long as these."""
        self.count += count
        now = time.monotonic()
        left = (now - self._started) / self.count * (self.total - self.count) if left is None else left
        self._bar.update(self._task, advance=count, left=f"about {clock(left)} left")
        if not self.console.is_terminal and self.count < self.total and now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            self.say(f"{self.count}/{self.total} {self.what} in {clock(now - self._started)}, about {clock(left)} left")


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds.

    >>> clock(83.2)
    '1:23'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"

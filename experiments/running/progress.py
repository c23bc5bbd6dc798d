"""Progress: a bar with the remaining time on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from experiments.rows.plan import Row
from experiments.running.compile_ahead import CompileAhead

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
            TextColumn("{task.fields[left]}"),
        )
        self._bar = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self._task = self._bar.add_task("rows", total=total, left="")

    def __enter__(self) -> Reporter:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def say(self, *lines: str) -> None:
        """Prints lines."""
        for line in lines:
            self.console.print(line, markup=False)

    def advance(self, count: int, left: float) -> None:
        """Adds to the count of finished rows; `left`: how many seconds the others will take."""
        self.count += count
        self._bar.update(self._task, advance=count, left=f"about {clock(left)} left")
        now = time.monotonic()
        if not self.console.is_terminal and self.count < self.total and now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            self.say(f"{self.count}/{self.total} rows in {clock(now - self._started)}, about {clock(left)} left")


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds.

    >>> clock(83.2)
    '1:23'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"

"""Ahead: functions are compiled, in threads, before the batches that take them are measured, and let go after the last one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Lock
from typing import Any

from experiments.rows.plan import Batch, Row
from experiments.rows.structures import Function

AHEAD = 12
"""How many functions are compiled before the batches that take them are measured. Not meanwhile: the kernels of a batch
would wait for cores that compile."""

COMPILERS = 2
"""Threads that compile: while one traces, which takes Python's lock, the other waits for XLA."""


class Ahead:
    """Compiles, and keeps what batches to come take: each function holds megabytes.

    Args:
        coming: the batches in the order in which they will be measured.
        make: compiles a function, for a row that takes it.

    Attributes:
        made: functions compiled; grows with structures, not with rows.
        held: functions that are compiled or being compiled, and not yet let go.
    """

    def __init__(self, coming: Iterable[Batch], make: Callable[[Function, Row], Any]) -> None:
        self.made = 0
        self.held: dict[Function, Future] = {}
        self._make, self._counting = make, Lock()
        self._pool = ThreadPoolExecutor(COMPILERS, "compile")
        self._uses: Counter[Function] = Counter()
        first: dict[Function, Row] = {}
        for batch in coming:
            for function, row in taken(batch).items():
                self._uses[function] += 1
                first.setdefault(function, row)
        self._ahead = iter(first.items())

    def look(self) -> None:
        """Sees to it that the next functions are being compiled."""
        while sum(not future.done() for future in self.held.values()) < AHEAD:
            function, row = next(self._ahead, (None, None))
            if function is None or row is None:
                return
            if self._uses[function] > 0:  # else all that take it have been measured meanwhile
                self._asked_for(function, row)

    def of(self, function: Function, row: Row) -> Any:
        """The function, compiled; raises what compiling it raised."""
        future = self._asked_for(function, row)
        if not future.done():
            self.look()
        wait(self.held.values())
        return future.result()

    def let_go(self, batch: Batch) -> None:
        """Drops what a batch took and none to come takes. What nobody had planned is kept: it may be asked for again."""
        for function in taken(batch):
            self._uses[function] -= 1
            if self._uses[function] <= 0:
                self.held.pop(function, None)

    def close(self) -> None:
        """What is not yet compiled is let be."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _asked_for(self, function: Function, row: Row) -> Future:
        if function not in self.held:
            self.held[function] = self._pool.submit(self._compile, function, row)
        return self.held[function]

    def _compile(self, function: Function, row: Row) -> Any:
        made = self._make(function, row)
        with self._counting:
            self.made += 1
        return made


def taken(batch: Batch) -> dict[Function, Row]:
    """The functions that the rows of a batch take, in that order, and a row that takes each."""
    found: dict[Function, Row] = {}
    for row in batch:
        for function in row.functions:
            found.setdefault(function, row)
    return found

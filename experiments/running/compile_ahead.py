"""Functions are compiled in threads, several at a time, before the batches that need them, and freed after the last one."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from experiments.rows.plan import Batch, Row
from experiments.rows.structures import Function
from experiments.running.stop import SECONDS_BETWEEN_CHECKS, Stop

FUNCTIONS_AT_A_TIME = 24
"""How many functions are compiled together. Nothing is measured meanwhile: compilers and kernels would compete for cores."""

COMPILER_THREADS = 2
"""While one thread traces, which holds Python's lock, the other one waits for XLA."""


class CompileAhead:
    """The functions that batches need. Each holds megabytes, so those that no later batch needs are freed.

    Args:
        batches: in the order in which they will be measured.
        compile_for: compiles a function for one of the rows that need it.
        stop: what may end the wait for the compiler.
        begin: is called with the rows whose functions are compiled next.

    Attributes:
        held: the compiled functions that are not yet freed.
        planned: how many functions the batches need; it grows with structures, not with rows.
        compilations: how many of them were compiled.
        seconds: how long that took.
    """

    def __init__(
        self,
        batches: Iterable[Batch],
        compile_for: Callable[[Function, Row], Any],
        stop: Stop,
        begin: Callable[[Sequence[Row]], None],
    ) -> None:
        self.held: dict[Function, Future] = {}
        self.compilations, self.seconds = 0, 0.0
        self._compile_for, self._stop, self._begin = compile_for, stop, begin
        self._pool = ThreadPoolExecutor(COMPILER_THREADS, "compile")
        self._batches_left: Counter[Function] = Counter()
        first_rows: dict[Function, Row] = {}
        for batch in batches:
            for function in batch[0].functions:
                self._batches_left[function] += 1
                first_rows.setdefault(function, batch[0])
        self._coming, self.planned = iter(first_rows.items()), len(first_rows)

    def prepare(self, batch: Batch) -> None:
        """Compiles what a batch needs, and functions of later batches with it. Keeps errors for `get`."""
        missing = {function: batch[0] for function in batch[0].functions if function not in self.held}
        if missing:
            later = ((function, row) for function, row in self._coming if function not in self.held)
            missing |= dict(itertools.islice(later, FUNCTIONS_AT_A_TIME))
            self._begin([*batch, *missing.values()])
            started = time.monotonic()
            self.held |= {each: self._pool.submit(self._compile_for, each, row) for each, row in missing.items()}
            self.compilations += len(missing)
            while wait(self.held.values(), SECONDS_BETWEEN_CHECKS).not_done:
                self._stop.check()
            self.seconds += time.monotonic() - started

    def get(self, batch: Batch) -> list[Any]:
        """The functions of a batch. Raises what compiling them raised."""
        self.prepare(batch)
        return [self.held[function].result() for function in batch[0].functions]

    def free(self, batch: Batch) -> None:
        """Frees the functions of a batch that no later one needs."""
        for function in batch[0].functions:
            self._batches_left[function] -= 1
            if self._batches_left[function] <= 0:
                self.held.pop(function, None)

    def close(self) -> None:
        """Cancels what waits to be compiled."""
        self._pool.shutdown(wait=False, cancel_futures=True)

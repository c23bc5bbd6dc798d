"""Measuring: one function, compiled once for each structure, that takes the schemes of a structure one after another."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from threading import Lock
from types import TracebackType
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

import qresearch as qr
from experiments.compiled import for_measuring
from experiments.plan import Batch, Row
from experiments.sources import Source
from experiments.streams import InPieces, Made, Stream, made, of_data, streamed
from qresearch.coder import Coder


@dataclass(frozen=True)
class Outcome:
    """What became of a row.

    Attributes:
        metrics: name -> number; empty where the row failed.
        true_bits: bits per element of all that is stored; NaN where the row failed.
        seconds: its share of the time of its batch, compiling included.
        error: type and message of what went wrong, or None.
    """

    row: Row
    metrics: dict[str, float]
    true_bits: float
    seconds: float
    error: str | None = None


AHEAD = 12
"""How many functions are compiled before the batches that take them are measured. Not meanwhile: the kernels of a batch
would wait for cores that compile."""

COMPILERS = 2
"""Threads that compile: while one traces, which takes Python's lock, the other waits for XLA."""


@dataclass
class Meter:
    """Measures batches and counts what it compiles. A context manager: at its end, what is not yet compiled is let be.

    Attributes:
        metrics: names.
        coming: the batches in the order in which they will be measured; their functions are compiled ahead, in threads, and
            let go after the last batch that takes them (each holds megabytes).
        compilations: functions compiled; grows with structures, not with rows.
    """

    metrics: tuple[str, ...]
    coming: Iterable[Batch] = ()
    compilations: int = 0
    _uses: Counter[Hashable] = field(default_factory=Counter)
    _compiled: dict[Hashable, Future] = field(default_factory=dict)
    _counting: Lock = field(default_factory=Lock)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(COMPILERS, "compile"))

    def __post_init__(self) -> None:
        first: dict[Hashable, Row] = {}
        for batch in self.coming:
            self._uses[batch[0].structure] += 1
            first.setdefault(batch[0].structure, batch[0])
        self._ahead = iter(first.values())

    def __enter__(self) -> Meter:
        self._look_ahead()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def measure(self, batch: Batch, x: Made | Stream, key: Array) -> Iterator[Outcome]:
        """The outcome of every row of a batch on an array.

        A batch that raises is run again row by row, so that only the row to blame fails.

        Args:
            batch: rows of one structure.
            x: their source, made; or the stream of one that is larger than memory.
            key: for stochastic rounding.
        """
        try:
            yield from self._measured(batch, x, key)
        finally:
            self._let_go(batch[0].structure)

    def _measured(self, batch: Batch, x: Made | Stream, key: Array) -> Iterator[Outcome]:
        try:
            yield from self._together(batch, x, key)
        except Exception as error:  # whatever it was: it belongs to a row, and the sweep goes on
            if len(batch) == 1:
                yield failed(batch[0], error)
                return
            for row in batch:
                yield from self._measured((row,), x, key)

    def _let_go(self, structure: Hashable) -> None:
        """Drops what no batch to come takes."""
        self._uses[structure] -= 1
        if self._uses[structure] <= 0:
            self._compiled.pop(structure, None)

    def _together(self, batch: Batch, x: Made | Stream, key: Array) -> list[Outcome]:
        started = time.perf_counter()
        run = self._function(batch[0])
        quantizers = [qr.build(row.scheme.text) for row in batch]
        bits = [qr.measure.true_bits(quantizer, x.numbers, key) for quantizer in quantizers]
        found = [qr.measure.evaluate(sums, self.metrics) for sums in run(quantizers, x, key)]
        seconds = (time.perf_counter() - started) / len(batch)
        return [Outcome(*each, seconds) for each in zip(batch, found, bits, strict=True)]

    def _function(self, row: Row) -> Any:
        """The compiled function of a row's structure; raises what compiling it raised."""
        function = self._asked_for(row)
        if not function.done():
            self._look_ahead()
        wait(self._compiled.values())
        return function.result()

    def _asked_for(self, row: Row) -> Future:
        if row.structure not in self._compiled:
            self._compiled[row.structure] = self._pool.submit(self._compile, row)
        return self._compiled[row.structure]

    def _look_ahead(self) -> None:
        """Sees to it that the next functions are being compiled."""
        while sum(not future.done() for future in self._compiled.values()) < AHEAD:
            row = next(self._ahead, None)
            if row is None:
                return
            if self._uses[row.structure] > 0:  # else all that take it have been measured meanwhile
                self._asked_for(row)

    def _compile(self, row: Row) -> Any:
        quantizer, source = qr.build(row.scheme.text), row.source
        kind = InPieces if streamed(source) else Whole
        function = kind(quantizer, source, self.metrics)
        with self._counting:
            self.compilations += 1
        return function


class Whole:
    """Measures schemes on a source that is made: compiled ahead of time, so that it can serve no other shape in silence.

    Args:
        coder: one of the schemes; all agree in structure.
        source: that they are measured on.
        metrics: names.
    """

    def __init__(self, coder: Coder, source: Source, metrics: tuple[str, ...]) -> None:
        def sums(coder: Coder, x: Made, key: Array) -> dict[str, Array]:
            return qr.measure.sums(coder, x.numbers, metrics, None, key, x.known)

        numbers: Any = jax.ShapeDtypeStruct(source.shape, jnp.float32)
        x = Made(numbers, of_data.eval_shape(numbers, metrics))
        self._sums = for_measuring(jax.jit(sums).lower(coder, x, jax.eval_shape(jax.random.key, 0)))

    def __call__(self, coders: Iterable[Coder], x: Made, key: Array) -> list[dict[str, Any]]:
        """The sums of each scheme."""
        return [jax.device_get(self._sums(coder, x, key)) for coder in coders]


def failed(row: Row, error: Exception) -> Outcome:
    """The outcome of a row that raised."""
    return Outcome(row, {}, math.nan, 0.0, f"{type(error).__name__}: {error}")


def ready(source: Source, seed: int, metrics: tuple[str, ...]) -> Made | Stream:
    """A source as rows take it: on the device, computed to the end, so that what it takes is not counted to its first row;
    or its stream.
    """
    return Stream(source, seed) if streamed(source) else jax.block_until_ready(made(source, seed, metrics))

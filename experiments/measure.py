"""Measuring: one function, compiled once for each structure, that takes the schemes of a batch stacked."""

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
import numpy as np
from jax import Array

import qresearch as qr
from experiments.compiled import options
from experiments.plan import Batch, Row
from experiments.sources import Source
from experiments.streams import InPieces, Made, Stream, made, of_data, streamed


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
"""How many functions are compiled before the batches that take them are measured. Not meanwhile: the kernels of a batch wait
for cores that compile, and a batch then takes many times as long."""

COMPILERS = 2
"""Threads that compile: while one traces, which takes Python's lock, the other waits for XLA."""


@dataclass
class Meter:
    """Measures batches and counts what it compiles. A context manager: at its end, what is not yet compiled is let be.

    Attributes:
        metrics: names.
        coming: the batches in the order in which they will be measured; their functions are compiled ahead, in threads, and
            let go after the last batch that takes them (each holds megabytes).
        compilations: functions compiled for batches; grows with structures, not with rows.
        retries: functions compiled, on top, to run the rows of a failed batch one by one.
    """

    metrics: tuple[str, ...]
    coming: Iterable[Batch] = ()
    compilations: int = 0
    retries: int = 0
    _compiled: dict[Hashable, Future] = field(default_factory=dict)
    _counting: Lock = field(default_factory=Lock)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(COMPILERS, "compile"))

    def __post_init__(self) -> None:
        batches = list(self.coming)
        self._ahead, self._uses = iter(batches), Counter((each.rows[0].structure, each.width) for each in batches)

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
            self._let_go(batch.rows[0].structure, batch.width)

    def _measured(self, batch: Batch, x: Made | Stream, key: Array) -> Iterator[Outcome]:
        try:
            yield from self._together(batch.rows, batch.width, x, key)
        except Exception as error:  # whatever it was: it belongs to a row, and the sweep goes on
            if len(batch.rows) == 1 and batch.width == 1:
                yield failed(batch.rows[0], error)
                return
            for row in batch.rows:
                yield self._alone(row, x, key)

    def _let_go(self, structure: Hashable, width: int) -> None:
        """Drops what no batch to come takes, and what was compiled to run rows one by one."""
        self._uses[structure, width] -= 1
        for name in ((structure, width), (structure, 1)):
            if self._uses[name] <= 0:
                self._compiled.pop(name, None)

    def _alone(self, row: Row, x: Made | Stream, key: Array) -> Outcome:
        try:
            return self._together((row,), 1, x, key, again=True)[0]
        except Exception as error:
            return failed(row, error)

    def _together(self, rows: tuple[Row, ...], width: int, x: Made | Stream, key: Array, again: bool = False) -> list[Outcome]:
        started = time.perf_counter()
        run = self._function(rows, width, again)
        bits = [qr.measure.true_bits(qr.build(row.scheme.text), x.numbers, key) for row in rows]
        sums = jax.device_get(run(_stacked(rows, width), x, key))
        seconds = (time.perf_counter() - started) / len(rows)
        return [
            Outcome(row, qr.measure.evaluate({name: each[i] for name, each in sums.items()}, self.metrics), bits[i], seconds)
            for i, row in enumerate(rows)
        ]

    def _function(self, rows: tuple[Row, ...], width: int, again: bool) -> Any:
        """The compiled function of a structure; raises what compiling it raised."""
        function = self._asked_for(rows, width, again)
        if not function.done():
            self._look_ahead()
        wait(self._compiled.values())
        return function.result()

    def _asked_for(self, rows: tuple[Row, ...], width: int, again: bool = False) -> Future:
        name = (rows[0].structure, width)
        if name not in self._compiled:
            self._compiled[name] = self._pool.submit(self._compile, rows, width, again)
        return self._compiled[name]

    def _look_ahead(self) -> None:
        """Sees to it that the next functions are being compiled."""
        while sum(not future.done() for future in self._compiled.values()) < AHEAD:
            batch = next(self._ahead, None)
            if batch is None:
                return
            self._asked_for(batch.rows, batch.width)

    def _compile(self, rows: tuple[Row, ...], width: int, again: bool) -> Any:
        """Compiled ahead of time, but for pieces: a function that can serve no other shape in silence."""
        if streamed(rows[0].source):
            function = InPieces(qr.build(rows[0].scheme.text), rows[0].source, self.metrics)
        else:
            function = self._whole(rows, width)
        with self._counting:
            self.retries += again
            self.compilations += not again
        return function

    def _whole(self, rows: tuple[Row, ...], width: int) -> Any:
        numbers: Any = jax.ShapeDtypeStruct(rows[0].source.shape, jnp.float32)
        x = Made(numbers, of_data.eval_shape(numbers, self.metrics))
        return jax.jit(self._sums).lower(_stacked(rows, width), x, jax.random.key(0)).compile(options())

    def _sums(self, stacked: Any, x: Made, key: Array) -> dict[str, Array]:
        return jax.vmap(lambda quantizer: qr.measure.sums(quantizer, x.numbers, self.metrics, None, key, x.known))(stacked)


def _stacked(rows: tuple[Row, ...], width: int) -> Any:
    """The quantizers of rows, their leaves stacked; the last one comes again until there are so many."""
    quantizers = [qr.build(row.scheme.text) for row in rows]
    padded = quantizers + quantizers[-1:] * (width - len(quantizers))
    return jax.tree.map(lambda *leaves: np.stack(leaves), *padded)


def failed(row: Row, error: Exception) -> Outcome:
    """The outcome of a row that raised."""
    return Outcome(row, {}, math.nan, 0.0, f"{type(error).__name__}: {error}")


def ready(source: Source, seed: int, metrics: tuple[str, ...]) -> Made | Stream:
    """A source as rows take it: on the device, computed to the end, so that what it takes is not counted to its first row;
    or its stream.
    """
    return Stream(source, seed) if streamed(source) else jax.block_until_ready(made(source, seed, metrics))

"""Measures batches of rows."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import jax
from jax import Array

import qresearch as qr
from experiments.rows.plan import Batch, Row
from experiments.rows.sources import Source
from experiments.rows.streams import Stream, made, streamed
from experiments.rows.structures import Function, Structure, functions_of
from experiments.running.compile_ahead import CompileAhead
from experiments.running.functions import compiled
from experiments.running.stop import Stop, Stopped


@dataclass(frozen=True)
class Outcome:
    """The result of a row.

    Attributes:
        row: the row.
        metrics: name -> number; empty if the row failed.
        true_bits: bits per element of everything that is stored; NaN if the row failed.
        seconds: its share of the time of its batch, compiling included.
        error: the type and message of the error, or None.
        trace: the traceback of the error.
        crashed: whether the row has ended its process, or taken too long.
        sites: of a model: what is known of each quantized weight.
        notes: what a reader of the row must know.
    """

    row: Row
    metrics: dict[str, float]
    true_bits: float
    seconds: float
    error: str | None = None
    trace: str = ""
    crashed: bool = False
    sites: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()


class Meter:
    """Measures batches of rows of arrays. A context manager: leaving it cancels what waits to be compiled.

    Args:
        metrics: names.
        batches: in the order in which they will be measured.
        stop: what may end the wait for the compiler.
        begin: is called with the rows that are in progress from then on.

    Attributes:
        functions: the compiled functions.
    """

    def __init__(
        self,
        metrics: tuple[str, ...],
        batches: Iterable[Batch],
        stop: Stop | None = None,
        begin: Callable[[Sequence[Row]], None] = lambda rows: None,
    ) -> None:
        self.metrics, self.begin = metrics, begin
        self.functions = CompileAhead(batches, self._compile, stop or Stop(), begin)

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.functions.close()

    def ready(self, source: Any, seed: int) -> Any:
        """A source in memory on the device, or the stream of a larger one.

        Waits until it is computed, so that its time does not count for its first row.
        """
        return Stream(source, seed) if streamed(source) else jax.block_until_ready(made(source, seed, self.metrics))

    def measure(self, batch: Batch, x: Any, key: Array) -> Iterator[Outcome]:
        """The outcome of every row of a batch.

        If a batch raises, its rows are measured again one by one, with functions of their own, so that only the row to blame
        fails.

        Args:
            batch: rows that share their functions.
            x: their source, in memory or as a stream.
            key: for stochastic rounding.
        """
        self.begin(batch)
        try:
            yield from self._measured(batch, x, key)
        finally:
            self.functions.free(batch)

    def _measured(self, batch: Batch, x: Any, key: Array) -> Iterator[Outcome]:
        try:
            yield from self.together(batch, x, key)
        except Stopped:
            raise
        except (Exception, SystemExit) as error:  # of any kind: it belongs to a row, and the sweep goes on
            for row in batch:
                single = self.alone(row)
                if single.functions != row.functions:
                    yield from self.measure((single,), x, key)
                elif len(batch) > 1:
                    yield from self._measured((row,), x, key)
                else:
                    yield failed(row, error)

    def alone(self, row: Row) -> Row:
        """The row with functions that serve no other statistic."""
        assert isinstance(row.source, Source)
        (functions,) = functions_of([(Structure.of(qr.build(row.scheme.text)), row.source)])
        return replace(row, functions=functions)

    def together(self, batch: Batch, x: Any, key: Array) -> list[Outcome]:
        """The outcomes of a batch. Raises what any of its rows raises."""
        started = time.perf_counter()
        coders = [qr.build(row.scheme.text) for row in batch]
        *before, measuring = self.functions.get(batch)
        sums = measuring(coders, x, key, *(function(coders, x, key) for function in before))
        metrics = [qr.measure.evaluate(each, self.metrics) for each in sums]
        bits = [qr.measure.true_bits(coder, x.numbers, key) for coder in coders]
        seconds = (time.perf_counter() - started) / len(batch)
        return [Outcome(*each, seconds) for each in zip(batch, metrics, bits, strict=True)]

    def _compile(self, function: Function, row: Row) -> Any:
        assert isinstance(row.source, Source)
        return compiled(function, qr.build(row.scheme.text), row.source, self.metrics)


MOST_CHARACTERS = 10_000
"""Of a message, and of a traceback, which the log keeps: from the middle of longer ones something is left out."""


def failed(row: Row, error: BaseException) -> Outcome:
    """The outcome of a row that raised."""
    try:
        text = str(error)
    except Exception:  # an exception of the user's own may raise while it is printed
        text = "its message cannot be printed"
    trace = "".join(traceback.format_tb(error.__traceback__))
    return Outcome(row, {}, math.nan, 0.0, _shortened(f"{type(error).__name__}: {text}"), _shortened(trace))


def _shortened(text: str) -> str:
    half = MOST_CHARACTERS // 2
    return text if len(text) <= MOST_CHARACTERS else f"{text[:half]}\n...\n{text[-half:]}"


def lost(row: Row, message: str) -> Outcome:
    """The outcome of a row that has ended its process, or taken too long."""
    return Outcome(row, {}, math.nan, 0.0, message, crashed=True)

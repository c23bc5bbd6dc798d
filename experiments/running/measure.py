"""Measuring: the rows of a batch one after another, each by functions that it shares with others."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import jax
from jax import Array

import qresearch as qr
from experiments.rows.plan import Batch, Row
from experiments.rows.sources import Source
from experiments.rows.streams import Made, Stream, made, streamed
from experiments.rows.structures import Function, Structure
from experiments.running.ahead import Ahead
from experiments.running.functions import KINDS


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


class Meter:
    """Measures batches. A context manager: at its end, what is not yet compiled is let be.

    Args:
        metrics: names.
        coming: the batches in the order in which they will be measured.

    Attributes:
        ahead: the functions.
        noted: what went wrong with schemes that were taken apart, each once; they are measured as they are then.
    """

    def __init__(self, metrics: tuple[str, ...], coming: Iterable[Batch] = ()) -> None:
        self.metrics = metrics
        self.ahead = Ahead(coming, self._compiled)
        self.noted: dict[str, None] = {}

    def __enter__(self) -> Meter:
        self.ahead.look()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.ahead.close()

    @property
    def compilations(self) -> int:
        """Functions compiled."""
        return self.ahead.made

    def measure(self, batch: Batch, x: Made | Stream, key: Array) -> Iterator[Outcome]:
        """The outcome of every row of a batch on an array.

        A batch that raises is run again row by row, each scheme as it is, so that only the row to blame fails.

        Args:
            batch: rows whose first function is the same.
            x: their source, made; or the stream of one that is larger than memory.
            key: for stochastic rounding.
        """
        try:
            yield from self._measured(batch, x, key)
        finally:
            self.ahead.let_go(batch)

    def _measured(self, batch: Batch, x: Made | Stream, key: Array) -> Iterator[Outcome]:
        try:
            yield from self._together(batch, x, key)
        except Exception as error:  # whatever it was: it belongs to a row, and the sweep goes on
            if len(batch) == 1 and len(batch[0].functions) == 1:
                yield failed(batch[0], error)
                return
            if len(batch[0].functions) > 1:
                first = str(error).partition("\n")[0]
                self.noted[f"note: schemes are measured as they are, not apart: {type(error).__name__}: {first}"] = None
            for row in batch:
                yield from self._measured((as_it_is(row),), x, key)

    def _together(self, batch: Batch, x: Made | Stream, key: Array) -> list[Outcome]:
        started = time.perf_counter()
        told = [self.ahead.of(function, batch[0])(x) for function in batch[0].functions[:-1]]
        found: list[tuple[Row, dict[str, float], float]] = []
        for function, rows in _by_function(batch).items():
            quantizers = [qr.build(row.scheme.text) for row in rows]
            sums = self.ahead.of(function, rows[0])(quantizers, x, key, *told)
            bits = [qr.measure.true_bits(quantizer, x.numbers, key) for quantizer in quantizers]
            metrics = [qr.measure.evaluate(each, self.metrics) for each in sums]
            found += zip(rows, metrics, bits, strict=True)
        seconds = (time.perf_counter() - started) / len(batch)
        return [Outcome(*each, seconds) for each in found]

    def _compiled(self, function: Function, row: Row) -> Any:
        return KINDS[function.kind](function, qr.build(row.scheme.text), row.source, self.metrics)


def _by_function(batch: Batch) -> dict[Function, list[Row]]:
    """Rows by the function that measures them."""
    found: dict[Function, list[Row]] = {}
    for row in batch:
        found.setdefault(row.functions[-1], []).append(row)
    return found


def as_it_is(row: Row) -> Row:
    """A row whose scheme is not taken apart."""
    return replace(row, functions=Structure.of(qr.build(row.scheme.text)).as_it_is(row.source))


def failed(row: Row, error: Exception) -> Outcome:
    """The outcome of a row that raised."""
    return Outcome(row, {}, math.nan, 0.0, f"{type(error).__name__}: {error}")


def ready(source: Source, seed: int, metrics: tuple[str, ...]) -> Made | Stream:
    """A source as rows take it: on the device, computed to the end, so that what it takes is not counted to its first row;
    or its stream.
    """
    return Stream(source, seed) if streamed(source) else jax.block_until_ready(made(source, seed, metrics))

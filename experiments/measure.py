"""Measuring: one function, compiled once for each structure, that takes the schemes of a batch stacked."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import qresearch as qr
from experiments.plan import Batch, Row


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


@dataclass
class Meter:
    """Measures batches and counts what it compiles.

    Attributes:
        metrics: names.
        compilations: functions compiled for batches; grows with structures, not with rows.
        retries: functions compiled, on top, to run the rows of a failed batch one by one.
    """

    metrics: tuple[str, ...]
    compilations: int = 0
    retries: int = 0
    _compiled: dict[Hashable, Any] = field(default_factory=dict)

    def measure(self, batch: Batch, x: Array, key: Array) -> Iterator[Outcome]:
        """The outcome of every row of a batch on an array.

        A batch that raises is run again row by row, so that only the row to blame fails.

        Args:
            batch: rows of one structure.
            x: float32, their source.
            key: for stochastic rounding.
        """
        try:
            yield from self._together(batch.rows, batch.width, x, key)
        except Exception as error:  # whatever it was: it belongs to a row, and the sweep goes on
            if len(batch.rows) == 1 and batch.width == 1:
                yield failed(batch.rows[0], error)
                return
            for row in batch.rows:
                yield self._alone(row, x, key)

    def _alone(self, row: Row, x: Array, key: Array) -> Outcome:
        try:
            return self._together((row,), 1, x, key, again=True)[0]
        except Exception as error:
            return failed(row, error)

    def _together(self, rows: tuple[Row, ...], width: int, x: Array, key: Array, again: bool = False) -> list[Outcome]:
        started = time.perf_counter()
        quantizers = [qr.build(row.scheme.text) for row in rows]
        bits = [qr.measure.true_bits(quantizer, x, key) for quantizer in quantizers]
        padded = quantizers + quantizers[-1:] * (width - len(quantizers))
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *padded)
        run = self._function(rows[0].structure, width, (stacked, x, key), again)
        sums = jax.device_get(run(stacked, x, key))
        seconds = (time.perf_counter() - started) / len(rows)
        return [
            Outcome(row, qr.measure.evaluate({name: each[i] for name, each in sums.items()}, self.metrics), bits[i], seconds)
            for i, row in enumerate(rows)
        ]

    def _function(self, structure: Hashable, width: int, arguments: tuple[Any, ...], again: bool) -> Any:
        """The compiled function of a structure. Compiled ahead of time: it can serve no other shape in silence."""
        name = (structure, width)
        if name not in self._compiled:
            self._compiled[name] = jax.jit(self._sums).lower(*arguments).compile()
            self.retries += again
            self.compilations += not again
        return self._compiled[name]

    def _sums(self, stacked: Any, x: Array, key: Array) -> dict[str, Array]:
        return jax.vmap(lambda quantizer: qr.measure.sums(quantizer, x, self.metrics, key=key))(stacked)


def failed(row: Row, error: Exception) -> Outcome:
    """The outcome of a row that raised."""
    return Outcome(row, {}, math.nan, 0.0, f"{type(error).__name__}: {error}")


def ready(x: Any) -> Array:
    """float32 on the device, computed to the end, so that what a source takes is not counted to its first row."""
    return jnp.asarray(x, jnp.float32).block_until_ready()

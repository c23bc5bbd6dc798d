"""The functions that measure rows, by kind. Each is compiled for schemes of one structure and sources of one shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

import qresearch as qr
from experiments.rows import block_statistics
from experiments.rows.block_statistics import BlockStatistics, Wanted, split
from experiments.rows.sources import Source
from experiments.rows.streams import InPieces, Made, of_data
from experiments.rows.structures import Function
from experiments.running.compiled import for_measuring
from qresearch.coders.coder import Coder
from qresearch.coders.quantizer import Quantizer

Sums = list[dict[str, Any]]


class Whole:
    """Measures schemes on a source in memory. It is compiled ahead of time, so calling it with another shape raises.

    Args:
        coder: one of the schemes; all have the same structure.
        source: a source of the shape that it serves.
        metrics: names.
    """

    def __init__(self, coder: Coder, source: Source, metrics: tuple[str, ...]) -> None:
        def sums(coder: Coder, x: Made, key: Array) -> dict[str, Array]:
            return qr.measure.sums(coder, x.numbers, metrics, None, key, x.known)

        self._sums = for_measuring(jax.jit(sums).lower(coder, _made(source, metrics), jax.eval_shape(jax.random.key, 0)))

    def __call__(self, coders: Sequence[Coder], x: Made, key: Array) -> Sums:
        """The sums of each scheme."""
        return jax.device_get([self._sums(coder, x, key) for coder in coders])


class Statistics:
    """Computes the block statistics that all schemes of a batch need.

    Args:
        statistics: what is computed.
        source: a source of the shape that it serves.
    """

    def __init__(self, statistics: BlockStatistics, source: Source) -> None:
        numbers = jax.ShapeDtypeStruct(source.shape, jnp.float32)
        self._wanted = statistics.wanted

        def found(x: Array) -> tuple[Any, ...]:
            return statistics(x)

        self._found = for_measuring(jax.jit(found).lower(numbers))

    def __call__(self, coders: Sequence[Coder], x: Made, key: Array) -> dict[Wanted, Any]:
        """Each statistic of every block, on the device."""
        return dict(zip(self._wanted, self._found(x.numbers), strict=True))


class SmallBlocks:
    """Measures schemes in small blocks, given the statistics of their own blocks; arguments as for `Whole`."""

    def __init__(self, coder: Coder, source: Source, metrics: tuple[str, ...]) -> None:
        def sums(small: Quantizer, statistics: Any, x: Made) -> dict[str, Array]:
            return block_statistics.sums(small, statistics, x.numbers, metrics, x.known)

        statistics, small = _split(coder)
        x = _made(source, metrics)
        (given,) = jax.eval_shape(statistics.__call__, x.numbers)
        self._sums = for_measuring(jax.jit(sums).lower(small, given, x))

    def __call__(self, coders: Sequence[Coder], x: Made, key: Array, statistics: dict[Wanted, Any]) -> Sums:
        """The sums of each scheme."""
        split_coders = map(_split, coders)
        return jax.device_get([self._sums(small, statistics[its.wanted[0]], x) for its, small in split_coders])


KINDS: dict[str, Callable[[Coder, Source, tuple[str, ...]], Callable[..., Sums]]] = {
    "whole": Whole,
    "in pieces": InPieces,
    "small blocks": SmallBlocks,
}
"""The kind of a function that measures -> the class that compiles it."""


def compiled(function: Function, coder: Coder, source: Source, metrics: tuple[str, ...]) -> Callable[..., Any]:
    """Compiles a function for one of the schemes and one of the sources that need it."""
    if isinstance(function.structure, BlockStatistics):
        return Statistics(function.structure, source)
    return KINDS[function.kind](coder, source, metrics)


def _made(source: Source, metrics: tuple[str, ...]) -> Made:
    """Shapes and dtypes of a source in memory."""
    numbers: Any = jax.ShapeDtypeStruct(source.shape, jnp.float32)
    return Made(numbers, of_data.eval_shape(numbers, metrics))


def _split(coder: Coder) -> tuple[BlockStatistics, Quantizer]:
    parts = split(coder)
    assert parts is not None, coder
    return parts

"""Functions that are compiled for rows: by kind, each made of one of the schemes that it serves, its source and the metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

import qresearch as qr
from experiments.rows.sources import Source
from experiments.rows.streams import InPieces, Made, of_data
from experiments.rows.structures import Function
from experiments.running.compiled import for_measuring
from qresearch.coders.coder import Coder
from qresearch.coders.quantizer import Quantizer
from qresearch.measuring.extents import Extents, apart

Sums = list[dict[str, Any]]


class Whole:
    """Measures schemes on a source that is made: compiled ahead of time, so that it can serve no other shape in silence.

    Args:
        coder: one of the schemes; all agree in structure.
        source: that they are measured on.
        metrics: names.
    """

    def __init__(self, coder: Coder, source: Source, metrics: tuple[str, ...]) -> None:
        self._sums = _summing(coder, source, metrics)

    def __call__(self, coders: Iterable[Coder], x: Made, key: Array) -> Sums:
        """The sums of each scheme."""
        return [jax.device_get(self._sums(coder, x, key, None)) for coder in coders]


class Finer:
    """As `Whole`, of schemes in finer blocks, which are told what `Asked` has found of their own."""

    def __init__(self, coder: Coder, source: Source, metrics: tuple[str, ...]) -> None:
        extents, finer = _parts(coder)
        self._sums = _summing(finer, source, metrics, jax.eval_shape(extents.__call__, _numbers(source)))

    def __call__(self, coders: Iterable[Coder], x: Made, key: Array, told: dict[Extents, Any]) -> Sums:
        """The sums of each scheme."""
        parts = map(_parts, coders)
        return [jax.device_get(self._sums(finer, x, key, told[extents])) for extents, finer in parts]


class Asked:
    """What statistics say of the blocks of a source: all that are asked of the same blocks, in one function.

    Args:
        asked: all of them.
        source: that is asked.
    """

    def __init__(self, asked: Any, source: Source) -> None:
        self._asked: tuple[Extents, ...] = asked
        self._answers = for_measuring(jax.jit(self._found).lower(_numbers(source)))

    def __call__(self, x: Made) -> dict[Extents, Any]:
        """The extents by what was asked."""
        return dict(zip(self._asked, self._answers(x.numbers), strict=True))

    def _found(self, x: Array) -> list[Any]:
        return [each(x) for each in self._asked]


KINDS: dict[str, Callable[[Function, Coder, Source, tuple[str, ...]], Callable[..., Any]]] = {
    "whole": lambda _, *rest: Whole(*rest),
    "in pieces": lambda _, *rest: InPieces(*rest),
    "extents": lambda function, _, source, metrics: Asked(function.structure, source),
    "finer": lambda _, *rest: Finer(*rest),
}
"""The kind of a function -> what makes it."""


def _numbers(source: Source) -> Any:
    return jax.ShapeDtypeStruct(source.shape, jnp.float32)


def _parts(coder: Coder) -> tuple[Extents, Quantizer]:
    parts = apart(coder)
    assert parts is not None, coder
    return parts


def _summing(coder: Coder, source: Source, metrics: tuple[str, ...], extent: Any = None) -> Any:
    def sums(coder: Coder, x: Made, key: Array, extent: Any) -> dict[str, Array]:
        return qr.measure.sums(coder, x.numbers, metrics, None, key, x.known, extent)

    x = Made(_numbers(source), of_data.eval_shape(_numbers(source), metrics))
    return for_measuring(jax.jit(sums).lower(coder, x, jax.eval_shape(jax.random.key, 0), extent))

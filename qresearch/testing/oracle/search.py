"""The oracle's searches: which of several scales costs the least error? Section 1 of `docs/arithmetic.md`. NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from qresearch.testing.oracle.blocks import grid_shape, padded, slices, spread
from qresearch.testing.oracle.description import Description
from qresearch.testing.oracle.exact_power import power
from qresearch.testing.oracle.float32 import LARGEST, Arithmetic, limited, without_subnormals

Back = Callable[[Any], np.ndarray]
"""From parameters to the array that comes back with them."""


class Sums:
    """Sums and means over the blocks of a scheme in a float32 array; weights, if any, are broadcastable to it."""

    def __init__(self, x: np.ndarray, scheme: Description, weights: Any, arithmetic: Arithmetic) -> None:
        self.x, self.block, self.arithmetic = x, scheme.block, arithmetic
        self.weights = None if weights is None else np.broadcast_to(np.asarray(weights, np.float32), x.shape)
        self.kept = np.ones(x.shape, bool) if self.weights is None else self.weights > 0
        largest = self._each(np.where(self.kept, np.abs(x), 0), lambda part: part.max(initial=0))
        exponents = np.frexp(np.where(np.isfinite(largest), largest, 1).astype(np.float64))[1] - 1
        self.unit = np.exp2(np.clip(exponents, -126, 126).astype(np.float64)).astype(np.float32)

    def _each(self, values: np.ndarray, reduce: Callable[[np.ndarray], Any]) -> np.ndarray:
        view, grid = values.reshape(self.block.viewed(self.x.shape)), grid_shape(self.block, self.x.shape)
        return np.array([reduce(view[where]) for _, where in slices(self.block, self.x.shape)], np.float32).reshape(grid)

    def small(self, values: np.ndarray) -> np.ndarray:
        """Numbers in units of the block's power of two; zero where an element takes no part."""
        unit = spread(np.float32(1) / self.unit, self.block, self.x.shape)
        return np.where(self.kept, self.arithmetic.product(values, unit), np.float32(0))

    def sum(self, values: np.ndarray) -> np.ndarray:
        """The ordered sum of every block."""
        lengths = self.block.lengths(self.block.viewed(self.x.shape))
        return self._each(values, lambda part: self.arithmetic.tree_sum(padded(part, lengths)))

    def mean(self, values: np.ndarray) -> np.ndarray:
        """The weighted mean of every block."""
        if self.weights is None:
            counts = self._each(np.ones(self.x.shape), np.size)
            return self.arithmetic.product(self.sum(values), (1 / np.maximum(counts, 1).astype(np.float64)).astype(np.float32))
        total, weight = self.sum(self.arithmetic.product(self.weights, values)), self.sum(self.weights)
        return self.arithmetic.quotient(total, np.where(weight > 0, weight, np.float32(1)))


def factors(scheme: Description) -> list[float]:
    """The candidates of a search."""
    if scheme.statistic == "among":
        return list(scheme.arguments)
    _, steps, least = scheme.arguments
    return list(1 - (1 - least) * np.arange(steps) / (steps - 1))


def least_error(sums: Sums, candidates: Iterable[float], p: float, back: Back, trial: Callable[..., Any]) -> Any:
    """The parameters with the factor of least error in every block, the first of equals."""
    least = np.full(sums.unit.shape, np.inf, np.float32)
    best = np.full(sums.unit.shape, np.float32(next(iter(candidates))))
    for factor in np.array(list(candidates), np.float32):
        with np.errstate(invalid="ignore"):
            off = np.abs(sums.arithmetic.difference(back(trial(factor)), sums.x))
        cost = power(sums.small(off), p, sums.arithmetic)
        if sums.weights is not None:
            cost = sums.arithmetic.product(cost, sums.weights)
        error = sums.sum(cost)
        better = error < least
        least, best = np.where(better, error, least), np.where(better, factor, best)
    return trial(best)


def half_quadratic(sums: Sums, arguments: tuple[float, ...], start: np.ndarray, back: Back, trial: Callable[..., Any]) -> Any:
    """The parameters with the best minimum among the iterations of HQQ, in every block."""
    (p, beta, kappa, iterations), arithmetic = arguments, sums.arithmetic
    least, best, minimum = np.full(start.shape, np.inf, np.float32), start, start
    for i in range(round(iterations) + 1):
        params = trial(minimum)
        with np.errstate(invalid="ignore"):
            off = arithmetic.difference(sums.x, back(params))
        size = np.abs(off)
        threshold = arithmetic.product(np.float32(1 / (beta * kappa**i)), power(size, p - 1, arithmetic))
        with np.errstate(invalid="ignore"):
            shrunk = np.where(off < 0, np.float32(-1), np.float32(1)) * np.maximum(arithmetic.difference(size, threshold), 0)
            move = arithmetic.product(sums.mean(sums.small(arithmetic.difference(off, shrunk))), sums.unit)
        error = sums.mean(sums.small(size))
        better = error < least
        least, best = np.where(better, error, least), np.where(better, minimum, best)
        minimum = without_subnormals(limited(arithmetic.total(params.offset, move)))
    assert not (np.abs(best) > LARGEST).any()
    return trial(best)

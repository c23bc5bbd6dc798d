"""The extremes of a block of independent numbers: their distribution, and the pieces that quadrature over them needs.

The largest magnitude m of B numbers has the distribution function `G(m)^B` and the density
`B G(m)^(B - 1) (p(m) + p(-m))`, where G is the distribution function of one magnitude. Given m, the other numbers are
independent, with the density p cut off at -m and m. The least and the largest number behave alike. A mean over an extreme is
a sum over pieces with Gauss-Legendre points. The pieces follow the standard variable of extreme value theory,
`v = -log(-log u)` of the probability u, so they suit light and heavy tails. Host only, float64.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qresearch.densities.density import Density
from qresearch.densities.quadrature import bisect, on_intervals

PIECE_ENDS = np.concatenate([np.arange(-3.8, 4, 0.6), np.arange(4, 12, 1.5), np.arange(12, 700, 4.0)])
"""Where pieces end, in v; the first has the probability 1e-19."""

NEGLIGIBLE_SHARE = 1e-18
"""Shares of the probability and of the mean square that are left out at the far end."""

LEAST_TAIL = 1e-280
"""Pieces end where the probability of a number beyond falls below this."""

MISSED_PROBABILITY = 1e-8
"""A piece is cut where quadrature misses more probability than this."""

MOST_ROUNDS = 40
"""How often pieces are cut at most."""

MOST_PIECES = 1000
"""With more pieces than this none is cut further."""


def beyond(density: Density, m: np.ndarray) -> np.ndarray:
    """float64: the probability of a magnitude above m."""
    upper = density.above(m)[0]
    return 2 * upper if density.symmetric else upper + density.below(-m)[0]


def none_beyond(tail: np.ndarray, count: int) -> np.ndarray:
    """float64: the probability that none of `count` numbers lies in a tail, `(1 - tail)^count`; precise for small tails."""
    with np.errstate(divide="ignore"):
        return np.exp(count * np.log1p(-np.clip(tail, 0.0, 1.0))) if count else np.ones_like(tail)


def magnitude_quantile(density: Density, upper: np.ndarray) -> np.ndarray:
    """float64 [n]: the m with `P(abs(x) > m) = upper`, precise for the smallest probabilities."""
    if density.symmetric:
        return np.abs(density.quantile(upper / 2))
    high = np.maximum(np.abs(density.quantile(np.minimum(upper / 4, 0.5))), 1e-300)
    while np.any(short := beyond(density, high) > upper):
        high = np.where(short, 2 * high, high)
    low, high = bisect(lambda m: beyond(density, m) > upper, np.zeros_like(high), high)
    return low / 2 + high / 2


def squared_share(density: Density, x: np.ndarray) -> np.ndarray:
    """float64: what x may add to a mean square, `x^2` over the source's mean square, or 1 where that is less.

    Where the mean square is infinite, the scale's square replaces it.
    """
    unit = density.second if np.isfinite(density.second) else density.distribution.scale**2
    return np.maximum(1.0, x**2 / unit)


@lru_cache(maxsize=512)
def magnitude_pieces(density: Density, block: int) -> np.ndarray:
    """float64, ascending: the ends of pieces of the largest magnitude of a block."""
    m = np.unique(np.abs(np.append(_marks(density), 0.0)))  # in small blocks the largest of numbers of both signs is near zero
    return _pieces(_Extreme(density, lambda x: beyond(density, x), lambda x: density.pdf(x) + density.pdf(-x), block, 8), m)


@lru_cache(maxsize=512)
def largest_pieces(density: Density, block: int) -> np.ndarray:
    """float64, ascending: the ends of pieces of the largest number of a block."""
    return _pieces(_Extreme(density, lambda x: density.above(x)[0], density.pdf, block, 4), _marks(density))


@lru_cache(maxsize=512)
def least_pieces(density: Density, block: int) -> np.ndarray:
    """float64, ascending: the ends of pieces of the least number of a block."""
    mirrored = _Extreme(density, lambda x: density.below(-x)[0], lambda x: density.pdf(-x), block, 4)
    return -_pieces(mirrored, -_marks(density)[::-1])[::-1]


def _marks(density: Density) -> np.ndarray:
    """The ends of the density's own pieces: close enough to tabulate the tail at."""
    return density.unit.edges * density.distribution.scale


class _Extreme(NamedTuple):
    """The largest number of a block."""

    density: Density
    tail: Callable[[np.ndarray], np.ndarray]  # the probability of a number above x
    pdf: Callable[[np.ndarray], np.ndarray]  # the density of one number at x
    block: int
    nodes: int  # quadrature points on a piece


def _pieces(extreme: _Extreme, x: np.ndarray) -> np.ndarray:
    """The ends of pieces: equal steps of v, from the tail at x (float64, ascending); cut further where they miss a feature."""
    tail, block = extreme.tail(x), extreme.block
    with np.errstate(divide="ignore"):
        v = -np.log(-block * np.log1p(-np.clip(tail, 0.0, 1.0)))
    needed = (block * tail * squared_share(extreme.density, x) > NEGLIGIBLE_SHARE) & (tail > LEAST_TAIL)
    end = min(int(np.flatnonzero(needed)[-1]) + 2, len(x))
    start = max(int(np.searchsorted(v, PIECE_ENDS[0], side="right")) - 1, 0)
    x, v = x[start:end], v[start:end]
    finite = np.isfinite(v)
    x_known, v_known = x[finite], v[finite]
    inner = np.interp(np.clip(PIECE_ENDS, v_known[0], v_known[-1]), v_known, x_known)
    return _refined(extreme, x, np.unique(np.concatenate([x[:1], inner, x[-1:]])))


def _refined(extreme: _Extreme, marks: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The pieces, cut where quadrature misses probability: at the density's own pieces, which follow its features."""
    for _ in range(MOST_ROUNDS):
        points, lengths = on_intervals(ends[:-1], ends[1:], extreme.nodes)
        found = extreme.block * extreme.pdf(points) * none_beyond(extreme.tail(points), extreme.block - 1) * lengths
        missed = np.abs(found.sum(axis=1) - np.diff(none_beyond(extreme.tail(ends), extreme.block)))
        bad = np.flatnonzero(~(missed < MISSED_PROBABILITY))
        if not len(bad) or len(ends) > MOST_PIECES:
            return ends
        low, high = ends[bad], ends[bad + 1]
        first, last = np.searchsorted(marks, low, side="right"), np.searchsorted(marks, high, side="left")
        cuts = np.where(first < last, marks[np.minimum((first + last) // 2, len(marks) - 1)], low / 2 + high / 2)
        ends = np.unique(np.concatenate([ends, cuts]))
    return ends

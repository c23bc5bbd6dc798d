"""The extremes of a block of independent numbers: where they lie, and quadrature over them. Host only, float64.

The largest magnitude m of B numbers has the distribution function `G(m)^B`, G that of one magnitude, and the density
`B G(m)^(B - 1) (p(m) + p(-m))`; given m, the other numbers are independent of each other, with the density p cut off at -m and
m. The same holds for the least and the largest number. Means over an extreme are taken piece by piece with Gauss-Legendre
points. The pieces follow the standard variable of extreme values, `v = -log(-log u)` of the probability u, so they suit light
and heavy tails alike; only where they are cut hangs on it, not what they sum.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qresearch.densities.density import Density
from qresearch.densities.quadrature import spread
from qresearch.theory.expectation.errors import Sums

STEPS = np.concatenate([np.arange(-3.8, 4, 0.6), np.arange(4, 12, 1.5), np.arange(12, 700, 4.0)])
"""Where pieces end, in v: from the probability 1e-19 on."""

NEGLIGIBLE = 1e-18
"""Probabilities, and shares of the mean square, that are left out at the far end."""

LEAST_TAIL = 1e-280
"""No piece lies where fewer numbers than that are beyond."""

POWER = 50
"""Densities that fall so slowly, by logarithms, where their pieces end have moments beyond: a normal's slope is 1,300 there."""

MISSED = 1e-8
"""The probability that quadrature may miss on a piece; above, the piece is cut."""

ROUNDS = 40
"""How often pieces are cut at most."""

MOST = 1000
"""So many pieces are not cut further."""


def outside(density: Density, m: np.ndarray) -> np.ndarray:
    """The probability of a magnitude above m."""
    upper = density.above(m)[0]
    return 2 * upper if density.symmetric else upper + density.below(-m)[0]


@lru_cache(maxsize=512)
def magnitude_pieces(density: Density, block: int) -> np.ndarray:
    """float64, ascending: the ends of pieces of the largest magnitude of a block."""
    m = np.unique(np.abs(_marks(density)))
    return _pieces(_Extreme(density, lambda x: outside(density, x), lambda x: density.pdf(x) + density.pdf(-x), block, 8), m)


@lru_cache(maxsize=512)
def largest_pieces(density: Density, block: int) -> np.ndarray:
    """float64, ascending: the ends of pieces of the largest of a block."""
    return _pieces(_Extreme(density, lambda x: density.above(x)[0], density.pdf, block, 4), _marks(density))


@lru_cache(maxsize=512)
def least_pieces(density: Density, block: int) -> np.ndarray:
    """float64, ascending: the ends of pieces of the least of a block."""
    mirrored = _Extreme(density, lambda x: density.below(-x)[0], lambda x: density.pdf(-x), block, 4)
    return -_pieces(mirrored, -_marks(density)[::-1])[::-1]


def _marks(density: Density) -> np.ndarray:
    """Numbers that stand close enough for tables: the ends of the density's own pieces."""
    return density.unit.edges * density.distribution.scale


class _Extreme(NamedTuple):
    """The largest of a block.

    Attributes:
        density: of the numbers.
        tail: the probability of a number above x.
        pdf: its density at x.
        block: how many numbers.
        nodes: the points that will be taken on a piece.
    """

    density: Density
    tail: Callable[[np.ndarray], np.ndarray]
    pdf: Callable[[np.ndarray], np.ndarray]
    block: int
    nodes: int


def _pieces(extreme: _Extreme, x: np.ndarray) -> np.ndarray:
    """Ends of pieces, by a table of the tail at x, rising: equal steps of v, cut further where they miss a feature."""
    tail, block = extreme.tail(x), extreme.block
    with np.errstate(divide="ignore"):
        v = -np.log(-block * np.log1p(-np.clip(tail, 0.0, 1.0)))
    needed = (block * tail * size(extreme.density, x) > NEGLIGIBLE) & (tail > LEAST_TAIL)
    end = min(int(np.flatnonzero(needed)[-1]) + 2, len(x))
    start = max(int(np.searchsorted(v, STEPS[0], side="right")) - 1, 0)
    x, v = x[start:end], v[start:end]
    finite = np.isfinite(v)
    x_known, v_known = x[finite], v[finite]
    inner = np.interp(np.clip(STEPS, v_known[0], v_known[-1]), v_known, x_known)
    return _refined(extreme, x, np.unique(np.concatenate([x[:1], inner, x[-1:]])))


def _refined(extreme: _Extreme, marks: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The pieces, cut where quadrature misses probability: at the density's own pieces, which stand where its features are."""
    for _ in range(ROUNDS):
        points, lengths = spread(ends[:-1], ends[1:], extreme.nodes)
        found = extreme.block * extreme.pdf(points) * power(extreme.tail(points), extreme.block - 1) * lengths
        missed = np.abs(found.sum(axis=1) - np.diff(power(extreme.tail(ends), extreme.block)))
        bad = np.flatnonzero(~(missed < MISSED))
        if not len(bad) or len(ends) > MOST:
            return ends
        low, high = ends[bad], ends[bad + 1]
        first, last = np.searchsorted(marks, low, side="right"), np.searchsorted(marks, high, side="left")
        cuts = np.where(first < last, marks[np.minimum((first + last) // 2, len(marks) - 1)], low / 2 + high / 2)
        ends = np.unique(np.concatenate([ends, cuts]))
    return ends


def size(density: Density, x: np.ndarray) -> np.ndarray:
    """How much a number may add to a mean square, at least 1: its square, in units of the mean square (of the scale's)."""
    unit = density.second if np.isfinite(density.second) else density.distribution.scale**2
    return np.maximum(1.0, x**2 / unit)


def power(tail: np.ndarray, exponent: int) -> np.ndarray:
    """`(1 - tail)^exponent`, precise for small tails."""
    with np.errstate(divide="ignore"):
        return np.exp(exponent * np.log1p(-np.clip(tail, 0.0, 1.0))) if exponent else np.ones_like(tail)


class Part(NamedTuple):
    """Sums at nodes, the nodes' weights, and the piece of the extreme that each belongs to, counted outward."""

    sums: Sums
    weight: np.ndarray
    piece: np.ndarray


def collect(parts: list[Part], density: Density, pieces: int) -> Sums:
    """Means over an extreme, which has so many pieces, of numbers of a density: sums at the nodes times their weights."""
    length = 1 + max(int(part.piece.max(initial=0)) for part in parts)
    endless = length > pieces - 4 and any(tail.height and tail.slope < POWER for tail in density.tails)
    totals = []
    for name in ("error2", "abs", "error", "vv"):
        each = np.zeros(length)
        for part in parts:
            each += np.bincount(part.piece, getattr(part.sums, name) * part.weight, length)
        totals.append(_total(each) if endless else np.sum(each))
    return Sums(np.sum([part.sums.histogram for part in parts], axis=0), *totals)


def _total(each: np.ndarray) -> np.float64:
    """The sum of what the pieces add. Where they fall slowly to the end, as a power tail does against its moments, what lies
    beyond is added as a geometric series; infinity where they do not fall.
    """
    total, far = np.float64(np.sum(each)), np.abs(each[-8:-3])  # the pieces at the very end may be shorter
    if len(far) < 5 or not np.isfinite(total) or far[-1] <= 1e-13 * np.sum(np.abs(each[:-3])):
        return total
    with np.errstate(divide="ignore"):
        ratios = far[1:] / far[:-1]
    if np.all(ratios[:3] > 0.99):  # as e^(step (2 - 2 df) / df), for a mean square that has the tail m^(1 - 2 df)
        return np.float64(np.copysign(np.inf, total))
    if np.any(ratios < 0.5) or np.any(ratios > 1.5):
        return total
    return np.float64(np.sum(each[:-3]) + each[-4] * ratios[-1] / (1 - ratios[-1]))

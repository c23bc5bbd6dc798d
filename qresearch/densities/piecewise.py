"""A function as polynomials on pieces, exact to rounding; the integrals of f, t f and t^2 f to any point. Host only, float64.

Each piece has the Legendre series through its Gauss points. Where the last coefficients are above rounding, the piece is cut in
two (Trefethen, "Approximation Theory and Approximation Practice", 2013, chapters 3 and 19).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.polynomial import legendre, polynomial

Function = Callable[[np.ndarray], np.ndarray]

NODES_PER_PIECE = 12
"""Gauss-Legendre points on each piece: more would mean fewer pieces, but longer sums at every evaluation."""

MOST_HALVINGS = 100
"""How often a piece is halved at most; a cusp as sharp as that of exp(-sqrt(abs(x))) needs 90."""

MOST_PIECES_CUT = 20_000
"""With more pieces to cut than this the function is rough everywhere, and they stay as they are."""

TOLERANCE = 1e-14
"""A piece is accurate where its last coefficients, over its largest value, are below this: some ten roundings."""

FUNCTION_ROUNDING = 1e-10
"""Below this, coefficients may be the function's own rounding: that of exp(-700) is 700 times that of exp(-1)."""

EPSILON = float(np.finfo(np.float64).eps)

TINY = float(np.finfo(np.float64).tiny)

POINTS_PER_CHUNK = 4096
"""Points that are evaluated at once, so that the intermediate results stay in the cache."""

_U, _W = legendre.leggauss(NODES_PER_PIECE)
_SERIES = (
    legendre.legvander(_U, NODES_PER_PIECE - 1).T * _W * (np.arange(NODES_PER_PIECE)[:, None] + 0.5)
)  # values at the points -> coefficients
_POWERS = np.stack(
    [np.pad(legendre.leg2poly(row), (0, NODES_PER_PIECE - 1 - k)) for k, row in enumerate(np.eye(NODES_PER_PIECE))]
)


@dataclass(frozen=True)
class Pieces:
    """A function on adjacent pieces.

    Attributes:
        edges: float64 [n + 1], ascending.
        points: float64 [n, NODES_PER_PIECE], the Gauss points of each piece.
        values: float64 [n, NODES_PER_PIECE], the function there.
    """

    edges: np.ndarray
    points: np.ndarray
    values: np.ndarray

    @cached_property
    def middle(self) -> np.ndarray:
        """float64 [n]: the middle of each piece."""
        return self.edges[:-1] / 2 + self.edges[1:] / 2

    @cached_property
    def half(self) -> np.ndarray:
        """float64 [n]: half the length of each piece."""
        return self.edges[1:] / 2 - self.edges[:-1] / 2

    @cached_property
    def weights(self) -> np.ndarray:
        """float64 [n, NODES_PER_PIECE]: quadrature weights, for integrals of anything as smooth as the function."""
        return self.half[:, None] * _W

    @cached_property
    def whole(self) -> np.ndarray:
        """float64 [3, n]: the integrals of f, t f and t^2 f over each piece."""
        t = self.points
        return np.stack([np.sum(self.weights * self.values * t**k, axis=1) for k in range(3)])

    @cached_property
    def under(self) -> np.ndarray:
        """float64 [3, n + 1]: the integrals from the first edge to each edge, summed from there."""
        return np.concatenate([np.zeros((3, 1)), np.cumsum(self.whole, axis=1)], axis=1)

    @cached_property
    def over(self) -> np.ndarray:
        """float64 [3, n + 1]: the integrals from each edge to the last one, summed from there."""
        return np.concatenate([np.cumsum(self.whole[:, ::-1], axis=1)[:, ::-1], np.zeros((3, 1))], axis=1)

    @cached_property
    def centre(self) -> int:
        """The index of the edge up to which sums from below are smaller than sums from above."""
        return int(np.searchsorted(self.under[0], self.under[0, -1] / 2))

    @cached_property
    def _antiderivatives(self) -> np.ndarray:
        """float64 [NODES_PER_PIECE + 3, 3, n]: the three integrals from the left end, in powers of (t - middle) / half."""
        f = (self.values @ _SERIES.T @ _POWERS) * self.half[:, None]  # [n, NODES_PER_PIECE], of f dt / du
        found = np.zeros((NODES_PER_PIECE + 3, 3, len(f)))
        for k in range(3):
            if k:  # times t = middle + half u
                f = np.pad(f * self.middle[:, None], ((0, 0), (0, 1))) + np.pad(f * self.half[:, None], ((0, 0), (1, 0)))
            found[: NODES_PER_PIECE + k + 1, k] = polynomial.polyint(f, lbnd=-1, axis=1).T
        return found

    def grid(self) -> np.ndarray:
        """float64, ascending: all edges and points."""
        return np.unique(np.concatenate([self.edges, self.points.ravel()]))

    def left(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The piece of each x (int), and the three integrals from its left end to x (float64 [3, ...]).

        x beyond the edges counts as the first or the last edge.
        """
        at, total = self._left(np.clip(x, self.edges[0], self.edges[-1]).ravel())
        return at.reshape(x.shape), total.reshape(3, *x.shape)

    def _left(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        at = np.clip(np.searchsorted(self.edges, x, side="right") - 1, 0, len(self.half) - 1)
        u = (x - self.middle[at]) / self.half[at]
        total = np.empty((3, len(x)))
        for start in range(0, len(x), POINTS_PER_CHUNK):
            here = slice(start, start + POINTS_PER_CHUNK)
            total[:, here] = self._horner(at[here], u[here])
        return at, total

    def _horner(self, at: np.ndarray, u: np.ndarray) -> np.ndarray:
        table = self._antiderivatives
        total = np.take(table[-1], at, axis=1)
        for powers in table[-2::-1]:
            total *= u
            total += np.take(powers, at, axis=1)
        return total

    @cached_property
    def error(self) -> float:
        """The integral of the last Legendre terms over all pieces, relative to the integral of f."""
        series = self.values @ _SERIES.T
        return float(np.sum(np.abs(series[:, -2:]).max(axis=1) * self.half) / np.sum(self.whole[0])) / NODES_PER_PIECE


def between_edges(under: np.ndarray, over: np.ndarray, centre: int, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """float64 [3, ...]: the integrals from one edge to another, from the smaller sums on each side of the centre."""
    rising = under[:, np.minimum(last, centre)] - under[:, np.minimum(first, centre)]
    return rising + (over[:, np.maximum(first, centre)] - over[:, np.maximum(last, centre)])


def pieces(f: Function, edges: np.ndarray) -> Pieces:
    """A function on pieces, cut at `edges` (float64, ascending) and further where needed; f maps float64 [n] to float64 [n]."""
    low, high, before = edges[:-1], edges[1:], np.full(len(edges) - 1, np.inf)
    done: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for depth in range(MOST_HALVINGS + 1):
        points = (low / 2 + high / 2)[:, None] + (high / 2 - low / 2)[:, None] * _U
        values = f(points.ravel()).reshape(points.shape)
        rest = _rest(values)
        # A small rest that halving does not reduce is f's own rounding. The points are rounded too, which shows where a density
        # rises from an end other than 0.
        rounded = 4 * EPSILON * np.maximum(np.abs(low), np.abs(high)) / (high - low)
        good = (
            (rest <= np.maximum(TOLERANCE, rounded))
            | ((rest <= FUNCTION_ROUNDING) & (rest > before / 4))
            | (depth == MOST_HALVINGS)
            | (len(low) > MOST_PIECES_CUT)
        )
        done.append((low[good], points[good], values[good]))
        low, high, before = low[~good], high[~good], rest[~good]
        cut = _middle(low, high)
        keep = (low < cut) & (cut < high)  # neighbouring floats cannot be cut
        low, high = np.concatenate([low[keep], cut[keep]]), np.concatenate([cut[keep], high[keep]])
        before = np.tile(before[keep], 2)
        if not len(low):
            break
    starts, points, values = (np.concatenate(each) for each in zip(*done, strict=True))
    order = np.argsort(starts)
    return Pieces(np.append(starts[order], edges[-1]), points[order], values[order])


def halved(f: Function, given: Pieces) -> Pieces:
    """The function on the same pieces, each cut in two; the change of an integral is its quadrature error."""
    edges = np.sort(np.concatenate([given.edges, given.middle]))
    half = np.diff(edges) / 2
    points = (edges[:-1] + half)[:, None] + half[:, None] * _U
    return Pieces(edges, points, f(points.ravel()).reshape(points.shape))


def _middle(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Where a piece is cut: at the geometric mean of its ends where these differ by a factor of e^2 or more."""
    far = (low * np.sign(high) > 0) & (np.abs(np.log(np.abs(low) + TINY) - np.log(np.abs(high) + TINY)) > 2)
    return np.where(far, np.sign(low) * np.sqrt(np.abs(low)) * np.sqrt(np.abs(high)), low / 2 + high / 2)


def _rest(values: np.ndarray) -> np.ndarray:
    """float64 [n]: the last coefficients of each series, over the largest value of the piece."""
    top = np.abs(values).max(axis=1)
    return np.abs(values @ _SERIES[-2:].T).max(axis=1) / np.where(top > 0, top, 1.0)

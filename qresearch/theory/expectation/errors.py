"""The errors of numbers in cells: integrals over a density in closed form, and those of single numbers. Host only, float64.

`collect` takes their means over an extreme of a block, from quadrature nodes.

In a cell with one level v the mean square error needs the integrals m0, m1, m2 of p, t p and t^2 p: it is
`m2 - 2 v m1 + v^2 m0`. For the mean absolute error the cell is cut at its level. In a cell of stochastic rounding between a and
b, the expected square of the error of t is `(t - a)(b - t)`, its expected magnitude `2 (t - a)(b - t) / (b - a)`, and the
expected error zero: polynomials of degree two again.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np

from qresearch.densities.density import Density
from qresearch.theory.expectation.cells import Cells

CELLS_PER_CHUNK = 2**17
"""The most cells times nodes that are integrated at once."""

FLOAT32_ROUNDING = 4e-7
"""A single number whose relative error is smaller counts as exact: float32's own rounding may be that large."""

POWER_TAIL_SLOPE = 50
"""A density with a smaller logarithmic slope at its last piece has a power tail, with moments beyond; a normal's is 1,300."""


@dataclass
class Sums:
    """Expected sums for one number, or at each of several nodes; the names are those of `qresearch.measuring.sums`.

    Attributes:
        histogram: float64 [codes], the probability of each code, summed over the nodes with their weights.
        error2: the square of the error; float64, or float64 [nodes].
        abs: its magnitude.
        error: the error, value less number.
        vv: the square of the value.
    """

    histogram: np.ndarray
    error2: Any
    abs: Any
    error: Any
    vv: Any

    def __add__(self, other: Sums) -> Sums:
        return Sums(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __mul__(self, factor: float) -> Sums:
        return Sums(*(getattr(self, f.name) * factor for f in fields(self)))


@dataclass(frozen=True, eq=False)
class Affine:
    """A scheme at nodes: x becomes `y = (x - minimum) / scale`, and a level g of y becomes `g * value_scale + value_minimum`.

    Attributes:
        cells: of y.
        scale: float64 [nodes], not negative.
        value_scale: float64 [nodes].
        minimum: float64 [nodes] or 0.
        value_minimum: float64 [nodes] or 0.
    """

    cells: Cells
    scale: np.ndarray
    value_scale: np.ndarray
    minimum: np.ndarray | float = 0.0
    value_minimum: np.ndarray | float = 0.0

    def part(self, which: slice | np.ndarray) -> Affine:
        """The same at some of the nodes."""
        inside = self.cells
        if inside.edges.ndim == 2:
            inside = Cells(inside.edges[which], inside.low[which], inside.high[which], inside.codes, inside.count)
        shifts = (each[which] if isinstance(each, np.ndarray) else each for each in (self.minimum, self.value_minimum))
        return Affine(inside, self.scale[which], self.value_scale[which], *shifts)

    def edges(self) -> np.ndarray:
        """float64 [nodes, n + 1]: where x changes cells. With a scale of zero every y is a zero with the sign of x."""
        y, s = self.cells.edges, self.scale[:, None]
        with np.errstate(invalid="ignore"):
            x = np.where((s > 0) & np.isfinite(y), y * s, np.where(y == 0, 0.0, np.copysign(np.inf, y)))
        return x + _column(self.minimum)

    def levels(self) -> tuple[np.ndarray, np.ndarray]:
        """Two float64 [nodes, n]: the reconstructed values of the two codes of a cell."""
        s, shift = self.value_scale[:, None], _column(self.value_minimum)
        return self.cells.low * s + shift, self.cells.high * s + shift

    def values(self, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Two float64 [nodes]: the reconstructed values of one cell at each node."""
        low, high = self.cells.low, self.cells.high
        if low.ndim == 2:
            low, high = (np.take_along_axis(v, cell[:, None], 1)[:, 0] for v in (low, high))
        else:
            low, high = low[cell], high[cell]
        return low * self.value_scale + self.value_minimum, high * self.value_scale + self.value_minimum


def _column(number: np.ndarray | float) -> np.ndarray | float:
    return number[:, None] if isinstance(number, np.ndarray) else number


def inside(density: Density, scheme: Affine, low: np.ndarray, high: np.ndarray, weight: np.ndarray) -> Sums:
    """Expected sums (float64 [nodes]) of one number between two limits (float64 [nodes]), given that it lies there.

    `weight`, float64 [nodes], counts only in the histogram.
    """
    step = max(CELLS_PER_CHUNK // (scheme.cells.edges.shape[-1] * 2), 1)
    parts = [slice(i, i + step) for i in range(0, len(low), step)]
    found = [_inside(density, scheme.part(p), low[p], high[p], weight[p]) for p in parts]
    joined = [np.concatenate([getattr(each, name) for each in found]) for name in ("error2", "abs", "error", "vv")]
    return Sums(sum((each.histogram for each in found), np.zeros(scheme.cells.count)), *joined)


def _inside(density: Density, scheme: Affine, low: np.ndarray, high: np.ndarray, weight: np.ndarray) -> Sums:
    edges = np.clip(scheme.edges(), low[:, None], high[:, None])
    below, above = scheme.levels()
    whole = below != above  # stochastic, or NaN where a format overflows
    cut = np.clip(np.where(whole, edges[:, 1:], below), edges[:, :-1], edges[:, 1:])  # cells with one level are cut at it
    points = np.empty((len(edges), 2 * edges.shape[1] - 1))
    points[:, ::2], points[:, 1::2] = edges, cut
    moments = density.along(points)
    left, right = moments[..., ::2], moments[..., 1::2]
    mass = left[0] + right[0]
    random = whole & ~np.isnan(below) & (mass > 0)
    below, above = (np.where(mass > 0, each, 0.0) for each in (below, above))  # no infinities in cells without probability
    up, found = _cell_sums(left, right, below, above, random)
    total = density.between(low, high)[0]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(total > 0, weight / np.where(total > 0, total, 1.0), 0.0)
        sums = [np.where(total > 0, np.sum(each, 1) / total, 0.0) for each in found]
    codes, count = scheme.cells.codes, scheme.cells.count
    return Sums(np.bincount(codes[0], share @ (mass - up), count) + np.bincount(codes[1], share @ up, count), *sums)


def _cell_sums(
    left: np.ndarray, right: np.ndarray, below: np.ndarray, above: np.ndarray, random: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray]]:
    """The probability of the upper level; and the sums over each cell, in the order of `Sums`. All float64 [nodes, n].

    `left` and `right`, float64 [3, nodes, n], are the moments of the parts of a cell below and above its lower level; `random`
    says where the rounding is stochastic.
    """
    m0, m1, m2 = left + right
    with np.errstate(invalid="ignore", divide="ignore"):
        square = m2 - (below + above) * m1 + below * above * m0
        size = below * (left[0] - right[0]) - (left[1] - right[1])
        error, back = below * m0 - m1, below**2 * m0
        up = np.zeros_like(m0)
        if np.any(random):
            gap = np.where(random, above - below, 1.0)
            up = np.where(random, (m1 - below * m0) / gap, 0.0)
            square, size = np.where(random, -square, square), np.where(random, -2 * square / np.abs(gap), size)
            error, back = np.where(random, 0.0, error), back + (above**2 - below**2) * up
        overflow = (m0 > 0) & np.isinf(below)  # where the formulas give infinity less infinity
        square, size, back = (np.where(overflow, np.inf, each) for each in (square, size, back))
        square = np.where(np.isinf(m2), np.inf, np.where(m0 > 0, square, 0.0))
        return up, [square, np.where(m0 > 0, size, 0.0), np.where(overflow, below, error), back]


def at(scheme: Affine, x: np.ndarray, weight: np.ndarray) -> Sums:
    """Expected sums at each node of one given number, `x`, float64 [nodes]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.where(scheme.scale > 0, (x - scheme.minimum) / np.where(scheme.scale > 0, scheme.scale, 1.0), 0.0 * x)
    cell = scheme.cells.find(y)
    below, above = scheme.values(cell)
    up = np.where(below == above, 0.0, (x - below) / np.where(below == above, 1.0, above - below))
    errors = [np.where(np.abs(v - x) > FLOAT32_ROUNDING * np.abs(x), v - x, 0.0) for v in (below, above)]
    square, size, error = ((1 - up) * f(errors[0]) + up * f(errors[1]) for f in (np.square, np.abs, np.positive))
    codes = scheme.cells.codes[:, cell]
    count = scheme.cells.count
    histogram = np.bincount(codes[0], weight * (1 - up), count) + np.bincount(codes[1], weight * up, count)
    return Sums(histogram, square, size, error, (1 - up) * below**2 + up * above**2)


class Part(NamedTuple):
    """Expected sums at nodes of an extreme.

    Attributes:
        sums: at the nodes.
        weight: float64 [nodes], the quadrature weights.
        piece: int [nodes], the piece of the extreme that each belongs to, counted outward.
    """

    sums: Sums
    weight: np.ndarray
    piece: np.ndarray


def collect(parts: list[Part], density: Density, pieces: int) -> Sums:
    """Means over an extreme that has `pieces` pieces: the sums at the nodes times their weights, for numbers of a density."""
    length = 1 + max(int(part.piece.max(initial=0)) for part in parts)
    endless = length > pieces - 4 and any(tail.height and tail.slope < POWER_TAIL_SLOPE for tail in density.tails)
    totals = []
    for name in ("error2", "abs", "error", "vv"):
        each = np.zeros(length)
        for part in parts:
            each += np.bincount(part.piece, getattr(part.sums, name) * part.weight, length)
        totals.append(_extrapolated(each) if endless else np.sum(each))
    return Sums(np.sum([part.sums.histogram for part in parts], axis=0), *totals)


def _extrapolated(each: np.ndarray) -> np.float64:
    """The sum of what the pieces add, and of what lies beyond the last one.

    Where the pieces fall slowly to the end, as for a power tail against its moments, the rest is a geometric series; it is
    infinite where they do not fall.
    """
    total, far = np.float64(np.sum(each)), np.abs(each[-8:-3])  # the last pieces may be shorter
    if len(far) < 5 or not np.isfinite(total) or far[-1] <= 1e-13 * np.sum(np.abs(each[:-3])):
        return total
    with np.errstate(divide="ignore"):
        ratios = far[1:] / far[:-1]
    if np.all(ratios[:3] > 0.99):  # they fall as e^(step (2 - 2 df) / df) for a mean square with the tail m^(1 - 2 df)
        return np.float64(np.copysign(np.inf, total))
    if np.any(ratios < 0.5) or np.any(ratios > 1.5):
        return total
    return np.float64(np.sum(each[:-3]) + each[-4] * ratios[-1] / (1 - ratios[-1]))

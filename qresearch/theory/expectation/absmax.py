"""Expected errors of blocks that are scaled by their largest magnitude, with its sign or without. Host only, float64.

A mean over the block's maximum m. Given m, one element is m or -m; the other B - 1 are independent, with the density cut off at
-m and m. The stored scale is a function of m, so the integral is cut where it jumps, and where m or -m passes from one cell to
the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre

from qresearch.densities.block_extremes import NEGLIGIBLE_SHARE, beyond, magnitude_pieces, none_beyond, squared_share
from qresearch.densities.density import Density
from qresearch.densities.quadrature import gauss_legendre, on_intervals, on_some
from qresearch.theory.expectation import errors
from qresearch.theory.expectation.cells import Cells
from qresearch.theory.expectation.errors import Affine, Part, Sums, collect
from qresearch.theory.expectation.float32 import largest_quotient
from qresearch.theory.expectation.stored import Stored

NODES_PER_PIECE = 8
"""Gauss-Legendre points on each piece of the maximum."""

NODES_PER_SHORT_PIECE = 3
"""The same on pieces that the scale's jumps have cut to less than a quarter."""

LARGEST_DEVIATION = 0.004
"""The largest relative deviation of a stored scale for which polynomials of degree two are used."""

MOST_JUMPS = 200_000
"""The most jumps at which the integral is cut; with more, as for 19 bits and heavy tails, only the likely pieces are cut."""


@dataclass(frozen=True, eq=False)
class Scaled:
    """A symmetric scheme in blocks scaled by their largest magnitude.

    Attributes:
        cells: of the element.
        gain: a block's scale over its maximum, before it is stored.
        stored: from a scale to its stored value.
        signed: whether the scale has the sign of the number of largest magnitude.
        exact: whether encoding uses the scale before it is stored.
        divided: whether the scale is the maximum divided by `1 / gain`, rather than multiplied by `gain`.
    """

    cells: Cells
    gain: float
    stored: Stored
    signed: bool
    exact: bool
    divided: bool = False

    def deviations(self, m: np.ndarray) -> Sequence[tuple[float, np.ndarray | float]]:
        """How far maxima over their scale are from the end of the grid, relative; each with its probability at the nodes.

        It matters only where a threshold lies on that end, as with `~toward_zero`: then float32's rounding decides into which
        cell a maximum falls. Elsewhere it is 0 with probability 1.
        """
        return largest_quotient(self.gain, self.divided).at(m) if self.decided_by_float32 else [(0.0, 1.0)]

    @property
    def decided_by_float32(self) -> bool:
        """Whether a threshold lies on the end of the grid, and the maximum over its scale too, but for float32's rounding."""
        end, edges = abs(1 / self.gain), np.abs(self.cells.edges[1:-1])
        on_end = np.any(np.abs(edges - end) <= errors.FLOAT32_ROUNDING * end)
        return bool((self.stored.values is None or self.exact) and on_end)

    def at(self, m: np.ndarray, sign: float) -> Affine:
        """The scheme where the element of largest magnitude is `sign * m`, float64 [nodes]."""
        raw = m * self.gain * (sign if self.signed else 1.0)
        value = self.stored(raw)
        scale, turned = (raw if self.exact else value), bool(len(raw) and raw[0] < 0)
        return Affine(self.cells.mirrored() if turned else self.cells, np.abs(scale), -value if turned else value)

    def jumps(self, low: float, high: float, sign: float) -> np.ndarray:
        """float64, ascending: the maxima between `low` and `high` at which the scale, or the cell of m or of -m, changes."""
        unit = self.gain * (sign if self.signed else 1.0)
        ends = sorted((low * unit, high * unit))
        found = np.sort(self.stored.jumps(*ends) / unit)
        if self.decided_by_float32:
            found = np.union1d(found, largest_quotient(self.gain, self.divided).jumps(low, high))
        if self.stored.values is None:
            return found
        starts, stops = np.append(low, found), np.append(found, high)
        at_stairs = self.at((starts + stops) / 2, sign)
        scale, crossed = at_stairs.value_scale, [found]
        safe = np.where(scale > 0, scale, np.inf)
        for cells in (at_stairs.cells, at_stairs.cells.mirrored()):
            each, numbers = cells.crossed(starts / safe, stops / safe)
            crossed.append(numbers * scale[each])
        return np.unique(np.concatenate(crossed))


def expected(density: Density, scheme: Scaled, block: int, finer: int = 1) -> Sums:
    """Expected sums of one element of a block of `block` elements; `finer` multiplies the number of quadrature points."""
    if not scheme.signed:
        return _branch(density, scheme, block, (1.0, -1.0), finer)
    plus = _branch(density, scheme, block, (1.0,), finer)
    if not density.symmetric:
        return plus + _branch(density, scheme, block, (-1.0,), finer)
    zero = 0 * plus.error  # a block and its negative have the same codes and opposite errors
    return Sums(2 * plus.histogram, 2 * plus.error2, 2 * plus.abs, zero, 2 * plus.vv)


def _branch(density: Density, scheme: Scaled, block: int, signs: tuple[float, ...], finer: int) -> Sums:
    """The blocks whose element of largest magnitude has one of these signs; the scale has the first."""
    ends = magnitude_pieces(density, block)
    if not np.any(density.pdf(signs[0] * ends) + density.pdf(signs[-1] * ends)):
        return Sums(np.zeros(scheme.cells.count), *np.zeros(4))  # no number has that sign
    m, length, piece = _nodes(density, scheme, block, ends, signs[0], finer)
    falling = none_beyond(beyond(density, m), block - 1) * length
    weights = [density.pdf(sign * m) * falling for sign in signs]  # of one element being the largest, and m
    others = (block - 1) * sum(weights[1:], weights[0])
    kept = block * sum(weights[1:], weights[0]) * squared_share(density, m) > NEGLIGIBLE_SHARE
    m, piece, others, weights = m[kept], piece[kept], others[kept], [w[kept] for w in weights]
    affine = scheme.at(m, signs[0])
    parts = _others(density, scheme, signs[0], Nodes(m, others, piece), ends, finer)
    for off, chance in scheme.deviations(m):
        for sign, weight in zip(signs, weights, strict=True):
            parts.append(Part(errors.at(affine, sign * m * (1 + off), weight * chance), weight * chance, piece))
    return collect(parts, density, len(ends) - 1)


class Nodes(NamedTuple):
    """Points of the maximum, their weights, and the pieces they belong to, in order."""

    m: np.ndarray
    weight: np.ndarray
    piece: np.ndarray


def _others(density: Density, scheme: Scaled, sign: float, nodes: Nodes, ends: np.ndarray, finer: int) -> list[Part]:
    """The elements other than the largest.

    Where the stored scale has many small stairs, their sums are not a smooth function of m, but of m and of the scale's small
    relative deviation by storing. So they are computed at a few points of each and interpolated (`_interpolated`).
    """
    m, weight, piece = nodes
    affine = scheme.at(m, sign)
    deviation = affine.value_scale / (m * abs(scheme.gain)) - 1
    stairs = np.bincount(piece, minlength=len(ends)) > 6 * NODES_PER_PIECE * finer
    fine = stairs[piece] & (np.abs(deviation) <= LARGEST_DEVIATION)
    parts, few = [], np.flatnonzero(~fine)
    if len(few):
        parts.append(Part(errors.inside(density, affine.part(few), -m[few], m[few], weight[few]), weight[few], piece[few]))
    if np.any(fine):
        parts.append(_interpolated(density, affine, scheme, Nodes(*(e[fine] for e in nodes)), deviation[fine], ends, finer))
    return parts


def _interpolated(
    density: Density, affine: Affine, scheme: Scaled, nodes: Nodes, deviation: np.ndarray, ends: np.ndarray, finer: int
) -> Part:
    """Sums by polynomials in m and in the deviation of the scale: the weights of the nodes are transferred to a few points."""
    m, weight, piece = nodes
    points = NODES_PER_PIECE * finer
    used, starts = np.unique(piece, return_index=True)
    most = np.maximum(np.maximum.reduceat(np.abs(deviation), starts), 1e-300)
    u = (m - ends[piece]) / np.diff(ends)[piece]
    at_points = legendre.legvander(2 * gauss_legendre(points)[0] - 1, points - 1)
    along = legendre.legvander(2 * u - 1, points - 1) @ np.linalg.inv(at_points)
    t = deviation / np.repeat(most, np.diff(np.append(starts, len(piece))))
    across = np.stack([t * (t - 1) / 2, 1 - t**2, t * (t + 1) / 2], axis=1)
    shares = np.add.reduceat(weight[:, None, None] * along[:, :, None] * across[:, None, :], starts).ravel()
    at, _ = on_intervals(ends[used], ends[used + 1], points)
    at, off = (each.ravel() for each in np.broadcast_arrays(at[..., None], np.multiply.outer(most, [[-1.0, 0.0, 1.0]])))
    plain = at * abs(scheme.gain)
    moved = replace(affine, scale=plain if scheme.exact else plain * (1 + off), value_scale=plain * (1 + off))
    return Part(errors.inside(density, moved, -at, at, shares), shares, np.repeat(used, 3 * points))


def _nodes(density: Density, scheme: Scaled, block: int, ends: np.ndarray, sign: float, finer: int) -> Nodes:
    """Quadrature over the maximum."""
    jumps = scheme.jumps(ends[0], ends[-1], sign)
    if len(jumps) > MOST_JUMPS:
        jumps = _in_likely_pieces(jumps, density, block, ends)
    cuts = np.unique(np.concatenate([ends, jumps]))
    low, high = cuts[:-1], cuts[1:]
    piece = np.searchsorted(ends, low, side="right") - 1
    short = high - low < np.diff(ends)[piece] / 4
    points, weights, at = on_some(low, high, short, NODES_PER_PIECE * finer, NODES_PER_SHORT_PIECE + finer - 1)
    order = np.argsort(points)
    return Nodes(points[order], weights[order], piece[at[order]])


def _in_likely_pieces(jumps: np.ndarray, density: Density, block: int, ends: np.ndarray) -> np.ndarray:
    """The jumps in the pieces that weigh most in a mean square, up to the number allowed."""
    weight = np.diff(none_beyond(beyond(density, ends), block)) * squared_share(density, ends[1:])
    piece = np.clip(np.searchsorted(ends, jumps, side="right") - 1, 0, len(weight) - 1)
    heaviest = np.argsort(-weight)
    allowed = heaviest[np.cumsum(np.bincount(piece, minlength=len(weight))[heaviest]) <= MOST_JUMPS]
    return jumps[np.isin(piece, allowed)]

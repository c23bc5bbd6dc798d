"""Expected errors of blocks that are scaled by their least and largest number. Host only, float64.

The least number a of B has the density `B p(a) (1 - F(a))^(B - 1)`; given a, the largest number b of the other B - 1 has
`(B - 1) p(b) (F(b) - F(a))^(B - 2) / (1 - F(a))^(B - 1)`; given both, the others are independent, cut off at a and b. The mean
over a is outside and the one over b inside, cut wherever the scheme jumps: where the stored scale does, where the integer zero
point does, and where b passes from one cell to the next. These places hang on a, so for each a the inner integral is another
one; all of them are taken at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from qresearch.densities.block_extremes import largest_pieces, least_pieces, magnitude_pieces, none_beyond, squared_share
from qresearch.densities.density import Density
from qresearch.densities.quadrature import on_intervals
from qresearch.element.rounding import Rounding
from qresearch.theory.expectation import errors
from qresearch.theory.expectation.cells import Cells, integer_cells, window
from qresearch.theory.expectation.collect import Part, collect
from qresearch.theory.expectation.errors import Affine, Sums
from qresearch.theory.expectation.stored import Stored

NODES = 4
"""Gauss-Legendre points of a piece of either end."""

FEW = 2
"""The same where jumps cut such a piece into shorter ones."""

MOST = 600
"""The most jumps that cut; where a storage has more of them they are so small that the points need not heed them."""

COARSE = 20
"""The most stairs on which the passing of an end from cell to cell cuts as well."""

FEW_JUMPS = 300
"""The most jumps in the least number that cut: a stored minimum has small ones."""

FINE = 100
"""From so many codes on only the ends need the cuts at jumps: to the numbers between them, a shifted grid is the same."""

CHUNK = 2**20
"""The most cells times nodes that are held at once."""

NEGLIGIBLE = 1e-12
"""Weights of points that are left out."""

RARE = 1e-8
"""Blocks that are too rare to change an expectation."""


class Ranged(Protocol):
    """A scheme whose blocks are described by their least and largest number."""

    @property
    def steps(self) -> int:
        """How many codes there are, less one."""

    def decided_by_rounding(self, density: Density, block: int) -> bool:
        """Whether an end of the range lies on a threshold, so that the rounding of scale or minimum decides about its code."""

    def at(self, least: np.ndarray, largest: np.ndarray) -> Affine:
        """The scheme in blocks from `least` to `largest`, float64 [nodes]."""

    def outer_jumps(self, low: float, high: float) -> np.ndarray:
        """Where the scheme jumps in the least number, whatever the largest: between two numbers, float64 [jumps]."""

    def inner_jumps(self, least: np.ndarray, low: float, high: float) -> np.ndarray:
        """Where it jumps in the largest number, between two numbers, for each least one: float64 [nodes] -> [nodes, jumps]."""


@dataclass(frozen=True, eq=False)
class ZeroPoints:
    """Integers with an integer zero point; the range includes zero.

    Attributes:
        steps: how many codes there are, less one.
        rounding: of the element.
        stored: what the storage makes of a scale.
        exact: whether encoding uses the scale before it is stored.
    """

    steps: int
    rounding: Rounding
    stored: Stored
    exact: bool

    def decided_by_rounding(self, density: Density, block: int) -> bool:
        """Only in blocks of one sign: there the end of the range that is not zero is a whole number of steps."""
        positive, negative = (float(side[0]) ** block for side in (density.above(0.0), density.below(0.0)))
        upper, lower = (_on_threshold(self.rounding, self.steps, first, end) for first, end in ((0, 1), (-self.steps, -1)))
        return (upper and positive > RARE) or (lower and negative > RARE)

    def at(self, least: np.ndarray, largest: np.ndarray) -> Affine:
        """The code of zero is the least one, less the rounded quotient of the lower end of the range."""
        low, high = np.minimum(least, 0.0), np.maximum(largest, 0.0)
        raw = (high - low) / self.steps
        value = self.stored(raw)
        scale = raw if self.exact else value
        turns = np.rint(np.divide(low, scale, out=np.zeros_like(low), where=scale > 0))
        first = np.clip(turns, -self.steps, 0).astype(int)
        return Affine(window(integer_cells(self.rounding, self.steps + 1), self.steps + 1, first, self.steps + 1), scale, value)

    def outer_jumps(self, low: float, high: float) -> np.ndarray:
        """Zero, beyond which the range does not shrink; where the zero point changes on each stair of a stored scale."""
        scales = np.empty(0) if self.exact or self.stored.values is None else self.stored.values
        scales = scales[(scales < -2 * low) & (scales * (self.steps + 1) > max(-high, -1e-3 * low))]
        turns = np.arange(-2.0 * self.steps - 1, 1) / 2
        if scales.size > COARSE:
            turns = turns[:0]
        found = np.append(np.multiply.outer(scales, turns).ravel(), 0.0)
        return found[(found > low) & (found < high)]

    def inner_jumps(self, least: np.ndarray, low: float, high: float) -> np.ndarray:
        """Zero; where the zero point changes, and the sign of the error of the ends, if the encoding scale is the range itself;
        where the stored scale jumps.
        """
        start = np.minimum(least, 0.0)[:, None]
        found = [np.zeros_like(start)]
        if self.exact or self.stored.values is None or self.stored.values.size > MOST:
            found.append(-start * (self.steps / (np.arange(1, 2 * self.steps) / 2) - 1))
        wide = integer_cells(self.rounding, self.steps + 1)
        found += _stairs(self.stored, start, self.steps, 0.0 * start, None if self.exact else wide, (low, high))
        return np.concatenate(found, axis=1)


@dataclass(frozen=True, eq=False)
class Minima:
    """Integers from a free minimum.

    Attributes:
        steps: how many codes there are, less one.
        rounding: of the element.
        stored: what the storage makes of a scale.
        minimum: what the storage makes of a minimum.
        exact: whether encoding uses scale and minimum before they are stored.
    """

    steps: int
    rounding: Rounding
    stored: Stored
    minimum: Stored
    exact: bool

    def decided_by_rounding(self, density: Density, block: int) -> bool:
        """At the upper end always; at the lower one where the minimum is stored with an error: before that it is exactly 0."""
        upper, lower = (_on_threshold(self.rounding, self.steps, 0, end) for end in (1, 0))
        return upper or (lower and self.minimum.values is not None and not self.exact)

    def at(self, least: np.ndarray, largest: np.ndarray) -> Affine:
        """The scale spans what lies above the stored minimum (`exact`: above the true one)."""
        kept = self.minimum(least)
        start = least if self.exact else kept
        raw = np.maximum(largest - start, 0.0) / self.steps
        value = self.stored(raw)
        found = window(integer_cells(self.rounding, self.steps + 1), self.steps + 1, np.zeros(1, int), self.steps + 1)
        flat = Cells(found.edges[0], found.low[0], found.high[0], found.codes, found.count)
        return Affine(flat, raw if self.exact else value, value, start, kept)

    def outer_jumps(self, low: float, high: float) -> np.ndarray:
        """Where the stored minimum jumps."""
        return self.minimum.jumps(low, high)

    def inner_jumps(self, least: np.ndarray, low: float, high: float) -> np.ndarray:
        """Where the stored scale jumps, and where the largest number passes from one cell to the next."""
        start = (least if self.exact else self.minimum(least))[:, None]
        wide = None if self.exact else integer_cells(self.rounding, self.steps + 1)
        return np.concatenate([start, *_stairs(self.stored, start, self.steps, start, wide, (low, high))], axis=1)


def _on_threshold(rounding: Rounding, steps: int, first: int, end: int) -> bool:
    """Whether there is a threshold at `end * steps` between the codes of the integers from `first` on."""
    if rounding.stochastic:
        return False
    edges = window(integer_cells(rounding, steps + 1), steps + 1, np.array([first]), steps + 1).edges[0, 1:-1]
    return bool(np.any(np.abs(edges - end * steps) <= errors.FLOAT32 * steps))


def _stairs(
    storage: Stored, start: np.ndarray, steps: int, minimum: np.ndarray, wide: Cells | None, limits: tuple[float, float]
) -> list[np.ndarray]:
    """Where the stored scale of the range from `start` (float64 [nodes, 1]) jumps; and, on each stair, where the upper end of
    the range, less `minimum` and over the scale, passes an edge or a level of the cells.
    """
    if storage.values is None:
        return []
    least = max(limits[0] - float(start.max()), 0.0)
    low, high = np.searchsorted(storage.edges, [least / steps, (limits[1] - float(start.min())) / steps])
    low = max(int(low) - 1, 0)
    edges, scales = storage.edges[low : int(high) + 1], storage.values[low : int(high)]
    inner = edges[np.isfinite(edges)]
    if inner.size > MOST:
        return []
    found = [start + steps * inner]
    turns = np.empty(0) if wide is None else np.unique(np.concatenate([wide.edges[1:-1], wide.low]))
    if scales.size <= COARSE:
        passed = minimum[..., None] + scales[:, None] * turns  # [nodes, stairs, turns]
        ranges = passed - start[..., None]
        here = (ranges > steps * edges[:-1, None]) & (ranges < steps * edges[1:, None])
        found.append(np.where(here, passed, start[..., None]).reshape(len(start), -1))
    return found


def expected(density: Density, scheme: Ranged, block: int, finer: int = 1) -> Sums:
    """Expected sums of one element of a block.

    Args:
        density: of the numbers.
        scheme: their scheme.
        block: the elements of a block, at least 2.
        finer: how many times as many quadrature points in each direction, for an estimate of the error.
    """
    cut = _nodes(density, scheme, block, NODES * finer, FEW * finer)
    whole = cut if scheme.steps < FINE else _nodes(density, None, block, NODES * finer, FEW * finer)
    parts = []
    for nodes, inner in ((whole, True), (cut, False)):
        step = max(CHUNK // (scheme.steps + 1), 1)
        for first in range(0, len(nodes[0]), step):
            least, largest, weight = (each[first : first + step] for each in nodes)
            scaled = scheme.at(least, largest)
            piece = np.searchsorted(magnitude_pieces(density, block), np.maximum(np.abs(least), np.abs(largest)))
            if inner and block > 2:
                others = weight * ((block - 2) / block)
                parts.append(Part(errors.inside(density, scaled, least, largest, others), others, piece))
            elif not inner:
                parts += [Part(errors.at(scaled, end, weight / block), weight / block, piece) for end in (least, largest)]
    return collect(parts, density, len(magnitude_pieces(density, block)))


def _nodes(
    density: Density, scheme: Ranged | None, block: int, many: int, few: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points of the least and the largest number of a block, and their weights; cut at the jumps of a scheme, if any."""
    ends = least_pieces(density, block)
    jumps = np.zeros(1) if scheme is None else scheme.outer_jumps(ends[0], ends[-1])
    cuts = np.unique(np.concatenate([ends, jumps])) if len(jumps) <= FEW_JUMPS else ends
    low, length = (each.ravel() for each in on_intervals(cuts[:-1], cuts[1:], many))
    tail = density.below(low)[0]
    outer = block * density.pdf(low) * none_beyond(tail, block - 1) * length
    low, length, tail = (each[outer > NEGLIGIBLE] for each in (low, length, tail))

    ends = largest_pieces(density, block - 1)
    jumps = np.zeros((len(low), 1)) if scheme is None else scheme.inner_jumps(low, ends[0], ends[-1])
    cuts = np.concatenate([np.broadcast_to(ends, (len(low), len(ends))), jumps], axis=1)
    cuts = np.sort(np.clip(cuts, np.maximum(low, ends[0])[:, None], max(ends[-1], low.max())), axis=1)
    which, piece = np.nonzero(np.diff(cuts) > 0)
    start, stop = cuts[which, piece], cuts[which, piece + 1]
    whole = np.diff(ends)[np.clip(np.searchsorted(ends, start, side="right") - 1, 0, len(ends) - 2)]
    found = []
    for chosen, nodes in ((stop - start >= whole / 4, many), (stop - start < whole / 4, few)):
        points, lengths = on_intervals(start[chosen], stop[chosen], nodes)
        found.append((np.repeat(which[chosen], nodes), points.ravel(), lengths.ravel()))
    which, high, inner = (np.concatenate(each) for each in zip(*found, strict=True))
    weight = density.pdf(low)[which] * length[which] * density.pdf(high) * inner
    weight *= block * (block - 1.0) * none_beyond(tail[which] + density.above(high)[0], block - 2)
    kept = weight * squared_share(density, np.maximum(np.abs(low[which]), np.abs(high))) > NEGLIGIBLE
    return low[which[kept]], high[kept], weight[kept]

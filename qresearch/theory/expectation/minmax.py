"""Expected errors of blocks that are scaled by their least and largest number. Host only, float64.

The least number a of B has the density `B p(a) (1 - F(a))^(B - 1)`; given a, the largest number b of the other B - 1 has
`(B - 1) p(b) (F(b) - F(a))^(B - 2) / (1 - F(a))^(B - 1)`; given both, the others are independent, with the density cut off at a
and b. The outer mean is over a and the inner one over b, cut wherever the scheme jumps: where the stored scale or the integer
zero point does, and where b changes cells. These places depend on a; the inner integrals for all a are computed at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from qresearch.densities.block_extremes import largest_pieces, least_pieces, magnitude_pieces, none_beyond, squared_share
from qresearch.densities.density import Density
from qresearch.densities.quadrature import on_intervals, on_some
from qresearch.element.rounding import Rounding
from qresearch.theory.expectation import errors
from qresearch.theory.expectation.cells import Cells, integer_cells, window
from qresearch.theory.expectation.errors import Affine, Part, Sums, collect
from qresearch.theory.expectation.stored import Stored

NODES_PER_PIECE = 4
"""Gauss-Legendre points on each piece of either end."""

NODES_PER_SHORT_PIECE = 2
"""The same on pieces that jumps have cut to less than a quarter."""

MOST_OUTER_JUMPS = 300
"""With more jumps in the least number, as from a stored minimum, integrals are not cut at them: they are small."""

MANY_STEPS = 100
"""From this many steps on only the ends of the range need the cuts at jumps: a shifted grid hardly changes the other errors."""

CELLS_PER_CHUNK = 2**20
"""The most cells times nodes that are held at once."""

NEGLIGIBLE_WEIGHT = 1e-12
"""Points with less weight are left out."""

MOST_JUMPS = 600
"""A storage with more jumps than this is not cut at them: they are too small to matter."""

MOST_STAIRS = 20
"""With up to this many values of the stored scale, integrals are also cut where an end of the range changes cells."""

RARE_PROBABILITY = 1e-8
"""Blocks that are less probable than this are ignored."""


@dataclass(frozen=True, eq=False)
class Ranged(ABC):
    """A scheme whose scale and offset are functions of the least and the largest number of a block.

    Attributes:
        steps: the number of codes less one.
        rounding: of the element.
        stored: what the storage makes of a scale.
        exact: whether encoding uses scale and offset before they are stored.
    """

    steps: int
    rounding: Rounding
    stored: Stored
    exact: bool

    @abstractmethod
    def decided_by_rounding(self, density: Density, block: int) -> bool:
        """Whether an end of the range lies on a threshold, so that the rounding of scale or minimum decides its code."""

    @abstractmethod
    def at(self, least: np.ndarray, largest: np.ndarray) -> Affine:
        """The scheme in blocks from `least` to `largest`, float64 [nodes]."""

    @abstractmethod
    def outer_jumps(self, low: float, high: float) -> np.ndarray:
        """float64 [jumps]: where the scheme jumps in the least number, for any largest one; between `low` and `high`."""

    @abstractmethod
    def inner_jumps(self, least: np.ndarray, low: float, high: float) -> np.ndarray:
        """float64 [nodes, jumps]: where it jumps in the largest number between `low` and `high`, for each least one."""

    @property
    def wide(self) -> Cells:
        """The cells of all integers that codes may stand for."""
        return integer_cells(self.rounding, self.steps + 1)

    def window(self, first: np.ndarray) -> Cells:
        """The cells of the codes, where the least code stands for the integer `first`, int [nodes]."""
        return window(self.wide, self.steps + 1, first, self.steps + 1)

    def on_threshold(self, first: int, end: int) -> bool:
        """Whether there is a threshold at `end * steps` between the codes of the integers from `first` on."""
        if self.rounding.stochastic:
            return False
        edges = self.window(np.array([first])).edges[0, 1:-1]
        return bool(np.any(np.abs(edges - end * self.steps) <= errors.FLOAT32_ROUNDING * self.steps))

    def _stairs(self, start: np.ndarray, minimum: np.ndarray, limits: tuple[float, float]) -> list[np.ndarray]:
        """Where the stored scale of the range from `start` (float64 [nodes, 1]) jumps.

        Unless the scheme is `exact`, for each value of the scale also where the upper end of the range, less `minimum` and over
        the scale, passes an edge or a level of the integers' cells.
        """
        if self.stored.values is None:
            return []
        least = max(limits[0] - float(start.max()), 0.0)
        low, high = np.searchsorted(self.stored.edges, [least / self.steps, (limits[1] - float(start.min())) / self.steps])
        low = max(int(low) - 1, 0)
        edges, scales = self.stored.edges[low : int(high) + 1], self.stored.values[low : int(high)]
        inner = edges[np.isfinite(edges)]
        if inner.size > MOST_JUMPS:
            return []
        found = [start + self.steps * inner]
        turns = np.empty(0) if self.exact else np.unique(np.concatenate([self.wide.edges[1:-1], self.wide.low]))
        if scales.size <= MOST_STAIRS:
            passed = minimum[..., None] + scales[:, None] * turns  # [nodes, stairs, turns]
            ranges = passed - start[..., None]
            here = (ranges > self.steps * edges[:-1, None]) & (ranges < self.steps * edges[1:, None])
            found.append(np.where(here, passed, start[..., None]).reshape(len(start), -1))
        return found


class ZeroPoints(Ranged):
    """Integers with an integer zero point; the range includes zero."""

    def decided_by_rounding(self, density: Density, block: int) -> bool:
        """Only in blocks of one sign, where the other end of the range is a whole number of steps from zero."""
        positive, negative = (float(side[0]) ** block for side in (density.above(0.0), density.below(0.0)))
        upper, lower = (self.on_threshold(first, end) for first, end in ((0, 1), (-self.steps, -1)))
        return (upper and positive > RARE_PROBABILITY) or (lower and negative > RARE_PROBABILITY)

    def at(self, least: np.ndarray, largest: np.ndarray) -> Affine:
        """The zero point is the least code less the rounded quotient of the lower end of the range by the scale."""
        low, high = np.minimum(least, 0.0), np.maximum(largest, 0.0)
        raw = (high - low) / self.steps
        value = self.stored(raw)
        scale = raw if self.exact else value
        turns = np.rint(np.divide(low, scale, out=np.zeros_like(low), where=scale > 0))
        first = np.clip(turns, -self.steps, 0).astype(int)
        return Affine(self.window(first), scale, value)

    def outer_jumps(self, low: float, high: float) -> np.ndarray:
        """Zero, where the range stops shrinking; and where the zero point changes, for each value of a stored scale."""
        scales = np.empty(0) if self.exact or self.stored.values is None else self.stored.values
        scales = scales[(scales < -2 * low) & (scales * (self.steps + 1) > max(-high, -1e-3 * low))]
        turns = np.arange(-2.0 * self.steps - 1, 1) / 2
        if scales.size > MOST_STAIRS:
            turns = turns[:0]
        found = np.append(np.multiply.outer(scales, turns).ravel(), 0.0)
        return found[(found > low) & (found < high)]

    def inner_jumps(self, least: np.ndarray, low: float, high: float) -> np.ndarray:
        """Zero, and where the stored scale jumps.

        Where the encoding scale is the range itself: also where the zero point changes, and where the error of an end changes
        its sign.
        """
        start = np.minimum(least, 0.0)[:, None]
        found = [np.zeros_like(start)]
        if self.exact or self.stored.values is None or self.stored.values.size > MOST_JUMPS:
            found.append(-start * (self.steps / (np.arange(1, 2 * self.steps) / 2) - 1))
        return np.concatenate([*found, *self._stairs(start, 0.0 * start, (low, high))], axis=1)


@dataclass(frozen=True, eq=False)
class Minima(Ranged):
    """Integers from a free minimum. `minimum` is what the storage makes of it."""

    minimum: Stored

    def decided_by_rounding(self, density: Density, block: int) -> bool:
        """At the upper end always; at the lower one where the minimum is rounded when it is stored."""
        upper, lower = (self.on_threshold(0, end) for end in (1, 0))
        return upper or (lower and self.minimum.values is not None and not self.exact)

    def at(self, least: np.ndarray, largest: np.ndarray) -> Affine:
        """The scale spans the range above the stored minimum (`exact`: above the true one)."""
        kept = self.minimum(least)
        start = least if self.exact else kept
        raw = np.maximum(largest - start, 0.0) / self.steps
        value = self.stored(raw)
        found = self.window(np.zeros(1, int))
        flat = Cells(found.edges[0], found.low[0], found.high[0], found.codes, found.count)
        return Affine(flat, raw if self.exact else value, value, start, kept)

    def outer_jumps(self, low: float, high: float) -> np.ndarray:
        """Where the stored minimum jumps."""
        return self.minimum.jumps(low, high)

    def inner_jumps(self, least: np.ndarray, low: float, high: float) -> np.ndarray:
        """Where the stored scale jumps, and where the largest number passes from one cell to the next."""
        start = (least if self.exact else self.minimum(least))[:, None]
        return np.concatenate([start, *self._stairs(start, start, (low, high))], axis=1)


def expected(density: Density, scheme: Ranged, block: int, finer: int = 1) -> Sums:
    """Expected sums of one element of a block of at least 2; `finer` multiplies the quadrature points in each direction."""
    cut = _nodes(density, scheme, block, finer)
    whole = cut if scheme.steps < MANY_STEPS else _nodes(density, None, block, finer)
    parts = []
    for nodes, inner in ((whole, True), (cut, False)):
        step = max(CELLS_PER_CHUNK // (scheme.steps + 1), 1)
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


def _nodes(density: Density, scheme: Ranged | None, block: int, finer: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points of the least and of the largest number of a block, and their weights; cut at the jumps of a scheme, if given."""
    many, few = NODES_PER_PIECE * finer, NODES_PER_SHORT_PIECE * finer
    ends = least_pieces(density, block)
    jumps = np.zeros(1) if scheme is None else scheme.outer_jumps(ends[0], ends[-1])
    cuts = np.unique(np.concatenate([ends, jumps])) if len(jumps) <= MOST_OUTER_JUMPS else ends
    low, length = (each.ravel() for each in on_intervals(cuts[:-1], cuts[1:], many))
    tail = density.below(low)[0]
    outer = block * density.pdf(low) * none_beyond(tail, block - 1) * length
    low, length, tail = (each[outer > NEGLIGIBLE_WEIGHT] for each in (low, length, tail))

    ends = largest_pieces(density, block - 1)
    jumps = np.zeros((len(low), 1)) if scheme is None else scheme.inner_jumps(low, ends[0], ends[-1])
    cuts = np.concatenate([np.broadcast_to(ends, (len(low), len(ends))), jumps], axis=1)
    cuts = np.sort(np.clip(cuts, np.maximum(low, ends[0])[:, None], max(ends[-1], low.max())), axis=1)
    which, piece = np.nonzero(np.diff(cuts) > 0)
    start, stop = cuts[which, piece], cuts[which, piece + 1]
    whole = np.diff(ends)[np.clip(np.searchsorted(ends, start, side="right") - 1, 0, len(ends) - 2)]
    high, inner, at = on_some(start, stop, stop - start < whole / 4, many, few)
    which = which[at]
    weight = density.pdf(low)[which] * length[which] * density.pdf(high) * inner
    weight *= block * (block - 1.0) * none_beyond(tail[which] + density.above(high)[0], block - 2)
    kept = weight * squared_share(density, np.maximum(np.abs(low[which]), np.abs(high))) > NEGLIGIBLE_WEIGHT
    return low[which[kept]], high[kept], weight[kept]

"""Expected errors of blocks that are scaled by their least and largest number. Host only, float64.

The least number a of B has the density `B p(a) (1 - F(a))^(B - 1)`; given a, the largest number b of the other B - 1 has
`(B - 1) p(b) (F(b) - F(a))^(B - 2) / (1 - F(a))^(B - 1)`; given both, the others are independent, with the density cut off at a
and b. The outer mean is over a and the inner one over b, cut wherever the scheme jumps: where the stored scale or the integer
zero point does, and where a or b changes cells. These places depend on a; the inner integrals for all a are computed at once.
Where a storage has too many stairs for cuts, there is one such integral for each phase of its rounding (`Stored.phases`).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from qresearch.densities.block_extremes import largest_pieces, least_pieces, magnitude_pieces, none_beyond, squared_share
from qresearch.densities.density import Density
from qresearch.densities.quadrature import on_intervals, on_some
from qresearch.theory.expectation import errors
from qresearch.theory.expectation.errors import Part, Sums, collect
from qresearch.theory.expectation.ranges import MANY_STEPS, MOST_OUTER_JUMPS, Ranged

NODES_PER_PIECE = 4
"""Gauss-Legendre points on each piece of either end."""

NODES_PER_SHORT_PIECE = 2
"""The same on pieces that jumps have cut to less than a quarter."""

CELLS_PER_CHUNK = 2**20
"""The most cells times nodes that are held at once."""

NEGLIGIBLE_WEIGHT = 1e-12
"""Points with less weight are left out."""


def expected(density: Density, scheme: Ranged, block: int, finer: int = 1) -> Sums:
    """Expected sums of one element of a block of at least 2; `finer` multiplies the quadrature points in each direction."""
    parts = []
    for at_phase, share in scheme.phases(block, finer, parts=2):
        for least, largest, weight, piece in _chunks(density, at_phase, block, _nodes(density, at_phase, block, finer)):
            scaled, one = at_phase.at(least, largest), weight * (share / block)
            parts += [Part(errors.at(scaled, end, one), one, piece) for end in (least, largest)]
    few_steps = scheme.steps < MANY_STEPS
    inner = [] if block == 2 else scheme.phases(block, finer, parts=1) if few_steps else [(scheme, 1.0)]
    for at_phase, share in inner:
        nodes = _nodes(density, at_phase if few_steps else None, block, finer)
        for least, largest, weight, piece in _chunks(density, at_phase, block, nodes):
            others = weight * (share * (block - 2) / block)
            parts.append(Part(errors.inside(density, at_phase.at(least, largest), least, largest, others), others, piece))
    return collect(parts, density, len(magnitude_pieces(density, block)))


def _chunks(density: Density, scheme: Ranged, block: int, nodes: tuple[np.ndarray, ...]) -> Iterator[tuple[np.ndarray, ...]]:
    """Nodes and their pieces of the largest magnitude, in batches whose cells fit the memory."""
    pieces, length = magnitude_pieces(density, block), max(CELLS_PER_CHUNK // (scheme.steps + 1), 1)
    for first in range(0, len(nodes[0]), length):
        least, largest, weight = (each[first : first + length] for each in nodes)
        yield least, largest, weight, np.searchsorted(pieces, np.maximum(np.abs(least), np.abs(largest)))


def _nodes(density: Density, scheme: Ranged | None, block: int, finer: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points of the least and of the largest number of a block, and their weights; cut at the jumps of a scheme, if given."""
    many, few = NODES_PER_PIECE * finer, NODES_PER_SHORT_PIECE * finer
    ends = least_pieces(density, block)
    jumps = np.zeros(1) if scheme is None else scheme.outer_cuts(density, ends[0], ends[-1])
    cuts = np.unique(np.clip(np.concatenate([ends, jumps]), ends[0], ends[-1])) if len(jumps) <= MOST_OUTER_JUMPS else ends
    low, length = (each.ravel() for each in on_intervals(cuts[:-1], cuts[1:], many))
    tail = density.below(low)[0]
    outer = block * density.pdf(low) * none_beyond(tail, block - 1) * length
    low, length, tail = (each[outer > NEGLIGIBLE_WEIGHT] for each in (low, length, tail))

    # two numbers have the density 2 p F, which hides where p is infinite and F is zero
    ends = largest_pieces(density, block - 1 if block > 3 else 1)
    jumps = np.zeros((len(low), 1)) if scheme is None else scheme.inner_cuts(density, low, ends[0], ends[-1])
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

"""Means over an extreme of a block: sums at quadrature nodes, collected piece by piece. Host only, float64."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qresearch.densities.density import Density
from qresearch.theory.expectation.errors import Sums

POWER_TAIL_SLOPE = 50
"""A density with a smaller logarithmic slope at its last piece has a power tail, with moments beyond; a normal's is 1,300."""


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

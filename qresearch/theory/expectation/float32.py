"""Where a block's largest number falls by float32's own rounding: beside the end of the grid, on which side. Host only.

With a float32 scale `s = m gain`, the quotient of the maximum m by it is the end of the grid, `1 / gain`, but for the rounding
of s, of 1 / s and of their product. Where a threshold lies on that end, as with `~toward_zero`, these roundings decide. They
depend on the significand of m alone, so all 2^23 are tried, and counted in short intervals.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

BINS = 128
"""Intervals of the significand on each side of the point where that of the scale passes a power of two."""


@dataclass(frozen=True, eq=False)
class Quotient:
    """Maxima over their scale.

    Attributes:
        turn: the significand of m, in [1, 2), at which that of the scale is 1.
        middles: float64 [bins], of intervals of the significand, ascending.
        shares: how far the quotient is from the end of the grid, relative -> float64 [bins], the share of the maxima.
    """

    turn: float
    middles: np.ndarray
    shares: dict[float, np.ndarray]

    def at(self, m: np.ndarray) -> list[tuple[float, np.ndarray]]:
        """All relative distances from the end, each with its probability at the maxima m, float64 [nodes]."""
        significand = 2 * np.frexp(m)[0]
        after = significand >= self.turn  # intervals on both sides of the turn are interpolated apart
        sides = [side for side in (slice(0, BINS), slice(BINS, None)) if len(self.middles[side])]
        found = []
        for off, share in self.shares.items():
            each = [np.interp(significand, self.middles[side], share[side]) for side in sides]
            found.append((off, np.where(after, each[-1], each[0])))
        return found

    def jumps(self, low: float, high: float) -> np.ndarray:
        """float64: the maxima between `low` and `high` where m or its scale passes a power of two."""
        powers = 2.0 ** np.arange(np.frexp(max(low, 1e-38))[1] - 2, np.frexp(high)[1] + 1)
        found = np.concatenate([powers, powers * self.turn])
        return found[(found > low) & (found < high)]


@lru_cache(maxsize=64)
def largest_quotient(gain: float, divided: bool) -> Quotient:
    """The quotients of all maxima by the scales they make; see `absmax.Scaled` for `gain` and `divided`."""
    end = 1 / gain
    turn = 2 * np.frexp(abs(end))[0]
    edges = np.unique(np.concatenate([np.linspace(1, turn, BINS + 1), np.linspace(turn, 2, BINS + 1)]))
    m = np.arange(0x3F800000, 0x40000000, dtype=np.uint32).view(np.float32)
    scale = m / np.float32(end) if divided else m * np.float32(gain)
    y = m * (1 / scale)
    firsts = np.searchsorted(m, edges[:-1].astype(np.float32))
    whole = np.diff(np.append(firsts, len(m)))
    shares = {}
    for each in np.unique(y):
        share = np.add.reduceat((y == each).astype(np.int64), firsts) / whole
        shares[abs(float(each) / end) - 1] = share
    return Quotient(float(turn), (edges[:-1] + edges[1:]) / 2, shares)

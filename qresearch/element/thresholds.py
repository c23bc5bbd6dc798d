"""Thresholds: where a rounding parts the levels of a table, exactly. Host only.

The threshold of two neighbours is the least float32 that is encoded as the upper one. Beside it stand the limits beyond which a
number is clipped.
"""

from __future__ import annotations

import numpy as np

from qresearch.arithmetic.exact import TINY
from qresearch.element.rounding import Position, Rounding


def thresholds(table: np.ndarray, rounding: Rounding, middles: np.ndarray, words: np.ndarray) -> np.ndarray:
    """float32 [n - 1]: the least input that is encoded as the upper level of each gap.

    The rounding is asked what it does below, on and above the middle of every gap. Where the answers differ, the middle
    decides; where they agree, the whole gap goes one way.

    Args:
        table: float32 [n], ascending.
        rounding: stochastic ones have the levels themselves for thresholds.
        middles: float32 [n - 1], where neighbours part; NaN stands for their exact mean.
        words: int32 [n], the bit string of each level; even ones win ties.
    """
    lower, upper = table[:-1], table[1:]
    if rounding.stochastic:
        return _snap(upper.copy())
    odd = words % 2 == 1
    inward = (upper <= 0) & (lower < 0)  # the neighbour toward zero is the upper one
    straddling = (lower < 0) & (upper > 0)
    below, tie, above = (_goes_up_at(rounding, at, np.where(inward, odd[1:], odd[:-1]), inward) for at in (0.5, 1.0, 1.5))
    parted = below != above
    if _is_toward_zero(rounding):  # which way that is, no one can say where there is no level between them and zero
        parted, tie = parted | straddling, np.where(straddling, odd[:-1], tie)
    nearest = np.where(np.isnan(middles), _least_above_mean(lower, upper, tie), _least_above(middles, lower, upper, tie))
    one_way = np.where(below, np.nextafter(lower, np.float32(np.inf)), upper)
    return _snap(np.where(parted, nearest, one_way).astype(np.float32))


def _goes_up_at(rounding: Rounding, at: float, odd: np.ndarray, inward: np.ndarray) -> np.ndarray:
    """Bool [n - 1]: whether a number at so much of half a gap becomes the upper neighbour."""
    place = np.full(odd.shape, at)
    away = rounding.away(Position(place, np.ones(odd.shape), odd, inward, np.zeros(odd.shape, bool)))
    return np.where(inward, ~away, away)


def _is_toward_zero(rounding: Rounding) -> bool:
    """Whether the rounding never leaves zero, on either side of it."""
    far, no = np.full(4, 1.5), np.zeros(4, bool)
    signs, codes = np.array([False, False, True, True]), np.array([False, True, False, True])
    return not np.any(rounding.away(Position(far, np.ones(4), codes, signs, no)))


def _least_above(middles: np.ndarray, lower: np.ndarray, upper: np.ndarray, tie_up: np.ndarray) -> np.ndarray:
    """The least float32 above each middle, or the middle itself where a tie goes up. A level is always its own."""
    up = (middles == upper) | (tie_up & (middles != lower))
    return np.where(up, middles, np.nextafter(middles, np.float32(np.inf)))


def _least_above_mean(lower: np.ndarray, upper: np.ndarray, tie_up: np.ndarray) -> np.ndarray:
    """The least float32 above the exact mean of two neighbours, or the mean itself where a tie goes up."""
    a, b = lower.astype(np.float64), upper.astype(np.float64)
    total = a + b
    rest = (a - (total - (total - a))) + (b - (total - a))  # TwoSum (Knuth): a + b = total + rest, exactly
    near = (total / 2).astype(np.float32)
    side = (2 * near.astype(np.float64) - total) - rest  # its sign is that of near - middle
    up = (side > 0) | ((side == 0) & tie_up)
    return np.where(up, near, np.nextafter(near, np.float32(np.inf))).astype(np.float32)


def _snap(cuts: np.ndarray) -> np.ndarray:
    """Moves a threshold out of the subnormals, so that they all count as zero whether a machine flushes them or not."""
    small = np.abs(cuts) < TINY
    below_zero = np.nextafter(-TINY, np.float32(0))
    return np.where(small, np.where(cuts <= 0, below_zero, TINY), cuts).astype(np.float32)


def limits(table: np.ndarray) -> np.ndarray:
    """float32 [2]: the ends of a table, extended by half of the gap beside them, to the float32 inside."""
    wide = table.astype(np.float64)
    exact = np.array([wide[0] - (wide[1] - wide[0]) / 2, wide[-1] + (wide[-1] - wide[-2]) / 2])
    with np.errstate(over="ignore"):
        near = np.clip(exact, -np.finfo(np.float32).max, np.finfo(np.float32).max).astype(np.float32)
    low = np.nextafter(near[0], np.float32(np.inf)) if near[0] < exact[0] else near[0]
    high = np.nextafter(near[1], np.float32(-np.inf)) if near[1] > exact[1] else near[1]
    return np.array([low, high], np.float32)

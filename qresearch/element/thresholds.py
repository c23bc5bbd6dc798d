"""Thresholds: turn a rounding into the exact float32 boundaries between the levels of a codebook. Runs on the host.

The threshold of two neighbouring levels is the least float32 that is encoded as the upper one. `limits` computes where
clipping begins.
"""

from __future__ import annotations

import numpy as np

from qresearch.arithmetic.exact import TINY
from qresearch.element.rounding import Position, Rounding


def thresholds(table: np.ndarray, rounding: Rounding, middles: np.ndarray, words: np.ndarray) -> np.ndarray:
    """float32 [n - 1]: for each gap, the least input that is encoded as its upper level.

    The rounding is evaluated below, on and above the middle of every gap. If the results below and above differ, the
    threshold is at the middle. If they agree, the whole gap is rounded to one side.

    Args:
        table: float32 [n], the levels, ascending.
        rounding: the rounding. For a stochastic one, the thresholds are the levels themselves.
        middles: float32 [n - 1], the ties for rounding to nearest; NaN means the exact mean of the neighbours.
        words: int32 [n], the bit string of each level; a tie goes to the level with the even word.
    """
    lower, upper = table[:-1], table[1:]
    if rounding.stochastic:
        return _snap(upper.copy())
    odd = words % 2 == 1
    inward = (upper <= 0) & (lower < 0)  # the neighbour toward zero is the upper one
    straddling = (lower < 0) & (upper > 0)
    below, tie, above = (_goes_up_at(rounding, at, np.where(inward, odd[1:], odd[:-1]), inward) for at in (0.5, 1.0, 1.5))
    parted = below != above
    if _is_toward_zero(rounding):  # a gap that straddles zero has no neighbour toward zero: take the nearest
        parted, tie = parted | straddling, np.where(straddling, odd[:-1], tie)
    nearest = np.where(np.isnan(middles), _least_above_mean(lower, upper, tie), _least_above(middles, lower, upper, tie))
    one_way = np.where(below, np.nextafter(lower, np.float32(np.inf)), upper)
    return _snap(np.where(parted, nearest, one_way).astype(np.float32))


def _goes_up_at(rounding: Rounding, at: float, odd: np.ndarray, inward: np.ndarray) -> np.ndarray:
    """Bool [n - 1]: whether a number `at` half gaps from the neighbour toward zero becomes the upper neighbour."""
    place = np.full(odd.shape, at)
    away = rounding.away(Position(place, np.ones(odd.shape), odd, inward, np.zeros(odd.shape, bool)))
    return np.where(inward, ~away, away)


def _is_toward_zero(rounding: Rounding) -> bool:
    """Whether the rounding always takes the neighbour toward zero, for numbers of either sign."""
    far, no = np.full(4, 1.5), np.zeros(4, bool)
    signs, codes = np.array([False, False, True, True]), np.array([False, True, False, True])
    return not np.any(rounding.away(Position(far, np.ones(4), codes, signs, no)))


def _least_above(middles: np.ndarray, lower: np.ndarray, upper: np.ndarray, tie_up: np.ndarray) -> np.ndarray:
    """The least float32 above each middle, or the middle itself if a tie goes up. Levels are always encoded as themselves."""
    up = (middles == upper) | (tie_up & (middles != lower))
    return np.where(up, middles, np.nextafter(middles, np.float32(np.inf)))


def _least_above_mean(lower: np.ndarray, upper: np.ndarray, tie_up: np.ndarray) -> np.ndarray:
    """The least float32 above the exact mean of two neighbours, or the mean itself if a tie goes up."""
    a, b = lower.astype(np.float64), upper.astype(np.float64)
    total = a + b
    rest = (a - (total - (total - a))) + (b - (total - a))  # TwoSum (Knuth): a + b = total + rest, exactly
    near = (total / 2).astype(np.float32)
    side = (2 * near.astype(np.float64) - total) - rest  # has the sign of near - mean
    up = (side > 0) | ((side == 0) & tie_up)
    return np.where(up, near, np.nextafter(near, np.float32(np.inf))).astype(np.float32)


def _snap(cuts: np.ndarray) -> np.ndarray:
    """Moves thresholds out of the subnormal range, so that subnormals count as zero even on machines that do not flush."""
    small = np.abs(cuts) < TINY
    below_zero = np.nextafter(-TINY, np.float32(0))
    return np.where(small, np.where(cuts <= 0, below_zero, TINY), cuts).astype(np.float32)


def limits(table: np.ndarray) -> np.ndarray:
    """float32 [2]: the ends of a table, moved outward by half of the gap next to them and rounded inward to float32."""
    wide = table.astype(np.float64)
    exact = np.array([wide[0] - (wide[1] - wide[0]) / 2, wide[-1] + (wide[-1] - wide[-2]) / 2])
    with np.errstate(over="ignore"):
        near = np.clip(exact, -np.finfo(np.float32).max, np.finfo(np.float32).max).astype(np.float32)
    low = np.nextafter(near[0], np.float32(np.inf)) if near[0] < exact[0] else near[0]
    high = np.nextafter(near[1], np.float32(-np.inf)) if near[1] > exact[1] else near[1]
    return np.array([low, high], np.float32)

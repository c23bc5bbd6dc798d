"""AbnormalFloat: levels of least expected abs(error) for normal numbers that were divided by their block's absmax.

Yoshida, "NF4 Isn't Information Theoretically Optimal (and that's Good)" (arXiv 2306.06965). Host only, float64.

In a block of B independent normal numbers, let m be the largest magnitude. One number becomes -1 or 1; the others, over m,
have the distribution function `F(x) = E[(Phi(x m) - Phi(-m)) / (2 Phi(m) - 1)]` on [-1, 1], the mean taken over m, whose
distribution function is `(2 Phi(m) - 1)^B`. Each side is a table of its own: its last level is 1, and every other level is the
median of its cell, which ends in the middles between neighbours and, at the inner end, at zero. A zero is put between the sides
last, so it takes from the cells beside it and these two levels are no medians any more: the published numbers have that.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qresearch.blockmax import block_max

STEPS = 100
"""Newton steps at most; a dozen suffice."""


class Ratio(NamedTuple):
    """The distribution of a number over its block's absmax, the absmax itself left out.

    Attributes:
        cdf: float64 -> float64.
        pdf: its derivative.
    """

    cdf: Callable[[np.ndarray], np.ndarray]
    pdf: Callable[[np.ndarray], np.ndarray]


@lru_cache
def normal_ratio(block: int) -> Ratio:
    """The `Ratio` of normal numbers in blocks of at least 2."""
    from scipy.special import ndtr  # slow to import

    m, weight, inside = block_max(block)
    weight = weight / inside

    def cdf(at: np.ndarray) -> np.ndarray:
        return np.asarray((ndtr(np.multiply.outer(at, m)) - ndtr(-m)) @ weight)

    def pdf(at: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(-(np.multiply.outer(at, m) ** 2) / 2) @ (weight * m) / np.sqrt(2 * np.pi))

    return Ratio(cdf, pdf)


@lru_cache
def abnormal_float(bits: int, block: int = 64, zero: bool = True) -> np.ndarray:
    """float64 [2^bits], ascending from -1 to 1: the levels of least mean abs(error) for a block length.

    Args:
        bits: 2 to 8.
        block: the block length, at least 2.
        zero: whether zero is a level, as in the paper; there is one level fewer below it then.

    >>> abnormal_float(4, 64)[:4].round(8).tolist()
    [-1.0, -0.69441008, -0.51243739, -0.3736951]
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"af{bits}: the width must be 2 to 8 bits, not {bits}")
    sides = [_medians(normal_ratio(block), count) for count in (2 ** (bits - 1) - zero, 2 ** (bits - 1))]
    return np.concatenate([-sides[0][::-1], [0.0] if zero else [], sides[1]])


def _medians(ratio: Ratio, count: int) -> np.ndarray:
    """The levels of one side: the last is 1, the others are medians of their cells. By Newton's method."""
    q = _spread(ratio, count)
    for _ in range(STEPS):
        ends = np.concatenate([[0.0], (q[:-1] + q[1:]) / 2])
        cdf, slope = ratio.cdf(ends), ratio.pdf(ends) / 4
        error = ratio.cdf(q[:-1]) - (cdf[:-1] + cdf[1:]) / 2
        slope[0] = 0  # the inner end does not move
        jacobian = np.diag(ratio.pdf(q[:-1]) - slope[:-1] - slope[1:])
        jacobian -= np.diag(slope[1:-1], 1) + np.diag(slope[1:-1], -1)
        step = np.linalg.solve(jacobian, error)
        largest = np.abs(step).max(initial=1e-300)
        # No further than half of the way to a neighbour, so that levels stay in order.
        q[:-1] -= step * min(1.0, np.diff(q, prepend=0).min() / 2 / largest)
        if largest < 1e-12:
            return q
    raise ArithmeticError(f"no medians found for {count} levels: the last step was {largest:g}")


def _spread(ratio: Ratio, count: int) -> np.ndarray:
    """Where to begin: many levels of least abs(error) lie as dense as the root of the density."""
    x = np.linspace(0, 1, 4097)
    share = np.cumsum(np.sqrt(ratio.pdf(x)))
    return np.interp((np.arange(count) + 0.5) / (count - 0.5) * share[-1], share, x)

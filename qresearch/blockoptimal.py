"""Block-wise optimal float (BOF): the levels of least mean square error for normal numbers in blocks of a given length.

Blumenberg, Graave, Fingscheidt, "Improving Block-Wise LLM Quantization by 4-bit Block-Wise Optimal Float (BOF4)"
(arXiv 2505.06653). Unlike AF, it is the error of the number itself that is made small, not that of its ratio to the absmax m:
`E[m^2 (t - q)^2]` for ratios t. So each free level is the mean of its cell weighted by m^2. Host only, float64.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qresearch.blockmax import block_max

STEPS = 200
"""Steps at most: `LLOYD` of Lloyd's, to come near, then Newton's."""

LLOYD = 50


class Moments(NamedTuple):
    """Of ratios t in cells, weighted by m^2; all float64.

    Attributes:
        mass: [cells], the integral of the weighted density over each cell.
        first: [cells], that of t times the density.
        density: [cells + 1], at the ends of cells.
    """

    mass: np.ndarray
    first: np.ndarray
    density: np.ndarray


def moments(ends: np.ndarray, block: int) -> Moments:
    """The moments of cells between ascending ends."""
    from scipy.special import ndtr  # slow to import

    m, weight, inside = block_max(block)
    weight, at = weight / inside, np.multiply.outer(ends, m)
    normal = np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi)
    return Moments(np.diff(ndtr(at) @ (weight * m**2)), -np.diff(normal @ (weight * m)), normal @ (weight * m**3))


@lru_cache
def block_optimal(bits: int, block: int = 64, signed_max: bool = False, zero: bool = True) -> np.ndarray:
    """float64 [2^bits], ascending: the levels of BOF, or of BOF-S, which is for blocks divided by their signed maximum.

    Args:
        bits: 2 to 8.
        block: the block length, at least 2.
        signed_max: whether the largest magnitude always becomes 1, so that -1 need not be a level (BOF-S).
        zero: whether zero is a fixed level, half of the codes above it.

    >>> block_optimal(4)[:4].round(4).tolist(), block_optimal(4, signed_max=True)[:3].round(3).tolist()
    ([-1.0, -0.7536, -0.5793, -0.4387], [-0.857, -0.669, -0.523])
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"bof{bits}: the width must be 2 to 8 bits, not {bits}")
    n = 2**bits
    q = np.concatenate([np.linspace(-1, 0, n // 2)[:-1], np.linspace(0, 1, n // 2 + 1)]) if zero else np.linspace(-1, 1, n)
    fixed = [*([] if signed_max else [0]), *([n // 2 - 1] if zero else []), n - 1]
    free = np.delete(np.arange(n), fixed)
    if signed_max:
        q[0] = (q[0] + q[1]) / 2
    for step in range(STEPS):
        change = _change(q, free, block, newton=step >= LLOYD)
        size = np.abs(change).max(initial=1e-300)
        q[free] += change * min(1.0, np.diff(q).min() / 2 / size)  # levels stay in order
        if size < 1e-12:
            return q
    raise ArithmeticError(f"bof{bits}({block}): no levels found, the last step was {size:g}")


def _change(q: np.ndarray, free: np.ndarray, block: int, newton: bool) -> np.ndarray:
    """A step towards `first == q * mass` for the free levels."""
    ends = np.concatenate([[-1.0], (q[:-1] + q[1:]) / 2, [1.0]])
    mass, first, density = moments(ends, block)
    error = first - q * mass
    if not newton:
        return np.asarray((error / mass)[free])
    # How the error of a cell changes with its own ends, each the mean of two levels.
    left, right = (-density[:-1] * (ends[:-1] - q) / 2)[1:], (density[1:] * (ends[1:] - q) / 2)[:-1]
    jacobian = np.diag(left, -1) + np.diag(right, 1) - np.diag(mass)
    jacobian += np.diag(np.concatenate([[0], left]) + np.concatenate([right, [0]]))
    return np.linalg.solve(jacobian[np.ix_(free, free)], -error[free])

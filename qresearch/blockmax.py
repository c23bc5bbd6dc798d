"""Normal numbers over the absmax of their block: means over that absmax, by quadrature. Host only, float64.

In a block of B independent normal numbers let m be the largest magnitude; its distribution function is `(2 Phi(m) - 1)^B`. The
others, given m, are normal numbers cut off at -m and m, independent of each other.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

NODES = 120
"""Gauss-Legendre nodes; with 800 no level of a 4-bit table moves by more than 3e-13."""


class BlockMax(NamedTuple):
    """Nodes of a mean over m.

    Attributes:
        m: float64 [NODES].
        weight: float64 [NODES], summing to 1.
        inside: float64 [NODES], `2 Phi(m) - 1`: what a normal number has between -m and m.
    """

    m: np.ndarray
    weight: np.ndarray
    inside: np.ndarray


@lru_cache
def block_max(block: int) -> BlockMax:
    """The nodes for a block length of at least 2; `ValueError` for others."""
    from scipy.special import log_ndtr, ndtri  # slow to import

    if block < 2 or int(block) != block:
        raise ValueError(f"a block must have at least 2 numbers, not {block:g}")
    low, high = (-ndtri(-np.expm1(log / block) / 2) for log in (np.log(1e-18), -1e-18 * block))  # all but 1e-18 at each end
    x, w = np.polynomial.legendre.leggauss(NODES)
    m = (high - low) / 2 * x + (high + low) / 2
    inside = -np.expm1(np.log(2.0) + log_ndtr(-m))
    density = w * inside ** (block - 1) * np.exp(-(m**2) / 2)
    return BlockMax(m, density / density.sum(), inside)

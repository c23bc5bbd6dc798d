"""Levels as dense as a power of the density: `levels per unit length ~ p(x)^exponent`. Host only, float64.

The exponent 1/3 is best for many levels (Panter and Dite, Proc. IRE 39, 1951; as codebooks of weights in "Optimal Formats for
Weight Quantisation", arXiv 2505.12988), 1/2 is for the mean absolute error, 1 gives quantiles, 0 equal steps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qresearch.base.table import Table
from qresearch.designing.law import Law

Shares = Callable[[int], np.ndarray]

SHARES: Table[Shares] = Table("placement of levels")
SHARES.add("inner", lambda n: (np.arange(n) + 1) / (n + 1), doc="(i + 1) / (n + 1): as far from the ends as from each other")
SHARES.add("middle", lambda n: (np.arange(n) + 0.5) / n, doc="(i + 1/2) / n: in the middles of n equal shares")
SHARES.add("ends", lambda n: np.linspace(0.0, 1.0, n), doc="i / (n - 1): from end to end of a bounded source")


def placed(law: Law, count: int, at: str = "inner") -> np.ndarray:
    """float64 [count]: the points below which the law has the shares that `at` says, to rounding.

    Raises `ValueError` for an unknown `at`.
    """
    shares = SHARES[at](count)
    edges = law.grid()
    whole = np.concatenate([[0.0], np.cumsum(law.between(edges[:-1], edges[1:])[0])])
    found = np.clip(np.searchsorted(whole, shares * whole[-1]) - 1, 0, edges.size - 2)
    low, high = edges[found], edges[found + 1]
    for _ in range(60):
        middle = low / 2 + high / 2
        below = whole[found] + law.between(edges[found], middle)[0] < shares * whole[-1]
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    levels = low / 2 + high / 2
    levels[shares == 0], levels[shares == 1] = edges[0], edges[-1]
    return (levels - levels[::-1]) / 2 if law.symmetric else levels

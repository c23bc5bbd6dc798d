"""Levels as dense as a power of the density: `levels per unit length ~ p(x)^exponent`. Host only, float64.

As the number of levels grows, the exponent 1/3 is best for the mean square error (Panter and Dite, Proc. IRE 39, 1951; for
weights in "Optimal Formats for Weight Quantisation", arXiv 2505.12988) and 1/2 for the mean absolute error; 1 gives quantiles
and 0 equal steps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from qresearch.base.table import Table
from qresearch.densities.quadrature import bisect
from qresearch.designing.source import Source

Shares = Callable[[int], np.ndarray]

SHARES: Table[Shares] = Table("placement of levels")
SHARES.add("inner", lambda n: (np.arange(n) + 1) / (n + 1), doc="(i + 1) / (n + 1): as far from the ends as from each other")
SHARES.add("middle", lambda n: (np.arange(n) + 0.5) / n, doc="(i + 1/2) / n: in the middles of n equal shares")
SHARES.add("ends", lambda n: np.linspace(0.0, 1.0, n), doc="i / (n - 1): from end to end of a bounded source")


def placed(source: Source, count: int, at: str = "inner") -> np.ndarray:
    """float64 [count]: the points below which a source has given shares of its mass, to rounding; `at` is a row of `SHARES`.

    Raises `ValueError` for an unknown `at`.
    """
    shares = SHARES[at](count)
    edges = source.grid()
    mass_below = np.concatenate([[0.0], np.cumsum(source.between(edges[:-1], edges[1:])[0])])
    found = np.clip(np.searchsorted(mass_below, shares * mass_below[-1]) - 1, 0, edges.size - 2)
    low, high = bisect(
        lambda x: mass_below[found] + source.between(edges[found], x)[0] < shares * mass_below[-1],
        edges[found],
        edges[found + 1],
    )
    levels = low / 2 + high / 2
    levels[shares == 0], levels[shares == 1] = edges[0], edges[-1]
    return (levels - levels[::-1]) / 2 if source.symmetric else levels

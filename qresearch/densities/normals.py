"""The normal, and a mixture of two normals, with the interface of `scipy.stats`. Host only, float64.

`scipy.stats` is slow to import, and normals are the most common source; so they are written out here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from qresearch.densities.quadrature import bisect


@dataclass(frozen=True)
class Normal:
    """N(0, 1), with the same numbers as `scipy.stats.norm`."""

    def mean(self) -> float:
        """0."""
        return 0.0

    def var(self) -> float:
        """1."""
        return 1.0

    def pdf(self, x: np.ndarray) -> np.ndarray:
        """The density."""
        return np.exp(-np.square(x) / 2.0) / math.sqrt(2 * math.pi)

    def cdf(self, x: np.ndarray) -> np.ndarray:
        """The distribution function."""
        from scipy.special import ndtr  # slow to import

        return np.asarray(ndtr(x))

    def ppf(self, p: np.ndarray) -> np.ndarray:
        """The quantiles."""
        from scipy.special import ndtri  # slow to import

        return np.asarray(ndtri(p))


NORMAL = Normal()


@dataclass(frozen=True)
class Outliers:
    """The mixture `(1 - fraction) N(0, 1) + fraction N(0, factor^2)`, with the methods of a `scipy.stats` distribution."""

    fraction: float
    factor: float

    def mean(self) -> float:
        """0."""
        return 0.0

    def var(self) -> float:
        """The variance."""
        return 1 - self.fraction + self.fraction * self.factor**2

    def pdf(self, x: np.ndarray) -> np.ndarray:
        """The density."""
        pdf, k = NORMAL.pdf, self.factor
        return (1 - self.fraction) * pdf(x) + self.fraction * pdf(x / k) / k

    def cdf(self, x: np.ndarray) -> np.ndarray:
        """The distribution function."""
        cdf = NORMAL.cdf
        return (1 - self.fraction) * cdf(x) + self.fraction * cdf(x / self.factor)

    def ppf(self, p: np.ndarray) -> np.ndarray:
        """The quantiles, by bisection between those of the two normals, in the lower half, where the cdf is precise."""
        tail = np.minimum(p, 1 - p)
        normal = NORMAL.ppf(tail)
        low, high = normal * max(self.factor, 1.0), normal * min(self.factor, 1.0)
        _, high = bisect(lambda x: self.cdf(x) < tail, low, high, 100)  # down to neighbouring float64s, for factors up to 2^47
        return np.where(p < 0.5, high, 0.0 - high)

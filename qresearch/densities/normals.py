"""The normal, and the mixture of two that has outliers, behind the interface of `scipy.stats`. Host only, float64.

Written out, so that normals, the most common source, do without `scipy.stats`, which is slow to import.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np


def _special() -> Any:
    import scipy.special  # all that normals need; slow to import

    return scipy.special


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
        return np.asarray(_special().ndtr(x))

    def ppf(self, p: np.ndarray) -> np.ndarray:
        """The quantiles."""
        return np.asarray(_special().ndtri(p))


NORMAL = Normal()


@dataclass(frozen=True)
class Outliers:
    """The mixture `(1 - fraction) N(0, 1) + fraction N(0, factor^2)`, as `scipy.stats` would have it."""

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
        """The quantiles, by bisection between those of the two normals; in the lower half, where a cdf is precise."""
        tail = np.minimum(p, 1 - p)
        normal = NORMAL.ppf(tail)
        low, high = normal * max(self.factor, 1.0), normal * min(self.factor, 1.0)
        for _ in range(100):  # closes a bracket of one ratio `factor` to neighbouring float64s, up to a factor of 2^47
            middle = low / 2 + high / 2
            below = self.cdf(middle) < tail
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return np.where(p < 0.5, high, 0.0 - high)

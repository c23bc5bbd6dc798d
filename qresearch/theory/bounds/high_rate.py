"""Limits that need one integral of the density: the Shannon lower bound, Panter-Dite, and ideal entropy coding.

All are mean square errors `factor * 2^(-2 bits)`. Host only, float64.

>>> from qresearch.densities.distribution import DISTRIBUTIONS
>>> laplace = DISTRIBUTIONS["laplace"]()
>>> [round(float(limit(laplace, 0).value) ** 0.5, 4) for limit in (panter_dite, entropy_coded, shannon_lower_bound)]
[2.1213, 1.1097, 0.9302]
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from qresearch.base import checks
from qresearch.densities.density import density
from qresearch.densities.distribution import Distribution


class Bound(NamedTuple):
    """A limit, a mean square error, and its numerical error: of the quadrature, or of an iteration that has not converged."""

    value: float
    error: float

    def times(self, factor: float) -> Bound:
        """Value and error, times a number."""
        return Bound(float(self.value * factor), float(self.error * factor) if self.error else 0.0)


def differential_entropy(distribution: Distribution) -> Bound:
    """The differential entropy in bits, `-integral(p log2(p))` (Cover and Thomas 2006, chapter 8)."""
    found = _integral(distribution, _surprise)
    return Bound((found.value + np.log(distribution.scale)) / np.log(2), found.error / np.log(2))


def shannon_lower_bound(distribution: Distribution, bits: float) -> Bound:
    """No code of any length has a smaller mean square error: `2^(2 h) / (2 pi e) 2^(-2 bits)` (Shannon 1959)."""
    return _entropy_power(distribution).times(_decay(bits) / (2 * np.pi * np.e))


def entropy_coded(distribution: Distribution, bits: float) -> Bound:
    """Fine uniform steps and an ideal entropy code: `2^(2 h) / 12 2^(-2 bits)` (Gish and Pierce 1968).

    A limit for many bits, 1.533 dB above the Shannon lower bound. At few bits use `best_step`.
    """
    return _entropy_power(distribution).times(_decay(bits) / 12)


def panter_dite(distribution: Distribution, bits: float) -> Bound:
    """The best `2^bits` levels, in the limit of many: `integral(p^(1/3))^3 / 12 2^(-2 bits)` (Panter and Dite 1951).

    Infinite where the variance is.
    """
    if not np.isfinite(density(distribution).variance):
        return Bound(np.inf, 0.0)
    found = _integral(distribution, np.cbrt)
    tails = sum(tail.integral(1 / 3) for tail in density(distribution).tails)
    total = found.value + tails
    return Bound(total**3, 3 * total**2 * found.error).times(distribution.scale**2 * _decay(bits) / 12)


def _entropy_power(distribution: Distribution) -> Bound:
    h = differential_entropy(distribution)
    return Bound(4.0**h.value, 4.0**h.value * 2 * np.log(2) * h.error)


def _decay(bits: float) -> float:
    return float(4.0 ** -checks.rate(bits))


def _surprise(p: np.ndarray) -> np.ndarray:
    return -p * np.log(np.where(p > 0, p, 1.0))


@lru_cache(maxsize=512)
def _integral(distribution: Distribution, of: Callable[[np.ndarray], np.ndarray]) -> Bound:
    """The integral of a function of the density at scale 1, over the pieces; the error is the change when all are halved."""
    q = density(distribution)
    coarse, fine = (float(np.sum(each.weights * of(each.values))) for each in (q.unit, q.finer()))
    return Bound(fine, abs(fine - coarse) + abs(fine) * q.error)

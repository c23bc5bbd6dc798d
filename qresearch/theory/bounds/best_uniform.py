"""The best uniform quantizer of N levels. Host only, float64.

>>> from qresearch.densities.distribution import DISTRIBUTIONS
>>> best = uniform_levels(DISTRIBUTIONS["normal"](), 16)
>>> round(best.step, 4), round(best.mse.value, 5)
(0.3352, 0.01154)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import numpy as np

from qresearch.base import checks
from qresearch.densities.density import Density, density
from qresearch.densities.distribution import Distribution
from qresearch.designing.source import entropy_bits, squared_error
from qresearch.theory.bounds.high_rate import Bound

MANY_BITS = 12.0
"""Above this many bits a high-rate limit replaces the sum over cells, which would take ever more memory and lose digits."""


@dataclass(frozen=True)
class Uniform:
    """A uniform quantizer.

    Attributes:
        step: between thresholds.
        offset: the midpoint of all levels (from `uniform_levels`) or the middle of a cell (from `uniform_entropy`).
        mse: the mean square error.
        entropy: of the codes, in bits.
    """

    step: float
    offset: float
    mse: Bound
    entropy: float


def best_uniform(distribution: Distribution, bits: float) -> Bound:
    """The least mean square error of `2^bits` equally spaced levels (Max 1960); infinite where the variance is.

    `2^bits` is rounded down to a whole number of levels, at least 1. Above `MANY_BITS` bits the density is taken as constant
    over a cell, and the error is the difference that this makes at `MANY_BITS` bits.
    """
    if checks.rate(bits) <= MANY_BITS:
        return uniform_levels(distribution, whole_levels(bits)).mse
    exact, there = uniform_levels(distribution, whole_levels(MANY_BITS)).mse, _flat(distribution, 2.0**MANY_BITS)
    many = _flat(distribution, 2.0 ** float(bits))
    return Bound(many, many * (abs(exact.value - there) + exact.error) / there if np.isfinite(many) else 0.0)


@lru_cache(maxsize=512)
def _flat(distribution: Distribution, levels: float) -> float:
    """The least mean square error of equal steps over each of which the density is constant.

    Beyond the outermost steps the density is exact (Hui and Neuhoff, IEEE Trans. IT 47, 2001).
    """
    q = density(distribution)
    if not np.isfinite(q.variance):
        return np.inf

    def cost(width: float, middle: float) -> float:
        step, low, high = width / levels, middle - width / 2, middle + width / 2
        lower, upper = q.below(low), q.above(high)
        outside = (
            max(squared_error(lower, low + step / 2), lower[0] * step**2 / 4),
            max(squared_error(upper, high - step / 2), upper[0] * step**2 / 4),
        )  # never less, whatever digits the differences lose
        return float(q.between(low, high)[0] * step**2 / 12 + sum(outside))

    return cost(*_minimum(q, cost, np.array([3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 1e4, 1e5])))


@lru_cache(maxsize=512)
def uniform_levels(distribution: Distribution, levels: int) -> Uniform:
    """The best uniform quantizer of 1 to 65,536 levels: its step and, for a distribution without symmetry, its midpoint."""
    q, levels = density(distribution), checks.integer(levels, "levels", 1, 2**16)
    if not np.isfinite(q.variance):
        return Uniform(np.nan, np.nan, Bound(np.inf, 0.0), np.nan)
    if levels == 1:
        return Uniform(np.nan, q.mean, Bound(q.variance, q.error * q.second), 0.0)

    def cost(width: float, middle: float) -> float:
        return float(np.sum(squared_error(*_cells(q, levels, width / levels, middle))))

    width, place = _minimum(q, cost, np.array([0.5, 1.0, 2.0, 4.0]) * (3 + np.log2(levels)))
    step = _polished(q, levels, width / levels, place) if q.symmetric else width / levels
    moments, table = _cells(q, levels, step, place)
    mse = float(np.sum(squared_error(moments, table)))
    return Uniform(step, place, Bound(mse, q.error * q.second), entropy_bits(moments[0]))


def _cells(q: Density, levels: int, step: float, middle: float) -> tuple[np.ndarray, np.ndarray]:
    """The moments of the cells, float64 [3, levels], and the levels."""
    table = middle + (np.arange(levels) - (levels - 1) / 2) * step
    ends = np.concatenate([[-np.inf], table[:-1] + step / 2, [np.inf]])
    return q.between(ends[:-1], ends[1:]), table


def _minimum(q: Density, cost: Callable[[float, float], float], widths: np.ndarray) -> tuple[float, float]:
    """The width of all steps together, and their midpoint, at which a cost is least.

    For a distribution without symmetry the search is over the width and the lower end, which depend on each other less than the
    width and the midpoint do.
    """
    from scipy.optimize import minimize, minimize_scalar  # slow to import

    deviation = float(np.sqrt(q.variance))
    unit = deviation**2

    def bounded(logarithm: float) -> float:
        return float(np.exp(np.clip(logarithm, -100, 100))) * deviation

    if q.symmetric:
        tried = [minimize_scalar(lambda t: cost(bounded(t), 0.0) / unit, bracket=(t, t + 0.1)) for t in np.log(widths)]
        return bounded(float(min(tried, key=lambda each: each.fun).x)), 0.0

    def beside(v: np.ndarray) -> float:
        return cost(bounded(v[0]), v[1] * deviation + bounded(v[0]) / 2) / unit

    starts = [np.array([t, low]) for t in np.log(widths) for low in q.quantile([1e-6, 1e-2, 0.2]) / deviation]
    best, least = min(starts, key=beside), np.inf
    for _ in range(4):  # restarts, in case the simplex has degenerated
        options: Any = {"xatol": 1e-10, "fatol": 1e-14 * beside(best), "maxiter": 400}
        found: Any = minimize(cast(Any, beside), best, method="Nelder-Mead", options=options)
        done, best, least = found.fun > least * (1 - 1e-12), found.x, float(found.fun)
        if done:
            break
    width = bounded(float(best[0]))
    return width, float(best[1]) * deviation + width / 2


def _polished(q: Density, levels: int, step: float, middle: float) -> float:
    """The step at which the derivative of the error is zero; a minimum found by values alone has half the digits."""
    from scipy.optimize import brentq

    def slope(step: float) -> float:
        (mass, first, _), table = _cells(q, levels, step, middle)
        return float(np.sum((table - middle) * (table * mass - first)))

    low, high = step * (1 - 1e-4), step * (1 + 1e-4)
    return float(brentq(slope, low, high, xtol=1e-15, rtol=1e-14)) if slope(low) * slope(high) < 0 else step


def whole_levels(bits: float) -> int:
    """`2^bits`, rounded down to a whole number of levels, at least 1."""
    return max(int(np.floor(2.0 ** checks.rate(bits) + 1e-9)), 1)

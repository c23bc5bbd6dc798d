"""The best uniform quantizers: of N levels, and of a given entropy. Host only, float64.

>>> from qresearch.densities.distribution import DISTRIBUTIONS
>>> best = uniform_levels(DISTRIBUTIONS["normal"](), 16)
>>> round(best.step, 4), round(best.mse.value, 5)
(0.3352, 0.01154)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, cast

import numpy as np

from qresearch.base import checks
from qresearch.densities.density import Density, density
from qresearch.densities.distribution import Distribution
from qresearch.densities.quadrature import on_intervals
from qresearch.theory.bounds.high_rate import Bound, differential_entropy, entropy_coded

CELLS = 2**12
"""The largest number of cells that are summed one by one; in the rest of a heavy tail the density is flat over a cell, and the
variance of one so far out would be a difference of numbers that agree in all of their digits.
"""

MANY = 12.0
"""Bits from which on the limits of many levels stand for the cells: these would take ever more memory, and lose digits."""

OFFSETS = 16
"""Places of the thresholds that are tried for a distribution that is no mirror image of itself."""

NODES = 16
"""Gauss-Legendre points of a piece of that rest."""


@dataclass(frozen=True)
class Uniform:
    """A uniform quantizer.

    Attributes:
        step: between thresholds.
        offset: a level (of `uniform_levels`: the middle of all) or a cell's middle (of `uniform_entropy`).
        mse: the mean square error.
        entropy: of the codes, in bits.
    """

    step: float
    offset: float
    mse: Bound
    entropy: float


class _Sums(NamedTuple):
    """Of the cells: the integrals of p, t p and t^2 p."""

    mass: np.ndarray
    first: np.ndarray
    second: np.ndarray

    @property
    def entropy(self) -> float:
        share = self.mass[self.mass > 0]
        return float(-np.sum(share * np.log2(share)))


def best_uniform(distribution: Distribution, bits: float) -> Bound:
    """The least mean square error of `2^bits` equally spaced levels (Max 1960); infinite where the variance is.

    `bits` gives a whole number of levels, at least 1, or the next smaller one. From `MANY` bits on the density is taken to be
    flat over a cell, and the error is what that makes at `MANY` bits.
    """
    if checks.rate(bits) <= MANY:
        return uniform_levels(distribution, whole_levels(bits)).mse
    exact, there = uniform_levels(distribution, whole_levels(MANY)).mse, _flat(distribution, 2.0**MANY)
    many = _flat(distribution, 2.0 ** float(bits))
    return Bound(many, many * (abs(exact.value - there) + exact.error) / there if np.isfinite(many) else 0.0)


@lru_cache(maxsize=512)
def _flat(distribution: Distribution, levels: float) -> float:
    """The least mean square error of so many equal steps, over each of which the density is flat (Hui and Neuhoff, IEEE Trans.
    IT 47, 2001); beyond the outermost steps it is what it is.
    """
    q = density(distribution)
    if not np.isfinite(q.variance):
        return np.inf

    def cost(width: float, middle: float) -> float:
        step, low, high = width / levels, middle - width / 2, middle + width / 2
        (m0, m1, m2), (n0, n1, n2) = q.below(low), q.above(high)
        a, b = low + step / 2, high - step / 2
        outside = (max(m2 - 2 * a * m1 + a * a * m0, m0 * step**2 / 4), max(n2 - 2 * b * n1 + b * b * n0, n0 * step**2 / 4))
        return float(q.between(low, high)[0] * step**2 / 12 + sum(outside))  # never less, whatever the differences lose

    return cost(*_searched(q, cost, np.array([3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 1e4, 1e5])))


def best_step(distribution: Distribution, bits: float) -> Bound:
    """The least mean square error of equal steps, centroids as levels, and an ideal entropy code of so many bits.

    From `MANY` bits on it is the limit of many bits, `entropy_coded`, and the error what the two differ by there.
    """
    if checks.rate(bits) <= MANY:
        return uniform_entropy(distribution, float(bits)).mse
    many, last = entropy_coded(distribution, bits), uniform_entropy(distribution, MANY).mse
    there = entropy_coded(distribution, MANY).value
    return Bound(many.value, many.value * (abs(last.value - there) + last.error) / there + many.error)


@lru_cache(maxsize=512)
def uniform_levels(distribution: Distribution, levels: int) -> Uniform:
    """The best uniform quantizer of so many levels: its step and, for a distribution without symmetry, its place."""
    q, levels = density(distribution), checks.integer(levels, "levels", 1, 2**16)
    if not np.isfinite(q.variance):
        return Uniform(np.nan, np.nan, Bound(np.inf, 0.0), np.nan)
    if levels == 1:
        return Uniform(np.nan, q.mean, Bound(q.variance, q.error * q.second), 0.0)

    def cost(width: float, middle: float) -> float:
        sums, table = _fixed(q, levels, width / levels, middle)
        return float(np.sum(sums.second - 2 * table * sums.first + table**2 * sums.mass))

    width, place = _searched(q, cost, np.array([0.5, 1.0, 2.0, 4.0]) * (3 + np.log2(levels)))
    step = _settled(q, levels, width / levels, place) if q.symmetric else width / levels
    sums, table = _fixed(q, levels, step, place)
    mse = float(np.sum(sums.second - 2 * table * sums.first + table**2 * sums.mass))
    return Uniform(step, place, Bound(mse, q.error * q.second), sums.entropy)


def _fixed(q: Density, levels: int, step: float, middle: float) -> tuple[_Sums, np.ndarray]:
    table = middle + (np.arange(levels) - (levels - 1) / 2) * step
    ends = np.concatenate([[-np.inf], table[:-1] + step / 2, [np.inf]])
    return _Sums(*q.between(ends[:-1], ends[1:])), table


def _searched(q: Density, cost: Callable[[float, float], float], widths: np.ndarray) -> tuple[float, float]:
    """The width of all steps together, and their middle, at which a cost is least.

    Without symmetry it is the lower end that is searched for: that hardly hangs on the width, as the middle does.
    """
    from scipy.optimize import minimize, minimize_scalar  # slow to import

    spread = float(np.sqrt(q.variance))
    unit = spread**2

    def bounded(logarithm: float) -> float:
        return float(np.exp(np.clip(logarithm, -100, 100))) * spread

    if q.symmetric:
        tried = [minimize_scalar(lambda t: cost(bounded(t), 0.0) / unit, bracket=(t, t + 0.1)) for t in np.log(widths)]
        return bounded(float(min(tried, key=lambda each: each.fun).x)), 0.0

    def beside(v: np.ndarray) -> float:
        return cost(bounded(v[0]), v[1] * spread + bounded(v[0]) / 2) / unit

    starts = [np.array([t, low]) for t in np.log(widths) for low in q.quantile([1e-6, 1e-2, 0.2]) / spread]
    best, least = min(starts, key=beside), np.inf
    for _ in range(4):  # begun afresh: a simplex may have become flat
        options: Any = {"xatol": 1e-10, "fatol": 1e-14 * beside(best), "maxiter": 400}
        found: Any = minimize(cast(Any, beside), best, method="Nelder-Mead", options=options)
        done, best, least = found.fun > least * (1 - 1e-12), found.x, float(found.fun)
        if done:
            break
    width = bounded(float(best[0]))
    return width, float(best[1]) * spread + width / 2


def _settled(q: Density, levels: int, step: float, middle: float) -> float:
    """The step at which the error's slope is zero: a minimum is flat, and searched by its values it has half the digits."""
    from scipy.optimize import brentq

    def slope(step: float) -> float:
        sums, table = _fixed(q, levels, step, middle)
        return float(np.sum((table - middle) * (table * sums.mass - sums.first)))

    low, high = step * (1 - 1e-4), step * (1 + 1e-4)
    return float(brentq(slope, low, high, xtol=1e-15, rtol=1e-14)) if slope(low) * slope(high) < 0 else step


@lru_cache(maxsize=512)
def uniform_entropy(distribution: Distribution, bits: float) -> Uniform:
    """The best uniform steps whose codes have an entropy of so many bits; levels are the centroids of the cells.

    Zero may be the middle of a cell or a threshold; without symmetry thresholds are tried in `OFFSETS` places.
    """
    q = density(distribution)
    if bits == 0:
        return Uniform(np.inf, q.mean, Bound(q.variance, q.error * q.second), 0.0)
    shares = [0.0, 0.5] if q.symmetric else list(np.arange(OFFSETS) / OFFSETS)
    return min((_at_entropy(distribution, bits, share) for share in shares), key=lambda found: found.mse.value)


def _at_entropy(distribution: Distribution, bits: float, share: float) -> Uniform:
    from scipy.optimize import brentq

    q = density(distribution)
    near = 2.0 ** (differential_entropy(distribution).value - bits)  # the step of many bits
    centre = 0.0 if q.symmetric else float(q.quantile(0.5))

    def excess(logarithm: float) -> float:
        return _steps(distribution, near * 2.0**logarithm, share, centre).entropy - bits

    low, high = -1.0, 1.0
    while excess(low) < 0 and low > -60:
        low *= 2
    while excess(high) > 0 and high < 60:
        high *= 2
    if excess(low) < 0 or excess(high) > 0:  # a threshold in the median leaves one bit at any step
        return Uniform(np.nan, np.nan, Bound(np.inf, 0.0), np.nan)
    return _steps(distribution, near * 2.0 ** float(brentq(excess, low, high, xtol=1e-13)), share, centre)


def _steps(distribution: Distribution, step: float, share: float, centre: float) -> Uniform:
    """Error and entropy of steps of a length, the middle of a cell at `centre + share * step`."""
    q = density(distribution)
    place = centre + share * step
    reach = q.quantile([1e-18, 0.5])[0]
    low = int(np.clip(np.floor((max(reach, -1e300) - place) / step), -CELLS // 2, 0))
    high = _upper(q, place, step)
    edges = place + (np.arange(low, high + 2) - 0.5) * step
    sums = _Sums(*q.between(edges[:-1], edges[1:]))
    full = sums.mass > 0
    inner = float(np.sum((sums.second[full] - sums.first[full] ** 2 / sums.mass[full]).clip(0)))
    rest = float(q.below(edges[0])[0] + q.above(edges[-1])[0])
    entropy = sums.entropy + _rest_entropy(distribution, edges[0], edges[-1], step)
    mse = inner + rest * step**2 / 12
    size = q.second if np.isfinite(q.second) else float(sums.second.sum())
    return Uniform(step, place, Bound(float(mse), float(q.error * size)), entropy)


def _upper(q: Density, place: float, step: float) -> int:
    ends = place + np.minimum(2.0 ** np.arange(0, 12), CELLS // 2) * step
    enough = q.above(ends)[0] < 1e-18
    return int(2 ** np.argmax(enough)) if enough.any() else CELLS // 2


def _rest_entropy(distribution: Distribution, low: float, high: float, step: float) -> float:
    """Bits of the cells outside: `-integral(p log2(p step))`."""
    q = density(distribution)
    ends = q.unit.edges * distribution.scale
    total = 0.0
    for cut in (np.minimum(ends, low), np.maximum(ends, high)):
        starts, stops = (each[np.diff(cut) > 0] for each in (cut[:-1], cut[1:]))
        x, length = on_intervals(starts, stops, NODES)
        p = q.pdf(x)
        total -= float(np.sum(length * p * (np.log2(np.where(p > 0, p, 1.0)) + np.log2(step))))
    return total


def whole_levels(bits: float) -> int:
    """The largest whole number of levels that so many bits tell apart, at least 1."""
    return max(int(np.floor(2.0 ** checks.rate(bits) + 1e-9)), 1)

"""The best uniform quantizers: of N levels, and of a given entropy. Host only, float64.

>>> from qresearch.distribution import DISTRIBUTIONS
>>> best = uniform_levels(DISTRIBUTIONS["normal"](), 16)
>>> round(best.step, 4), round(best.mse.value, 5)
(0.3352, 0.01154)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple, cast

import numpy as np

from qresearch import checks
from qresearch.distribution import Distribution
from qresearch.theory.density import Density, density
from qresearch.theory.highrate import Bound, differential_entropy

CELLS = 2**15
"""The largest number of cells that are summed one by one; in the rest of a heavy tail the density is flat over a cell."""

OFFSETS = 16
"""Places of the thresholds that are tried for a distribution that is no mirror image of itself."""


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

    `bits` gives a whole number of levels, at least 1, or the next smaller one.
    """
    return uniform_levels(distribution, whole_levels(bits)).mse


def best_step(distribution: Distribution, bits: float) -> Bound:
    """The least mean square error of equal steps, centroids as levels, and an ideal entropy code of so many bits."""
    return uniform_entropy(distribution, checks.rate(bits)).mse


@lru_cache(maxsize=512)
def uniform_levels(distribution: Distribution, levels: int) -> Uniform:
    """The best uniform quantizer of so many levels: its step and, for a distribution without symmetry, its place."""
    from scipy.optimize import minimize, minimize_scalar  # slow to import

    q, levels = density(distribution), checks.integer(levels, "levels", 1)
    if not np.isfinite(q.variance):
        return Uniform(np.nan, np.nan, Bound(np.inf, 0.0), np.nan)
    spread = np.sqrt(q.variance)
    middle = 0.0 if q.symmetric else q.mean
    if levels == 1:
        return Uniform(np.nan, q.mean, Bound(q.variance, q.error * q.second), 0.0)
    cost = partial(_fixed_cost, q, levels, spread)
    widths = np.log(np.array([0.5, 1.0, 2.0, 4.0]) * (3 + np.log2(levels)) / levels)
    rough = min((minimize_scalar(lambda t: cost(t, middle), bracket=(t, t + 0.1)) for t in widths), key=lambda found: found.fun)
    step, place = float(rough.x), middle
    if not q.symmetric:
        options: Any = {"xatol": 1e-9, "fatol": 1e-15}
        found: Any = minimize(cast(Any, lambda v: cost(*v)), np.array([step, middle]), method="Nelder-Mead", options=options)
        step, place = (float(each) for each in found.x)
    step = _settled(q, levels, float(np.exp(step)) * spread, place) if q.symmetric else float(np.exp(step)) * spread
    sums, table = _fixed(q, levels, step, place)
    mse = float(np.sum(sums.second - 2 * table * sums.first + table**2 * sums.mass))
    return Uniform(step, place, Bound(mse, q.error * q.second), sums.entropy)


def _fixed(q: Density, levels: int, step: float, middle: float) -> tuple[_Sums, np.ndarray]:
    table = middle + (np.arange(levels) - (levels - 1) / 2) * step
    ends = np.concatenate([[-np.inf], table[:-1] + step / 2, [np.inf]])
    return _Sums(*q.between(ends[:-1], ends[1:])), table


def _fixed_cost(q: Density, levels: int, spread: float, logarithm: float, middle: float) -> float:
    sums, table = _fixed(q, levels, float(np.exp(logarithm)) * spread, middle)
    return float(np.sum(sums.second - 2 * table * sums.first + table**2 * sums.mass)) / spread**2


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
    ends = place + np.minimum(2.0 ** np.arange(0, 15), CELLS // 2) * step
    enough = q.above(ends)[0] < 1e-18
    return int(2 ** np.argmax(enough)) if enough.any() else CELLS // 2


def _rest_entropy(distribution: Distribution, low: float, high: float, step: float) -> float:
    """Bits of the cells outside: `-integral(p log2(p step))`."""
    q = density(distribution)
    x, p = q.unit.points * distribution.scale, q.unit.values
    outside = ((x < low) | (x > high)) & (p > 0)
    part = p[outside]
    return float(-np.sum(q.unit.weights[outside] * part * np.log2(part * (step / distribution.scale))))


def whole_levels(bits: float) -> int:
    """The largest whole number of levels that so many bits tell apart, at least 1."""
    return max(int(np.floor(2.0 ** checks.rate(bits) + 1e-9)), 1)

"""The best uniform quantizer with an ideal entropy code. Host only, float64."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from qresearch.base import checks
from qresearch.densities.density import Density, density
from qresearch.densities.distribution import Distribution
from qresearch.densities.quadrature import on_intervals
from qresearch.theory.bounds.best_uniform import MANY_BITS, Uniform
from qresearch.theory.bounds.high_rate import Bound, differential_entropy, entropy_coded

MOST_CELLS = 2**12
"""The most cells that are summed one by one. In the rest of a heavy tail the density is taken as constant over a cell: so far
out the variance of a cell would be a difference of numbers that agree in all of their digits.
"""

PLACES = 16
"""Places of the thresholds that are tried for a distribution without symmetry."""

NODES_PER_PIECE = 16
"""Gauss-Legendre points on each piece of that rest."""


def best_step(distribution: Distribution, bits: float) -> Bound:
    """The least mean square error of equal steps and an ideal entropy code of `bits` bits; levels are the cells' centroids.

    Above `MANY_BITS` bits it is the high-rate limit `entropy_coded`, and the error is the difference of the two at `MANY_BITS`.
    """
    if checks.rate(bits) <= MANY_BITS:
        return uniform_entropy(distribution, float(bits)).mse
    many, last = entropy_coded(distribution, bits), uniform_entropy(distribution, MANY_BITS).mse
    there = entropy_coded(distribution, MANY_BITS).value
    return Bound(many.value, many.value * (abs(last.value - there) + last.error) / there + many.error)


@lru_cache(maxsize=512)
def uniform_entropy(distribution: Distribution, bits: float) -> Uniform:
    """The best uniform steps whose codes have an entropy of `bits`; levels are the centroids of the cells.

    For a symmetric distribution zero is the middle of a cell or a threshold; otherwise thresholds are tried at `PLACES` places.
    """
    q = density(distribution)
    if bits == 0:
        return Uniform(np.inf, q.mean, Bound(q.variance, q.error * q.second), 0.0)
    shares = [0.0, 0.5] if q.symmetric else list(np.arange(PLACES) / PLACES)
    return min((_at_entropy(distribution, bits, share) for share in shares), key=lambda found: found.mse.value)


def _at_entropy(distribution: Distribution, bits: float, share: float) -> Uniform:
    from scipy.optimize import brentq  # slow to import

    q = density(distribution)
    near = 2.0 ** (differential_entropy(distribution).value - bits)  # the step in the limit of many bits
    centre = 0.0 if q.symmetric else float(q.quantile(0.5))

    def excess(logarithm: float) -> float:
        return _steps(distribution, near * 2.0**logarithm, share, centre).entropy - bits

    low, high = -1.0, 1.0
    while excess(low) < 0 and low > -60:
        low *= 2
    while excess(high) > 0 and high < 60:
        high *= 2
    if excess(low) < 0 or excess(high) > 0:  # with a threshold at the median every step has at least one bit
        return Uniform(np.nan, np.nan, Bound(np.inf, 0.0), np.nan)
    return _steps(distribution, near * 2.0 ** float(brentq(excess, low, high, xtol=1e-13)), share, centre)


def _steps(distribution: Distribution, step: float, share: float, centre: float) -> Uniform:
    """Error and entropy of equal steps; the middle of a cell is at `centre + share * step`."""
    q = density(distribution)
    place = centre + share * step
    reach = q.quantile([1e-18, 0.5])[0]
    low = int(np.clip(np.floor((max(reach, -1e300) - place) / step), -MOST_CELLS // 2, 0))
    high = _upper(q, place, step)
    edges = place + (np.arange(low, high + 2) - 0.5) * step
    mass, first, second = q.between(edges[:-1], edges[1:])
    full = mass > 0
    inner = float(np.sum((second[full] - first[full] ** 2 / mass[full]).clip(0)))
    rest = float(q.below(edges[0])[0] + q.above(edges[-1])[0])
    entropy = float(-np.sum(mass[full] * np.log2(mass[full]))) + _rest_entropy(distribution, edges[0], edges[-1], step)
    mse = inner + rest * step**2 / 12
    size = q.second if np.isfinite(q.second) else float(second.sum())
    return Uniform(step, place, Bound(float(mse), float(q.error * size)), entropy)


def _upper(q: Density, place: float, step: float) -> int:
    """The index of the last cell that is summed."""
    ends = place + np.minimum(2.0 ** np.arange(0, 12), MOST_CELLS // 2) * step
    enough = q.above(ends)[0] < 1e-18
    return int(2 ** np.argmax(enough)) if enough.any() else MOST_CELLS // 2


def _rest_entropy(distribution: Distribution, low: float, high: float, step: float) -> float:
    """What the cells outside add to the entropy, in bits: `-integral(p log2(p step))`."""
    q = density(distribution)
    ends = q.unit.edges * distribution.scale
    total = 0.0
    for cut in (np.minimum(ends, low), np.maximum(ends, high)):
        starts, stops = (each[np.diff(cut) > 0] for each in (cut[:-1], cut[1:]))
        x, length = on_intervals(starts, stops, NODES_PER_PIECE)
        p = q.pdf(x)
        total -= float(np.sum(length * p * (np.log2(np.where(p > 0, p, 1.0)) + np.log2(step))))
    return total

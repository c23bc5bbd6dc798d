"""The rate-distortion function under squared error: in closed form for the normal, else by Blahut-Arimoto. Host only, float64.

Points half a bit apart are iterated (`blahut`) where they are needed, and interpolated by cubics.

>>> from qresearch.densities.distribution import DISTRIBUTIONS
>>> rate_distortion(DISTRIBUTIONS["normal"](), 2).value
0.0625
>>> round(rate_distortion(DISTRIBUTIONS["laplace"](), 0.5).value, 2)  # its Shannon lower bound is 0.43
0.44
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from qresearch.base import checks
from qresearch.densities.density import density
from qresearch.densities.distribution import Distribution
from qresearch.theory.bounds.blahut import Point, blahut_arimoto
from qresearch.theory.bounds.high_rate import Bound, shannon_lower_bound

CLOSED: dict[str, Callable[[Distribution, float], Bound]] = {
    "normal": lambda distribution, bits: Bound(distribution.variance * 4.0**-bits, 0.0),
}
"""Name of a family with a closed form -> `(distribution, bits) -> Bound`."""

BITS_PER_POINT = 0.5
"""The distance of iterated points, in bits of the Shannon lower bound with the same slope."""

CUBIC_ERROR = 2e-4
"""The relative error of a cubic between two points, at most: halving `BITS_PER_POINT` moves no curve of the tests by more."""

LOWEST_POINT = -10
"""The first point that is iterated, in units of `BITS_PER_POINT`."""

HIGHEST_BITS = 6.0
"""Above this rate the value is the Shannon lower bound, and the error is their relative distance here."""


def rate_distortion(distribution: Distribution, bits: float) -> Bound:
    """The least mean square error of any code of any length, at `bits` per element (0 or more), for independent numbers.

    Its error is that of the iteration and of the cubic between iterated points. Infinite at 0 bits where the variance is.
    """
    rate = checks.rate(bits)
    if distribution.family.name in CLOSED:
        return CLOSED[distribution.family.name](distribution, rate)
    if rate == 0:
        return Bound(density(distribution).variance, 0.0)
    return _at_rate(replace(distribution, given_scale=1.0), rate).times(distribution.scale**2)


@lru_cache(maxsize=4096)
def _at_rate(distribution: Distribution, bits: float) -> Bound:
    shannon = shannon_lower_bound(distribution, bits)
    if bits > HIGHEST_BITS:
        last = _at_rate(distribution, HIGHEST_BITS)
        most = (last.value + last.error) / shannon_lower_bound(distribution, HIGHEST_BITS).value - 1
        return Bound(shannon.value, shannon.value * most + shannon.error)
    left, right = _around(distribution, bits)
    if left is None:
        return _near_zero(distribution, right, bits, shannon)
    value = _cubic(left, right, bits)
    # an error of the bits, times the slope, is one of the distortion
    error = max(each.error * each.slope for each in (left, right)) + CUBIC_ERROR * value
    return Bound(max(value, shannon.value), error)


def _around(distribution: Distribution, bits: float) -> tuple[Point | None, Point]:
    """The iterated points on both sides of a rate; the left one is None where it would have no bits."""
    index = int(np.floor(bits / BITS_PER_POINT))
    while _point(distribution, index).bits <= bits:
        index += 1
    right = _point(distribution, index)
    while index > LOWEST_POINT and (found := _point(distribution, index - 1)).bits > 1e-9:
        if found.bits <= bits:
            return found, right
        index, right = index - 1, found
    return None, right


def _near_zero(distribution: Distribution, right: Point, bits: float, shannon: Bound) -> Bound:
    """Between 0 bits and the first iterated point: the curve is convex, so it lies below the chord and above the tangent."""
    tangent = max(right.mse + right.slope * (right.bits - bits), shannon.value)
    variance = density(distribution).variance
    chord = variance + (right.mse - variance) * bits / right.bits
    return Bound(tangent, chord - tangent + right.error * right.slope)


def _cubic(left: Point, right: Point, bits: float) -> float:
    """The cubic Hermite interpolation of log(mse) over bits."""
    width = right.bits - left.bits
    t = (bits - left.bits) / width
    a, b = np.log(left.mse), np.log(right.mse)
    m, n = -left.slope / left.mse * width, -right.slope / right.mse * width
    found = a * (1 + 2 * t) * (1 - t) ** 2 + m * t * (1 - t) ** 2 + b * t**2 * (3 - 2 * t) + n * t**2 * (t - 1)
    return float(np.exp(found))


@lru_cache(maxsize=4096)
def _point(distribution: Distribution, index: int) -> Point:
    """The point with the slope of the Shannon lower bound at `index * BITS_PER_POINT` bits."""
    shannon = shannon_lower_bound(distribution, 0).value * 4.0 ** (-index * BITS_PER_POINT)
    return blahut_arimoto(distribution, 1 / (2 * shannon))

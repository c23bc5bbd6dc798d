"""Blahut-Arimoto under squared error: the point of the rate-distortion curve with a given slope. Host only, float64.

Blahut and Arimoto (both 1972) in Csiszar's dual form. For a slope s and any positive Z(x), with
`c(y) = integral(p(x) exp(-s (x - y)^2) / Z(x))`, no code with the distortion D has a rate below

    -s D log2(e) - integral(p log2(Z)) - log2(max c)

Z comes from the iteration, on a uniform grid of y with four points to a kernel's width. Beyond the grid the density is constant
over a kernel, and Z is `p sqrt(pi / s)`, as for the Shannon lower bound. So every point is a lower bound; `error` is how far it
may lie below the curve.

>>> from qresearch.densities.distribution import DISTRIBUTIONS
>>> point = blahut_arimoto(DISTRIBUTIONS["normal"](), 8.0)
>>> round(point.bits, 3), round(point.mse, 4)
(2.0, 0.0625)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from qresearch.densities.density import Density, density
from qresearch.densities.distribution import Distribution
from qresearch.densities.quadrature import gauss_legendre
from qresearch.theory.bounds.high_rate import differential_entropy

MOST_POINTS = 6000
"""Points of y at most."""

TOLERANCE_BITS = 3e-5
"""The iteration ends where its two bounds are this close."""

MOST_LEAPS = 400
"""Leaps at most, of three rounds each (SQUAREM: Varadhan and Roland 2008; plain iteration needs thousands of rounds)."""

MOST_STALLED_LEAPS = 60
"""The iteration ends after this many leaps that bring the bounds no closer."""

RAISED_INTERVALS = 16
"""Z is raised within this many intervals, of a quarter of a kernel's width each, of a y."""

_X, _W = gauss_legendre(3)


@dataclass(frozen=True)
class Point:
    """A point of the curve at scale 1.

    Attributes:
        bits: the rate.
        mse: the distortion.
        slope: -d mse / d bits.
        error: of the bits: the distance of the iteration's two bounds.
    """

    bits: float
    mse: float
    slope: float
    error: float


def blahut_arimoto(distribution: Distribution, s: float) -> Point:
    """The point of the rate-distortion curve at which `d rate / d mse = -s` (rate in nats)."""
    grid = _Grid.of(density(distribution), s)
    q = grid.mass.sum(axis=0)
    now = _round(grid, np.log(np.maximum(q, 1e-30 * q.max())))
    best, stalled = now, 0
    for _ in range(MOST_LEAPS):
        if best.gap < TOLERANCE_BITS or stalled == MOST_STALLED_LEAPS:
            break
        once = _round(grid, now.after)
        step, bend = once.log_q - now.log_q, once.after - 2 * once.log_q + now.log_q
        length = max(float(np.linalg.norm(step)) / max(float(np.linalg.norm(bend)), 1e-300), 1.0)
        leap = _round(grid, now.log_q + 2 * length * step + length**2 * bend)
        now = leap if leap.gain >= once.gain else once
        stalled = 0 if now.gap < 0.9 * best.gap else stalled + 1
        best = min(best, now, key=lambda each: each.gap)
    return grid.point(distribution, best)


class _Round(NamedTuple):
    """A round of the iteration."""

    log_q: np.ndarray  # float64 [n], logarithms of the output masses q
    after: np.ndarray  # float64 [n], the same after a step of plain Blahut-Arimoto
    z: np.ndarray  # float64 [3, n]
    gap: float  # bits between the two bounds
    gain: float  # `integral(p log(Z))`, which increases


def _round(grid: _Grid, log_q: np.ndarray) -> _Round:
    log_q = log_q - log_q.max()
    log_q = np.maximum(log_q - np.log(np.exp(log_q).sum() / grid.mass.sum()), -300)
    z = grid.spread(np.exp(log_q)) + grid.beside + 1e-300
    c = grid.gather(grid.mass / z) + grid.outer
    return _Round(log_q, log_q + np.log(c + 1e-300), z, _gap(grid, z, c), float(np.sum(grid.mass * np.log(z))))


def _gap(grid: _Grid, z: np.ndarray, c: np.ndarray) -> float:
    """Bits between the bounds: what it costs to raise Z until no c exceeds 1, around the y where it does and then everywhere.

    c converges last far out in the tails; raising Z only there costs no more than their small probability.
    """
    from scipy.ndimage import maximum_filter1d  # slow to import

    raised = maximum_filter1d(np.maximum(c, 1.0), 2 * RAISED_INTERVALS + 1, mode="nearest")
    left = float((grid.gather(grid.mass / (z * raised)) + grid.outer).max())
    return float(np.sum(grid.mass * np.log2(raised))) + max(float(np.log2(left)), 0.0)


@dataclass(frozen=True)
class _Grid:
    """The grid of y, and three Gauss points of x in every interval."""

    s: float  # the slope
    mass: np.ndarray  # float64 [3, n], the probability of each x
    density: np.ndarray  # float64 [3, n], the density there
    away: tuple[np.ndarray, ...]  # three times float64 [2 k + 1], the distances from an x to the nearest y
    outer: np.ndarray  # float64 [n], what x beyond the grid adds to c
    beside: np.ndarray  # float64 [n], what y beyond the grid adds to Z

    @classmethod
    def of(cls, q: Density, s: float) -> _Grid:
        from scipy.special import erfc  # slow to import

        width = 1 / np.sqrt(2 * s)
        low, high = q.support
        low = max(low, q.quantile(1e-12) - 4 * width) if np.isfinite(q.quantile(1e-12)) else low
        upper = -q.quantile(1e-12) if q.symmetric else q.quantile(1 - 1e-12)
        high = min(high, upper + 4 * width)
        centre = float(q.quantile(0.5))
        reach = MOST_POINTS * width / 8
        low, high = max(low, centre - reach), min(high, centre + reach)
        intervals = int(np.ceil((high - low) / (width / 4)))
        intervals += intervals % 2  # so that the centre of a symmetric density, where a cusp may be, is on the grid
        y = np.linspace(low, high, intervals + 1)
        h = y[1] - y[0]
        x = np.stack([np.append(y[:-1] + h * x, y[-1]) for x in _X])
        mass = np.stack([w * h * each for w, each in zip(_W, q.pdf(x), strict=True)])
        mass[:, -1] = 0.0
        k = int(np.ceil(9 * width / h))
        away = [h * (x + np.arange(-k, k + 1)) for x in _X]
        open_low, open_high = y[0] > q.support[0], y[-1] < q.support[1]
        low_part, high_part = (open_low * erfc((y - y[0]) * np.sqrt(s)) / 2, open_high * erfc((y[-1] - y) * np.sqrt(s)) / 2)
        beside = np.sqrt(np.pi / s) * (q.pdf(y[0]) * low_part + q.pdf(y[-1]) * high_part)
        return cls(s, mass, mass / np.stack([w * h for w in _W])[:, None], tuple(away), low_part + high_part, beside)

    def spread(self, q: np.ndarray, moment: int = 0) -> np.ndarray:
        """float64 [3, n]: Z at every x, `sum(q exp(-s (x - y)^2))`; for the moment 1 each term times `(x - y)^2`."""
        return np.stack([self._same(q, self._kernel(away, moment)) for away in self.away])

    def gather(self, r: np.ndarray) -> np.ndarray:
        """float64 [n]: c at every y, `sum(r exp(-s (x - y)^2))`."""
        return np.sum([self._same(part, self._kernel(away, 0)[::-1]) for part, away in zip(r, self.away)], axis=0)

    def _kernel(self, away: np.ndarray, moment: int) -> np.ndarray:
        return np.exp(-self.s * away**2) * away ** (2 * moment)

    @staticmethod
    def _same(signal: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        k = len(kernel) // 2
        return np.convolve(signal, kernel)[k : k + len(signal)]

    def point(self, distribution: Distribution, found: _Round) -> Point:
        """The point of the dual: distortion and rate, including what lies beyond the grid."""
        full = self.mass > 0
        rest = max(1 - float(self.mass.sum()), 0.0)
        inner = float(np.sum(self.mass[full] / found.z[full] * self.spread(np.exp(found.log_q), 1)[full]))
        mse = inner + rest / (2 * self.s)
        h = differential_entropy(distribution).value
        beyond = -h - float(np.sum(self.mass[full] * np.log2(self.density[full])))  # of p log2(p)
        logs = float(np.sum(self.mass[full] * np.log2(found.z[full]))) + beyond + rest * np.log2(np.pi / self.s) / 2
        bits = -self.s * mse / np.log(2) - logs - found.gap
        return Point(float(bits), mse, float(np.log(2) / self.s), found.gap)

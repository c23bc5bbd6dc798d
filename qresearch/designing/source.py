"""What a design needs to know about its numbers: the moments of any cell. Distributions, block ratios and data provide them.

Host only, float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Source(Protocol):
    """A measure on the line. Its mass need not be 1: in data it is the count, or the sum of the weights."""

    @property
    def symmetric(self) -> bool:
        """Whether the measure is the same at x and -x."""

    @property
    def support(self) -> tuple[float, float]:
        """The smallest interval that holds all of the mass; its ends may be infinite."""

    def between(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """float64 [3, n]: the integrals of 1, x and x^2 over cells from `low` to `high`, float64 [n], which may be infinite."""

    def pdf(self, x: np.ndarray, width: np.ndarray) -> np.ndarray:
        """float64 [n]: the density at points; for data, which have none, the mean density over intervals of these widths."""

    def grid(self) -> np.ndarray:
        """float64, ascending: about a thousand points between which the density changes little."""


@dataclass(frozen=True)
class Restricted:
    """A source from `low` to `high`, which lie inside its support; its mass outside is dropped."""

    source: Source
    low: float
    high: float

    symmetric = False

    @property
    def support(self) -> tuple[float, float]:
        """The interval."""
        return self.low, self.high

    def between(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """The moments of the part of each cell that lies in the interval."""
        return self.source.between(np.clip(low, self.low, self.high), np.clip(high, self.low, self.high))

    def pdf(self, x: np.ndarray, width: np.ndarray) -> np.ndarray:
        """The density; 0 outside."""
        return np.where((self.low <= x) & (x <= self.high), self.source.pdf(x, width), 0.0)

    def grid(self) -> np.ndarray:
        """The source's own points inside, and the finite ends."""
        points = self.source.grid()
        ends = np.array([end for end in self.support if np.isfinite(end)])
        return np.union1d(points[(self.low < points) & (points < self.high)], ends)


def midpoints(levels: np.ndarray) -> np.ndarray:
    """float64 [n - 1]: the nearest-level thresholds of n levels."""
    return levels[:-1] / 2 + levels[1:] / 2


def cell_ends(source: Source, cuts: np.ndarray) -> np.ndarray:
    """float64 [n + 2]: n cuts, between the ends of the support."""
    low, high = source.support
    return np.concatenate([[low], np.clip(cuts, low, high), [high]])


def moments(source: Source, cuts: np.ndarray) -> np.ndarray:
    """float64 [3, n + 1]: mass, first and second moment of the cells between n cuts."""
    ends = cell_ends(source, cuts)
    return source.between(ends[:-1], ends[1:])


def total(source: Source) -> np.ndarray:
    """float64 [3]: mass, first and second moment of the whole source."""
    return moments(source, np.empty(0))[:, 0]


def squared_error(moments: np.ndarray, levels: np.ndarray | float) -> np.ndarray:
    """float64 [n]: the squared error of cells with these moments (float64 [3, n]), each represented by one level."""
    mass, first, second = moments
    return second - 2 * levels * first + levels**2 * mass


def absolute_error(source: Source, levels: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The absolute error of each cell, float64 [n]; and its derivative, the mass below the level less that above.

    There is one level for each cell, float64 [n]; `ends`, float64 [n + 1], are those of the cells.
    """
    inside = np.clip(levels, ends[:-1], ends[1:])
    below, above = source.between(ends[:-1], inside), source.between(inside, ends[1:])
    slope = below[0] - above[0]
    return levels * slope - below[1] + above[1], slope


def entropy_bits(mass: np.ndarray) -> float:
    """The entropy in bits of codes with these masses (float64 [n]; zeros add nothing), which may sum to any total."""
    share = mass[mass > 0] / mass.sum()
    return float(-np.sum(share * np.log2(share)))


def density_quantiles(source: Source, shares: np.ndarray, exponent: float = 1 / 3) -> np.ndarray:
    """float64 [n]: the points below which given shares of `density^exponent` lie, interpolated on the source's grid.

    With the exponent 1/3, cells between equal shares have the least mean square error as their number grows (Panter and Dite,
    Proc. IRE 39, 1951).
    """
    x = source.grid()
    mass = np.maximum(source.between(x[:-1], x[1:])[0], 0.0)
    share = np.concatenate([[0.0], np.cumsum(mass**exponent * np.diff(x) ** (1 - exponent))])
    rising = np.concatenate([[True], np.diff(share) > 0])
    return np.interp(shares * share[-1], share[rising], x[rising])

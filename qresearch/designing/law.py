"""What a design asks of the numbers it is made for: moments over cells. Distributions, block ratios and samples all answer.

Host only, float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Law(Protocol):
    """A measure on the line. Its mass need not be 1: a weight counts as so many numbers."""

    @property
    def symmetric(self) -> bool:
        """Whether -x has the law of x."""
        ...

    @property
    def support(self) -> tuple[float, float]:
        """The least interval that holds all of it; its ends may be infinite."""
        ...

    def between(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """float64 [3, n]: the integrals of 1, x and x^2 over cells `[n]`, whose ends may be infinite."""
        ...

    def pdf(self, x: np.ndarray, width: np.ndarray) -> np.ndarray:
        """float64 [n]: the density at points; where there is none, as in samples, that of intervals so wide around them."""
        ...

    def grid(self) -> np.ndarray:
        """float64, ascending: points so close that the density changes little from each to the next; a thousand or so."""
        ...


@dataclass(frozen=True)
class Part:
    """A law inside an interval; what lies outside is left out.

    Attributes:
        law: of all numbers.
        low, high: the ends, inside the law's own support.
    """

    law: Law
    low: float
    high: float

    symmetric = False

    @property
    def support(self) -> tuple[float, float]:
        """The interval."""
        return self.low, self.high

    def between(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """The moments of what a cell has in common with the interval."""
        return self.law.between(np.clip(low, self.low, self.high), np.clip(high, self.low, self.high))

    def pdf(self, x: np.ndarray, width: np.ndarray) -> np.ndarray:
        """The density, zero outside."""
        return np.where((self.low <= x) & (x <= self.high), self.law.pdf(x, width), 0.0)

    def grid(self) -> np.ndarray:
        """The law's own points inside, and the ends."""
        points = self.law.grid()
        ends = np.array([end for end in self.support if np.isfinite(end)])
        return np.union1d(points[(self.low < points) & (points < self.high)], ends)


def midpoints(levels: np.ndarray) -> np.ndarray:
    """float64 [n - 1]: where the nearer of two neighbours changes."""
    return levels[:-1] / 2 + levels[1:] / 2


def ends_of_cells(law: Law, cuts: np.ndarray) -> np.ndarray:
    """float64 [n + 2]: the cuts between the ends of the support."""
    low, high = law.support
    return np.concatenate([[low], np.clip(cuts, low, high), [high]])


def moments(law: Law, cuts: np.ndarray) -> np.ndarray:
    """float64 [3, n + 1]: mass, first and second moment of the cells between cuts."""
    ends = ends_of_cells(law, cuts)
    return law.between(ends[:-1], ends[1:])


def spread(law: Law, shares: np.ndarray, exponent: float = 1 / 3) -> np.ndarray:
    """float64 [n]: points below which so much of `density^exponent` lies, about.

    With 1/3, cells between equal shares have the least mean square error there is for very many of them (Panter and Dite,
    Proc. IRE 39, 1951).
    """
    x = law.grid()
    mass = np.maximum(law.between(x[:-1], x[1:])[0], 0.0)
    share = np.concatenate([[0.0], np.cumsum(mass**exponent * np.diff(x) ** (1 - exponent))])
    rising = np.concatenate([[True], np.diff(share) > 0])
    return np.interp(shares * share[-1], share[rising], x[rising])

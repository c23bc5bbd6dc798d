"""What levels are to make small: the mean square error or the mean absolute error, with its slope and how that changes.

Levels move the cuts between them, which stay in the middles; so the slope at a level changes with the level itself and with its
two neighbours, and Newton's matrix is tridiagonal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from qresearch.base.table import Table
from qresearch.designing.law import Law, ends_of_cells, midpoints


class Slope(NamedTuple):
    """An error and its derivatives by n variables, these up to one common factor.

    Attributes:
        error: the error, summed over the law.
        first: float64 [n], the derivatives.
        own: float64 [n], not negative: in what units they are to be compared; zero where a variable does nothing.
        diagonal: float64 [n], how each derivative changes with its own variable.
        beside: float64 [n - 1], how it changes with the next one.
    """

    error: float
    first: np.ndarray
    own: np.ndarray
    diagonal: np.ndarray
    beside: np.ndarray

    @classmethod
    def of_levels(cls, error: np.ndarray, first: np.ndarray, own: np.ndarray, pull: np.ndarray) -> Slope:
        """From what levels do while their cells stay, less the pull at each cut that moves with both its levels."""
        around = np.append(pull, 0.0) + np.append(0.0, pull)
        return cls(float(error.sum()), first, own, own - around, -pull)


Objective = Callable[[Law, np.ndarray], Slope]


def squared(law: Law, levels: np.ndarray) -> Slope:
    """The squared error: each level is the mean of its cell (Lloyd 1957, Max 1960; IEEE Trans. Inform. Theory 28 and 6)."""
    cuts, gaps = midpoints(levels), np.diff(levels)
    ends = ends_of_cells(law, cuts)
    mass, first, second = law.between(ends[:-1], ends[1:])
    error = second - 2 * levels * first + levels**2 * mass
    return Slope.of_levels(error, levels * mass - first, mass, law.pdf(cuts, gaps / 2) * gaps / 4)


def absolute(law: Law, levels: np.ndarray) -> Slope:
    """The absolute error: each level is the median of its cell."""
    cuts, gaps = midpoints(levels), np.diff(levels)
    ends = ends_of_cells(law, cuts)
    inside = np.clip(levels, ends[:-1], ends[1:])
    below, above = law.between(ends[:-1], inside), law.between(inside, ends[1:])
    error = levels * (below[0] - above[0]) - below[1] + above[1]
    reach = np.concatenate([gaps[:1], gaps]) / 2 if gaps.size else np.ones(1)
    return Slope.of_levels(error, below[0] - above[0], 2 * law.pdf(levels, reach), law.pdf(cuts, gaps / 2) / 2)


OBJECTIVES: Table[Objective] = Table("metric of a design")
OBJECTIVES.add("mse", squared, doc="mean square error: levels are means of their cells")
OBJECTIVES.add("mae", absolute, doc="mean absolute error: levels are medians of their cells")

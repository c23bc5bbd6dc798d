"""What levels minimize: the mean square or the mean absolute error, with first and second derivatives.

Cuts stay midway between levels, so they move with them. The derivative by one level therefore changes with that level and its
two neighbours, and Newton's matrix is tridiagonal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from qresearch.base.table import Table
from qresearch.designing.source import Source, absolute_error, cell_ends, midpoints, moments, squared_error


class Slope(NamedTuple):
    """An error and its derivatives by n variables; the derivatives up to one common factor.

    Attributes:
        error: the error, summed over the source.
        first: float64 [n], the first derivatives.
        own: float64 [n], not negative: the second derivatives at fixed cells, which scale the variables; zero where a
            variable has no effect.
        diagonal: float64 [n], the second derivatives by one variable.
        beside: float64 [n - 1], the second derivatives by two neighbours.
    """

    error: float
    first: np.ndarray
    own: np.ndarray
    diagonal: np.ndarray
    beside: np.ndarray

    @classmethod
    def of_levels(cls, error: np.ndarray, first: np.ndarray, own: np.ndarray, pull: np.ndarray) -> Slope:
        """From the derivatives at fixed cells, and the effect of each cut, which moves with both its levels."""
        both = np.append(pull, 0.0) + np.append(0.0, pull)
        return cls(float(error.sum()), first, own, own - both, -pull)


Objective = Callable[[Source, np.ndarray], Slope]


def squared(source: Source, levels: np.ndarray) -> Slope:
    """The squared error: each level is the mean of its cell (Lloyd 1957, Max 1960; IEEE Trans. Inform. Theory 28 and 6)."""
    cuts, gaps = midpoints(levels), np.diff(levels)
    cells = moments(source, cuts)
    mass, first, _ = cells
    return Slope.of_levels(squared_error(cells, levels), levels * mass - first, mass, source.pdf(cuts, gaps / 2) * gaps / 4)


def absolute(source: Source, levels: np.ndarray) -> Slope:
    """The absolute error: each level is the median of its cell."""
    cuts, gaps = midpoints(levels), np.diff(levels)
    error, first = absolute_error(source, levels, cell_ends(source, cuts))
    widths = np.concatenate([gaps[:1], gaps]) / 2 if gaps.size else np.ones(1)
    return Slope.of_levels(error, first, 2 * source.pdf(levels, widths), source.pdf(cuts, gaps / 2) / 2)


OBJECTIVES: Table[Objective] = Table("metric of a design")
OBJECTIVES.add("mse", squared, doc="mean square error: levels are means of their cells")
OBJECTIVES.add("mae", absolute, doc="mean absolute error: levels are medians of their cells")

"""Lloyd-Max quantizers: levels of least error for a source, some of them fixed where a format requires it.

The start is the best partition of a few hundred bins (`kmeans`, a global search) or, for many levels, equal shares of the cube
root of the density. Newton's method goes on from there. Cuts stay midway between levels, so they move with them; the derivative
by one level therefore changes with that level and its two neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from qresearch.base.table import Table
from qresearch.designing.kmeans import Points, kmeans
from qresearch.designing.levenberg_marquardt import Objective, Slope, minimize
from qresearch.designing.source import (
    Restricted,
    Source,
    absolute_error,
    cell_ends,
    density_quantiles,
    midpoints,
    moments,
    squared_error,
)

MOST_SEARCHED_LEVELS = 64
"""Up to this many levels start from the best of all partitions of bins."""

BINS_PER_LEVEL = 12
"""Bins of that search, for each level."""


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


def least_error(source: Source, count: int, metric: str = "mse", fixed: Mapping[int, float] | None = None) -> np.ndarray:
    """float64 [count], ascending: levels of least error, each to 1e-10 of the largest magnitude.

    For a symmetric source they are symmetric, unless levels that are not have a smaller error.

    Args:
        source: of the numbers.
        count: how many levels.
        metric: `mse` or `mae`, a row of `OBJECTIVES`.
        fixed: index -> level, of levels that do not move.

    Raises:
        ValueError: for a count below 1, an unknown metric, fixed levels that do not ascend or lie outside the source.
        ArithmeticError: where the levels do not converge.
    """
    objective = OBJECTIVES[metric]
    if fixed:
        return minimize(source, objective, *_between_fixed(source, count, dict(sorted(fixed.items()))))
    if not source.symmetric:
        return minimize(source, objective, starting_levels(source, count))
    mirrored = _mirrored(source, objective, count)
    if 1 < count <= MOST_SEARCHED_LEVELS:
        free = starting_levels(source, count)
        if objective(source, free).error < objective(source, mirrored).error * (1 - 1e-6):
            return minimize(source, objective, free)
    return mirrored


def starting_levels(source: Source, count: int) -> np.ndarray:
    """float64 [count]: levels close to the best ones, for Newton's method to start from."""
    if count > MOST_SEARCHED_LEVELS:
        return density_quantiles(source, (np.arange(count) + 0.5) / count)
    bins = count * BINS_PER_LEVEL
    cuts = np.unique(density_quantiles(source, np.arange(1, bins) / bins))
    points = moments(source, cuts)
    points = points[:, points[0] > 1e-14 * points[0].sum()]
    if points.shape[1] < count:
        raise ValueError(f"{count} levels are more than the different numbers there are; ask for fewer")
    return kmeans(Points(*points), count).levels


def _mirrored(source: Source, objective: Objective, count: int) -> np.ndarray:
    """The best levels of the upper half, and their mirror images; the middle one of an odd number is zero."""
    half = Restricted(source, 0.0, source.support[1])
    if count % 2 == 0:
        upper = minimize(half, objective, starting_levels(half, count // 2))
        return np.concatenate([-upper[::-1], upper])
    if count == 1:
        return np.zeros(1)
    shares = (np.arange(count // 2) + 1) / (count / 2)
    start = np.concatenate([[0.0], density_quantiles(half, shares - 0.5 / (count / 2))])
    upper = minimize(half, objective, start, np.arange(start.size) > 0)
    return np.concatenate([-upper[:0:-1], upper])


def _between_fixed(source: Source, count: int, fixed: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
    """Starting levels, float64 [count], and which of them are free, bool [count].

    Between fixed levels they lie at equal shares of the cube root of the density.
    """
    index, value = list(fixed), list(fixed.values())
    if not 0 <= index[0] <= index[-1] < count or np.any(np.diff(value) <= 0):
        raise ValueError(f"fixed levels must be among the {count} and ascend, got {fixed}")
    levels, free = np.zeros(count), ~np.isin(np.arange(count), index)
    low, high = source.support
    for first, last, a, b in zip([-1, *index], [*index, count], [low, *value], [*value, high], strict=True):
        inside = last - first - 1
        if inside:
            outer = (first < 0) + (last == count)  # half a cell beside an end of the support, a whole one beside a level
            shares = (np.arange(inside) + (0.5 if first < 0 else 1.0)) / (inside + 1 - outer / 2)
            levels[first + 1 : last] = density_quantiles(Restricted(source, a, b), shares)
    levels[index] = value
    return levels, free

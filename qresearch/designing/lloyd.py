"""Levels of least error for a law: Lloyd-Max quantizers, some levels fixed where a format wants them.

Levels begin at the best partition of a few hundred bins (`kmeans`, which looks everywhere) or, where there are many, at equal
shares of the cube root of the density; Newton's method goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from qresearch.designing.kmeans import Points, kmeans
from qresearch.designing.law import Law, Part, moments, spread
from qresearch.designing.objective import OBJECTIVES, Objective
from qresearch.designing.settle import settle

SEARCHED = 64
"""Up to so many levels, all partitions of bins are searched for where to begin."""

BINS = 12
"""Bins to a level in that search."""


def least_error(law: Law, count: int, metric: str = "mse", fixed: Mapping[int, float] | None = None) -> np.ndarray:
    """float64 [count], ascending: levels at which the error is least, each to 1e-10 of the largest magnitude.

    Where a law is symmetric so are the levels, unless levels that are not have a smaller error.

    Args:
        law: of the numbers.
        count: how many levels.
        metric: `mse` or `mae`, a row of `OBJECTIVES`.
        fixed: index -> level, of levels that stay where they are.

    Raises:
        ValueError: for a count below 1, an unknown metric, fixed levels that do not ascend or lie outside the law.
        ArithmeticError: where levels do not settle.
    """
    objective = OBJECTIVES[metric]
    if fixed:
        return settle(law, objective, *_between_fixed(law, count, dict(sorted(fixed.items()))))
    if not law.symmetric:
        return settle(law, objective, begin(law, count))
    mirrored = _mirrored(law, objective, count)
    if 1 < count <= SEARCHED:
        free = begin(law, count)
        if objective(law, free).error < objective(law, mirrored).error * (1 - 1e-6):
            return settle(law, objective, free)
    return mirrored


def begin(law: Law, count: int) -> np.ndarray:
    """float64 [count]: levels near the best ones, the means of their cells."""
    if count > SEARCHED:
        return spread(law, (np.arange(count) + 0.5) / count)
    bins = count * BINS
    cuts = np.unique(spread(law, np.arange(1, bins) / bins))
    points = moments(law, cuts)
    points = points[:, points[0] > 1e-14 * points[0].sum()]
    if points.shape[1] < count:
        raise ValueError(f"{count} levels are more than the different numbers there are; ask for fewer")
    return kmeans(Points(*points), count).levels


def _mirrored(law: Law, objective: Objective, count: int) -> np.ndarray:
    """The best levels of the upper half, and their mirror images; the middle one of an odd number is zero."""
    half = Part(law, 0.0, law.support[1])
    if count % 2 == 0:
        upper = settle(half, objective, begin(half, count // 2))
        return np.concatenate([-upper[::-1], upper])
    if count == 1:
        return np.zeros(1)
    shares = (np.arange(count // 2) + 1) / (count / 2)
    start = np.concatenate([[0.0], spread(half, shares - 0.5 / (count / 2))])
    upper = settle(half, objective, start, np.arange(start.size) > 0)
    return np.concatenate([-upper[:0:-1], upper])


def _between_fixed(law: Law, count: int, fixed: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
    """Where levels begin: between fixed ones at equal shares of the cube root of the density; and which of them are free."""
    index, value = list(fixed), list(fixed.values())
    if not 0 <= index[0] <= index[-1] < count or np.any(np.diff(value) <= 0):
        raise ValueError(f"fixed levels must be among the {count} and ascend, got {fixed}")
    levels, free = np.zeros(count), ~np.isin(np.arange(count), index)
    low, high = law.support
    for first, last, a, b in zip([-1, *index], [*index, count], [low, *value], [*value, high], strict=True):
        inside = last - first - 1
        if inside:
            outer = (first < 0) + (last == count)  # half a cell beside an end of the support, a whole one beside a level
            shares = (np.arange(inside) + (0.5 if first < 0 else 1.0)) / (inside + 1 - outer / 2)
            levels[first + 1 : last] = spread(Part(law, a, b), shares)
    levels[index] = value
    return levels, free

"""Exact k-means in one dimension: the partition of least squared error, by dynamic programming. Host only, float64.

The last cell of the best partition of the first i numbers into k cells begins at the j that minimizes
`D[k-1][j] + cost(j, i)`. That j never decreases as i grows, since the cost is concave (Wu, "Optimal quantization by matrix
searching", J. Algorithms 12, 1991; Gronlund et al., arXiv 1701.07204). So each layer is filled by divide and conquer: the
middle i first, then the middles of both halves within the bounds it gives, a whole depth at a time. For n distinct numbers that
is O(k n log n).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Points(NamedTuple):
    """Weighted points, or bins of numbers, in ascending order.

    Attributes:
        mass: float64 [n], positive.
        first: float64 [n], mass times mean.
        second: float64 [n], the sum of squares.
    """

    mass: np.ndarray
    first: np.ndarray
    second: np.ndarray


class Partition(NamedTuple):
    """A best partition.

    Attributes:
        starts: int64 [k], the index of each cell's first point.
        levels: float64 [k], the means of the cells.
        error: the squared error, summed.
    """

    starts: np.ndarray
    levels: np.ndarray
    error: float


def kmeans(points: Points, count: int) -> Partition:
    """The partition of points into at most `count` cells of least squared error; fewer where there are fewer points.

    >>> kmeans(Points(np.ones(4), np.array([0.0, 1.0, 10.0, 12.0]), np.array([0.0, 1.0, 100.0, 144.0])), 2).levels.tolist()
    [0.5, 11.0]
    """
    n = points.mass.size
    count = min(count, n)
    sums = _Sums.of(points)
    best = sums.cost(np.zeros(n, np.int64), np.arange(1, n + 1))
    starts = np.zeros((count, n + 1), np.int64)
    best = np.concatenate([[0.0], best])
    for k in range(1, count):
        best, starts[k] = _layer(sums, best, k)
    cells = np.empty(count + 1, np.int64)
    cells[count] = n
    for k in range(count - 1, -1, -1):
        cells[k] = starts[k, cells[k + 1]]
    mass, first = (np.add.reduceat(each, cells[:-1]) for each in points[:2])
    return Partition(cells[:-1], first / mass, float(best[n]))


class _Sums(Points):
    """Prefix sums about the mean, so that a common offset costs no digits."""

    @classmethod
    def of(cls, points: Points) -> _Sums:
        mass, first, second = points
        centre = first.sum() / mass.sum()
        about = (mass, first - centre * mass, second - 2 * centre * first + centre**2 * mass)
        return cls(*(np.concatenate([[0.0], np.cumsum(each)]) for each in about))

    def cost(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """The squared error of the points `low <= i < high` about their mean."""
        first = self.first[high] - self.first[low]
        within = self.second[high] - self.second[low] - first * first / (self.mass[high] - self.mass[low])
        return np.maximum(within, 0.0)


def _layer(sums: _Sums, before: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The least errors of the first i points in k + 1 cells, for all i, and where their last cells begin."""
    n = before.size - 1
    best, start = np.full(n + 1, np.inf), np.full(n + 1, k, np.int64)
    ranges = np.array([[k + 1, n, k, n - 1]])  # of i, both ends included, and of j
    while len(ranges):
        low, high, first, last = ranges.T
        middle = (low + high) // 2
        found, best[middle] = _least(sums, before, middle, first, np.minimum(last, middle - 1))
        start[middle] = found
        left = np.stack([low, middle - 1, first, found], 1)[low < middle]
        right = np.stack([middle + 1, high, found, last], 1)[middle < high]
        ranges = np.concatenate([left, right])
    return best, start


def _least(
    sums: _Sums, before: np.ndarray, at: np.ndarray, first: np.ndarray, last: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each i in `at`, the j from `first` to `last` of least error, and that error. All candidates are laid end to end."""
    lengths = last - first + 1
    begins = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    j = np.arange(lengths.sum()) - np.repeat(begins - first, lengths)
    error = before[j] + sums.cost(j, np.repeat(at, lengths))
    least = np.minimum.reduceat(error, begins)
    places = np.flatnonzero(error == np.repeat(least, lengths))
    cell = np.searchsorted(begins, places, side="right") - 1
    return j[places[np.searchsorted(cell, np.arange(at.size))]], least

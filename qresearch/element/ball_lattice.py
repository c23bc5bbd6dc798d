"""Lattices in a ball: the 2^bits points of A2, D4 or E8 next to the origin, as a table of vectors."""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np

MOST_BITS = 12
"""The widest codes: a search compares all points."""

BALL_LATTICES = {"a2": 2, "d4": 4, "e8": 8}
"""Names and dimensions."""


@lru_cache(maxsize=32)
def ball_points(name: str, bits: int) -> np.ndarray:
    """float64 [2^bits, dimension]: the points of least norm, in the order of the codes.

    Points lie in order of their norm. Of equal norm, those with a positive first coordinate other than zero come in
    lexicographic order, each followed by its negative. So a shell that is cut keeps its symmetry, but for one point.
    """
    points = _points(name, 2**bits)
    norms = np.round((points**2).sum(1), 6)
    ahead = points[np.arange(len(points)), np.argmax(points != 0, 1)] < 0
    positive = np.where(ahead[:, None], -points, points)
    order = np.lexsort((ahead, *positive.T[::-1], norms))
    return np.asarray(points[order][: 2**bits]) + 0.0


def _points(name: str, count: int) -> np.ndarray:
    """All points of whole shells, at least `count` of them."""
    radius = 1.0
    while (found := _inside(name, radius)).shape[0] < count:
        radius *= 1.25
    return found


def _inside(name: str, radius: float) -> np.ndarray:
    if name == "a2":
        rows = np.arange(-np.ceil(radius / np.sqrt(3)) - 1, np.ceil(radius / np.sqrt(3)) + 2)
        columns = np.arange(-np.ceil(radius) - 1, np.ceil(radius) + 2)
        whole = np.array(list(product(columns, rows)))
        points = np.concatenate([whole, whole + 0.5]) * [1.0, np.float32(np.sqrt(3.0))]
    else:
        size = BALL_LATTICES[name]
        points = _even(np.arange(-np.floor(radius), np.floor(radius) + 1), size, radius)
        if name == "e8":
            halves = np.arange(-np.floor(radius + 0.5) + 0.5, radius + 0.25)
            points = np.concatenate([points, _even(halves, size, radius)])
    return points[np.sqrt((points**2).sum(1)) <= radius + 1e-6]


def _even(numbers: np.ndarray, size: int, radius: float) -> np.ndarray:
    """All vectors of these coordinates with an even sum, inside the radius: one coordinate after the other."""
    points = np.zeros((1, 0))
    for _ in range(size):
        longer = np.concatenate([np.repeat(points, len(numbers), 0), np.tile(numbers, len(points))[:, None]], 1)
        points = longer[(longer**2).sum(1) <= radius**2 + 1e-6]
    return points[np.round(points.sum(1)) % 2 == 0]

"""Levels fitted to data. Host only, float64.

`exact` finds the partition of least error (`kmeans`, dynamic programming over the distinct numbers). `lloyd` takes Newton steps
on sorted data, which cost less than the sorting: prefix sums give the moments of cells, and the numbers within half a gap of a
cut give the density there.
"""

from __future__ import annotations

import numpy as np

from qresearch.designing.data import Data
from qresearch.designing.kmeans import Points, kmeans
from qresearch.designing.levenberg_marquardt import descend
from qresearch.designing.lloyd import OBJECTIVES, starting_levels
from qresearch.designing.source import midpoints, moments

MOST_POINTS = 2**18
"""The most distinct numbers that `exact` takes: more would take minutes."""

LEAST_GAIN = 1e-12
"""`lloyd` stops at an undamped step that lowers the error by less than this, relative."""

MOST_DAMPING = 1e3
"""With more damping than this, steps are too short to move a number from cell to cell."""


def exact(data: Data, count: int) -> np.ndarray:
    """float64 [count]: the levels of least weighted squared error.

    Raises `ValueError` for more than `MOST_POINTS` distinct numbers, and for fewer than levels.
    """
    points = distinct(data)
    if points.mass.size < count:
        raise ValueError(f"{count} levels are more than the {points.mass.size} different numbers there are; ask for fewer")
    if points.mass.size > MOST_POINTS:
        raise ValueError(
            f"{points.mass.size:,} different numbers are too many for the exact partition, at most {MOST_POINTS:,}; "
            "take lloyd_max, or a part of the numbers"
        )
    return kmeans(points, count).levels


def distinct(data: Data) -> Points:
    """The distinct numbers, with their weights."""
    starts = np.flatnonzero(np.append(True, data.x[1:] != data.x[:-1]))
    x = data.x[starts].astype(np.float64)
    counts = np.diff(np.append(starts, data.x.size)).astype(np.float64)
    mass = counts if data.weights is None else np.add.reduceat(data.weights, starts)
    return Points(mass, mass * x, mass * x * x)


def lloyd(data: Data, count: int, metric: str = "mse") -> np.ndarray:
    """float64 [count]: levels at a local minimum of the error, from the best partition of a few hundred quantiles.

    Raises `ValueError` where there are fewer distinct numbers than levels.
    """
    objective, error = OBJECTIVES[metric], np.inf
    trials = descend(
        lambda levels: objective(data, levels),
        starting_levels(data, count),
        np.ones(count, bool),
        lambda now, then: then.error < now.error,
    )
    for trial in trials:
        gain, error = error - trial.slope.error, trial.slope.error
        if trial.accepted and trial.damping == 0.0 and gain <= LEAST_GAIN * error:
            break
        if not trial.accepted and trial.damping > MOST_DAMPING:
            break
    return _centroids(data, trial.levels) if metric == "mse" else trial.levels


def _centroids(data: Data, levels: np.ndarray) -> np.ndarray:
    """The mean of each level's cell; the level itself where the cell is empty."""
    mass, first, _ = moments(data, midpoints(levels))
    return np.divide(first, mass, out=levels.copy(), where=mass > 0)

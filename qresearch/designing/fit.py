"""Levels fitted to data. Host only.

Two ways: `exact`, the partition of least error of all (`kmeans`, dynamic programming over the different numbers), and Lloyd-Max
on sorted samples, as fast as they are sorted: Newton's steps with the slopes of prefix sums, the density counted in half a gap
about each cut, until the error falls no more.
"""

from __future__ import annotations

import numpy as np

from qresearch.designing.kmeans import Points, kmeans
from qresearch.designing.law import midpoints, moments
from qresearch.designing.lloyd import begin
from qresearch.designing.objective import OBJECTIVES
from qresearch.designing.samples import Samples
from qresearch.designing.settle import ascending, newton_step

MOST = 2**18
"""The most different numbers for the exact way: beyond, it takes minutes."""

STEPS = 500
"""Steps at most; a dozen are usual."""

GAIN = 1e-12
"""The last gain of a step, in units of the error."""


def exact(samples: Samples, count: int) -> np.ndarray:
    """float64 [count]: the levels of least weighted squared error of all.

    Raises `ValueError` for more than `MOST` different numbers, and for fewer than levels.
    """
    points = distinct(samples)
    if points.mass.size < count:
        raise ValueError(f"{count} levels are more than the {points.mass.size} different numbers there are; ask for fewer")
    if points.mass.size > MOST:
        raise ValueError(
            f"{points.mass.size:,} different numbers are too many for the exact partition, at most {MOST:,}; take lloyd_max, "
            "or a part of the numbers"
        )
    return kmeans(points, count).levels


def distinct(samples: Samples) -> Points:
    """The different numbers, with their weights."""
    starts = np.flatnonzero(np.append(True, samples.x[1:] != samples.x[:-1]))
    x = samples.x[starts].astype(np.float64)
    counts = np.diff(np.append(starts, samples.x.size)).astype(np.float64)
    mass = counts if samples.weights is None else np.add.reduceat(samples.weights, starts)
    return Points(mass, mass * x, mass * x * x)


def lloyd(samples: Samples, count: int, metric: str = "mse") -> np.ndarray:
    """float64 [count]: levels that no step moves for the better, from the best partition of a few hundred quantiles.

    Raises `ValueError` where there are fewer different numbers than levels.
    """
    objective = OBJECTIVES[metric]
    levels, free, damping = begin(samples, count), np.ones(count, bool), 0.0
    now = objective(samples, levels)
    for _ in range(STEPS):
        step = newton_step(now, free, damping)
        then = objective(samples, levels + step) if step is not None and ascending(levels + step) else None
        if then is not None and then.error < now.error:
            gain, levels, now = now.error - then.error, levels + step, then
            if damping == 0.0 and gain <= GAIN * now.error:
                break
            damping = damping / 8 if damping > 1e-3 else 0.0
        elif damping > 1e3:
            break
        else:
            damping = max(4 * damping, 1e-2)
    return _centred(samples, levels) if metric == "mse" else levels


def _centred(samples: Samples, levels: np.ndarray) -> np.ndarray:
    """Each level at the mean of its cell."""
    mass, first, _ = moments(samples, midpoints(levels))
    return np.divide(first, mass, out=levels.copy(), where=mass > 0)

"""Newton's method for levels: from a start near the best ones to where none of them wants to move.

Newton's step knows that the cuts move with the levels. Where it would raise the error, or put levels out of order, the matrix's
diagonal is raised by a share of itself until the step is short enough (Levenberg and Marquardt). Errors that differ by rounding
only are compared by their slopes, so that levels settle where their own share of the error is far below rounding, as in heavy
tails.
"""

from __future__ import annotations

import numpy as np

from qresearch.designing.law import Law
from qresearch.designing.objective import Objective, Slope

STEPS = 1000
"""At most; a dozen are usual."""

TOLERANCE = 1e-10
"""Newton's last step at most, in units of the largest magnitude of a level; where the density jumps, so that Newton's steps do
not shrink, what levels are from the best places of their cells, weighted by mass, in units of the RMS.
"""

SLACK = 1e-14
"""How much of the error without any level counts as rounding where two errors are compared."""


def settle(law: Law, objective: Objective, levels: np.ndarray, free: np.ndarray | None = None) -> np.ndarray:
    """float64 [n]: levels whose error is least among neighbours, to 1e-10 of the largest one.

    Args:
        law: of the numbers.
        objective: what is made small.
        levels: float64 [n], ascending: where to begin.
        free: bool [n], which levels may move; None for all.

    Raises:
        ArithmeticError: where they do not settle.
    """
    free = np.ones(levels.size, bool) if free is None else free
    now, damping, settled = objective(law, levels), 0.0, False
    whole = objective(law, np.zeros(1)).error
    whole = whole if np.isfinite(whole) else now.error
    slack = SLACK * whole
    for _ in range(STEPS):
        step = newton_step(now, free, damping)
        small = step is not None and damping == 0.0 and np.abs(step).max() <= TOLERANCE * np.abs(levels).max()
        if step is not None and ascending(levels + step):
            then = objective(law, levels + step)
            if _better(now, then, slack, free):
                levels, now, settled = levels + step, then, settled or small
                damping = damping / 8 if damping > 1e-3 else 0.0
                continue
        if small or settled:  # no better to be had: what is left is rounding
            return levels
        if damping > 1e12:
            settled = _steepness(now, free) <= TOLERANCE**2 * whole
            break
        damping = max(4 * damping, 1e-2)
    if settled:
        return levels
    raise ArithmeticError(
        f"{levels.size} levels did not settle in {STEPS} steps; ask for fewer, or for a source with a lighter tail"
    )


def _better(now: Slope, then: Slope, slack: float, free: np.ndarray) -> bool:
    if not abs(then.error - now.error) <= slack:
        return then.error < now.error
    return _steepness(then, free) < _steepness(now, free)


def _steepness(slope: Slope, free: np.ndarray) -> float:
    """The slope in units in which all levels count the same."""
    counted = free & (slope.own > 0)
    return float(np.sum(slope.first[counted] ** 2 / slope.own[counted]))


def ascending(levels: np.ndarray) -> bool:
    """Whether levels are finite and in order."""
    return bool(np.all(np.isfinite(levels)) and np.all(np.diff(levels) > 0))


def newton_step(slope: Slope, free: np.ndarray, damping: float) -> np.ndarray | None:
    """float64 [n]: the step, or None where the matrix is not positive definite. Cells without mass stay where they are."""
    from scipy.linalg import LinAlgError, solveh_banded  # slow to import

    moving = free & (slope.own > 0)
    scale = np.where(moving, 1 / np.sqrt(np.where(moving, slope.own, 1.0)), 0.0)
    diagonal = np.where(moving, scale**2 * slope.diagonal + damping, 1.0)
    if scale.size == 1:
        return -(scale**2) * slope.first / diagonal if diagonal[0] > 0 else None
    banded = np.stack([np.append(0.0, slope.beside * scale[:-1] * scale[1:]), diagonal])
    try:
        return np.asarray(-scale * solveh_banded(banded, scale * slope.first))
    except LinAlgError:
        return None

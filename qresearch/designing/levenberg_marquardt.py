"""Newton's method with Levenberg-Marquardt damping, for levels or for cuts.

Newton's matrix is tridiagonal. Where its step would raise the error or put levels out of order, a share of the diagonal is
added to the diagonal until the step is short enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from qresearch.designing.source import Source

MOST_TRIALS = 1000
"""Steps that are tried at most; a dozen are usual."""

TOLERANCE = 1e-10
"""The longest last step of Newton's method, relative to the largest level. Where the density jumps, so that Newton's steps do
not shrink: the root mean square distance of levels from the optima of their cells, relative to the RMS.
"""

ERROR_ROUNDING = 1e-14
"""Two errors that differ by less are equal to rounding, relative to the error of a single level at zero."""

MOST_DAMPING = 1e12
"""With more damping than this no step makes the error smaller."""


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

Comparison = Callable[[Slope, Slope], bool]


class Trial(NamedTuple):
    """A step that was tried.

    Attributes:
        levels: float64 [n], the best so far.
        slope: the objective there.
        accepted: whether this step led there; else it was rejected.
        damping: the step's.
        change: the largest change of a level in the step; infinite where there was no step.
    """

    levels: np.ndarray
    slope: Slope
    accepted: bool
    damping: float
    change: float


def descend(
    objective: Callable[[np.ndarray], Slope], levels: np.ndarray, free: np.ndarray, is_better: Comparison
) -> Iterator[Trial]:
    """Tries `MOST_TRIALS` steps from the ascending `levels`, and yields after each: the caller decides when to stop.

    `free`, bool [n], says which levels may move, and `is_better(now, then)` whether to accept a step from one slope to another.
    """
    now, damping = objective(levels), 0.0
    for _ in range(MOST_TRIALS):
        step = newton_step(now, free, damping)
        change = np.inf if step is None else float(np.abs(step).max())
        accepted = False
        if step is not None and np.all(np.isfinite(levels + step)) and np.all(np.diff(levels + step) > 0):
            then = objective(levels + step)
            if accepted := is_better(now, then):
                levels, now = levels + step, then
        yield Trial(levels, now, accepted, damping, change)
        damping = (damping / 8 if damping > 1e-3 else 0.0) if accepted else max(4 * damping, 1e-2)


def minimize(source: Source, objective: Objective, levels: np.ndarray, free: np.ndarray | None = None) -> np.ndarray:
    """float64 [n]: the levels at a local minimum of an objective, to 1e-10 of the largest level.

    Errors that differ only by rounding are compared by their slopes. So levels converge even where their own share of the error
    is far below rounding, as in heavy tails.

    `levels`, float64 [n], ascending, are the start; `free`, bool [n], says which may move (None: all). Raises `ArithmeticError`
    where they do not converge.
    """
    free = np.ones(levels.size, bool) if free is None else free
    single = objective(source, np.zeros(1)).error
    scale = single if np.isfinite(single) else objective(source, levels).error

    def is_better(now: Slope, then: Slope) -> bool:
        if not abs(then.error - now.error) <= ERROR_ROUNDING * scale:
            return then.error < now.error
        return _steepness(then, free) < _steepness(now, free)

    converged = False
    for trial in descend(lambda levels: objective(source, levels), levels, free, is_better):
        short = trial.damping == 0.0 and trial.change <= TOLERANCE * np.abs(trial.levels).max()
        converged = converged or (short and trial.accepted)
        if not trial.accepted and (short or converged):  # no better step: what is left is rounding
            return trial.levels
        if not trial.accepted and trial.damping > MOST_DAMPING:
            converged = _steepness(trial.slope, free) <= TOLERANCE**2 * scale
            break
    if converged:
        return trial.levels
    raise ArithmeticError(
        f"{levels.size} levels did not converge in {MOST_TRIALS} steps; ask for fewer, or take a source with a lighter tail"
    )


def _steepness(slope: Slope, free: np.ndarray) -> float:
    """The squared length of the slope, in units in which all levels count the same."""
    counted = free & (slope.own > 0)
    return float(np.sum(slope.first[counted] ** 2 / slope.own[counted]))


def newton_step(slope: Slope, free: np.ndarray, damping: float) -> np.ndarray | None:
    """float64 [n]: the damped step; None where the matrix is not positive definite. A level whose cell is empty stays."""
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

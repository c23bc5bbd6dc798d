"""The largest error of a round trip: section 5 of `docs/arithmetic.md`, with the *stored* scale.

Everything is float64 on the host, from the oracle's description of the scheme.
"""

from __future__ import annotations

import numpy as np

from qresearch.testing.oracle.blocks import spread
from qresearch.testing.oracle.decode import OracleParams, clipped
from qresearch.testing.oracle.description import Description
from qresearch.testing.oracle.float32 import TINY
from qresearch.testing.oracle.grids import Grid, Integers, Levels, Vectors, numbers_of

ULPS = 3.0
"""Rounding errors of a round trip, in ulp of the largest number involved: one each for the reciprocal and two products."""

ULPS_OFFSET = 5.0
"""The same with a stored minimum: the difference and the final sum add two."""

ONE_WAY = ("toward_zero", "up", "down", "odd", "stochastic")
"""Roundings that may take the farther neighbour."""


def gap(y: np.ndarray, grid: Grid) -> np.ndarray:
    """The distance of the two neighbours that enclose each number (beyond an end: the gap next to it).

    A number within 2^-21 of a neighbour gets the wider of the two gaps there, since y itself is rounded.
    """
    if isinstance(grid, Integers):
        return np.ones(np.shape(y))
    assert not isinstance(grid, Vectors), "vectors have no order, and so no gaps"
    numbers = numbers_of(grid)
    gaps = np.diff(numbers)
    sides = [np.searchsorted(numbers, np.nan_to_num(y) * (1 + d), side="right") - 1 for d in (-(2.0**-21), 2.0**-21)]
    return np.maximum(*(gaps[np.clip(side, 0, gaps.size - 1)] for side in sides))


def bound(x: np.ndarray, scheme: Description, params: OracleParams, values: np.ndarray) -> np.ndarray:
    """The largest allowed abs(x - x'), float64 in the shape of x, with x' in `values`; infinite where there is no bound.

    There is none for a clipped element, for a poisoned block, for a scale of zero (such blocks become zeros), and for one
    number of a vector, whose group moves as a whole.
    """
    if isinstance(scheme.grid, Vectors):
        return np.full(x.shape, np.inf)
    parted = isinstance(scheme.grid, Levels) and scheme.grid.parted
    share = 1.0 if parted or scheme.rounding in ONE_WAY else 0.5
    with np.errstate(all="ignore"):
        if scheme.unit:
            allowed = share * gap(x.astype(np.float64), scheme.grid)
        else:
            allowed = _scaled_bound(x, scheme, params, values, share)
    return np.where(clipped(x, scheme, params) | ~np.isfinite(x), np.inf, allowed)


def _scaled_bound(x: np.ndarray, scheme: Description, params: OracleParams, values: np.ndarray, share: float) -> np.ndarray:
    wide, back = x.astype(np.float64), values.astype(np.float64)
    used, stored = (spread(s, scheme.block, x.shape).astype(np.float64) for s in (params.encoding, params.stored))
    offset, ulps = np.zeros(()), ULPS
    if scheme.minimum and params.offset is not None:
        offset, ulps = spread(params.offset, scheme.block, x.shape).astype(np.float64), ULPS_OFFSET
    largest = np.maximum(np.maximum(np.abs(wide), np.abs(back)), np.abs(offset))
    largest = np.where(scheme.minimum, np.maximum(largest, np.abs(back - offset)), largest)
    allowed = share * gap((wide - offset) / used, scheme.grid) * np.abs(used)
    # Encoded with one scale, decoded with another: the difference times the number on the grid.
    allowed += np.abs(used - stored) * (np.abs((wide - offset) / used) + gap((wide - offset) / used, scheme.grid))
    if params.low is not None and params.offset is not None:
        # Encoded from one minimum, decoded from another: the difference moves everything.
        raw = spread(params.low, scheme.block, x.shape).astype(np.float64)
        allowed += np.abs(raw - offset)
    if scheme.rounding == "add_half" and isinstance(scheme.grid, Integers):
        # Its sum is rounded: half an ulp of the number of steps from the least integer.
        steps = (wide - offset) / used - (0 if scheme.minimum else scheme.grid.low)
        allowed += np.spacing((np.abs(steps) + 1).astype(np.float32)).astype(np.float64) * np.abs(used)
    allowed += ulps * np.spacing(largest.astype(np.float32)).astype(np.float64)
    allowed += TINY  # numbers below it may be read, or written, as zeros
    unbounded = ~np.isfinite(stored) | (stored == 0) | (used == 0)
    return np.where(unbounded, np.inf, allowed)

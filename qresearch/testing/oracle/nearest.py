"""The oracle's rounding: which code does a number get? Comparisons are exact, in float64; NumPy only."""

from __future__ import annotations

import numpy as np

from qresearch.testing.oracle.float32 import TINY, Arithmetic
from qresearch.testing.oracle.grids import Floats, Grid, Integers, Levels, Vectors
from qresearch.testing.oracle.vectors import nearest_vectors

_ON_BITS = Arithmetic(keeps_subnormals=True)
"""Float formats are encoded on the bits of float32, so no platform flushes their subnormals."""


def encode(
    y: np.ndarray,
    grid: Grid,
    rounding: str,
    shift: np.ndarray | float = 0,
    u: np.ndarray | None = None,
    keeps_infinities: bool = False,
    arithmetic: Arithmetic | None = None,
) -> np.ndarray:
    """The codes of numbers on a grid: section 3 of `docs/arithmetic.md`.

    Args:
        y: float32, any shape; [..., group] for vectors.
        grid: where the numbers lie.
        rounding: its name in the table of section 3.
        shift: what is added to a rounded integer (integers only).
        u: float32 in [0, 1), the shape of `y`; needed for "stochastic".
        keeps_infinities: whether infinities stay infinite (casts to a format that has them).
        arithmetic: how subnormals are treated, where the grid is no float format.

    Returns:
        int64 codes in the shape of `y`; [...] for vectors.
    """
    y, arithmetic = np.asarray(y, np.float32), arithmetic or Arithmetic()
    with np.errstate(invalid="ignore"):  # signalling NaNs
        if isinstance(grid, Integers):
            return _integers(y, grid, rounding, shift, u, arithmetic)
        if isinstance(grid, Levels):
            return _levels(y, grid, rounding, u, arithmetic)
        if isinstance(grid, Vectors):
            return nearest_vectors(y, grid.levels, arithmetic)
        return _floats(y, grid, rounding, u, keeps_infinities)


def decode(codes: np.ndarray, grid: Grid) -> np.ndarray:
    """The float32 number of every code; [..., group] for vectors."""
    codes = np.asarray(codes).astype(np.int64)
    if isinstance(grid, Integers):
        return codes.astype(np.float32)
    if isinstance(grid, Vectors):
        return grid.levels.astype(np.float32)[codes]
    numbers = grid.numbers if isinstance(grid, Levels) else grid.numbers()
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32)[codes]


def _integers(
    y: np.ndarray, grid: Integers, rounding: str, shift: np.ndarray | float, u: np.ndarray | None, arithmetic: Arithmetic
) -> np.ndarray:
    y64 = np.where(np.isnan(y) | (np.abs(y) < TINY), 0.0, np.clip(y.astype(np.float64), -1e30, 1e30))
    whole = np.trunc(y64)
    if rounding == "even":
        q = np.rint(y64)
    elif rounding == "half_up":
        # The sum is exact, or y is so small that rounding it cannot reach the next integer.
        q = np.floor(y64 + 0.5)
    elif rounding == "add_half":
        # The sum is rounded to float32, that is the point of it.
        q = np.floor(arithmetic.total(y64.astype(np.float32), np.float32(0.5 - grid.low)).astype(np.float64)) + grid.low
    elif rounding == "half_away":
        q = np.copysign(np.floor(np.abs(y64) + 0.5), y64)
    elif rounding == "half_toward_zero":
        q = np.copysign(np.ceil(np.abs(y64) - 0.5), y64)
    elif rounding == "toward_zero":
        q = whole
    elif rounding == "up":
        q = np.ceil(y64)
    elif rounding == "down":
        q = np.floor(y64)
    elif rounding == "odd":
        q = np.where(y64 == whole, y64, 2 * np.floor(y64 / 2) + 1)
    else:
        q = whole + np.where(_needed(u) < np.abs(y64 - whole), np.sign(y64), 0.0)
    return np.clip(q + shift, grid.low, grid.high).astype(np.int64)


def _levels(y: np.ndarray, grid: Levels, rounding: str, u: np.ndarray | None, arithmetic: Arithmetic) -> np.ndarray:
    levels = grid.numbers
    y64 = np.where(np.isnan(y) | (np.abs(y) < TINY), 0.0, y.astype(np.float64))
    y64 = np.clip(y64, levels[0], levels[-1])
    lower = np.clip(np.searchsorted(levels, y64, side="right") - 1, 0, levels.size - 2)
    a, b = levels[lower], levels[lower + 1]
    straddles, negative = (a < 0) & (b > 0), b <= 0
    side = side_of_middle(y64, a, b)
    if grid.middles is not None:
        declared = grid.middles[lower]
        side = np.where(np.isnan(declared), side, np.sign(y64 - declared))
        side = np.where(y64 == a, -1, np.where(y64 == b, 1, side))  # a middle may lie on a level, which keeps itself
    odd = (lower if grid.words is None else grid.words[lower]) % 2 == 1
    if rounding == "even":
        up = (side > 0) | ((side == 0) & odd)
    elif rounding in ("half_up", "add_half"):
        up = side >= 0
    elif rounding == "half_away":
        up = (side > 0) | ((side == 0) & ~negative)
    elif rounding == "half_toward_zero":
        up = (side > 0) | ((side == 0) & negative)
    elif rounding == "toward_zero":
        near = (side > 0) | ((side == 0) & odd)
        up = np.where(straddles, near, np.where(negative, y64 > a, y64 >= b))
    elif rounding == "up":
        up = y64 > a
    elif rounding == "down":
        up = y64 >= b
    elif rounding == "odd":
        up = np.where(odd, y64 >= b, y64 > a)
    else:
        # The fraction is counted from the neighbour toward zero: the upper one of two that are not positive.
        start, stop = np.where(negative, b, a), np.where(negative, a, b)
        leaves = _needed(u) < _fraction(y64, start, stop, arithmetic)
        up = np.where(negative, ~leaves, leaves)
    return lower + up


def _floats(y: np.ndarray, grid: Floats, rounding: str, u: np.ndarray | None, keeps_infinities: bool) -> np.ndarray:
    finite = grid.finite()
    minus = np.signbit(y) & ~np.isnan(y)
    size = np.clip(np.abs(np.where(np.isnan(y), 0, y).astype(np.float64)), finite[0], finite[-1])
    if not grid.signed:
        size = np.where(minus, finite[0], size)
    lower = np.clip(np.searchsorted(finite, size, side="right") - 1, 0, finite.size - 2)
    a, b = finite[lower], finite[lower + 1]
    side = side_of_middle(size, a, b)
    if rounding == "even":
        up = (side > 0) | ((side == 0) & (lower % 2 == 1))
    elif rounding in ("half_up", "add_half"):
        up = (side > 0) | ((side == 0) & ~minus)
    elif rounding == "half_away":
        up = side >= 0
    elif rounding == "half_toward_zero":
        up = side > 0
    elif rounding == "toward_zero":
        up = size >= b
    elif rounding in ("up", "down"):
        up = np.where(minus == (rounding == "down"), size > a, size >= b)
    elif rounding == "odd":
        up = np.where(lower % 2 == 1, size >= b, size > a)
    else:
        up = (_needed(u) < _fraction(size, a, b, _ON_BITS)) | (size >= b)
    codes = lower + up
    if grid.overflows:
        codes = np.where(_overflows(y, grid, rounding, u), _beyond(grid), codes)
    if grid.infinity and keeps_infinities:
        codes = np.where(np.isinf(y), grid.infinite_code, codes)
    elif grid.overflows:
        codes = np.where(np.isinf(y), _beyond(grid), codes)
    codes = np.where(minus & (not grid.signed), 0, codes)
    signs = minus & grid.signed & ((codes > 0) | grid.negative_zero)
    codes = codes | np.where(signs, grid.codes_per_sign, 0)
    return np.where(np.isnan(y), grid.nan_code or 0, codes)


def _beyond(grid: Floats) -> int:
    code = grid.infinite_code if grid.infinity else grid.nan_code
    assert code is not None, "a format that overflows has an infinity or a NaN"
    return code


def _overflows(y: np.ndarray, grid: Floats, rounding: str, u: np.ndarray | None) -> np.ndarray:
    """Whether finite numbers round beyond the largest one, as if the exponents went on (IEEE 754, 7.4)."""
    size, minus, largest = np.abs(y.astype(np.float64)), np.signbit(y), grid.finite()[-1]
    ulp = 2.0 ** (np.frexp(largest)[1] - 1 - grid.mantissa)
    middle, past, odd = largest + ulp / 2, size > largest, grid.finite().size % 2 == 0
    reached = {
        "even": (size > middle) | ((size == middle) & odd),
        "half_up": (size > middle) | ((size == middle) & ~minus),
        "half_away": size >= middle,
        "half_toward_zero": size > middle,
        "toward_zero": ~past & past,
        "up": past & ~minus,
        "down": past & minus,
        "odd": past & (not odd),
        "stochastic": past & ((0 if u is None else u) < (size - largest) / ulp),
    }
    return reached[rounding] & np.isfinite(y)


def side_of_middle(y: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """-1, 0 or 1: whether y lies below, on or above the middle of a and b, exactly.

    y, a and b are float64 arrays that hold float32 numbers. `a + b` may need more than 53 bits, so its rounding error is
    carried along (Knuth's two-sum).
    """
    total = a + b
    part = total - a
    error = (a - (total - part)) + (b - part)
    return np.sign(np.where(2 * y == total, -error, 2 * y - total)).astype(np.int64)


def _fraction(y: np.ndarray, start: np.ndarray, stop: np.ndarray, arithmetic: Arithmetic) -> np.ndarray:
    """`(y - a) / (b - a)`, each of the three operations rounded to float32."""
    return arithmetic.quotient(arithmetic.difference(y, start), arithmetic.difference(stop, start))


def _needed(u: np.ndarray | None) -> np.ndarray:
    if u is None:
        raise ValueError("stochastic rounding needs random numbers: give a key")
    return np.asarray(u, np.float64)

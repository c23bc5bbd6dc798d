"""The oracle's rounding: which code does a number, or a group of them, get? NumPy only.

Comparisons of numbers are exact, in float64. Vectors are compared level by level, each operation rounded.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qresearch.testing.oracle.float32 import FLUSHING, TINY, Arithmetic
from qresearch.testing.oracle.grids import Floats, Grid, Integers, Levels, Vectors

_ON_BITS = Arithmetic(keeps_subnormals=True)
"""Float formats are encoded on the bits of float32, so no platform flushes their subnormals."""


def encode(
    y: np.ndarray,
    grid: Grid,
    rounding: str,
    shift: np.ndarray | float = 0,
    u: np.ndarray | None = None,
    keeps_infinities: bool = False,
    arithmetic: Arithmetic = FLUSHING,
) -> np.ndarray:
    """The codes of numbers on a grid, int64 in the shape of `y` (vectors: `Vectors.encode`): section 3 of `docs/arithmetic.md`.

    Args:
        y: float32, any shape; [..., group] for vectors.
        grid: where the numbers lie.
        rounding: its name in the table of section 3.
        shift: what is added to a rounded integer (integers only).
        u: float32 in [0, 1), the shape of `y`; only "stochastic" needs it.
        keeps_infinities: whether infinities stay infinite (casts to a format that has them).
        arithmetic: of the grids that are no float formats.
    """
    y = np.asarray(y, np.float32)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        if isinstance(grid, Integers):
            return _integers(y, grid, rounding, shift, u, arithmetic)
        if isinstance(grid, Levels):
            return _levels(y, grid, rounding, u, arithmetic)
        if isinstance(grid, Vectors):
            return grid.encode(y, arithmetic)
        return _floats(y, grid, rounding, u, keeps_infinities)


def decode(codes: np.ndarray, grid: Grid) -> np.ndarray:
    """The float32 number of every code; [..., group] for vectors."""
    codes = np.asarray(codes).astype(np.int64)
    if isinstance(grid, Integers):
        return codes.astype(np.float32)
    if isinstance(grid, Vectors):
        return grid.decode(codes)
    numbers = grid.numbers if isinstance(grid, Levels) else grid.numbers()
    with np.errstate(over="ignore"):
        return numbers.astype(np.float32)[codes]


def _integers(
    y: np.ndarray, grid: Integers, rounding: str, shift: np.ndarray | float, u: np.ndarray | None, arithmetic: Arithmetic
) -> np.ndarray:
    # Grids have at most 16 bits, and so have shifts: numbers beyond 2^20 saturate anyway, and below that all is exact.
    y64 = np.where(np.isnan(y) | (np.abs(y) < TINY), 0.0, np.clip(y.astype(np.float64), -(2.0**20), 2.0**20))
    if rounding == "add_half":
        # The definition rounds this sum to float32: a number just below a tie may go up.
        q = np.floor(arithmetic.total(y64, np.float32(0.5 - grid.low)).astype(np.float64)) + grid.low
    else:
        a = np.floor(y64)
        q = a + _goes_up(_Between.of(y64, a, a + 1, a % 2 == 1), rounding, u, arithmetic)
    return np.clip(q + shift, grid.low, grid.high).astype(np.int64)


def _levels(y: np.ndarray, grid: Levels, rounding: str, u: np.ndarray | None, arithmetic: Arithmetic) -> np.ndarray:
    levels = grid.numbers
    y64 = np.where(np.isnan(y) | (np.abs(y) < TINY), 0.0, y.astype(np.float64))
    y64 = np.clip(y64, levels[0], levels[-1])
    lower, a, b = _neighbours(levels, y64)
    between = _Between.of(y64, a, b, (lower if grid.words is None else grid.words[lower]) % 2 == 1)
    if grid.middles is not None:
        declared = grid.middles[lower]
        side = np.where(np.isnan(declared), between.side, np.sign(y64 - declared))
        side = np.where(y64 == a, -1, np.where(y64 == b, 1, side))  # a middle may lie on a level, which keeps itself
        between = between._replace(side=side)
    return lower + _goes_up(between, rounding, u, arithmetic)


def _floats(y: np.ndarray, grid: Floats, rounding: str, u: np.ndarray | None, keeps_infinities: bool) -> np.ndarray:
    finite, minus = grid.finite(), np.signbit(y) & ~np.isnan(y)
    size = np.clip(np.nan_to_num(np.abs(y.astype(np.float64))), finite[0], finite[-1])
    lower, a, b = _neighbours(finite, size)
    # Codes ascend with the magnitude. For a negative number the upper neighbour is the one of smaller magnitude.
    signed, below, above = np.where(minus, -size, size), np.where(minus, -b, a), np.where(minus, -a, b)
    up = _goes_up(_Between.of(signed, below, above, (lower + minus) % 2 == 1), rounding, u, _ON_BITS)
    codes = lower + (up ^ minus)
    if grid.overflows:
        codes = np.where(_overflows(y, grid, rounding, u) | np.isinf(y), _beyond(grid), codes)
    if grid.infinity and keeps_infinities:
        codes = np.where(np.isinf(y), grid.infinite_code, codes)
    codes = np.where(minus & (not grid.signed), 0, codes)
    signs = minus & grid.signed & ((codes > 0) | grid.negative_zero)
    codes = codes | np.where(signs, grid.codes_per_sign, 0)
    return np.where(np.isnan(y), grid.nan_code or 0, codes)


def _neighbours(numbers: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The index of the lower neighbour of each y among ascending numbers, and both neighbours."""
    lower = np.clip(np.searchsorted(numbers, y, side="right") - 1, 0, numbers.size - 2)
    return lower, numbers[lower], numbers[lower + 1]


class _Between(NamedTuple):
    """Numbers y between their neighbours, a <= y <= b, all float64.

    Attributes:
        side: -1, 0 or 1: whether y lies below, on or above the middle of a and b.
        odd: whether the code of a is odd.
    """

    y: np.ndarray
    a: np.ndarray
    b: np.ndarray
    side: np.ndarray
    odd: np.ndarray

    @classmethod
    def of(cls, y: np.ndarray, a: np.ndarray, b: np.ndarray, odd: np.ndarray) -> _Between:
        """With the exact middle."""
        return cls(y, a, b, side_of_middle(y, a, b), odd)


def _goes_up(between: _Between, rounding: str, u: np.ndarray | None, arithmetic: Arithmetic) -> np.ndarray:
    """bool: whether each number becomes its upper neighbour, by the table of section 3."""
    y, a, b, side, odd = between
    # In a codebook without a zero, a gap may straddle zero: none of its ends is toward zero.
    negative, straddles = b <= 0, (a < 0) & (b > 0)
    if rounding == "stochastic":
        if u is None:
            raise ValueError("stochastic rounding needs random numbers: give a key")
        # The fraction is counted from the neighbour toward zero: the upper one of two that are not positive.
        start, stop = np.where(negative, b, a), np.where(negative, a, b)
        leaves = u.astype(np.float64) < arithmetic.quotient(arithmetic.difference(y, start), arithmetic.difference(stop, start))
        return leaves ^ negative
    above, tie, past, reaches = side > 0, side == 0, y > a, y >= b
    return {
        "even": above | (tie & odd),
        "half_up": above | tie,
        "add_half": above | tie,
        "half_away": above | (tie & ~negative),
        "half_toward_zero": above | (tie & negative),
        "toward_zero": np.where(straddles, above | (tie & odd), np.where(negative, past, reaches)),
        "up": past,
        "down": reaches,
        "odd": np.where(odd, reaches, past),
    }[rounding]


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
        "add_half": (size > middle) | ((size == middle) & ~minus),
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

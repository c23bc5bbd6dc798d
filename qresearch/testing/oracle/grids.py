"""The oracle's grids: where the numbers of a scheme lie, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qresearch.testing.oracle.vectors import Vectors


@dataclass(frozen=True)
class Integers:
    """The integers from `low` to `high`, as a grid."""

    low: int
    high: int

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest number of the grid."""
        return float(self.low), float(self.high)

    @property
    def reach(self) -> float:
        """What the widest number of a block is scaled to: the largest number, or minus the least where none is positive."""
        return float(self.high if self.high > 0 else -self.low)


@dataclass(frozen=True, eq=False)
class Levels:
    """A sorted table of numbers, whose codes are the indices.

    Attributes:
        numbers: float64 [n].
        reach: its declared width.
        middles: float64 [n - 1], where roundings to nearest part two neighbours; NaN for their mean. None: all of them means.
        words: int [n], whose parity breaks ties. None: the codes.
    """

    numbers: np.ndarray
    reach: float
    middles: np.ndarray | None = None
    words: np.ndarray | None = None

    @property
    def parted(self) -> bool:
        """Whether any middle is declared: then a level may be nearest to numbers of the whole gap beside it."""
        return self.middles is not None and not bool(np.isnan(self.middles).all())

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest level."""
        return float(self.numbers[0]), float(self.numbers[-1])


@dataclass(frozen=True)
class Floats:
    """A float format: field widths, bias, whether signed, whether it has zero and subnormals, and its special codes.

    The topmost `nans` codes of each sign are NaNs; the code below them is an infinity where there is one; the code of -0 is
    a NaN where there is no negative zero. `overflows`: what lies beyond the largest number becomes the infinity, or NaN.
    """

    exponent: int
    mantissa: int
    bias: int
    signed: bool
    zero: bool
    nans: int
    infinity: bool
    negative_zero: bool = True
    overflows: bool = False

    @property
    def codes_per_sign(self) -> int:
        """2 to the width of exponent and mantissa."""
        return 2 ** (self.exponent + self.mantissa)

    @property
    def infinite_code(self) -> int:
        """The magnitude code of an infinity."""
        return self.codes_per_sign - self.nans - 1

    @property
    def nan_code(self) -> int | None:
        """The code that a NaN becomes: -0's where that is NaN, else a quiet one without a payload, else all ones, or None."""
        if self.signed and not self.negative_zero:
            return self.codes_per_sign
        if not self.nans:
            return None
        return self.infinite_code + 2 ** (self.mantissa - 1) if self.infinity and self.nans > 1 else self.codes_per_sign - 1

    def magnitudes(self) -> np.ndarray:
        """float64 [codes_per_sign]: the number of every code without its sign, straight from the format's definition."""
        codes = np.arange(self.codes_per_sign)
        field, fraction = np.divmod(codes, 2**self.mantissa)
        subnormal = (field == 0) & self.zero
        significand = np.where(subnormal, fraction, 2**self.mantissa + fraction).astype(np.float64)
        numbers = np.ldexp(significand, np.where(subnormal, 1, field) - self.bias - self.mantissa)
        if self.infinity:
            numbers[self.infinite_code] = np.inf
        numbers[self.codes_per_sign - self.nans :] = np.nan
        return numbers

    def finite(self) -> np.ndarray:
        """float64: the finite magnitudes, ascending; the index is the code."""
        numbers = self.magnitudes()
        return numbers[np.isfinite(numbers)]

    def numbers(self) -> np.ndarray:
        """float64: the number of every code, sign bit included."""
        numbers = self.magnitudes()
        if not self.signed:
            return numbers
        minus = -numbers
        minus[0] = -0.0 if self.negative_zero else np.nan
        return np.concatenate([numbers, minus])

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest finite number."""
        finite = self.finite()
        return (-float(finite[-1]) if self.signed else float(finite[0])), float(finite[-1])

    @property
    def reach(self) -> float:
        """The largest finite number."""
        return self.ends[1]


Grid = Integers | Levels | Floats | Vectors


def numbers_of(grid: Integers | Levels | Floats) -> np.ndarray:
    """float64: the different finite numbers of a grid, ascending."""
    if isinstance(grid, Integers):
        return np.arange(grid.low, grid.high + 1.0)
    if isinstance(grid, Levels):
        return grid.numbers
    finite = grid.finite()
    return np.unique(np.concatenate([-finite, finite])) if grid.signed else finite

"""What the oracle knows of a scheme: plain numbers and names, no arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np


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

    def magnitude(self, code: int) -> float:
        """The number of a code without its sign, in float64, straight from the format's definition."""
        field, fraction = divmod(code, 2**self.mantissa)
        if code >= self.codes_per_sign - self.nans:
            return float("nan")
        if self.infinity and code == self.infinite_code:
            return float("inf")
        if field == 0 and self.zero:
            return fraction * 2.0 ** (1 - self.bias - self.mantissa)
        return (2**self.mantissa + fraction) * 2.0 ** (field - self.bias - self.mantissa)

    def magnitudes(self) -> np.ndarray:
        """float64 [codes_per_sign]: all of them, by enumeration."""
        return _enumerated(self)

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


@lru_cache
def _enumerated(form: Floats) -> np.ndarray:
    numbers = np.array([form.magnitude(code) for code in range(form.codes_per_sign)])
    numbers.setflags(write=False)
    return numbers


Grid = Integers | Levels | Floats


def numbers_of(grid: Levels | Floats) -> np.ndarray:
    """float64: the different finite numbers of a grid, ascending."""
    if isinstance(grid, Levels):
        return grid.numbers
    finite = grid.finite()
    return np.unique(np.concatenate([-finite, finite])) if grid.signed else finite


@dataclass(frozen=True)
class Block:
    """How many elements along each axis share a scale.

    Attributes:
        sizes: counted over the last axes, None being the whole axis; axes before them have length 1. None: everything.
        channel: an axis that keeps its own scales while all others share them.
        flat: the array is flattened first.
    """

    sizes: tuple[int | None, ...] | None = None
    channel: int | None = None
    flat: bool = False

    def viewed(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that is cut into blocks: flattened where asked; a 0-d array counts as one element."""
        return (int(np.prod(shape)),) if self.flat or not shape else tuple(shape)

    def lengths(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The block's length along every axis of a shape that `viewed` gave; never longer than the axis, at least 1."""
        if self.channel is not None:
            wanted: list[int | None] = [1 if axis == self.channel % len(shape) else None for axis in range(len(shape))]
        elif self.sizes is None:
            wanted = [None] * len(shape)
        else:
            # Leading lengths that say nothing may stand before the first axis: "1x64" for an array of one axis.
            wanted = [*[1] * (len(shape) - len(self.sizes)), *self.sizes[-len(shape) :]]
        return tuple(max(1, size if length is None else min(size, length)) for size, length in zip(shape, wanted))


@dataclass(frozen=True, eq=False)
class Hadamard:
    """Groups of the last axis times these signs (float32 [size]), then times the Hadamard matrix over the root of the size."""

    signs: np.ndarray


@dataclass(frozen=True, eq=False)
class Orthogonal:
    """Groups of the last axis times this matrix, float32 [size, size]."""

    matrix: np.ndarray


@dataclass(frozen=True, eq=False)
class Outliers:
    """A fraction of the elements, those of largest magnitude, kept apart; `values` is how (None: float32)."""

    fraction: float
    values: Description | None


@dataclass(frozen=True)
class Dither:
    """Noise of one step, drawn from a seed, added before and taken off after."""

    seed: int


@dataclass(frozen=True)
class Feedback:
    """The error of each slice along an axis added to the next."""

    axis: int


@dataclass(frozen=True)
class Mean:
    """The mean taken off and kept in float32."""


Wrapping = Hadamard | Orthogonal | Outliers | Dither | Feedback | Mean


@dataclass(frozen=True, eq=False)
class Description:
    """A scheme, read.

    Attributes:
        grid: where the numbers lie.
        bits: the width of a code.
        rounding: its name in the table of section 3.
        form: "sym", "asym", "offset" or "edge".
        statistic: "absmax", "signmax", "firstmax", "minmax", "rms", "quantile", "search", "among", "kl", "hqq" or "unit".
        argument: the first of its arguments: k of absmax and rms, p of quantile.
        block: which elements share a scale.
        exact: whether encoding uses the scale (and the minimum) before it is stored.
        minus_zero: whether a float element may be a negative zero.
        stored: where blocks of the last axis are stored whole, scales and all: (elements, bytes) of one.
        divided: whether a scale is a quotient, not a product with a reciprocal.
        scale, offset: how these are stored; None is float32.
        wrappers: what changes numbers around it, the innermost first.
        arguments: all arguments of the statistic.
        rise: where scales are powers of two: those whose fraction is at least this many 2^-23 go up to the next.
    """

    grid: Grid
    bits: int
    rounding: str
    form: str
    statistic: str
    argument: float | None
    block: Block
    exact: bool = False
    scale: Description | None = None
    offset: Description | None = None
    divided: bool = False
    wrappers: tuple[Wrapping, ...] = ()
    minus_zero: bool = True
    stored: tuple[int, int] | None = None
    arguments: tuple[float, ...] = ()
    rise: int | None = None

    @property
    def minimum(self) -> bool:
        """Whether a minimum, or a bias, is stored beside the scale."""
        return self.form in ("offset", "edge")

    @property
    def power_of_two(self) -> bool:
        """Whether the numbers are powers of two only (e8m0)."""
        return not self.wrappers and isinstance(self.grid, Floats) and not self.grid.zero and self.grid.mantissa == 0

    @property
    def stochastic(self) -> bool:
        """Whether any part of it draws random numbers."""
        parts = [part for part in (self.scale, self.offset) if part is not None]
        return self.rounding == "stochastic" or any(part.stochastic for part in parts)

    @property
    def unit(self) -> bool:
        """Whether it has no scale at all."""
        return self.statistic == "unit"

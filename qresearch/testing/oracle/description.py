"""What the oracle knows about a scheme: plain numbers and names, no arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from qresearch.testing.oracle.grids import Floats, Grid, Vectors


@dataclass(frozen=True)
class Block:
    """How many elements along each axis share a scale.

    Attributes:
        sizes: counted over the last axes, None being the whole axis; axes before them have length 1. None: everything.
        channel: an axis that keeps its own scales while all others share them.
        flat: the array is flattened first.
        group: neighbours that are coded together; a `Description` takes it from its grid.
        per_group: codes of a group; likewise.
    """

    sizes: tuple[int | None, ...] | None = None
    channel: int | None = None
    flat: bool = False
    group: int = 1
    per_group: int = 1

    def viewed(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that is cut into blocks, flattened if `flat` says so; a 0-d array counts as one element."""
        return (int(np.prod(shape)),) if self.flat or not shape else tuple(shape)

    def lengths(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The block's length along every axis of a shape that `viewed` gave, at least 1.

        It is never longer than the axis, except that a block alone along the axis of the groups is filled up to whole groups.
        """
        written = zip(shape, self._written(len(shape)))
        lengths = [max(1, size if length is None else min(size, length)) for size, length in written]
        if self.group > 1:
            lengths[self.axis(len(shape))] += -lengths[self.axis(len(shape))] % self.group
        return tuple(lengths)

    def axis(self, rank: int) -> int:
        """The axis of groups: the last one along which a block holds more than one number."""
        return max(axis for axis, length in enumerate(self._written(rank)) if length != 1)

    def _written(self, rank: int) -> list[int | None]:
        """The length along every axis before the array cuts it; None is the whole axis."""
        if self.channel is not None:
            return [1 if axis == self.channel % rank else None for axis in range(rank)]
        if self.sizes is None:
            return [None] * rank
        # More sizes than axes, such as "1x64" for an array of one axis: the first of them are 1, and are left out.
        return [*[1] * (rank - len(self.sizes)), *self.sizes[-rank:]]


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
    """A fraction of the elements, those of largest magnitude, stored apart; `values` is how (None: float32)."""

    fraction: float
    values: Description | None


@dataclass(frozen=True)
class Dither:
    """Noise of one step, drawn from a seed, added before and subtracted after."""

    seed: int


@dataclass(frozen=True)
class Feedback:
    """Adds the error of each slice along an axis to the next slice."""

    axis: int


@dataclass(frozen=True)
class Mean:
    """The mean, subtracted before and added after, and stored in float32."""


@dataclass(frozen=True)
class FittedLevels:
    """Levels of vectors, fitted to the array's groups by Lloyd's algorithm and stored; `values` is how (None: float32)."""

    iterations: int
    values: Description | None


Wrapping = Hadamard | Orthogonal | Outliers | Dither | Feedback | Mean | FittedLevels


@dataclass(frozen=True, eq=False)
class Description:
    """A scheme, read.

    Attributes:
        grid: where the numbers lie.
        bits: the width of a code.
        rounding: its name in the table of section 3; vectors do not read it.
        form: "sym", "asym", "offset" or "edge".
        statistic: "absmax", "signmax", "firstmax", "minmax", "rms", "absmean", "quantile", "search", "among", "kl", "hqq",
            "twn" or "unit".
        argument: the first of its arguments: k of absmax and rms, p of quantile.
        block: which elements share a scale.
        exact: whether encoding uses the scale (and the minimum) before it is stored.
        minus_zero: whether a float element may be a negative zero.
        stored: where blocks of the last axis are stored whole, scales and all: (elements, bytes) of one.
        divided: whether a scale is a quotient and not a product with a reciprocal.
        scale, offset: how these are stored; None is float32.
        wrappers: what changes numbers around it, the innermost first.
        arguments: all arguments of the statistic.
        rule: where plain `e8m0` stores the scales: the name of the scale rule.
        rise: for a quantizer whose rule has no known name: fractions of at least `rise * 2^-23` go up.
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
    rule: str | None = None
    rise: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "block", replace(self.block, group=self.group, per_group=self.per_group))

    @property
    def group(self) -> int:
        """Numbers that are coded together."""
        return self.grid.group if isinstance(self.grid, Vectors) else 1

    @property
    def per_group(self) -> int:
        """Codes of a group."""
        return self.grid.per_group if isinstance(self.grid, Vectors) else 1

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
        """Whether any part draws random numbers."""
        parts = [part for part in (self.scale, self.offset) if part is not None]
        return self.rounding == "stochastic" or any(part.stochastic for part in parts)

    @property
    def unit(self) -> bool:
        """Whether it has no scale at all."""
        return self.statistic == "unit"

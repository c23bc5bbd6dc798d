"""The codebook grid: any sorted table of 2 to 65,536 levels, exactly nearest, by thresholds.

A float32 quotient is not exact enough to decide between two levels. So each deterministic rounding becomes a table of
*thresholds*: the least float32 that is encoded as the upper of two neighbours, found on the host. A code is then the number of
thresholds that do not exceed the input:

- up to 16 levels: a bisection of four comparisons, each with a threshold that the earlier ones select;
- more: the upper 16 bits of the float32 name a cell, a table of 65,536 cells gives the lowest code in it, and a bisection
  over the few thresholds inside the cell (mostly one) gives the rest.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch import sharding
from qresearch.numbers import TINY, quotient, rounded
from qresearch.packing import code_dtype
from qresearch.part import Leaf, part, static
from qresearch.rounding import Position, Rounding

BUCKETS = (16, 256, 65536)
"""Tables are padded to one of these lengths: codebooks of one bucket share a trace."""

STEPS = 4
"""Bisection steps of the smallest bucket."""


@part
class Codebook:
    """A sorted table of levels; the code of a level is its index.

    Attributes:
        levels: float32 [bucket], ascending, padded with NaN.
        thresholds: float32 [bucket]; entry i is the least input of code i + 1, padded with NaN.
        cells: uint8 or uint16 [65536], the lowest code in each cell of float32; None for at most 16 levels.
        middles: float32 [bucket]; entry i is where roundings to nearest part the levels i and i + 1; NaN, the usual case,
            stands for their exact mean.
        words: int32 [bucket], the bit string of each level where the format has its own, else the code; even ones win ties.
        reach: float32 scalar, the number on the grid that a block's width is mapped to.
        limits: float32 [2], the ends extended by half of the gap beside them; what lies beyond is clipped.
        bits: int32 scalar, the width of a code.
        steps: bisection steps inside a cell: 1 for nearly all tables of at most 256 levels. Where levels crowd, as those of
            `apot7` and `apot8`, a cell holds two thresholds or more, and such tables have a trace of their own: with one number
            of steps for all, every element of every table would pay for another look-up.
        dtype: of the codes.
    """

    levels: Leaf
    thresholds: Leaf
    cells: Leaf
    middles: Leaf
    words: Leaf
    reach: Leaf
    limits: Leaf
    bits: Leaf
    steps: int = static()
    dtype: str = static()

    shiftable = False

    def encode(self, y: Array, rounding: Rounding, u: Array | None = None, shift: None = None) -> Array:
        """float32 -> codes. NaN is encoded like zero."""
        y = jnp.where(jnp.isnan(y), jnp.float32(0), y)
        code = self._below(y)
        if rounding.stochastic:
            code = code + self._goes_up(y, code, rounding, u)
        return code.astype(self.dtype)

    def _below(self, y: Array) -> Array:
        """int32: how many thresholds do not exceed y."""
        if self.cells is None:
            return _bisected(self.thresholds, y)
        cell = lax.bitcast_convert_type(y, jnp.uint32) >> 16
        code = sharding.entries(self.cells, cell, "promise_in_bounds").astype(jnp.int32)
        for step in reversed(range(self.steps)):
            stride = 1 << step
            passed = y >= sharding.entries(self.thresholds, code + (stride - 1), "clip")
            code = code + stride * passed.astype(jnp.int32)
        return code

    def _goes_up(self, y: Array, code: Array, rounding: Rounding, u: Array | None) -> Array:
        """int32, 0 or 1: whether the upper neighbour is chosen. The thresholds are the levels themselves here."""
        levels = jnp.asarray(self.levels)
        lower, upper = sharding.entries(levels, code), sharding.entries(levels, code + 1, "clip")
        outward = (upper <= 0) & (lower < 0)
        part_way = jnp.where(outward, upper - rounded(y), rounded(y) - lower)
        gap = upper - lower
        fraction = quotient(part_way, jnp.where(gap > 0, gap, jnp.float32(1)))
        away = rounding.away(Position(y, y, y > 0, y < 0, fraction=fraction, u=u))
        valid = (gap > 0) & (y >= lower)
        return (valid & jnp.where(outward, ~away, away)).astype(jnp.int32)

    def decode(self, codes: Array) -> Array:
        """Codes -> float32."""
        if self.cells is None:
            return _selected(self.levels, [(codes >> bit) & 1 == 1 for bit in range(STEPS)])
        return sharding.entries(self.levels, codes)

    def clipped(self, y: Array, shift: None = None) -> Array:
        """bool: whether a number lies beyond an end by more than half of the gap beside it."""
        return (y < self.limits[0]) | (y > self.limits[1])

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest level."""
        return float(self.levels[0]), float(np.nanmax(self.levels))

    def codes(self) -> np.ndarray:
        """All codes, ascending."""
        return np.arange(np.count_nonzero(~np.isnan(self.levels))).astype(self.dtype)


def _bisected(thresholds: Array, y: Array) -> Array:
    """int32: how many of up to 15 ascending thresholds (padded with NaN) do not exceed y."""
    bits: list[Array] = []  # of the code, the highest last
    for step in range(STEPS):
        stride = BUCKETS[0] >> step
        bits = [y >= _selected(thresholds[stride // 2 - 1 :: stride], bits), *bits]
    return functools.reduce(operator.or_, (bit.astype(jnp.int32) << place for place, bit in enumerate(bits)))


def _selected(numbers: Array, bits: list[Array]) -> Array:
    """The entry of `numbers` that bits (bool, the lowest first) name. Selects are vectorised; a gather is not."""
    row = [numbers[i] for i in range(1 << len(bits))]
    for bit in bits:
        row = [jnp.where(bit, upper, lower) for lower, upper in zip(row[::2], row[1::2])]
    return row[0]


def codebook(levels: Any, rounding: Rounding, reach: float | None = None, middles: Any = None, words: Any = None) -> Codebook:
    """The grid of a table of levels.

    Args:
        levels: 2 to 65,536 different finite numbers in ascending order; each is rounded to float32.
        rounding: decides the thresholds.
        reach: the number on the grid that a block's width is mapped to; by default the largest magnitude.
        middles: one number fewer than levels, each in its gap, rounded to float32: where roundings to nearest part neighbours.
            For formats that round their bit strings or their logarithms; by default the exact means.
        words: integers, the bit string of each level, whose parity breaks ties; by default the codes.

    Raises:
        ValueError: where levels are too few or too many, not ascending, not finite, subnormal, or zero altogether; where
            middles or words do not fit to them.
    """
    table = _checked(levels)
    count, bits = len(table), max(int(len(table) - 1).bit_length(), 1)
    bucket = next(b for b in BUCKETS if count <= b)
    parting = _middles(table, middles)
    numbered = _words(count, words)
    thresholds = _thresholds(table, rounding, parting, numbered)
    cells, steps = (None, 0) if bucket == BUCKETS[0] else _cells(thresholds)
    return Codebook(
        levels=_padded(table, bucket),
        thresholds=_padded(thresholds, bucket),
        cells=cells,
        middles=_padded(parting, bucket),
        words=np.concatenate([numbered, np.zeros(bucket - count, np.int32)]),
        reach=np.float32(reach if reach is not None else np.abs(table).max()),
        limits=_limits(table),
        bits=np.int32(bits),
        steps=steps,
        dtype=str(code_dtype(bits, False)),
    )


def _padded(numbers: np.ndarray, bucket: int) -> np.ndarray:
    return np.concatenate([numbers, np.full(bucket - numbers.size, np.nan, np.float32)])


def _middles(table: np.ndarray, middles: Any) -> np.ndarray:
    """float32 [n - 1]: the middles given, or NaNs."""
    if middles is None:
        return np.full(table.size - 1, np.nan, np.float32)
    found = np.asarray(middles, np.float64).astype(np.float32)
    if found.shape != (table.size - 1,):
        raise ValueError(f"middles must be one fewer than the {table.size} levels, not an array of shape {found.shape}")
    if not (inside := (found >= table[:-1]) & (found <= table[1:])).all():
        i = int(np.argmin(inside))
        raise ValueError(f"middle {i} must lie between the levels {table[i]} and {table[i + 1]}, not at {found[i]}")
    return found


def _words(count: int, words: Any) -> np.ndarray:
    found = np.arange(count, dtype=np.int32) if words is None else np.asarray(words, np.int32)
    if found.shape != (count,):
        raise ValueError(f"words must be one for each of the {count} levels, not an array of shape {found.shape}")
    return found


def _checked(levels: Any) -> np.ndarray:
    table = np.asarray(levels, np.float64).astype(np.float32)
    if table.ndim != 1 or not 2 <= table.size <= BUCKETS[-1]:
        raise ValueError(f"levels must be a list of 2 to 65,536 numbers, not an array of shape {table.shape}")
    if not np.isfinite(table).all():
        raise ValueError(f"levels must be finite; level {int(np.argmin(np.isfinite(table)))} is not")
    if (steps := np.diff(table)).min() <= 0:
        i = int(np.argmin(steps))
        raise ValueError(f"levels must ascend in float32; levels {i} and {i + 1} are {table[i]} and {table[i + 1]}")
    if ((table != 0) & (np.abs(table) < TINY)).any():
        raise ValueError("levels must be zero or at least 2^-126 in magnitude: float32 subnormals are flushed on some machines")
    return table


def _thresholds(table: np.ndarray, rounding: Rounding, middles: np.ndarray, words: np.ndarray) -> np.ndarray:
    """float32 [n - 1]: the least input that is encoded as the upper level of each gap.

    The rounding is asked what it does below, on and above the middle of every gap. Where the answers differ, the middle
    decides; where they agree, the whole gap goes one way.
    """
    lower, upper = table[:-1], table[1:]
    if rounding.stochastic:
        return _snap(upper.copy())
    odd = words % 2 == 1
    inward = (upper <= 0) & (lower < 0)  # the neighbour toward zero is the upper one
    straddling = (lower < 0) & (upper > 0)
    below, tie, above = (_goes_up_at(rounding, at, np.where(inward, odd[1:], odd[:-1]), inward) for at in (0.5, 1.0, 1.5))
    parted = below != above
    if _is_toward_zero(rounding):  # which way that is, no one can say where there is no level between them and zero
        parted, tie = parted | straddling, np.where(straddling, odd[:-1], tie)
    nearest = np.where(np.isnan(middles), _least_above_mean(lower, upper, tie), _least_above(middles, lower, upper, tie))
    one_way = np.where(below, np.nextafter(lower, np.float32(np.inf)), upper)
    return _snap(np.where(parted, nearest, one_way).astype(np.float32))


def _goes_up_at(rounding: Rounding, at: float, odd: np.ndarray, inward: np.ndarray) -> np.ndarray:
    """Bool [n - 1]: whether a number at so much of half a gap becomes the upper neighbour."""
    place = np.full(odd.shape, at)
    away = rounding.away(Position(place, np.ones(odd.shape), odd, inward, np.zeros(odd.shape, bool)))
    return np.where(inward, ~away, away)


def _is_toward_zero(rounding: Rounding) -> bool:
    """Whether the rounding never leaves zero, on either side of it."""
    far, no = np.full(4, 1.5), np.zeros(4, bool)
    signs, codes = np.array([False, False, True, True]), np.array([False, True, False, True])
    return not np.any(rounding.away(Position(far, np.ones(4), codes, signs, no)))


def _least_above(middles: np.ndarray, lower: np.ndarray, upper: np.ndarray, tie_up: np.ndarray) -> np.ndarray:
    """The least float32 above each middle, or the middle itself where a tie goes up. A level is always its own."""
    up = (middles == upper) | (tie_up & (middles != lower))
    return np.where(up, middles, np.nextafter(middles, np.float32(np.inf)))


def _least_above_mean(lower: np.ndarray, upper: np.ndarray, tie_up: np.ndarray) -> np.ndarray:
    """The least float32 above the exact mean of two neighbours, or the mean itself where a tie goes up."""
    a, b = lower.astype(np.float64), upper.astype(np.float64)
    total = a + b
    rest = (a - (total - (total - a))) + (b - (total - a))  # TwoSum (Knuth): a + b = total + rest, exactly
    near = (total / 2).astype(np.float32)
    side = (2 * near.astype(np.float64) - total) - rest  # its sign is that of near - middle
    up = (side > 0) | ((side == 0) & tie_up)
    return np.where(up, near, np.nextafter(near, np.float32(np.inf))).astype(np.float32)


def _snap(thresholds: np.ndarray) -> np.ndarray:
    """Moves a threshold out of the subnormals, so that they all count as zero whether a machine flushes them or not."""
    small = np.abs(thresholds) < TINY
    below_zero = np.nextafter(-TINY, np.float32(0))
    return np.where(small, np.where(thresholds <= 0, below_zero, TINY), thresholds).astype(np.float32)


def _cells(thresholds: np.ndarray) -> tuple[np.ndarray, int]:
    """The lowest code in each cell of float32 numbers that share their upper 16 bits, and the bisection steps needed."""
    tops = np.arange(65536, dtype=np.uint32) << 16
    with np.errstate(invalid="ignore"):
        ends = np.stack([tops, tops | 0xFFFF]).view(np.float32)
    ends = np.where(np.isnan(ends), np.copysign(np.float32(np.inf), ends), ends)  # cells of infinities hold NaNs too
    codes = np.sort(np.searchsorted(thresholds, ends, side="right"), axis=0)
    most = int((codes[1] - codes[0]).max())
    return codes[0].astype(np.uint8 if len(thresholds) < 256 else np.uint16), most.bit_length()


def _limits(table: np.ndarray) -> np.ndarray:
    wide = table.astype(np.float64)
    exact = np.array([wide[0] - (wide[1] - wide[0]) / 2, wide[-1] + (wide[-1] - wide[-2]) / 2])
    with np.errstate(over="ignore"):
        near = np.clip(exact, -np.finfo(np.float32).max, np.finfo(np.float32).max).astype(np.float32)
    low = np.nextafter(near[0], np.float32(np.inf)) if near[0] < exact[0] else near[0]
    high = np.nextafter(near[1], np.float32(-np.inf)) if near[1] > exact[1] else near[1]
    return np.array([low, high], np.float32)

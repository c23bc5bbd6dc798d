"""The codebook grid: any sorted table of 2 to 65,536 levels, with exact rounding to the nearest level.

A float32 quotient is not exact enough to decide between two levels. A deterministic rounding is therefore turned into a table
of *thresholds* when the grid is built. The threshold of two neighbouring levels is the least float32 that is encoded as the
upper one (see `thresholds`). Encoding counts the thresholds that do not exceed the input (see `lookup`).
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.exact import TINY, quotient, rounded
from qresearch.arithmetic.packing import code_dtype
from qresearch.base import sharding
from qresearch.base.part import Leaf, part, static
from qresearch.element.grid import Grid
from qresearch.element.lookup import BISECTION_STEPS, MOST_BISECTED_LEVELS, lookup, selected
from qresearch.element.rounding import Position, Rounding
from qresearch.element.thresholds import limits, thresholds

BUCKETS = (MOST_BISECTED_LEVELS, 256, 65536)
"""Tables are padded to one of these lengths, so that all codebooks of one length share a trace."""

_SCALE_OF_SMALL_LEVELS, _SCALE_OF_LARGE_LEVELS = np.float32(2.0**100), np.float32(0.5)


@part
class Codebook(Grid):
    """A sorted table of levels; the code of a level is its index.

    Attributes:
        levels: float32 [bucket], ascending, padded with NaN.
        lookup: counts the thresholds that do not exceed a number; threshold i is the least input with code i + 1.
        middles: float32 [bucket]; entry i is the tie between the levels i and i + 1 when rounding to nearest. NaN, the usual
            case, means the exact mean of the two.
        words: int32 [bucket], the bit string of each level if the format has its own, else the code. A tie goes to the level
            with the even word.
        reach: float32 scalar, the number on the grid that a block's width is mapped to.
        limits: float32 [2], the lowest and the highest level, each moved outward by half of the gap next to it. Numbers
            beyond the limits count as clipped.
        bits: int32 scalar, the width of a code.
        dtype: the dtype of the codes.
    """

    levels: Leaf
    lookup: Any
    middles: Leaf
    words: Leaf
    reach: Leaf
    limits: Leaf
    bits: Leaf
    dtype: str = static()

    replayable = True

    def encode(self, y: Array, rounding: Rounding, u: Array | None = None, shift: Array | None = None) -> Array:
        """float32 -> codes. A NaN is encoded like zero."""
        y = jnp.where(jnp.isnan(y), jnp.float32(0), y)
        code = self.lookup.below(y)
        if rounding.stochastic:
            code = code + self._goes_up(y, code, rounding, u)
        return code.astype(self.dtype)

    def _goes_up(self, y: Array, code: Array, rounding: Rounding, u: Array | None) -> Array:
        """int32, 0 or 1: whether a stochastic rounding chooses the upper neighbour. Here the thresholds are the levels."""
        levels = jnp.asarray(self.levels)
        lower, upper = sharding.entries(levels, code), sharding.entries(levels, code + 1, "clip")
        outward = (upper <= 0) & (lower < 0)
        # Levels may span all of float32, or lie near 2^-126. A power of two keeps every gap finite and normal.
        small = jnp.maximum(jnp.abs(lower), jnp.abs(upper)) < 1
        scale = jnp.where(small, _SCALE_OF_SMALL_LEVELS, _SCALE_OF_LARGE_LEVELS)
        low, y_scaled, high = (rounded(each * scale) for each in (lower, y, upper))
        part_way = jnp.where(outward, high - y_scaled, y_scaled - low)
        gap = high - low
        fraction = quotient(part_way, jnp.where(gap > 0, gap, jnp.float32(1)))
        away = rounding.away(Position(y, y, y > 0, y < 0, fraction=fraction, u=u))
        valid = (gap > 0) & (y >= lower)
        return (valid & jnp.where(outward, ~away, away)).astype(jnp.int32)

    def decode(self, codes: Array | np.ndarray) -> Array:
        """Codes -> float32."""
        if isinstance(codes, np.ndarray):
            return sharding.entries(self.levels, codes)
        if self.levels.shape[0] == MOST_BISECTED_LEVELS:
            return selected(self.levels, [(codes >> bit) & 1 == 1 for bit in range(BISECTION_STEPS)])
        return sharding.entries(self.levels, codes)

    def clipped(self, y: Array, shift: Array | None = None) -> Array:
        """bool: whether a number lies beyond the lowest or highest level by more than half of the gap next to it."""
        return (y < self.limits[0]) | (y > self.limits[1])

    @property
    def ends(self) -> tuple[float, float]:
        """The lowest and the highest level."""
        return float(self.levels[0]), float(np.nanmax(self.levels))

    def codes(self) -> np.ndarray:
        """All codes, ascending."""
        return np.arange(np.count_nonzero(~np.isnan(self.levels))).astype(self.dtype)


def codebook(levels: Any, rounding: Rounding, reach: float | None = None, middles: Any = None, words: Any = None) -> Codebook:
    """The grid of a table of levels.

    Args:
        levels: 2 to 65,536 different finite numbers in ascending order; each is rounded to float32.
        rounding: the rounding that the thresholds implement.
        reach: the number on the grid that a block's width is mapped to; by default the largest magnitude.
        middles: the ties for rounding to nearest: one number for each pair of neighbours, between the two, rounded to float32.
            Needed by formats that round their bit strings or their logarithms. By default the exact means.
        words: integers, the bit string of each level, whose parity breaks ties; by default the codes.

    Raises:
        ValueError: if there are too few or too many levels, if they do not ascend, or if one is not finite or is subnormal;
            if middles or words do not match the levels.
    """
    table = _checked(levels)
    count, bits = len(table), max(int(len(table) - 1).bit_length(), 1)
    bucket = next(b for b in BUCKETS if count <= b)
    parting = _middles(table, middles)
    numbered = _words(count, words)
    return Codebook(
        levels=_padded(table, bucket),
        lookup=lookup(thresholds(table, rounding, parting, numbered), bucket),
        middles=_padded(parting, bucket),
        words=np.concatenate([numbered, np.zeros(bucket - count, np.int32)]),
        reach=np.float32(reach if reach is not None else np.abs(table).max()),
        limits=limits(table),
        bits=np.int32(bits),
        dtype=str(code_dtype(bits, False)),
    )


def _padded(numbers: np.ndarray, bucket: int) -> np.ndarray:
    return np.concatenate([numbers, np.full(bucket - numbers.size, np.nan, np.float32)])


def _middles(table: np.ndarray, middles: Any) -> np.ndarray:
    """float32 [n - 1]: the given middles, or NaNs."""
    if middles is None:
        return np.full(table.size - 1, np.nan, np.float32)
    found = np.asarray(middles, np.float64).astype(np.float32)
    if found.shape != (table.size - 1,):
        raise ValueError(f"middles must have one entry fewer than the {table.size} levels, not the shape {found.shape}")
    if not (inside := (found >= table[:-1]) & (found <= table[1:])).all():
        i = int(np.argmin(inside))
        raise ValueError(f"middle {i} must lie between the levels {table[i]} and {table[i + 1]}, not at {found[i]}")
    return found


def _words(count: int, words: Any) -> np.ndarray:
    found = np.arange(count, dtype=np.int32) if words is None else np.asarray(words, np.int32)
    if found.shape != (count,):
        raise ValueError(f"words must have one entry for each of the {count} levels, not the shape {found.shape}")
    return found


def _checked(levels: Any) -> np.ndarray:
    table = np.asarray(levels, np.float64).astype(np.float32)
    if table.ndim != 1 or not 2 <= table.size <= BUCKETS[-1]:
        raise ValueError(f"levels must be a list of 2 to 65,536 numbers, not an array of shape {table.shape}")
    if not np.isfinite(table).all():
        raise ValueError(f"levels must be finite; level {int(np.argmin(np.isfinite(table)))} is not")
    if not (ascends := table[1:] > table[:-1]).all():
        i = int(np.argmin(ascends))
        raise ValueError(f"levels must ascend in float32; levels {i} and {i + 1} are {table[i]} and {table[i + 1]}")
    if ((table != 0) & (np.abs(table) < TINY)).any():
        raise ValueError("levels must be zero or at least 2^-126 in magnitude: some machines flush float32 subnormals to zero")
    return table

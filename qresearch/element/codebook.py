"""The codebook grid: any sorted table of 2 to 65,536 levels, exactly nearest, by thresholds.

A float32 quotient is not exact enough to decide between two levels. So each deterministic rounding becomes a table of
*thresholds*: the least float32 that is encoded as the upper of two neighbours (see `thresholds`). A code is then the number of
thresholds that do not exceed the input (see `lookup`).
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
from qresearch.element.lookup import FEW, STEPS, lookup, selected
from qresearch.element.rounding import Position, Rounding
from qresearch.element.thresholds import limits, thresholds

BUCKETS = (FEW, 256, 65536)
"""Tables are padded to one of these lengths: codebooks of one bucket share a trace."""

_WIDER, _NARROWER = np.float32(2.0**100), np.float32(0.5)


@part
class Codebook(Grid):
    """A sorted table of levels; the code of a level is its index.

    Attributes:
        levels: float32 [bucket], ascending, padded with NaN.
        lookup: how many thresholds do not exceed a number; threshold i is the least input of code i + 1.
        middles: float32 [bucket]; entry i is where roundings to nearest part the levels i and i + 1; NaN, the usual case,
            stands for their exact mean.
        words: int32 [bucket], the bit string of each level where the format has its own, else the code; even ones win ties.
        reach: float32 scalar, the number on the grid that a block's width is mapped to.
        limits: float32 [2], the ends extended by half of the gap beside them; what lies beyond is clipped.
        bits: int32 scalar, the width of a code.
        dtype: of the codes.
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
        """float32 -> codes. NaN is encoded like zero."""
        y = jnp.where(jnp.isnan(y), jnp.float32(0), y)
        code = self.lookup.below(y)
        if rounding.stochastic:
            code = code + self._goes_up(y, code, rounding, u)
        return code.astype(self.dtype)

    def _goes_up(self, y: Array, code: Array, rounding: Rounding, u: Array | None) -> Array:
        """int32, 0 or 1: whether the upper neighbour is chosen. The thresholds are the levels themselves here."""
        levels = jnp.asarray(self.levels)
        lower, upper = sharding.entries(levels, code), sharding.entries(levels, code + 1, "clip")
        outward = (upper <= 0) & (lower < 0)
        # Scaled by powers of two, so that no gap is infinite or subnormal: levels may span all of float32, or lie at 2^-126.
        scale = jnp.where(jnp.maximum(jnp.abs(lower), jnp.abs(upper)) < 1, _WIDER, _NARROWER)
        low, y_scaled, high = (rounded(each * scale) for each in (lower, y, upper))
        part_way = jnp.where(outward, high - y_scaled, y_scaled - low)
        gap = high - low
        fraction = quotient(part_way, jnp.where(gap > 0, gap, jnp.float32(1)))
        away = rounding.away(Position(y, y, y > 0, y < 0, fraction=fraction, u=u))
        valid = (gap > 0) & (y >= lower)
        return (valid & jnp.where(outward, ~away, away)).astype(jnp.int32)

    def decode(self, codes: Array | np.ndarray) -> Array:
        """Codes -> float32."""
        if self.levels.shape[0] == FEW:
            return selected(self.levels, [(codes >> bit) & 1 == 1 for bit in range(STEPS)])
        return sharding.entries(self.levels, jnp.asarray(codes))

    def clipped(self, y: Array, shift: Array | None = None) -> Array:
        """bool: whether a number lies beyond an end by more than half of the gap beside it."""
        return (y < self.limits[0]) | (y > self.limits[1])

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest level."""
        return float(self.levels[0]), float(np.nanmax(self.levels))

    def codes(self) -> np.ndarray:
        """All codes, ascending."""
        return np.arange(np.count_nonzero(~np.isnan(self.levels))).astype(self.dtype)


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
    if not (ascends := table[1:] > table[:-1]).all():
        i = int(np.argmin(ascends))
        raise ValueError(f"levels must ascend in float32; levels {i} and {i + 1} are {table[i]} and {table[i + 1]}")
    if ((table != 0) & (np.abs(table) < TINY)).any():
        raise ValueError("levels must be zero or at least 2^-126 in magnitude: float32 subnormals are flushed on some machines")
    return table

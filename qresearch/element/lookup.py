"""Look-ups: count, exactly, how many of the ascending thresholds of a codebook do not exceed a number.

This count is the code. `lookup` picks one of three methods, by the table:

- `Bisected`, up to 16 levels: four comparisons, each with a threshold that the earlier ones select.
- `Cells`, for nearly all larger tables: the upper 16 bits of the float32 select a cell, and one word per cell gives the code.
- `CrowdedCells`, if some cell holds two or more thresholds: the cell gives its lowest code, and a bisection finds the rest.
"""

from __future__ import annotations

import functools
import operator

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.base import sharding
from qresearch.base.part import Leaf, part, static

BISECTION_STEPS = 4
"""Comparisons for a table of at most `MOST_BISECTED_LEVELS` levels."""

MOST_BISECTED_LEVELS = 1 << BISECTION_STEPS
"""The most levels that are looked up by comparisons alone."""

_CELL_BITS = 16
"""The upper 16 bits of a float32 select its cell; the lower 16 give its place inside the cell."""

_LOWER_BITS = np.uint32(0xFFFF)


@part
class Bisected:
    """At most 15 thresholds, found by comparisons and selects alone, without a table in memory.

    Attributes:
        thresholds: float32 [16], ascending, padded with NaN.
    """

    thresholds: Leaf

    def below(self, y: Array) -> Array:
        """int32: how many thresholds do not exceed y."""
        bits: list[Array] = []  # of the code, the highest last
        for step in range(BISECTION_STEPS):
            stride = MOST_BISECTED_LEVELS >> step
            bits = [y >= selected(self.thresholds[stride // 2 - 1 :: stride], bits), *bits]
        return functools.reduce(operator.or_, (bit.astype(jnp.int32) << place for place, bit in enumerate(bits)))


@part
class Cells:
    """Cells that hold at most one threshold each: one look-up per number.

    The numbers of a cell share their upper 16 bits, and their lower 16 bits ascend with them (flipped for negative numbers).
    The word of a cell is `code * 2^16 + (2^16 - t)`, with `code` the code below the threshold and t the lower bits of the
    threshold. Adding the lower bits of a number carries into the code exactly when the number reaches the threshold.

    Attributes:
        words: uint32 [65536].
    """

    words: Leaf

    def below(self, y: Array) -> Array:
        """int32: how many thresholds do not exceed y."""
        bits = lax.bitcast_convert_type(y, jnp.uint32)
        word = sharding.entries(self.words, bits >> _CELL_BITS, "promise_in_bounds")
        return ((word + _ascending(bits)) >> _CELL_BITS).astype(jnp.int32)


@part
class CrowdedCells:
    """Cells, some of which hold two or more thresholds.

    Attributes:
        lowest: uint8 or uint16 [65536], the lowest code in each cell.
        thresholds: float32 [bucket], ascending, padded with NaN.
        steps: bisection steps inside a cell. Tables with different numbers of steps do not share a trace. Sharing would make
            every table take the largest number of steps, and each step is a look-up.
    """

    lowest: Leaf
    thresholds: Leaf
    steps: int = static()

    def below(self, y: Array) -> Array:
        """int32: how many thresholds do not exceed y."""
        cell = lax.bitcast_convert_type(y, jnp.uint32) >> _CELL_BITS
        code = sharding.entries(self.lowest, cell, "promise_in_bounds").astype(jnp.int32)
        for step in reversed(range(self.steps)):
            stride = 1 << step
            passed = y >= sharding.entries(self.thresholds, code + (stride - 1), "clip")
            code = code + stride * passed.astype(jnp.int32)
        return code


def selected(numbers: Array, bits: list[Array]) -> Array:
    """`numbers[i]`, with i given as bool bits, lowest first. XLA vectorises these selects, but not a gather."""
    row = [numbers[i] for i in range(1 << len(bits))]
    for bit in bits:
        row = [jnp.where(bit, upper, lower) for lower, upper in zip(row[::2], row[1::2])]
    return row[0]


def lookup(cuts: np.ndarray, bucket: int) -> Bisected | Cells | CrowdedCells:
    """The look-up for a table of thresholds. Runs on the host.

    Args:
        cuts: float32, the thresholds, ascending. None is subnormal, except possibly the one just below zero (`thresholds`).
        bucket: the length that tables are padded to, so that tables of one bucket share a trace.
    """
    padded = np.concatenate([cuts, np.full(bucket - cuts.size, np.nan, np.float32)])
    if bucket == MOST_BISECTED_LEVELS:
        return Bisected(padded)
    lowest, most = _in_cells(cuts)
    held = int((most - lowest).max())
    if held <= 1:
        return Cells(_words(cuts, lowest, most))
    return CrowdedCells(lowest.astype(np.uint8 if cuts.size < 256 else np.uint16), padded, held.bit_length())


def _in_cells(cuts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two int64 [65536]: the lowest and the highest code in each cell."""
    tops = np.arange(1 << _CELL_BITS, dtype=np.uint32) << _CELL_BITS
    with np.errstate(invalid="ignore"):
        ends = np.stack([tops, tops | _LOWER_BITS]).view(np.float32)
    ends = np.where(np.isnan(ends), np.copysign(np.float32(np.inf), ends), ends)  # the cell of an infinity also holds NaNs
    lowest, most = np.sort(np.searchsorted(cuts, ends, side="right"), axis=0)
    return lowest, most


def _words(cuts: np.ndarray, lowest: np.ndarray, most: np.ndarray) -> np.ndarray:
    """uint32 [65536]: the words of `Cells`."""
    threshold = cuts[np.minimum(lowest, cuts.size - 1)].view(np.uint32)
    lacking = (np.uint32(1) << _CELL_BITS) - np.asarray(_ascending(threshold))
    return (lowest.astype(np.uint32) << _CELL_BITS) + np.where(most > lowest, lacking, np.uint32(0))


def _ascending(bits: Array | np.ndarray) -> Array | np.ndarray:
    """uint32: the lower 16 bits of float32 numbers, flipped if negative, so that they ascend with the number in a cell."""
    negative = bits >> 31
    return (bits ^ (0 - negative)) & _LOWER_BITS

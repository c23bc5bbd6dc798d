"""Look-ups: how many ascending thresholds do not exceed a number, exactly, by compares of float32 and of their bits.

`lookup` chooses by what a table holds:

- up to 16 levels (`Bisected`): four comparisons, each with a threshold that the earlier ones select;
- more (`Cells`): the upper 16 bits of the number name a cell, and one word a cell tells the rest. Nearly all tables are such;
- where levels crowd, so that a cell holds two thresholds or more (`CrowdedCells`): the lowest code in the cell, and a bisection
  from there.
"""

from __future__ import annotations

import functools
import operator

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.base import sharding
from qresearch.base.part import Leaf, part, static

STEPS = 4
"""Bisection steps of a table of at most `FEW` levels."""

FEW = 1 << STEPS
"""The most levels that are told apart by comparisons alone."""

_HALF = 16
"""Bits that name a cell, and bits below them."""

_LOW = np.uint32(0xFFFF)


@part
class Bisected:
    """At most 15 thresholds: as many selects and compares for every number, no table in memory.

    Attributes:
        thresholds: float32 [16], ascending, padded with NaN.
    """

    thresholds: Leaf

    def below(self, y: Array) -> Array:
        """int32: how many thresholds do not exceed y."""
        bits: list[Array] = []  # of the code, the highest last
        for step in range(STEPS):
            stride = FEW >> step
            bits = [y >= selected(self.thresholds[stride // 2 - 1 :: stride], bits), *bits]
        return functools.reduce(operator.or_, (bit.astype(jnp.int32) << place for place, bit in enumerate(bits)))


@part
class Cells:
    """One entry for each number: cells that hold at most one threshold.

    A cell's numbers share their upper 16 bits; in order, their lower 16 bits ascend (those of negative numbers flipped). Its
    word is the code below the threshold, times 2^16, plus what the lower bits of the threshold lack to 2^16: added to those of
    a number it carries into the code just where the number reaches the threshold.

    Attributes:
        words: uint32 [65536].
    """

    words: Leaf

    def below(self, y: Array) -> Array:
        """int32: how many thresholds do not exceed y."""
        bits = lax.bitcast_convert_type(y, jnp.uint32)
        word = sharding.entries(self.words, bits >> _HALF, "promise_in_bounds")
        return ((word + _ascending(bits)) >> _HALF).astype(jnp.int32)


@part
class CrowdedCells:
    """Cells of which some hold two thresholds or more.

    Attributes:
        lowest: uint8 or uint16 [65536], the lowest code in each cell.
        thresholds: float32 [bucket], ascending, padded with NaN.
        steps: bisection steps inside a cell. Tables that need another number of them have a trace of their own: with one number
            for all, every element of every table would pay for another look-up.
    """

    lowest: Leaf
    thresholds: Leaf
    steps: int = static()

    def below(self, y: Array) -> Array:
        """int32: how many thresholds do not exceed y."""
        cell = lax.bitcast_convert_type(y, jnp.uint32) >> _HALF
        code = sharding.entries(self.lowest, cell, "promise_in_bounds").astype(jnp.int32)
        for step in reversed(range(self.steps)):
            stride = 1 << step
            passed = y >= sharding.entries(self.thresholds, code + (stride - 1), "clip")
            code = code + stride * passed.astype(jnp.int32)
        return code


def selected(numbers: Array, bits: list[Array]) -> Array:
    """The entry of `numbers` that bits (bool, the lowest first) name. Selects are vectorised; a gather is not."""
    row = [numbers[i] for i in range(1 << len(bits))]
    for bit in bits:
        row = [jnp.where(bit, upper, lower) for lower, upper in zip(row[::2], row[1::2])]
    return row[0]


def lookup(cuts: np.ndarray, bucket: int) -> Bisected | Cells | CrowdedCells:
    """The look-up of some thresholds. Host only.

    Args:
        cuts: float32, ascending, none of them subnormal but the one below zero (`thresholds`).
        bucket: what tables are padded to, so that those of one bucket share a trace.
    """
    padded = np.concatenate([cuts, np.full(bucket - cuts.size, np.nan, np.float32)])
    if bucket == FEW:
        return Bisected(padded)
    lowest, most = _in_cells(cuts)
    held = int((most - lowest).max())
    if held <= 1:
        return Cells(_words(cuts, lowest, most))
    return CrowdedCells(lowest.astype(np.uint8 if cuts.size < 256 else np.uint16), padded, held.bit_length())


def _in_cells(cuts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int64 [65536] each: the lowest and the highest code in each cell of float32 numbers that share their upper 16 bits."""
    tops = np.arange(1 << _HALF, dtype=np.uint32) << _HALF
    with np.errstate(invalid="ignore"):
        ends = np.stack([tops, tops | _LOW]).view(np.float32)
    ends = np.where(np.isnan(ends), np.copysign(np.float32(np.inf), ends), ends)  # cells of infinities hold NaNs too
    lowest, most = np.sort(np.searchsorted(cuts, ends, side="right"), axis=0)
    return lowest, most


def _words(cuts: np.ndarray, lowest: np.ndarray, most: np.ndarray) -> np.ndarray:
    """uint32 [65536]: the words of `Cells`."""
    threshold = cuts[np.minimum(lowest, cuts.size - 1)].view(np.uint32)
    lacking = (np.uint32(1) << _HALF) - np.asarray(_ascending(threshold))
    return (lowest.astype(np.uint32) << _HALF) + np.where(most > lowest, lacking, np.uint32(0))


def _ascending(bits: Array | np.ndarray) -> Array | np.ndarray:
    """uint32: the lower 16 bits of float32 numbers, in their order inside a cell."""
    negative = bits >> 31
    return (bits ^ (0 - negative)) & _LOW

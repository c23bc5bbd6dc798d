"""Grids of vectors: one code for a group of numbers, the nearest of a table of vectors (vector quantization).

Gray, "Vector quantization", IEEE ASSP Magazine 1 (1984). At two bits per number, a code of eight bits stands for four
numbers: a table of 256 vectors can follow the density of a group, which a scalar table cannot do.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.arithmetic.exact import TINY, rounded
from qresearch.arithmetic.packing import code_dtype
from qresearch.base import sharding
from qresearch.base.part import Leaf, part, static
from qresearch.element.grouped import Grouped
from qresearch.element.rounding import Rounding

LEVELS_PER_STEP = 16
"""Vectors that one step of the search compares."""


@part
class Vectors(Grouped):
    """A table of vectors; the code of a vector is its index. Arrays hold groups along their last axis.

    A group becomes the vector at the least squared distance; of several, the first. The distance is a sum over coordinates in
    their order, with every square and every sum rounded to float32. A NaN counts as zero. There is no other rounding.

    Attributes:
        levels: float32 [2^bits, group].
        reach: float32 scalar, the number that a block's width is mapped to.
        bits: int32 scalar, the width of a code.
        group: how many numbers share a code.
        dtype: the dtype of the codes.
    """

    levels: Leaf
    reach: Leaf
    bits: Leaf
    group: int = static()
    dtype: str = static()

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest coordinate."""
        return float(np.min(self.levels)), float(np.max(self.levels))

    def encode(self, y: Array, rounding: Rounding, u: Array | None = None, shift: Array | None = None) -> Array:
        """float32 [..., n * group] -> codes [..., n]."""
        groups = self.grouped(y)
        count = self.levels.shape[0]
        step = min(LEVELS_PER_STEP, count)
        levels = jnp.asarray(self.levels)

        def nearer(index: Any, best: tuple[Array, Array]) -> tuple[Array, Array]:
            some = lax.dynamic_slice_in_dim(levels, index * step, step)
            least, code = best
            for place in range(step):
                distance = squared_distance(groups, some[place])
                closer = distance < least
                least, code = jnp.where(closer, distance, least), jnp.where(closer, index * step + place, code)
            return least, code

        start = jnp.full(groups.shape[:-1], np.float32(np.inf)), jnp.zeros(groups.shape[:-1], jnp.int32)
        return lax.fori_loop(0, count // step, nearer, start)[1].astype(self.dtype)

    @property
    def largest(self) -> Array:
        """float32: the largest magnitude of a coordinate. (Levels may be traced: `kmeans` moves them.)"""
        return jnp.max(jnp.abs(jnp.asarray(self.levels)))

    def decode(self, codes: Array | np.ndarray) -> Array:
        """Codes [..., n] -> float32 [..., n * group]."""
        codes = jnp.asarray(codes)
        vectors = sharding.entries(self.levels, codes)
        return vectors.reshape(*codes.shape[:-1], codes.shape[-1] * self.group)

    def clipped(self, y: Array, shift: Array | None = None) -> Array:
        """bool, in the shape of y: whether a coordinate lies outside those of the table."""
        levels = jnp.asarray(self.levels)
        groups = self.groups(y)
        low, high = (_along(end, groups) for end in (jnp.min(levels, 0), jnp.max(levels, 0)))
        return ((groups < low) | (groups > high)).reshape(y.shape)

    def codes(self) -> np.ndarray:
        """All codes, in their order."""
        return np.arange(self.levels.shape[0]).astype(self.dtype)


def squared_distance(groups: Array, level: Array) -> Array:
    """float32 [...]: the squared distance of vectors [..., group] from one vector, summed in the order of the coordinates."""
    total: Any = None
    for place in range(groups.shape[-1]):
        off = groups[..., place] - level[place]
        square = rounded(off * off)
        total = square if total is None else total + square
    return total


def _along(end: Array, groups: Array) -> Array:
    return end.reshape((1,) * (groups.ndim - 1) + end.shape)


def vectors(levels: Any, reach: float = 1.0) -> Vectors:
    """The grid of a table of vectors.

    Args:
        levels: 2, 4, 8 ... 65,536 different vectors of 1 to 8 finite numbers, rounded to float32; codes are their indices.
        reach: the number that a block's width is mapped to.

    Raises:
        ValueError: for another number of vectors or coordinates, equal vectors, numbers that are not finite or subnormal, and
            a table of zeros, or of numbers so small or large that their squares leave float32.
    """
    table = np.asarray(levels, np.float64).astype(np.float32)
    count, group = table.shape if table.ndim == 2 else (0, 0)
    bits = max(count - 1, 0).bit_length()
    if count != 2**bits or not 1 <= bits <= 16 or not 1 <= group <= 8:
        raise ValueError(
            f"levels must be [2^bits, group], with 1 to 16 bits and groups of 1 to 8, not an array of {table.shape}"
        )
    if not np.isfinite(table).all():
        raise ValueError(f"levels must be finite; vector {int(np.argmin(np.isfinite(table).all(1)))} is not")
    if ((table != 0) & (np.abs(table) < TINY)).any() or not table.any():
        raise ValueError("levels must be zero or at least 2^-126 in magnitude, and not all zero")
    if not 2.0**-40 <= (largest := float(np.abs(table).max())) <= 2.0**40:
        raise ValueError(
            f"the largest coordinate must be 2^-40 to 2^40 in magnitude, not {largest:.3g}: squared distances are float32; "
            "multiply levels and reach by a power of two"
        )
    if len(np.unique(table, axis=0)) != count:
        raise ValueError(f"levels must be different vectors; {count - len(np.unique(table, axis=0))} of {count} are repeated")
    return Vectors(table + np.float32(0), np.float32(reach), np.int32(bits), group, str(code_dtype(bits, False)))

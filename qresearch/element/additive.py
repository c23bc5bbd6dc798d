"""Additive codes: a group is the sum of one vector of each of several tables (codebooks).

Residual vector quantization chooses them one table after the other; a beam search keeps the best few choices so far, as in
Babenko and Lempitsky, "Additive quantization" (CVPR 2014), and AQLM (Egiazarian et al. 2024, arXiv 2401.06118).
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.arithmetic.exact import TINY
from qresearch.arithmetic.packing import code_dtype
from qresearch.base import sharding
from qresearch.base.part import Leaf, part, static
from qresearch.element.grouped import Grouped
from qresearch.element.rounding import Rounding
from qresearch.element.vectors import squared_distance

DISTANCES_AT_ONCE = 2**21
"""Groups are searched in batches with about this many distances, so that memory stays bounded."""

SAMPLED_GROUPS = 2**10


@part
class Additive(Grouped):
    """Tables of vectors; a group has a code for each table, and is the sum of their vectors.

    Attributes:
        levels: float32 [tables, 2^bits, group].
        reach: float32 scalar, the number that a block's width is mapped to.
        bits: int32 scalar, the width of a code.
        beam: how many choices are kept after each table.
        group: how many numbers are coded together.
        tables: how many tables.
        dtype: the dtype of the codes.
    """

    levels: Leaf
    reach: Leaf
    bits: Leaf
    beam: int = static()
    group: int = static()
    tables: int = static()
    dtype: str = static()

    successive = True

    @property
    def per_group(self) -> int:  # type: ignore[override]
        """A code for each table."""
        return self.tables

    @property
    def ends(self) -> tuple[float, float]:
        """Minus and plus a bound of the coordinates."""
        end = float(self.largest)
        return -end, end

    @property
    def largest(self) -> Array | np.float32:
        """float32: the sum of the tables' largest magnitudes. (Levels may be traced: `kmeans` moves them.)"""
        xp: Any = np if isinstance(self.levels, np.ndarray) else jnp
        total: Any = None
        for table in range(self.tables):
            most = xp.max(xp.abs(self.levels[table]))
            total = most if total is None else total + most
        return total

    def encode(self, y: Array, rounding: Rounding, u: Array | None = None, shift: Array | None = None) -> Array:
        """float32 [..., n * group] -> codes [..., n * tables]."""
        groups = self.grouped(y)
        flat = groups.reshape(-1, self.group)
        size = max(1, min(len(flat), DISTANCES_AT_ONCE // (self.beam * self.levels.shape[1])))
        padded = jnp.pad(flat, [(0, -len(flat) % size), (0, 0)])
        batches = padded.reshape(len(padded) // size, size, self.group)
        found = lax.map(self._search, batches) if len(flat) else jnp.zeros((0, size, self.tables), jnp.int32)
        codes = found.reshape(-1, self.tables)[: len(flat)]
        return codes.astype(self.dtype).reshape(*y.shape[:-1], groups.shape[-2] * self.tables)

    def _search(self, groups: Array) -> Array:
        """float32 [n, group] -> int32 [n, tables]: the best of the sums that the beam reaches."""
        count, width = len(groups), self.levels.shape[1]
        left, chosen = groups[:, None], jnp.zeros((count, 1, 0), jnp.int32)
        for table in range(self.tables):
            levels = jnp.asarray(self.levels)[table]
            distances = jnp.broadcast_to(_distances(left, levels), (count, left.shape[1], width))
            kept = min(self.beam if table < self.tables - 1 else 1, left.shape[1] * width)
            # The least ones, in their order; of equals the first.
            _, best = lax.top_k(-distances.reshape(count, -1), kept)
            before, code = best // width, best % width
            left = jnp.take_along_axis(left, before[..., None], 1) - sharding.entries(levels, code)
            chosen = jnp.concatenate([jnp.take_along_axis(chosen, before[..., None], 1), code[..., None]], -1)
        return chosen[:, 0]

    def decode(self, codes: Array | np.ndarray) -> Array:
        """Codes [..., n * tables] -> float32 [..., n * group]."""
        codes = jnp.asarray(codes)
        each = codes.reshape(*codes.shape[:-1], codes.shape[-1] // self.tables, self.tables)
        total: Any = None
        for table in range(self.tables):
            vectors = sharding.entries(jnp.asarray(self.levels)[table], each[..., table])
            total = vectors if total is None else total + vectors
        return total.reshape(*codes.shape[:-1], each.shape[-2] * self.group)

    def codes(self) -> np.ndarray:
        """A sample of groups of codes: all, where there are few."""
        bits = int(self.bits)
        count = min(SAMPLED_GROUPS, 2 ** (bits * self.tables))
        words = np.arange(count, dtype=np.uint64) * np.uint64(2654435761) % np.uint64(2 ** min(bits * self.tables, 32))
        digits = words[:, None] >> np.arange(self.tables, dtype=np.uint64) * np.uint64(bits) & np.uint64(2**bits - 1)
        return digits.astype(self.dtype).reshape(-1)


def _distances(left: Array, levels: Array) -> Array:
    """float32 [n, beam, 2^bits]: the squared distance of [n, beam, group] from each level."""
    return squared_distance(left[:, :, None], levels.T[:, None, None])


def additive(tables: Any, reach: float = 1.0, beam: int = 1) -> Additive:
    """The grid of several tables of vectors.

    Args:
        tables: [tables, 2^bits, group], finite; 1 to 4 tables, codes of 1 to 12 bits, groups of 1 to 8.
        reach: the number that a block's width is mapped to.
        beam: how many choices are kept after each table, 1 to 64.

    Raises:
        ValueError: for other shapes or beams, and for numbers that are not finite, or so small or large that their squares
            leave float32.
    """
    levels = np.asarray(tables, np.float64).astype(np.float32)
    count, width, group = levels.shape if levels.ndim == 3 else (0, 0, 0)
    bits = max(width - 1, 0).bit_length()
    if width != 2**bits or not 1 <= bits <= 12 or not 1 <= group <= 8 or not 1 <= count <= 4:
        raise ValueError(f"tables must be [tables, 2^bits, group]: 1 to 4, 1 to 12 bits, groups of 1 to 8; not {levels.shape}")
    if not 1 <= beam <= 64:
        raise ValueError(f"the beam must be 1 to 64 choices, not {beam}")
    if not np.isfinite(levels).all() or not 2.0**-40 <= np.abs(levels).max() <= 2.0**40:
        raise ValueError("tables must be finite, with a largest magnitude of 2^-40 to 2^40")
    levels = np.where(np.abs(levels) < TINY, np.float32(0), levels)
    dtype = str(code_dtype(bits, False))
    return Additive(levels, np.float32(reach), np.int32(bits), int(beam), group, count, dtype)

"""Entropy calibration: the width that preserves most of the information in a block's histogram (TensorRT's KL divergence).

Migacz, "8-bit inference with TensorRT", GTC 2017; the algorithm is that of NVIDIA's pytorch-quantization. The magnitudes of a
block are counted in equal bins. For every i, keep the first i bins. The reference P is these bins, with all counts beyond them
added to the last. Q is the same bins quantized: they are divided into as many runs as the grid has magnitudes, and the count
of each run is spread evenly over its bins that are not empty. The width is the i with the least KL(P || Q); of equal ones, the
largest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.arithmetic.exact import Reciprocal, flush, quotient, reciprocal, rounded
from qresearch.arithmetic.exact_power import log2
from qresearch.arithmetic.reductions import tree_sum
from qresearch.element.element import Element
from qresearch.scales.extremes import largest, poisoned
from qresearch.scales.statistic import STATISTICS, Blocks, Statistic


@dataclass(frozen=True)
class KL(Statistic):
    """The width of least KL divergence between a block's histogram and its quantized one; for symmetric integers.

    The loop tries `bins` widths, and each reads `bins` counts of every block. It is meant for tensors and channels, not for
    blocks of 32. Only whether a weight is zero matters.

    Attributes:
        bins: the number of bins of the histogram, 8 to 8192, and at least the number of magnitudes of the grid.
    """

    bins: float = 2048.0

    def __post_init__(self) -> None:
        if self.bins != int(self.bins) or not 8 <= self.bins <= 8192:
            raise ValueError(f"kl: bins must be an integer from 8 to 8192, not {self.bins:g}, such as kl(2048)")

    def check(self, element: Element) -> None:
        """Raises `ValueError` for grids that are not symmetric integers, and for fewer bins than magnitudes."""
        if element.grid.integers is None or element.grid.ends[0] != -element.grid.ends[1]:
            raise ValueError(
                "the statistic 'kl' divides a histogram into equal levels, so it needs symmetric integers, such as int8"
            )
        magnitudes = int(element.grid.integers[1]) + 1
        if magnitudes > self.bins:
            raise ValueError(f"kl({self.bins:g}): bins must be at least the number of magnitudes of the grid, {magnitudes}")

    def width_for(self, element: Element | None, blocks: Blocks) -> Array:
        """float32 [grid]: a share of the largest magnitude."""
        assert element is not None  # `of_block_alone` is false
        assert element.grid.integers is not None  # `check` refuses other grids
        size, bins = largest(blocks), int(self.bins)
        counts = self._histogram(blocks, size)
        levels = jnp.asarray(element.grid.integers[1]).astype(jnp.int32) + 1

        def step(i: Any, state: tuple[Array, Array]) -> tuple[Array, Array]:
            least, best = state
            found = divergence(counts, i, levels)
            better = (found <= least) & (i >= levels)
            return jnp.where(better, found, least), jnp.where(better, i, best)

        start = jnp.full(size.shape, np.float32(np.inf)), jnp.full(size.shape, np.int32(bins))
        _, best = lax.fori_loop(1, bins + 1, step, start)
        shares = jnp.asarray((np.arange(bins + 1) / bins).astype(np.float32))
        return poisoned(flush(size * shares[best]), blocks)

    def _histogram(self, blocks: Blocks, size: Array) -> Array:
        """int32 [grid..., bins]: the count of magnitudes in each bin. The first bin gets the count of the second."""
        bins = int(self.bins)
        by = Reciprocal(*(blocks.layout.expand(leaf) for leaf in reciprocal(size)))
        share = rounded((jnp.abs(blocks.x) * by.moved) * by.inverse)
        share = jnp.where(jnp.isfinite(share), share, np.float32(0))
        place = jnp.minimum(jnp.floor(share * np.float32(bins)).astype(jnp.int32), bins - 1)
        rows = blocks.rows(place)
        kept = blocks.rows(blocks.masked(jnp.ones_like(blocks.x), 0.0)).astype(jnp.int32)
        number = int(np.prod(size.shape))
        flat = jnp.arange(number, dtype=jnp.int32)[:, None] * bins + rows.reshape(number, rows.shape[-1])
        counts = jnp.zeros(number * bins, jnp.int32).at[flat.reshape(-1)].add(kept.reshape(-1))
        counts = counts.reshape(*size.shape, bins)
        return jnp.concatenate([counts[..., 1:2], counts[..., 1:]], -1)


def divergence(counts: Array, i: Any, levels: Any) -> Array:
    """float32 [grid]: KL(P || Q) in bits, for the first i bins quantized to a number of levels. Infinite if some bin has Q = 0
    and P > 0.

    Args:
        counts: int32 [grid..., bins].
        i: int32 scalar, 1 to bins.
        levels: int32 scalar, at most i; otherwise the result is meaningless.
    """
    bins = counts.shape[-1]
    place = jnp.arange(bins, dtype=jnp.int32)
    inside = place < i
    all_of, all_full = _running(counts), _running((counts > 0).astype(jnp.int32))
    level = place * levels // i
    start, stop = (jnp.minimum(-((-each * i) // levels), i) for each in (level, level + 1))
    stop = jnp.maximum(stop, start)
    run, full = (jnp.take(total, stop, -1) - jnp.take(total, start, -1) for total in (all_of, all_full))
    total, within = all_of[..., -1:], jnp.take(all_of, jnp.atleast_1d(i), -1)
    p = jnp.where(place == i - 1, counts + (total - within), counts)
    one = jnp.float32(1)
    p, run, full, total, within = (each.astype(jnp.float32) for each in (p, run, full, total, within))
    share = quotient(p, jnp.maximum(total, one))
    reference = quotient(quotient(run, jnp.maximum(full, one)), jnp.maximum(within, one))
    missed = (counts == 0) & (p > 0)
    terms = share * log2(quotient(share, jnp.where(reference > 0, reference, one)))
    terms = jnp.where(missed, np.float32(np.inf), jnp.where(p > 0, rounded(terms), np.float32(0)))
    return tree_sum(jnp.where(inside, terms, np.float32(0)))


def _running(counts: Array) -> Array:
    """int32 [grid..., bins + 1]: the count below each bin edge."""
    return jnp.pad(jnp.cumsum(counts, -1, dtype=jnp.int32), [(0, 0)] * (counts.ndim - 1) + [(1, 0)])


STATISTICS.add(
    "kl",
    KL,
    doc="the width of least KL divergence, from a histogram with this many bins (TensorRT); symmetric integers only",
    examples=["kl(64)"],
)

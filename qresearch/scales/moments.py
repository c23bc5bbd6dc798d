"""Statistics that are moments of the block: the RMS, and the mean magnitude."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from qresearch.arithmetic.exact import FLT_MAX, TINY, exponent, power_of_two, rounded, saturate
from qresearch.scales.extremes import largest, poisoned
from qresearch.scales.statistic import STATISTICS, Blocks, Statistic


@dataclass(frozen=True)
class RMS(Statistic):
    """`k` times the root mean square, summed in a fixed order.

    Attributes:
        k: the width in units of the RMS. It must be given, as no default suits all grids.
    """

    k: float

    def __post_init__(self) -> None:
        if not TINY <= self.k <= FLT_MAX:
            raise ValueError(
                f"rms({self.k:g}): k, the width in units of the RMS, must be at least 2^-126 and finite, such as rms(3)"
            )

    def width(self, blocks: Blocks) -> Array:
        """float32 [grid]. The numbers are first scaled by a power of two, so that no square overflows."""
        rows, unit = shrunk(blocks)
        squares = rounded(rows * rows)
        return poisoned(saturate(jnp.sqrt(blocks.mean(squares)) * unit * jnp.float32(self.k)), blocks)


@dataclass(frozen=True)
class AbsMean(Statistic):
    """The mean magnitude, summed in a fixed order, times `k`.

    The scale of ternary weights in BitNet b1.58 (arXiv 2402.17764), and of signs with the least squared error (XNOR-Net, arXiv
    1603.05279): the sum of `(x - s sign(x))^2` is least for s the mean of `abs(x)`.

    Attributes:
        k: a factor of the mean.
    """

    k: float = 1.0

    def __post_init__(self) -> None:
        if not TINY <= self.k <= FLT_MAX:
            raise ValueError(
                f"absmean({self.k:g}): k, a factor of the mean magnitude, must be at least 2^-126 and finite, such as absmean"
            )

    def width(self, blocks: Blocks) -> Array:
        """float32 [grid]."""
        return mean_magnitude(blocks, self.k)


def mean_magnitude(blocks: Blocks, k: float) -> Array:
    """float32 [grid]: k times the mean of magnitudes; NaN for blocks with a NaN or an infinity."""
    rows, unit = shrunk(blocks)
    return poisoned(saturate(blocks.mean(jnp.abs(rows)) * unit * jnp.float32(k)), blocks)


def shrunk(blocks: Blocks) -> tuple[Array, Array]:
    """The elements of each block over a power of two, so that no sum and no square overflows, and that power, [grid]."""
    power = jnp.clip(exponent(largest(blocks)), -126, 126)
    return blocks.rows(blocks.masked(blocks.x, 0.0)) * power_of_two(-power)[..., None], power_of_two(power)


STATISTICS.add("rms", RMS, doc="k times the root of the mean of squares", examples=["rms(3)"])
STATISTICS.add("absmean", AbsMean, doc="the mean magnitude, or k times that", examples=["absmean", "absmean(1.4)"])

"""Statistics that are moments of the block: the RMS."""

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
        absmax = largest(blocks)
        power = jnp.clip(exponent(absmax), -126, 126)
        rows = blocks.rows(blocks.masked(blocks.x, 0.0)) * power_of_two(-power)[..., None]
        squares = rounded(rows * rows)
        return poisoned(saturate(jnp.sqrt(blocks.mean(squares)) * power_of_two(power) * jnp.float32(self.k)), blocks)


STATISTICS.add("rms", RMS, doc="k times the root of the mean of squares", examples=["rms(3)"])

"""Ternary weight networks: a threshold on magnitudes, and the least-squares scale of what lies above it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.exact import FLT_MAX, quotient, rounded
from qresearch.arithmetic.reductions import tree_sum
from qresearch.element.element import Element
from qresearch.scales.moments import mean_magnitude, shrunk
from qresearch.scales.params import Params
from qresearch.scales.statistic import STATISTICS, Blocks, Candidates, Statistic


@dataclass(frozen=True)
class TWN(Statistic):
    """Encodes magnitudes above `k` times their mean as 1, and decodes 1 as the mean of those magnitudes.

    Ternary weight networks (Li et al. 2016, arXiv 1605.04711): the threshold of least squared error is about 0.7 mean(abs(x)),
    the best scale for it the mean above. The scale that encodes is twice the threshold, and is not stored: hence `-exact`.

    Attributes:
        k: the threshold over the mean magnitude.
    """

    k: float = 0.7

    refits = True

    def __post_init__(self) -> None:
        if not 2.0**-20 <= self.k <= 2.0**20:
            raise ValueError(
                f"twn({self.k:g}): k, the threshold over the mean magnitude, must be 2^-20 to 2^20, such as twn(0.7)"
            )

    def width(self, blocks: Blocks) -> Array:
        """float32 [grid]: twice the threshold, so that it is the middle of 0 and 1."""
        return mean_magnitude(blocks, 2 * self.k)

    def choose(self, candidates: Candidates) -> Params:
        """The scale that encodes from the threshold, the stored one from the numbers above it."""
        plain, blocks = candidates.params(), candidates.blocks
        rows, unit = shrunk(blocks)
        above = blocks.rows(blocks.masked(candidates.values(plain), 0.0)) != 0
        weight = jnp.ones_like(rows) if blocks.weights is None else blocks.rows(blocks.weights)
        weight = jnp.where(above, weight, jnp.float32(0))
        mass = tree_sum(weight)
        total = tree_sum(rounded(weight * jnp.abs(rows)))
        mean = quotient(total, jnp.where(mass > 0, mass, jnp.float32(1))) * unit
        width = jnp.minimum(self.width(blocks), FLT_MAX)
        known = (mass > 0) & jnp.isfinite(width)
        factor = jnp.where(known, quotient(mean, jnp.where(known, width, jnp.float32(1))), np.float32(1))
        return replace(candidates.params(factor=factor, outer=plain), raw=plain.raw)

    def check(self, element: Element) -> None:
        """Raises `ValueError` for an element of other levels than -1, 0 and 1."""
        if element.grid.ends != (-1.0, 1.0) or element.group > 1 or len(element.grid.codes()) not in (3, 4):
            raise ValueError("twn is for the levels -1, 0 and 1; write int2-twn-exact or codebook(-1,0,1)-twn-exact")


STATISTICS.add(
    "twn",
    TWN,
    doc="ternary weight networks: 1 from 0.7 mean(abs(x)) on, scaled by the mean of those numbers; with -exact",
    examples=["twn", "twn(0.75)"],
)

"""Searches: try several widths for every block and keep the one with the least error.

A candidate is the ordinary width (or interval) times a factor. Its error is measured with the quantizer itself: the scale is
rounded as it would be stored, and the block is encoded and decoded. Candidates are tried one after another, so a search needs
the memory of one candidate; a tie goes to the first. If another scaled scheme stores the scales (NVFP4, double quantization),
its outer scale is fitted once, to the ordinary scales, and stays fixed during the search.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.arithmetic.exact import exponent, power_of_two, rounded
from qresearch.arithmetic.exact_power import power
from qresearch.arithmetic.reductions import tree_sum
from qresearch.scales.extremes import bounds, largest
from qresearch.scales.params import Params
from qresearch.scales.statistic import STATISTICS, Blocks, Candidates, Statistic


def error_of(candidates: Candidates, params: Params, p: float) -> Array:
    """float32 [grid]: the sum of weight * abs(x' - x)^p in every block, with x scaled by a power of two near its largest."""
    blocks = candidates.blocks
    layout = blocks.layout
    back = candidates.values(params)
    unit = power_of_two(-jnp.clip(exponent(largest(blocks)), -126, 126))
    off = blocks.masked(jnp.abs(back - blocks.x), 0.0) * layout.expand(unit)
    cost = power(off, p)
    if blocks.weights is not None:
        cost = rounded(cost * blocks.weights)
    return tree_sum(blocks.rows(cost))


def least_error(candidates: Candidates, factors: tuple[float, ...], p: float) -> Params:
    """The parameters of every block with the factor of least error; of equal errors, the first."""
    table = jnp.asarray(np.asarray(factors, np.float32))
    plain = candidates.params()

    def step(i: Any, state: tuple[Array, Array]) -> tuple[Array, Array]:
        least, best = state
        error = error_of(candidates, candidates.params(factor=table[i], outer=plain), p)
        better = error < least
        return jnp.where(better, error, least), jnp.where(better, table[i], best)

    grid = candidates.blocks.layout.grid
    start = jnp.full(grid, np.float32(np.inf)), jnp.full(grid, table[0])
    _, best = lax.fori_loop(0, len(factors), step, start)
    return candidates.params(factor=best, outer=plain)


class _Searching(Statistic):
    """Base of the searches over factors of the ordinary extent: the largest magnitude, or the least and the largest element."""

    searches = True

    def width(self, blocks: Blocks) -> Array:
        return largest(blocks)

    def interval(self, blocks: Blocks) -> tuple[Array, Array]:
        return bounds(blocks)


@dataclass(frozen=True)
class Search(_Searching):
    """Shrinks the width in equal steps and keeps the one of least error.

    Compare OCTAV (arXiv 2206.06501), and the `mse` option of GPTQ's quantizer, which tries 80 steps of 1 % with p = 2.4.

    Attributes:
        p: the sum of abs(error)^p is minimised.
        steps: the number of candidates.
        least: the factor of the last candidate; that of the first is 1.
    """

    p: float = 2.0
    steps: float = 41.0
    least: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.p <= 16:
            raise ValueError(f"search({self.p:g}): p must be above 0 and at most 16, such as search(2) for the squared error")
        if self.steps != int(self.steps) or not 2 <= self.steps <= 1000:
            raise ValueError(f"search: steps must be an integer from 2 to 1000, not {self.steps:g}")
        if not 0 < self.least < 1:
            raise ValueError(f"search: least, the smallest share of the width, must lie between 0 and 1, not {self.least:g}")

    @property
    def factors(self) -> tuple[float, ...]:
        """The factors that are tried, from 1 down to `least`."""
        last = int(self.steps) - 1
        return tuple(1 - (1 - self.least) * i / last for i in range(last + 1))

    def choose(self, candidates: Candidates) -> Params:
        """The parameters of least error for every block."""
        return least_error(candidates, self.factors, self.p)


@dataclass(frozen=True, init=False)
class Among(_Searching):
    """The listed factor with the least squared error.

    `among(1,1.5)` on E2M1 is Four Over Six (arXiv 2512.02010): the largest number of a block is mapped to 6, or to 4 if that
    gives a smaller error.

    Attributes:
        factors: two or more factors of the width.
    """

    factors: tuple[float, ...]

    def __init__(self, *factors: float) -> None:
        if len(factors) < 2 or not all(0 < factor < np.inf for factor in factors):
            raise ValueError(f"among{factors}: give two or more positive factors of the width, such as among(1,1.5)")
        object.__setattr__(self, "factors", tuple(map(float, factors)))

    def choose(self, candidates: Candidates) -> Params:
        """The parameters of least error for every block."""
        return least_error(candidates, self.factors, 2.0)


STATISTICS.add(
    "search",
    Search,
    doc="the width with the least sum of abs(error)^p, from the full width down to a share",
    examples=["search(2,9)", "search(3,5,0.4)", "search(2.4,5,0.6)"],
)
STATISTICS.add("among", Among, doc="the width of least squared error among listed factors", examples=["among(1,1.5)"])

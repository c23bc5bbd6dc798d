"""Half-quadratic quantization (HQQ, Badri and Shaji 2023): optimises the zero point for a norm that is robust to outliers.

The scale is that of min-max. The zero point minimises the sum of abs(x - x')^p, with p below 1, by alternating two steps. The
proximal operator of the norm shrinks the errors; then the zero point becomes the mean that fits the rest. HQQ's zero point `z`
is a float, and it reconstructs `(q - z) * s`. This is our form `offset`, `q * s + m`, with `m = -z * s`. So we optimise the
minimum m, and only that form supports HQQ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.arithmetic.exact import exponent, flush, power_of_two, rounded, saturate
from qresearch.arithmetic.exact_power import power
from qresearch.scales.extremes import bounds, largest
from qresearch.scales.params import Params
from qresearch.scales.statistic import STATISTICS, Blocks, Candidates, Statistic


@dataclass(frozen=True)
class HQQ(Statistic):
    """Min-max with a minimum that is optimised for the p-norm of the error. The defaults are those of the `hqq` library.

    There are two differences from the library. It stops all blocks together, at the first iteration that does not lower the
    mean error of the tensor, and takes the zero point after that iteration; here every block keeps the best minimum it has
    tried. At 4 bits the library starts from a rounded zero point; here the start is never rounded. Errors are measured with
    scale and minimum as they are stored.

    Attributes:
        p: the exponent of the norm.
        beta: weight of the quadratic term in the first iteration. It depends on the units of x: errors below
            beta^(1 / (p - 2)), 0.17 by default, are shrunk to zero. If all errors are that small, an iteration moves the
            minimum by the mean error.
        kappa: the factor by which beta grows in each iteration.
        iterations: the number of iterations.
    """

    p: float = 0.7
    beta: float = 10.0
    kappa: float = 1.01
    iterations: float = 20.0

    searches = moves_minimum = True

    def __post_init__(self) -> None:
        if not 0 < self.p <= 1 or not self.beta > 0 or not self.kappa >= 1:
            raise ValueError(f"hqq: p must lie in (0, 1], beta be positive and kappa at least 1, not {self}")
        if self.iterations != int(self.iterations) or not 1 <= self.iterations <= 1000:
            raise ValueError(f"hqq: iterations must be an integer from 1 to 1000, not {self.iterations:g}")

    def interval(self, blocks: Blocks) -> tuple[Array, Array]:
        """Two float32 [grid]: the least and the largest element."""
        return bounds(blocks)

    @property
    def steps(self) -> np.ndarray:
        """float32 [iterations + 1]: 1 / beta for every iteration. The extra step measures the error of the last minimum."""
        return np.array([1 / (self.beta * self.kappa**i) for i in range(int(self.iterations) + 1)], np.float32)

    def choose(self, candidates: Candidates) -> Params:
        """The parameters with the minimum of least mean error, for every block."""
        plain, table, blocks = candidates.params(), jnp.asarray(self.steps), candidates.blocks
        unit = jnp.clip(exponent(largest(blocks)), -126, 126)
        start = candidates.minimum(plain)

        def step(i: Any, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            least, best, minimum = state
            error, following = self._iterate(candidates, candidates.params(minimum=minimum, outer=plain), table[i], unit)
            better = error < least
            return jnp.where(better, error, least), jnp.where(better, minimum, best), following

        worst = jnp.full(blocks.layout.grid, np.float32(np.inf))
        _, best, _ = lax.fori_loop(0, len(self.steps), step, (worst, start, start))
        return candidates.params(minimum=best, outer=plain)

    def _iterate(self, candidates: Candidates, params: Params, step: Array, unit: Array) -> tuple[Array, Array]:
        """The mean error of a minimum, and the next minimum. Means are scaled by a power of two near the largest magnitude."""
        blocks = candidates.blocks
        layout, minimum = blocks.layout, candidates.minimum(params)
        small = layout.expand(power_of_two(-unit))
        back = candidates.values(params)
        off = blocks.x - back
        size = jnp.abs(off)
        kept = jnp.maximum(size - rounded(step * power(size, self.p - 1)), np.float32(0))
        shrunk = jnp.where(off < 0, -kept, kept)
        # x minus the shrunk error should equal `back`; the minimum moves by the mean of the difference.
        move = blocks.masked(rounded((off - shrunk) * small), 0.0)
        error = blocks.mean(blocks.rows(blocks.masked(rounded(size * small), 0.0)))
        moved = minimum + rounded(blocks.mean(blocks.rows(move)) * power_of_two(unit))
        return error, flush(saturate(moved))


STATISTICS.add(
    "hqq",
    HQQ,
    doc="min-max with a minimum optimised for the p-norm (HQQ): p, beta, kappa, iterations",
    examples=["hqq(0.7)", "hqq(1,10,1.01,3)"],
)

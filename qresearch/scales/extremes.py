"""Statistics whose result is an element of the block, or its magnitude: extremes and quantiles."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.arithmetic.exact import flush
from qresearch.arithmetic.reductions import largest_magnitude, order_statistic
from qresearch.scales.statistic import STATISTICS, Blocks, Statistic


def largest(blocks: Blocks) -> Array:
    """float32 [grid]: the largest magnitude in every block; infinity or NaN if the block holds one."""
    return largest_magnitude(blocks.masked(blocks.x, 0.0), blocks.layout.axes)


def bounds(blocks: Blocks) -> tuple[Array, Array]:
    """Two float32 [grid]: the least and the largest element; 0 if all weights are zero, NaN if an element is not finite."""
    axes = blocks.layout.axes
    low = jnp.min(blocks.masked(blocks.x, np.inf), axes)
    high = jnp.max(blocks.masked(blocks.x, -np.inf), axes)
    empty = low > high
    low, high = (flush(jnp.where(empty, jnp.float32(0), end)) for end in (low, high))
    return poisoned(low, blocks), poisoned(high, blocks)


def poisoned(number: Array, blocks: Blocks) -> Array:
    """`number`, but NaN for blocks that hold a NaN or an infinity."""
    return jnp.where(jnp.isfinite(largest(blocks)), number, jnp.float32(np.nan))


@dataclass(frozen=True)
class AbsMax(Statistic):
    """The largest magnitude. A factor k multiplies the scale.

    With k below 1, the largest numbers are clipped. With k above 1, the upper end of the grid stays free; NVFP4 with Four Over
    Six leaves headroom for its block scales in this way (arXiv 2512.02010).

    Attributes:
        k: the factor. It is part of the gain, so it adds no rounding.
    """

    k: float = 1.0

    extreme = "magnitude"
    picks = replayable = True

    def __post_init__(self) -> None:
        if not 0 < self.k < np.inf:
            raise ValueError(f"absmax({self.k}): k, the factor of the scale, must be positive, such as absmax(1.75)")

    @property
    def factor(self) -> float:  # type: ignore[override]
        """What the gain is multiplied by."""
        return self.k

    def width(self, blocks: Blocks) -> Array:
        """float32 [grid], zero or positive."""
        return largest(blocks)


@dataclass(frozen=True)
class SignMax(Statistic):
    """The element of largest magnitude, with its sign. If -m and m are both largest, m (BOF4-S, arXiv 2505.06653)."""

    extreme = "magnitude"
    signed = picks = True

    def width(self, blocks: Blocks) -> Array:
        """float32 [grid], of either sign."""
        low, high = bounds(blocks)
        return jnp.where(-low > high, low, high)


@dataclass(frozen=True)
class FirstMax(Statistic):
    """The first element of largest magnitude, with its sign, in row-major order: `x[argmax(abs(x))]` (ggml).

    A block of zeros gets the sign of its first element.
    """

    extreme = "magnitude"
    signed = picks = True

    def width(self, blocks: Blocks) -> Array:
        """float32 [grid], of either sign."""
        rows = blocks.rows(blocks.masked(blocks.x, 0.0))
        magnitudes = lax.bitcast_convert_type(jnp.abs(rows), jnp.int32)  # ordered like the magnitudes, NaN last
        first = jnp.argmax(magnitudes, -1, keepdims=True)
        return jnp.take_along_axis(rows, first, -1)[..., 0]


@dataclass(frozen=True)
class MinMax(Statistic):
    """The least and the largest element."""

    extreme = "range"
    picks = True

    def interval(self, blocks: Blocks) -> tuple[Array, Array]:
        """Two float32 [grid]."""
        return bounds(blocks)


@dataclass(frozen=True)
class Quantile(Statistic):
    """An order statistic: the least element such that at least a fraction `p` of the block does not exceed it.

    There is no interpolation: the result is an element of the block, and therefore exact.

    Attributes:
        p: above 1/2, at most 1. `quantile(1)` is absmax, or min-max.
    """

    p: float

    def __post_init__(self) -> None:
        if not 0.5 < self.p <= 1:
            raise ValueError(f"quantile({self.p}): p must be above 0.5 and at most 1, such as quantile(0.999)")

    def width(self, blocks: Blocks) -> Array:
        """float32 [grid], the p-quantile of magnitudes."""
        return poisoned(self._pick(blocks, jnp.abs(blocks.x), upper=True), blocks)

    def interval(self, blocks: Blocks) -> tuple[Array, Array]:
        """Two float32 [grid], the (1-p)- and the p-quantile."""
        low, high = (self._pick(blocks, blocks.x, upper) for upper in (False, True))
        return poisoned(low, blocks), poisoned(high, blocks)

    def _pick(self, blocks: Blocks, x: Array, upper: bool) -> Array:
        rows = blocks.rows(blocks.masked(x, np.inf))
        if blocks.weights is None:
            last = np.maximum(blocks.layout.counts() - 1, 0)
            place = np.ceil(self.p * last - 1e-9) if upper else np.floor((1 - self.p) * last + 1e-9)
            picked = order_statistic(rows, jnp.asarray(place.astype(np.int32)))
        else:
            order = jnp.argsort(rows, axis=-1)
            index = self._weighted(jnp.take_along_axis(blocks.rows(blocks.weights), order, -1), upper)
            picked = jnp.take_along_axis(jnp.take_along_axis(rows, order, -1), index[..., None], -1)[..., 0]
        return flush(jnp.where(picked == np.inf, jnp.float32(0), picked))  # infinite only if all elements are masked

    def _weighted(self, weights: Array, upper: bool) -> Array:
        running = jnp.cumsum(weights, -1)
        target = running[..., -1:] * jnp.float32(self.p if upper else 1 - self.p)
        return jnp.argmax((running >= target) & (weights > 0), -1).astype(jnp.int32)


STATISTICS.add("absmax", AbsMax, doc="the largest magnitude, or k times that", examples=["absmax", "absmax(1.75)"])
STATISTICS.add("signmax", SignMax, doc="the element of largest magnitude, with its sign")
STATISTICS.add("firstmax", FirstMax, doc="the first element of largest magnitude, with its sign (ggml)")
STATISTICS.add("minmax", MinMax, doc="the least and the largest element")
STATISTICS.add("quantile", Quantile, doc="an order statistic of the block", examples=["quantile(0.99)"])

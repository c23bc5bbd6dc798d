"""Statistics that are elements of the block: extremes and quantiles."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from qresearch.arithmetic.exact import flush
from qresearch.arithmetic.reductions import largest_magnitude, order_statistic
from qresearch.scales.statistic import STATISTICS, Blocks, Statistic


def largest(blocks: Blocks) -> Array:
    """float32 [grid]: the largest magnitude of every block; infinity or NaN where it holds one."""
    return largest_magnitude(blocks.masked(blocks.x, 0.0), blocks.layout.axes)


def bounds(blocks: Blocks) -> tuple[Array, Array]:
    """The least and the largest element; zeros where no element takes part, NaN in a poisoned block."""
    axes = blocks.layout.axes
    low = jnp.min(blocks.masked(blocks.x, np.inf), axes)
    high = jnp.max(blocks.masked(blocks.x, -np.inf), axes)
    empty = low > high
    low, high = (flush(jnp.where(empty, jnp.float32(0), end)) for end in (low, high))
    return poisoned(low, blocks), poisoned(high, blocks)


def poisoned(number: Array, blocks: Blocks) -> Array:
    """NaN where the block holds a NaN or an infinity."""
    return jnp.where(jnp.isfinite(largest(blocks)), number, jnp.float32(np.nan))


@dataclass(frozen=True)
class AbsMax(Statistic):
    """The largest magnitude. With a factor k, the scale is k times as large: below 1 the largest numbers are clipped, above
    1 the upper end of the grid stays free (NVFP4 with 4/6 leaves its block scales room that way, arXiv 2512.02010).

    Attributes:
        k: the factor; part of the gain, so it costs no rounding of its own.
    """

    k: float = 1.0

    extreme = "magnitude"
    picks = replayable = True

    def __post_init__(self) -> None:
        if not 0 < self.k < np.inf:
            raise ValueError(f"absmax({self.k}): k must be positive: the factor of the scale, such as absmax(1.75)")

    @property
    def factor(self) -> float:  # type: ignore[override]
        """What the gain is multiplied by."""
        return self.k

    def width(self, blocks: Blocks) -> Array:
        """float32 [grid], not negative."""
        return largest(blocks)


@dataclass(frozen=True)
class SignMax(Statistic):
    """The element of largest magnitude with its sign; the positive one where two are equal (BOF4-S, arXiv 2505.06653)."""

    extreme = "magnitude"
    signed = picks = True

    def width(self, blocks: Blocks) -> Array:
        """float32 [grid], of either sign."""
        low, high = bounds(blocks)
        return jnp.where(-low > high, low, high)


@dataclass(frozen=True)
class FirstMax(Statistic):
    """The first element of largest magnitude with its sign, in the order of the block's rows: `x[argmax(abs(x))]` (ggml).

    A block of zeros has the sign of its first element.
    """

    extreme = "magnitude"
    signed = picks = True

    def width(self, blocks: Blocks) -> Array:
        """float32 [grid], of either sign."""
        rows = blocks.rows(blocks.masked(blocks.x, 0.0))
        magnitudes = lax.bitcast_convert_type(jnp.abs(rows), jnp.int32)  # in the order of numbers, NaN above all
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
    """An order statistic: the least element that at least a fraction `p` of the block does not exceed.

    No interpolation: the result is an element of the block, hence exact.

    Attributes:
        p: above one half, at most 1; `quantile(1)` is absmax or min-max.
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
        return flush(jnp.where(picked == np.inf, jnp.float32(0), picked))  # no element takes part

    def _weighted(self, weights: Array, upper: bool) -> Array:
        running = jnp.cumsum(weights, -1)
        target = running[..., -1:] * jnp.float32(self.p if upper else 1 - self.p)
        return jnp.argmax((running >= target) & (weights > 0), -1).astype(jnp.int32)


STATISTICS.add("absmax", AbsMax, doc="the largest magnitude, or k times that", examples=["absmax", "absmax(1.75)"])
STATISTICS.add("signmax", SignMax, doc="the element of largest magnitude, with its sign")
STATISTICS.add("firstmax", FirstMax, doc="the first element of largest magnitude, with its sign (ggml)")
STATISTICS.add("minmax", MinMax, doc="the least and the largest element")
STATISTICS.add("quantile", Quantile, doc="an order statistic of the block", examples=["quantile(0.99)"])

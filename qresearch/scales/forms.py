"""Forms: how a block's extent becomes scale and offset, and how they act on a number.

    bare        y = x                       x' = g
    symmetric   y = x / s                   x' = g s
    zero point  q = round(x / s) + z        x' = (q - z) s
    offset      q = round((x - m) / s)      x' = (q - qmin) s + m
    edge        the same, m the end of larger magnitude, s of either sign

Fitting has two halves: `extent` is what the statistic says of every block, `trial` the parameters that follow from it. A
statistic that searches calls `trial` again and again, with a factor of the extent, or with another minimum, and `plain`,
the parameters without either, whose outer scales (of nested storages) stay.

Products are kept apart from sums, since compilers fuse them (`numbers.rounded`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.exact import TINY, Reciprocal, flush, reciprocal, rounded, saturate
from qresearch.base.table import Table
from qresearch.scales.params import Params
from qresearch.scales.power_of_two import raised
from qresearch.scales.statistic import Blocks

_HALF = np.float32(0.5)
_NAN = np.float32(np.nan)


def finished(raw: Array, finite: Array) -> Array:
    """A scale before it is stored: flushed to a zero of its sign, at most FLT_MAX, NaN where the block is not finite."""
    flushed = jnp.where(jnp.abs(raw) < TINY, jnp.copysign(jnp.float32(0), raw), raw)
    return jnp.where(finite, saturate(flushed), _NAN)


@dataclass(frozen=True)
class Bare:
    """No scale and no offset: a cast."""

    needs = None
    asymmetric = False
    integer_offset = False
    signed = minimum = False

    def fit(self, quantizer: Any, blocks: Blocks, key: Array | None) -> Params:
        """Nothing to fit."""
        return Params()


class Fitting:
    """What the forms with a scale share: extent, then trial; several trials where the statistic chooses.

    Attributes:
        signed: whether scales may be negative, whatever the statistic.
        minimum: whether a minimum, or a bias, is stored beside the scale.
        movable: whether a statistic may put another minimum in the place of the one that was fitted.
    """

    signed = False
    movable = False
    minimum = False

    def fit(self, quantizer: Any, blocks: Blocks, key: Array | None, plain: Params | None = None) -> Params:
        """Scale and offset of every block; in the outer scales of `plain`, where that is given."""
        trial = partial(self.trial, quantizer, self.extent(quantizer, blocks), key, plain=plain)
        choose = getattr(quantizer.statistic, "choose", None)
        return trial() if choose is None else choose(quantizer, blocks, trial)

    def extent(self, quantizer: Any, blocks: Blocks) -> Any:
        """What the statistic says of every block."""
        raise NotImplementedError

    def trial(
        self, quantizer: Any, extent: Any, key: Array | None, factor: Any = None, minimum: Any = None, plain: Any = None
    ) -> Params:
        """Parameters of every block: of a factor of its extent, of a given minimum, in the outer scales of `plain`."""
        raise NotImplementedError

    def divisor(self, scale: Array) -> Reciprocal:
        """What `on_grid` takes in the place of the scales, [grid]."""
        return reciprocal(scale)


@dataclass(frozen=True)
class Symmetric(Fitting):
    """A scale alone."""

    needs = "width"
    asymmetric = False
    integer_offset = False

    def extent(self, quantizer: Any, blocks: Blocks) -> Any:
        """The width of every block, float32 [grid]."""
        statistic = quantizer.statistic
        if getattr(statistic, "of_grid", False):
            return statistic.width(blocks, quantizer.element.grid)
        return statistic.width(blocks)

    def trial(
        self, quantizer: Any, extent: Any, key: Array | None, factor: Any = None, minimum: None = None, plain: Any = None
    ) -> Params:
        """The scale maps the block's width to the end of the grid; a scale rule then chooses its power of two."""
        raw = finished(_times(quantizer.per_step(extent), factor), jnp.isfinite(extent))
        if quantizer.rise is not None:
            raw = raised(raw, quantizer.rise)
        return quantizer.store_scale(raw, None, key, plain)

    def on_grid(self, x: Array, scale: Reciprocal, offset: Array | None) -> Array:
        """The numbers that are rounded."""
        return (x * scale.shrink) * scale.inverse

    def shift(self, least: Array, offset: Array | None) -> Array | None:
        """What is added after rounding: nothing."""
        return None

    def value(self, g: Array, scale: Array, least: Array, offset: Array | None) -> Array:
        """The numbers that come back."""
        return saturate(g * scale)


def _times(x: Array, factor: Any) -> Array:
    return x if factor is None else rounded(rounded(x) * factor)


def _interval(quantizer: Any, blocks: Blocks) -> tuple[Array, Array, Array]:
    """Least, largest, and whether both are finite; zeros where they are not."""
    low, high = quantizer.statistic.interval(blocks)
    finite = jnp.isfinite(low) & jnp.isfinite(high)
    return jnp.where(finite, low, np.float32(0)), jnp.where(finite, high, np.float32(0)), finite


def span(low: Array, high: Array) -> Array:
    """Half of the distance, which never overflows."""
    return flush(high * _HALF) - flush(low * _HALF)


@dataclass(frozen=True)
class ZeroPoint(Symmetric):
    """A scale and an integer zero point; the range includes zero, so zero is exact (Jacob et al. 2018, arXiv 1712.05877)."""

    needs = "interval"
    asymmetric = True
    integer_offset = True

    def extent(self, quantizer: Any, blocks: Blocks) -> tuple[Array, Array, Array]:
        """The interval, zero included, and whether it is finite."""
        low, high, finite = _interval(quantizer, blocks)
        return jnp.minimum(low, np.float32(0)), jnp.maximum(high, np.float32(0)), finite

    def trial(
        self, quantizer: Any, extent: Any, key: Array | None, factor: Any = None, minimum: None = None, plain: Any = None
    ) -> Params:
        """The scale spans the interval; the zero point is what the *stored* scale makes of its lower end. A factor draws both
        ends toward zero.
        """
        low, high = (_times(end, factor) for end in extent[:2])
        params = quantizer.store_scale(finished(quantizer.per_step(span(low, high)), extent[2]), None, key, plain)
        grid = quantizer.element.grid
        steps = jnp.round(self.on_grid(low, quantizer.divisor(params), None))
        z = jnp.clip(jnp.where(jnp.isfinite(steps), grid.least - steps, grid.least), grid.least, grid.most)
        return Params(params.scale, z.astype(grid.dtype), params.raw)

    def shift(self, least: Array, offset: Array | None) -> Array | None:
        """The zero point."""
        return offset

    def value(self, g: Array, scale: Array, least: Array, offset: Any) -> Array:
        """The numbers that come back."""
        return saturate((g - offset) * scale)


def drawn_in(low: Array, high: Array, factor: Any) -> tuple[Array, Array]:
    """Both ends moved toward the middle, so that a factor of the interval is left."""
    if factor is None:
        return low, high
    by = rounded(span(low, high) * (np.float32(1) - factor))
    return flush(low + by), flush(high - by)


@dataclass(frozen=True)
class Offset(Fitting):
    """A scale and a free minimum (GGUF Q4_1; MLX)."""

    needs = "interval"
    asymmetric = True
    integer_offset = False
    minimum = movable = True

    def extent(self, quantizer: Any, blocks: Blocks) -> tuple[Array, Array, Array]:
        """The interval, and whether it is finite."""
        return _interval(quantizer, blocks)

    def trial(
        self, quantizer: Any, extent: Any, key: Array | None, factor: Any = None, minimum: Any = None, plain: Any = None
    ) -> Params:
        """The minimum is stored first; the scale spans what lies above the stored one (`-exact`: above the true one). A factor
        draws both ends toward the middle; a minimum that is given replaces the other and leaves the scale of `plain`.
        """
        low, high, finite = extent
        if minimum is not None:
            stored = quantizer.store_offset(jnp.where(finite, minimum, _NAN), key, plain)
            return Params(plain.scale, stored, plain.raw, minimum if quantizer.exact else None)
        low, high = drawn_in(low, high, factor)
        stored = quantizer.store_offset(jnp.where(finite, low, _NAN), key, plain)
        if not quantizer.exact:
            low = jnp.where(finite, quantizer.load_minimum(stored), np.float32(0))
        raw = quantizer.per_step(span(low, jnp.maximum(high, low)))
        return quantizer.store_scale(finished(raw, finite), stored, key, plain, low)

    def on_grid(self, x: Array, scale: Reciprocal, offset: Any) -> Array:
        """The numbers that are rounded. Both are shrunk first where their difference could overflow."""
        return (x * scale.shrink - offset * scale.shrink) * scale.inverse

    def shift(self, least: Array, offset: Array | None) -> Array | None:
        """The least code."""
        return least

    def value(self, g: Array, scale: Array, least: Array, offset: Array) -> Array:
        """The numbers that come back; the product is rounded before the sum."""
        by = reciprocal(scale)
        product = rounded((g - least) * (scale * by.shrink))
        return saturate((product + offset * by.shrink) * by.grow)


FORMS: Table = Table("form")
FORMS.add("sym", Symmetric(), doc="a scale alone")
FORMS.add("asym", ZeroPoint(), doc="a scale and an integer zero point; the range includes zero")
FORMS.add("offset", Offset(), doc="a scale and a free minimum")

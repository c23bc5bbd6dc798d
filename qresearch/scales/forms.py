"""The forms: a scale alone, a scale with a zero point, a scale with a free minimum. `mlx` has one more.

Compilers fuse a product and a sum into one operation with one rounding. `exact.rounded` prevents it here, so that all
platforms give the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.exact import HUGE, Multiple, Reciprocal, flush, multiple, rounded, saturate
from qresearch.element.element import Element
from qresearch.scales.form import FORMS, Form, half_span
from qresearch.scales.params import Params
from qresearch.scales.statistic import Blocks, Statistic
from qresearch.scales.steps import Steps, Trial, times

_ZERO, _NAN = np.float32(0), np.float32(np.nan)


@dataclass(frozen=True)
class Bare(Form):
    """No scale and no offset: a cast."""

    def extent(self, statistic: Statistic, element: Element | None, blocks: Blocks) -> None:
        """Nothing."""

    def params(self, steps: Steps, element: Element, extent: Any, trial: Trial) -> Params:
        """Nothing."""
        return Params()


@dataclass(frozen=True)
class Symmetric(Form):
    """A scale alone."""

    need = "width"
    replayable = True

    def extent(self, statistic: Statistic, element: Element | None, blocks: Blocks) -> Array:
        """The width of every block, float32 [grid]."""
        return statistic.width_for(element, blocks)

    def params(self, steps: Steps, element: Element, extent: Array, trial: Trial) -> Params:
        """The scale maps the block's width to the end of the grid; a scale rule then chooses its power of two."""
        return steps.stored(steps.raw(extent, jnp.isfinite(extent), trial.factor), None, trial)

    def on_grid(self, x: Array, by: Reciprocal, offset: Array | None) -> Array:
        """The scaled numbers, in the units of the grid, before rounding."""
        return (x * by.moved) * by.inverse

    def value(self, g: Array, by: Multiple, element: Element, offset: Array | None) -> Array:
        """The reconstructed numbers."""
        return saturate((g * by.number) * by.back)


Interval = tuple[Array, Array, Array]
"""The least element, the largest, and whether both are finite, each [grid]. If not, the first two are zero."""


def _interval(statistic: Statistic, blocks: Blocks) -> Interval:
    low, high = statistic.interval(blocks)
    finite = jnp.isfinite(low) & jnp.isfinite(high)
    return jnp.where(finite, low, _ZERO), jnp.where(finite, high, _ZERO), finite


@dataclass(frozen=True)
class ZeroPoint(Symmetric):
    """A scale and an integer zero point; the range includes zero, so zero is exact (Jacob et al. 2018, arXiv 1712.05877)."""

    need = "interval"  # type: ignore[assignment]
    integer_offset = True
    replayable = False

    def extent(self, statistic: Statistic, element: Element | None, blocks: Blocks) -> Interval:  # type: ignore[override]
        """The interval, zero included, and whether it is finite."""
        low, high, finite = _interval(statistic, blocks)
        return jnp.minimum(low, _ZERO), jnp.maximum(high, _ZERO), finite

    def params(self, steps: Steps, element: Element, extent: Any, trial: Trial) -> Params:
        """The scale spans the interval. The zero point follows from the lower end and the *stored* scale. A factor multiplies
        both ends; those that are finite stay so.
        """
        low, high = (jnp.where(jnp.isfinite(end), saturate(times(end, trial.factor)), end) for end in extent[:2])
        params = steps.stored(steps.raw(half_span(low, high), extent[2]), None, trial)
        least, most = _ends(element)
        lowest = jnp.round(self.on_grid(low, self.divisor(steps.encoding_scale(params)), None))
        z = jnp.clip(jnp.where(jnp.isfinite(lowest), least - lowest, least), least, most)
        return Params(params.scale, z.astype(element.code_dtype), params.raw)

    def shift(self, element: Element, offset: Array | None) -> Array | None:
        """The zero point."""
        return offset

    def value(self, g: Array, by: Multiple, element: Element, offset: Any) -> Array:
        """The reconstructed numbers."""
        return super().value(g - offset, by, element, None)


def _ends(element: Element) -> tuple[Any, Any]:
    found = element.grid.integers
    assert found is not None  # `grammar.refuse` checks this
    return found


def drawn_in(low: Array, high: Array, factor: Any) -> tuple[Array, Array]:
    """Moves both ends toward the middle, so that the length of the interval is multiplied by the factor."""
    if factor is None:
        return low, high
    by = rounded(half_span(low, high) * (np.float32(1) - factor))
    return flush(low + by), flush(high - by)


@dataclass(frozen=True)
class Offset(Form):
    """A scale and a free minimum (GGUF Q4_1; MLX)."""

    need = "interval"
    minimum = movable = True

    def extent(self, statistic: Statistic, element: Element | None, blocks: Blocks) -> Interval:
        """The interval, and whether it is finite."""
        return _interval(statistic, blocks)

    def params(self, steps: Steps, element: Element, extent: Interval, trial: Trial) -> Params:
        """The minimum is stored first. The scale then spans from the stored minimum (`-exact`: from the true minimum) to the
        largest element. A factor shrinks the interval around its middle. A given minimum replaces the fitted one and keeps
        the scale of `outer`.
        """
        low, high, finite = extent
        if trial.minimum is not None and trial.outer is not None:
            stored = steps.stored_offset(jnp.where(finite, trial.minimum, _NAN), trial)
            return Params(trial.outer.scale, stored, trial.outer.raw, trial.minimum if steps.exact else None)
        low, high = drawn_in(low, high, trial.factor)
        stored = steps.stored_offset(jnp.where(finite, low, _NAN), trial)
        if not steps.exact:
            low = jnp.where(finite, steps.offset.load(stored), _ZERO)
        raw = steps.raw(half_span(low, jnp.maximum(high, low)), finite)
        return steps.stored(raw, stored, trial, low)

    def on_grid(self, x: Array, by: Reciprocal, offset: Any) -> Array:
        """The scaled numbers, before rounding. x and the offset are shrunk first if their difference could overflow."""
        return (x * by.moved - offset * by.moved) * by.inverse

    def shift(self, element: Element, offset: Array | None) -> Array | None:
        """The least code."""
        return _ends(element)[0]

    def multiple(self, scale: Array, offset: Any) -> tuple[Multiple, Array | None]:
        """The minimum is moved with the scale. Beside a large minimum a subnormal scale is lost: both would overflow."""
        by = multiple(jnp.where(jnp.abs(offset) < HUGE, scale, flush(scale)))
        return by, offset * by.moved

    def value(self, g: Array, by: Multiple, element: Element, offset: Any) -> Array:
        """The reconstructed numbers. The product is rounded before the sum."""
        product = rounded((g - _ends(element)[0]) * by.number)
        return saturate((product + offset) * by.back)


FORMS.add("sym", Symmetric(), doc="a scale alone")
FORMS.add("asym", ZeroPoint(), doc="a scale and an integer zero point; the range includes zero")
FORMS.add("offset", Offset(), doc="a scale and a free minimum")

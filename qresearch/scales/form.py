"""Forms: how the extent of a block becomes a scale and an offset, and how these act on a number.

    bare        y = x                       x' = g
    symmetric   y = x / s                   x' = g s
    zero point  q = round(x / s) + z        x' = (q - z) s
    offset      q = round((x - m) / s)      x' = (q - qmin) s + m
    edge        the same, with m the end of larger magnitude and s of either sign

This module has the base class; the forms are in `forms` and `mlx`. Fitting has two steps: `extent` evaluates the statistic on
every block, and `params` computes scale and offset from that.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.exact import TINY, Multiple, Reciprocal, flush, multiple, reciprocal
from qresearch.base.table import Table
from qresearch.element.element import Element
from qresearch.scales.params import Params
from qresearch.scales.statistic import Blocks, Need, Statistic
from qresearch.scales.steps import Steps, Trial


class Form:
    """What scale and offset do. Hashable. To add a form, subclass this or one of `forms`."""

    need: Need | None = None
    """What it needs from a statistic: a width or an interval; None for a cast."""

    minimum = False
    """Whether a minimum, or a bias, is stored beside the scale."""

    integer_offset = False
    """Whether an integer zero point is stored beside the scale, as a code of the element."""

    signed = False
    """Whether scales may be negative with every statistic."""

    movable = False
    """Whether a statistic may replace the fitted minimum (HQQ does)."""

    replayable = False
    """Whether GPU kernels support this form (`coders.kernels`)."""

    @property
    def asymmetric(self) -> bool:
        """Whether there is an offset."""
        return self.minimum or self.integer_offset

    def extent(self, statistic: Statistic, element: Element | None, blocks: Blocks) -> Any:
        """What the statistic finds in every block: a width, or an interval and whether it is finite.

        The element may be None for a statistic that looks at blocks alone.
        """
        raise NotImplementedError

    def params(self, steps: Steps, element: Element, extent: Any, trial: Trial) -> Params:
        """Scale and offset of every block, as they are stored; `extent` as `extent` gives it."""
        raise NotImplementedError

    def divisor(self, scale: Array) -> Reciprocal:
        """What `on_grid` divides by, [grid]."""
        return reciprocal(scale)

    def multiple(self, scale: Array, offset: Array | None) -> tuple[Multiple, Array | None]:
        """What `value` multiplies by, and the offset that it adds, [grid]."""
        return multiple(scale), offset

    def on_grid(self, x: Array, by: Reciprocal, offset: Array | None) -> Array:
        """The scaled numbers, in the units of the grid, before rounding."""
        raise NotImplementedError

    def shift(self, element: Element, offset: Array | None) -> Array | None:
        """What is added to codes after rounding, or None."""
        return None

    def value(self, g: Array, by: Multiple, element: Element, offset: Array | None) -> Array:
        """The reconstructed numbers x', from numbers g on the grid."""
        raise NotImplementedError


def half_span(low: Array, high: Array) -> Array:
    """Half of high - low, computed without overflow; at least 2^-126 if they differ, so that no interval is lost."""
    half = flush(high * np.float32(0.5)) - flush(low * np.float32(0.5))
    return jnp.where(high > low, jnp.maximum(half, TINY), half)


FORMS: Table[Form] = Table("form", of=Form)

"""The form `edge`: scale and bias as MLX chooses them.

    s = max((high - low) / (2^b - 1), 1e-7), negated unless |low| > |high|
    m = the end of larger magnitude; s = m / round(m / s); if round(m / s) is 0, then m = 0 and s stays
    q = round((x - m) / s)      x' = q s + m

Reference: `mx.quantize`, mode "affine"; `mlx/backend/cpu/quantized.cpp`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.exact import Reciprocal, multiple, quotient, saturate
from qresearch.element.element import Element
from qresearch.scales.form import FORMS, half_span
from qresearch.scales.forms import Interval, Offset, drawn_in
from qresearch.scales.params import Params
from qresearch.scales.steps import Steps, Trial

EPSILON = np.float32(1e-7)
"""The smallest step, as in MLX."""


@dataclass(frozen=True)
class Edge(Offset):
    """A scale and a bias; the bias is the end of larger magnitude, a whole number of steps away from zero (MLX, `mx.quantize`).

    The step is at least 1e-7, and negative if the upper end is the one of larger magnitude. It is adjusted so that this end is
    a multiple of the step. Zero is then exact, unless its code would lie beyond the other end. All quotients, also those of
    the elements, are true divisions, not products with a reciprocal.
    """

    signed = True
    movable = False

    def params(self, steps: Steps, element: Element, extent: Interval, trial: Trial) -> Params:
        """Scale and bias of the interval, both stored. A factor draws both ends toward the middle."""
        low, high = drawn_in(extent[0], extent[1], trial.factor)
        finite, below = extent[2], jnp.abs(low) > jnp.abs(high)
        step = jnp.maximum(saturate(steps.per_step(half_span(low, high))), EPSILON)
        step, edge = jnp.where(below, step, -step), jnp.where(below, low, high)
        count = jnp.round(quotient(edge, step))
        some = count != 0
        scale = jnp.where(some, quotient(edge, jnp.where(some, count, np.float32(1))), step)
        bias = jnp.where(some, edge, np.float32(0))
        stored = steps.stored_offset(jnp.where(finite, bias, np.float32(np.nan)), trial)
        return steps.stored(jnp.where(finite, saturate(scale), np.float32(np.nan)), stored, trial, bias)

    def divisor(self, scale: Array) -> Reciprocal:
        """The shrunk scale itself instead of its inverse; infinity if the scale is zero."""
        by = multiple(scale)
        return Reciprocal(by.moved, jnp.where(by.number == 0, np.float32(np.inf), by.number))

    def on_grid(self, x: Array, by: Reciprocal, offset: Any) -> Array:
        """The scaled numbers, by a true division."""
        return quotient(x * by.moved - offset * by.moved, by.inverse)


FORMS.add("edge", Edge(), doc="a scale of either sign and a bias at the larger end, zero exact (MLX)")

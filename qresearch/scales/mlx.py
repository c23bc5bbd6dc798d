"""The form `edge`: how MLX chooses scale and bias.

    s = max((high - low) / (2^b - 1), 1e-7), minus that where the upper end is the larger one
    m = the larger end; s = m / round(m / s); or 0 and s as it was, where that is no step at all
    q = round((x - m) / s)      x' = q s + m

Reference: `mx.quantize`, mode "affine"; `mlx/backend/cpu/quantized.cpp`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from qresearch.arithmetic.exact import Reciprocal, quotient, reciprocal, saturate
from qresearch.element.element import Element
from qresearch.scales.form import FORMS, finished, half_span
from qresearch.scales.forms import Interval, Offset, drawn_in
from qresearch.scales.params import Params
from qresearch.scales.steps import Steps, Trial

EPSILON = np.float32(1e-7)
"""The least step."""


@dataclass(frozen=True)
class Edge(Offset):
    """A scale and a bias: the end of larger magnitude, which a whole number of steps reaches from zero (MLX, `mx.quantize`).

    The step of the interval is at least 1e-7, and negative where the larger end is the upper one. It is changed so that
    the larger end is a multiple of it: then zero is exact, unless its code would lie beyond the other end. All quotients,
    those of the elements too, are true ones.
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
        return steps.stored(finished(scale, finite), stored, trial, bias)

    def divisor(self, scale: Array) -> Reciprocal:
        """The shrunk scale itself, in the place of its inverse; infinity where it is zero."""
        by = reciprocal(scale)
        return by._replace(inverse=jnp.where(by.inverse == 0, np.float32(np.inf), scale * by.shrink))

    def on_grid(self, x: Array, by: Reciprocal, offset: Any) -> Array:
        """The numbers that are rounded: a true quotient."""
        return quotient(x * by.shrink - offset * by.shrink, by.inverse)


FORMS.add("edge", Edge(), doc="a scale of either sign and a bias at the larger end, zero exact (MLX)")

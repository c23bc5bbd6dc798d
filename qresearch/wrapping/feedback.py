"""Error feedback along an axis: what rounding took from a slice is added to the next one.

Sums along the axis then come back to within half a step, however long they are: the error of each slice is the difference of
two numbers of at most half a step, so it is moved to where neighbours differ (noise shaping; Inose, Yasuda and Murakami 1962,
"A telemetering system by code modulation: delta-sigma modulation"). GPTQ (arXiv 2210.17323) with a Hessian of equal entries
does the same.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from qresearch.arithmetic.exact import rounded
from qresearch.base.part import part, static
from qresearch.coders.coder import Coder
from qresearch.wrapping.table import WRAPPERS
from qresearch.wrapping.wrapper import Wrapper


@part
class Fed(Wrapper):
    """Encodes slice after slice, each with the error of the one before added. Scales are those of the array itself.

    Attributes:
        inner: the coder inside, `separable`.
        axis: along which errors are passed on; negative ones count from the end.
    """

    inner: Coder
    axis: int = static()

    def fit(self, x: Array, weights: Array | None = None, key: Array | None = None) -> Any:
        """As inside. Raises `ValueError` where the array has no such axis."""
        self._place(x.shape)
        return self.inner.fit(x, weights, key)

    def encode_drawn(self, x: Array, params: Any, u: Array | None) -> Array:
        """Codes. An error that is not finite is not passed on: poison stays in its block."""
        axis = self._place(x.shape)
        if not x.size or not x.ndim:
            return self.inner.encode_drawn(x, params, u)
        coder, spelled = self.inner.pointwise(params, x.shape)

        def step(error: Array, at: Any) -> tuple[Array, Array]:
            x, params, u = at
            wanted = rounded(x) + error
            codes = coder.encode_drawn(wanted, params, u)
            error = wanted - rounded(coder.decode(codes, params, wanted.shape))
            return jnp.where(jnp.isfinite(error), error, jnp.float32(0)), codes

        slices = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, axis, 0), (x, spelled, u))
        _, codes = lax.scan(step, jnp.zeros_like(slices[0][0]), slices)
        return jnp.moveaxis(codes, 0, axis)

    def clipped(self, x: Array, params: Any) -> Array:
        """Which elements lie beyond the grid by themselves, whatever error is passed to them."""
        return self.inner.clipped(x, params)

    def unit(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """As inside, and all of the axis that errors are passed on along."""
        axis = self._place(shape)
        return tuple(n if each == axis else length for each, (n, length) in enumerate(zip(shape, self.inner.unit(shape))))

    def _place(self, shape: tuple[int, ...]) -> int:
        rank = max(len(shape), 1)  # a 0-d array counts as one element, as for blocks
        if not -rank <= self.axis < rank:
            raise ValueError(f"feedback({self.axis}): an array of shape {shape} has no axis {self.axis}")
        return self.axis % rank


def feedback(inner: Coder, axis: int = -1) -> Fed:
    """Error feedback around a coder.

    Args:
        inner: the coder inside: a quantizer, with or without a shift (`mean`, `dither`) around it.
        axis: along which errors are passed on.

    Raises:
        ValueError: where another wrapper stands inside.
    """
    if not inner.separable:
        raise ValueError("feedback codes slice by slice, which the wrapper inside cannot; write feedback before it")
    return Fed(inner, axis)


WRAPPERS.add(
    "feedback",
    feedback,
    doc="the error of each slice along an axis is added to the next: noise shaping (Inose, Yasuda and Murakami 1962)",
    examples=["feedback", "feedback(0)"],
)

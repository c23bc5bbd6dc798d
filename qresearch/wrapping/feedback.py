"""Error feedback along an axis: adds the rounding error of each slice to the next slice before rounding it.

Sums along the axis are then exact to within half a step, whatever their length. This is noise shaping: the total error of a
slice is the difference of two rounding errors of at most half a step each, so it is moved to high frequencies (Inose, Yasuda
and Murakami 1962, "A telemetering system by code modulation: delta-sigma modulation"). GPTQ (arXiv 2210.17323) does the same if
all entries of its Hessian are equal.
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
    """Encodes one slice after another, and adds the error of each to the next. Scales are those of the original array.

    The coder inside must be `separable`. What counts as clipped is decided without the errors that are passed on.

    Attributes:
        axis: the axis along which errors are passed on; negative numbers count from the end.
    """

    axis: int = static()

    def fit(self, x: Array, weights: Array | None = None, key: Array | None = None) -> Any:
        """As inside. Raises `ValueError` if the array has no such axis."""
        self._place(x.shape)
        return self.inner.fit(x, weights, key)

    def encode_drawn(self, x: Array, params: Any, u: Array | None) -> Array:
        """Codes. An error that is not finite is not passed on, so a NaN poisons only its own block."""
        axis = self._place(x.shape)
        if not x.size or not x.ndim:
            return self.inner.encode_drawn(x, params, u)
        coder, per_element = self.inner.pointwise(params, x.shape)

        def step(error: Array, at: Any) -> tuple[Array, Array]:
            x, params, u = at
            wanted = rounded(x) + error
            codes = coder.encode_drawn(wanted, params, u)
            error = wanted - rounded(coder.decode(codes, params, wanted.shape))
            return jnp.where(jnp.isfinite(error), error, jnp.float32(0)), codes

        slices = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, axis, 0), (x, per_element, u))
        _, codes = lax.scan(step, jnp.zeros_like(slices[0][0]), slices)
        return jnp.moveaxis(codes, 0, axis)

    def idle(self, shape: tuple[int, ...]) -> str:
        """An axis of one element."""
        return "" if shape and shape[self._place(shape)] != 1 else "feedback does nothing along an axis of one element"

    def unit(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """As inside, but whole along the axis of the feedback."""
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
        axis: the axis along which errors are passed on.

    Raises:
        ValueError: if there is another kind of wrapper inside, or an element of vectors.
    """
    if inner.element.group > 1:
        raise ValueError("feedback codes element after element, but one code of a vector covers several; leave feedback out")
    if not inner.separable:
        raise ValueError("feedback codes one slice at a time, which the wrapper inside cannot do; write feedback before it")
    return Fed(inner, axis)


WRAPPERS.add(
    "feedback",
    feedback,
    doc="the error of each slice along an axis is added to the next: noise shaping (Inose, Yasuda and Murakami 1962)",
    examples=["feedback", "feedback(0)"],
)
